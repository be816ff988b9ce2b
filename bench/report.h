#ifndef BENCH_REPORT_H_
#define BENCH_REPORT_H_

#include <optional>
#include <string>
#include <vector>

namespace leftfold::bench {

// One line of the table. `ceiling` was measured in the same run; `ratio` = value / ceiling.
struct Row {
  std::string name;
  std::string unit;
  double value = 0;
  std::optional<double> ceiling;
  std::string goal;  // In words: ">= 0.6 of the ceiling".
  bool holds = true;
  std::optional<double> ratio() const {
    return ceiling ? std::optional<double>(value / *ceiling) : std::nullopt;
  }
};

// Middle value; the mean of the two middle ones when there is none. 0 when empty.
double Median(std::vector<double> values);
// The value that a share `p` (0 to 1) of the values does not exceed. 0 when empty.
double Percentile(std::vector<double> values, double p);

void PrintTable(const std::vector<Row>& rows);
// A list of {name, unit, value, ceiling, ratio, goal, holds}; null where there is no ceiling. False
// when it cannot be written.
bool WriteJson(const std::vector<Row>& rows, const std::string& path);

}  // namespace leftfold::bench
#endif  // BENCH_REPORT_H_
