#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "bench/sections.h"

namespace leftfold::bench {

int RunAll(const Options& options) {
  std::vector<Row> rows;
  const auto wanted = [&](std::string_view section) {
    return options.only.empty() || options.only == section;
  };
  if (wanted("idle")) MeasureIdle(options, rows);
  if (wanted("commands")) MeasureCommands(options, rows);
  if (wanted("hot")) MeasureHot(options, rows);
  if (wanted("store")) MeasureStore(options, rows);
  if (wanted("growth")) MeasureGrowth(options, rows);
  if (wanted("load")) MeasureLoad(options, rows);
  if (wanted("queries")) MeasureQueries(options, rows);
  if (wanted("watch")) MeasureWatch(options, rows);
  if (wanted("watchers")) MeasureWatchers(options, rows);
  if (wanted("rebuild")) MeasureRebuild(options, rows);
  if (wanted("views")) MeasureViews(options, rows);
  if (wanted("reactions")) MeasureReactions(options, rows);
  if (wanted("consumers")) MeasureConsumers(options, rows);
  if (wanted("orders")) MeasureOrders(options, rows);
  PrintTable(rows);
  const bool hold = std::all_of(rows.begin(), rows.end(), [](const Row& row) { return row.holds; });
  if (!options.only.empty()) return hold ? 0 : 1;
  std::filesystem::create_directories(options.out);
  const std::string path = options.out + "/latest.json";
  if (!WriteJson(rows, path)) {
    fmt::print(stderr, "cannot write {}\n", path);
    return 1;
  }
  fmt::print("\nsaved as {}\n", path);
  return hold ? 0 : 1;
}

}  // namespace leftfold::bench
