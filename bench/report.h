#ifndef BENCH_REPORT_H_
#define BENCH_REPORT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/plot.h"

namespace leftfold::bench {

// One line of the table. `ceiling` was measured in the same run; `ratio` = value / ceiling.
struct Row {
  std::string name;
  std::string unit;
  double value = 0;
  std::optional<double> ceiling;
  std::string goal;  // In words: ">= 0.6 of the ceiling".
  bool holds = true;
  std::optional<double> cpu_us =
      std::nullopt;  // Of the server, user and system, for each event or call.
  std::optional<double> ceiling_cpu_us = std::nullopt;  // The same of the ceiling's server.
  std::optional<double> low = std::nullopt,
                        high = std::nullopt;  // Of the repeats whose median `value` is.
  std::optional<double> ratio() const {
    return ceiling && *ceiling != 0 ? std::optional<double>(value / *ceiling) : std::nullopt;
  }
};

// Middle value; the mean of the two middle ones when there is none. 0 when empty.
double Median(std::vector<double> values);
// The value that a share `p` (0 to 1) of the values does not exceed. 0 when empty.
double Percentile(std::vector<double> values, double p);
// The median of the repeats, and how far they lie apart.
Point PointAt(double x, const std::vector<double>& repeats);

// What is wanted of a row, in words and in numbers.
struct Goal {
  std::string text;
  std::optional<double> ratio_min, ratio_max, below;
  bool HoldsFor(const Row& row) const;
};
Goal AtLeast(double ratio, std::string_view of);
Goal AtMost(double ratio, std::string_view of);
Goal Below(double value, std::string_view unit);

struct Cpu {
  std::vector<double> ours, ceiling;
};
// A row of medians; without a ceiling where it is empty.
Row RowOf(std::string name, std::string unit, const std::vector<double>& repeats,
          const std::vector<double>& ceiling, const Goal& goal = {}, const Cpu& cpu_us = {});

struct Report {
  std::vector<Row> rows;
  std::vector<Plot> plots;
};

void PrintTable(const std::vector<Row>& rows);
// A list of {name, unit, value, ceiling, ratio, goal, holds, cpu_us, ceiling_cpu_us, low, high};
// null where there is none.
std::string ToJson(const std::vector<Row>& rows);

}  // namespace leftfold::bench
#endif  // BENCH_REPORT_H_
