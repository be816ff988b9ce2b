#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace leftfold::bench {
namespace {

std::string OrNull(std::optional<double> value) {
  return value ? fmt::format("{:.6g}", *value) : "null";
}

std::string OrNothing(std::optional<double> value, const char* format = "{:.6g}") {
  return value ? fmt::format(fmt::runtime(format), *value) : "";
}

std::optional<double> MedianOf(const std::vector<double>& values) {
  return values.empty() ? std::nullopt : std::optional<double>(Median(values));
}

}  // namespace

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double Percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

Point PointAt(double x, const std::vector<double>& repeats) {
  const auto [low, high] = std::minmax_element(repeats.begin(), repeats.end());
  return {x, Median(repeats), *low, *high};
}

bool Goal::HoldsFor(const Row& row) const {
  return (!ratio_min || (row.ratio() && *row.ratio() >= *ratio_min)) &&
         (!ratio_max || (row.ratio() && *row.ratio() <= *ratio_max)) &&
         (!below || row.value < *below);
}

Goal AtLeast(double ratio, std::string_view of) {
  Goal goal;
  goal.text = fmt::format(">= {} {}", ratio, of);
  goal.ratio_min = ratio;
  return goal;
}

Goal AtMost(double ratio, std::string_view of) {
  Goal goal;
  goal.text = fmt::format("<= {} {}", ratio, of);
  goal.ratio_max = ratio;
  return goal;
}

Goal Below(double value, std::string_view unit) {
  Goal goal;
  goal.text = fmt::format("< {} {}", value, unit);
  goal.below = value;
  return goal;
}

Row RowOf(std::string name, std::string unit, const std::vector<double>& repeats,
          const std::vector<double>& ceiling, const Goal& goal, const Cpu& cpu_us) {
  Row row;
  row.name = std::move(name);
  row.unit = std::move(unit);
  row.value = Median(repeats);
  row.ceiling = MedianOf(ceiling);
  row.goal = goal.text;
  row.holds = goal.HoldsFor(row);
  row.cpu_us = MedianOf(cpu_us.ours);
  row.ceiling_cpu_us = MedianOf(cpu_us.ceiling);
  if (repeats.size() > 1) {
    const Point spread = PointAt(0, repeats);
    row.low = spread.low;
    row.high = spread.high;
  }
  return row;
}

void PrintTable(const std::vector<Row>& rows) {
  fmt::print("\n{:<55} {:>11} {:>23} {:>11} {:>6}  {:<36} {:<5} {:>11}\n", "name", "value",
             "low to high", "ceiling", "ratio", "goal", "holds", "CPU us each");
  for (const Row& row : rows) {
    fmt::print("{:<55} {:>11} {:>23} {:>11} {:>6}  {:<36} {:<5} {:>11}\n",
               fmt::format("{} [{}]", row.name, row.unit), fmt::format("{:.6g}", row.value),
               row.low ? fmt::format("{:.6g} to {:.6g}", *row.low, *row.high) : "",
               OrNothing(row.ceiling), OrNothing(row.ratio(), "{:.2f}"), row.goal,
               row.goal.empty() ? ""
               : row.holds      ? "yes"
                                : "NO",
               OrNothing(row.cpu_us, "{:.4g}"));
  }
}

std::string ToJson(const std::vector<Row>& rows) {
  std::string json = "[\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    json += fmt::format(
        "  {{\"name\": \"{}\", \"unit\": \"{}\", \"value\": {}, \"ceiling\": {}, \"ratio\": {}, "
        "\"goal\": \"{}\", \"holds\": {}, \"cpu_us\": {}, \"ceiling_cpu_us\": {}, \"low\": {}, "
        "\"high\": {}}}{}\n",
        row.name, row.unit, OrNull(row.value), OrNull(row.ceiling), OrNull(row.ratio()), row.goal,
        row.holds, OrNull(row.cpu_us), OrNull(row.ceiling_cpu_us), OrNull(row.low),
        OrNull(row.high), i + 1 < rows.size() ? "," : "");
  }
  return json + "]\n";
}

}  // namespace leftfold::bench
