#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "bench/sections.h"

namespace leftfold::bench {

int RunAll(const Options& options) {
  std::vector<Row> rows;
  MeasureIdle(options, rows);
  MeasureCommands(options, rows);
  MeasureWatch(options, rows);
  MeasureRebuild(options, rows);
  PrintTable(rows);
  std::filesystem::create_directories(options.out);
  const std::string path = options.out + "/latest.json";
  if (!WriteJson(rows, path)) {
    fmt::print(stderr, "cannot write {}\n", path);
    return 1;
  }
  fmt::print("\nsaved as {}\n", path);
  return std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.holds; }) ? 0 : 1;
}

}  // namespace leftfold::bench
