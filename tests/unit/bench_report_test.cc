// What the bench says of its numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/page.h"
#include "bench/report.h"

namespace leftfold::bench {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(BenchReport, PercentilesAreValuesThatSoManyDoNotExceed) {
  std::vector<double> values;
  for (int i = 1'000; i > 0; --i) values.push_back(i);
  EXPECT_EQ(Percentile(values, 0.5), 500);
  EXPECT_EQ(Percentile(values, 0.99), 990);
  EXPECT_EQ(Percentile(values, 0.999), 999);
  EXPECT_EQ(Percentile(values, 1), 1'000);
  EXPECT_EQ(Percentile({7}, 0.999), 7);
  EXPECT_EQ(Percentile({}, 0.5), 0);
}

TEST(BenchReport, TheMedianOfAnEvenNumberLiesBetweenTheMiddleOnes) {
  EXPECT_EQ(Median({9, 1, 5}), 5);
  EXPECT_EQ(Median({9, 1, 5, 6}), 5.5);
  EXPECT_EQ(Median({}), 0);
}

TEST(BenchReport, AGoalHoldsByTheNumbersThatItsWordsName) {
  const auto holds = [](const Goal& goal, double value, double ceiling) {
    return RowOf("row", "1/s", {value}, {ceiling}, goal).holds;
  };
  EXPECT_TRUE(holds(AtLeast(0.9, "of it"), 90, 100));
  EXPECT_FALSE(holds(AtLeast(0.9, "of it"), 89, 100));
  EXPECT_TRUE(holds(AtMost(1.5, "of it"), 150, 100));
  EXPECT_FALSE(holds(AtMost(1.5, "of it"), 151, 100));
  EXPECT_TRUE(holds(Below(3, "ms"), 2.9, 100));
  EXPECT_FALSE(holds(Below(3, "ms"), 3, 100));
  EXPECT_TRUE(holds({}, 1, 100));
  EXPECT_EQ(AtLeast(0.9, "of it").text, ">= 0.9 of it");
  EXPECT_FALSE(RowOf("row", "1/s", {1}, {}, AtLeast(0.9, "of nothing")).holds);
}

TEST(BenchReport, ARowHasTheMedianOfItsRepeatsAndTheirRange) {
  const Row row = RowOf("row", "1/s", {30, 10, 20}, {40, 40}, {}, {{5, 7, 6}, {2}});
  EXPECT_EQ(row.value, 20);
  EXPECT_EQ(row.low, 10);
  EXPECT_EQ(row.high, 30);
  EXPECT_EQ(row.ratio(), 0.5);
  EXPECT_EQ(row.cpu_us, 6);
  EXPECT_EQ(row.ceiling_cpu_us, 2);
}

TEST(BenchReport, JsonHasNullForWhatWasNotMeasured) {
  EXPECT_EQ(ToJson({RowOf("a", "ms", {2}, {4}, Below(3, "ms")), RowOf("b", "MB", {1.5}, {})}),
            R"([
  {"name": "a", "unit": "ms", "value": 2, "ceiling": 4, "ratio": 0.5, "goal": "< 3 ms", "holds": true, "cpu_us": null, "ceiling_cpu_us": null, "low": null, "high": null},
  {"name": "b", "unit": "MB", "value": 1.5, "ceiling": null, "ratio": null, "goal": "", "holds": true, "cpu_us": null, "ceiling_cpu_us": null, "low": null, "high": null}
]
)");
}

TEST(BenchReport, ThePageHasALineForEachRowAndEachPlot) {
  Report report;
  report.rows = {RowOf("a -> b", "ms", {5}, {}, Below(3, "ms"))};
  report.plots = {{"a.svg", "A plot", "x", "y", false, {}}};
  const std::string page = ToPage(report, "here and now");
  EXPECT_THAT(page, HasSubstr("\nhere and now.\n"));
  EXPECT_THAT(page, HasSubstr("\n| a → b | ms | 5 |  |  |  | &lt; 3 ms | **no** |  |\n"));
  EXPECT_THAT(page, HasSubstr("\n![A plot](a.svg)\n"));
}

TEST(BenchPlot, ALogarithmicScaleHasEqualStepsForEqualRatios) {
  const Scale scale(1, 1'024, true, 100, 600);
  EXPECT_DOUBLE_EQ(scale.At(1), 100);
  EXPECT_DOUBLE_EQ(scale.At(32), 350);
  EXPECT_DOUBLE_EQ(scale.At(1'024), 600);
  const Scale upwards(0, 50, false, 340, 40);
  EXPECT_DOUBLE_EQ(upwards.At(0), 340);
  EXPECT_DOUBLE_EQ(upwards.At(25), 190);
  EXPECT_DOUBLE_EQ(Scale(5, 5, true, 0, 10).At(5), 5);
}

TEST(BenchPlot, TicksAreRoundAndEncloseAllValues) {
  EXPECT_THAT(Ticks(43'000), ElementsAre(0, 5'000, 10'000, 15'000, 20'000, 25'000, 30'000, 35'000,
                                         40'000, 45'000));
  EXPECT_THAT(Ticks(100), ElementsAre(0, 20, 40, 60, 80, 100));
  EXPECT_THAT(LogTicks(3, 40), ElementsAre(2, 5, 10, 20, 50));
  EXPECT_THAT(LogTicks(0.3, 9'000), ElementsAre(DoubleEq(0.1), DoubleEq(1), DoubleEq(10),
                                                DoubleEq(100), DoubleEq(1'000), DoubleEq(10'000)));
  EXPECT_EQ(ShortNumber(1'024), "1024");
  EXPECT_EQ(ShortNumber(45'000), "45k");
  EXPECT_EQ(ShortNumber(10e6), "10M");
  EXPECT_EQ(ShortNumber(0.5), "0.5");
}

TEST(BenchPlot, EachPointOfALineIsDrawnWhereItsScaleSays) {
  Plot plot{"a.svg", "A < B & C", "x", "y", false, {}};
  plot.lines = {{"only", {{1, 0.5, 0, 0}, {100, 1, 0, 0}}, 0, 0}};
  const std::string svg = ToSvg(plot);
  EXPECT_THAT(svg, HasSubstr("<polyline points=\"96.0,192.0 580.0,44.0 \""));
  EXPECT_THAT(svg, HasSubstr(">A &lt; B &amp; C</text>"));
  EXPECT_THAT(svg, HasSubstr(">only</text>"));
}

}  // namespace
}  // namespace leftfold::bench
