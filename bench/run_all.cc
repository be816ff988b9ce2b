#include <absl/time/clock.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "bench/page.h"
#include "bench/sections.h"

namespace leftfold::bench {
namespace {

using Section = void (*)(const Options& options, Report& report);
constexpr std::array<std::pair<std::string_view, Section>, 17> kSections = {
    {{"idle", MeasureIdle},
     {"cores", MeasureCores},
     {"commands", MeasureCommands},
     {"cheap", MeasureCheapCommands},
     {"hot", MeasureHot},
     {"store", MeasureStore},
     {"sessions", MeasureSessions},
     {"growth", MeasureGrowth},
     {"load", MeasureLoad},
     {"queries", MeasureQueries},
     {"watch", MeasureWatch},
     {"watchers", MeasureWatchers},
     {"rebuild", MeasureRebuild},
     {"views", MeasureViews},
     {"reactions", MeasureReactions},
     {"consumers", MeasureConsumers},
     {"orders", MeasureOrders}}};

}  // namespace

std::vector<std::string> SectionNames() {
  std::vector<std::string> names;
  for (const auto& [name, measure] : kSections) names.emplace_back(name);
  return names;
}

int RunAll(const Options& options) {
  Report report;
  const absl::Time start = absl::Now();
  for (const auto& [name, measure] : kSections) {
    if (!options.only.empty() && options.only != name) continue;
    const absl::Time begin = absl::Now();
    measure(options, report);
    fmt::print("  {} took {:.1f} s\n", name, absl::ToDoubleSeconds(absl::Now() - begin));
  }
  PrintTable(report.rows);
  const bool hold =
      std::all_of(report.rows.begin(), report.rows.end(), [](const Row& row) { return row.holds; });
  const std::string measured =
      fmt::format("{}; {} repeats of {} s; {:.0f} s in all", ThisMachine(), options.repeats,
                  options.seconds, absl::ToDoubleSeconds(absl::Now() - start));
  fmt::print("\n{}\n", measured);
  if (options.out.empty()) return hold ? 0 : 1;
  if (!Save(report, measured, options.out)) {
    fmt::print(stderr, "cannot write to {}\n", options.out);
    return 1;
  }
  fmt::print("saved in {}\n", options.out);
  return hold ? 0 : 1;
}

}  // namespace leftfold::bench
