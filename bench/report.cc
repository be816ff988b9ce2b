#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

namespace leftfold::bench {
namespace {

std::string Number(std::optional<double> value) {
  return value ? fmt::format("{:.6g}", *value) : "null";
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

void PrintTable(const std::vector<Row>& rows) {
  fmt::print("\n{:<46} {:>12} {:>12} {:>7}  {:<26} {}\n", "name", "value", "ceiling", "ratio",
             "goal", "holds");
  for (const Row& row : rows) {
    fmt::print("{:<46} {:>12} {:>12} {:>7}  {:<26} {}\n",
               fmt::format("{} [{}]", row.name, row.unit), fmt::format("{:.6g}", row.value),
               row.ceiling ? fmt::format("{:.6g}", *row.ceiling) : "",
               row.ratio() ? fmt::format("{:.2f}", *row.ratio()) : "", row.goal,
               row.goal.empty() ? ""
               : row.holds      ? "yes"
                                : "NO");
  }
}

bool WriteJson(const std::vector<Row>& rows, const std::string& path) {
  std::ofstream file(path);
  file << "[\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    file << fmt::format(
        "  {{\"name\": \"{}\", \"unit\": \"{}\", \"value\": {}, \"ceiling\": {}, \"ratio\": {}, "
        "\"goal\": \"{}\", \"holds\": {}}}{}\n",
        row.name, row.unit, Number(row.value), Number(row.ceiling), Number(row.ratio()), row.goal,
        row.holds, i + 1 < rows.size() ? "," : "");
  }
  file << "]\n";
  return file.good();
}

}  // namespace leftfold::bench
