// `make bench`: ceilings, our numbers and their ratios, all in one run on one machine.
#include <absl/time/clock.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "bench/sections.h"
#include "core/status.h"

int main(int argc, char** argv) {
  CLI::App app("Measures Leftfold against ceilings of the same run.");
  leftfold::bench::Options options;
  bool empty_server = false;
  app.add_option("--out", options.out, "folder for latest.json")->capture_default_str();
  app.add_option("--seconds", options.seconds, "length of one measurement")->capture_default_str();
  app.add_option("--repeats", options.repeats, "measurements of each kind; medians are reported")
      ->capture_default_str();
  app.add_option("--rebuild-events", options.rebuild_events, "events in the rebuilt log")
      ->capture_default_str();
  app.add_option("--growth-events", options.growth_events, "events in the grown log")
      ->capture_default_str();
  app.add_option("--only", options.only, "one section, by its name; saves nothing")
      ->check(
          CLI::IsMember({"idle", "commands", "hot", "store", "growth", "load", "queries", "watch",
                         "watchers", "rebuild", "views", "reactions", "consumers", "orders"}));
  app.add_flag("--empty-server", empty_server,
               "serve RPCs that do nothing (the ceiling; started by the bench itself)");
  std::string views_data;
  int views = 0, per_second = 0;
  app.add_option("--run-views", views, "run so many views in --data (started by the bench itself)");
  app.add_option("--data", views_data, "folder for --run-views");
  app.add_option("--events-per-second", per_second, "that --run-views appends");
  CLI11_PARSE(app, argc, argv);
  if (views > 0) return leftfold::bench::RunViews(views_data, views, per_second);
  if (empty_server) return leftfold::bench::ServeEmpty();
  const std::filesystem::path self = std::filesystem::canonical("/proc/self/exe");
  options.self = self.string();
  options.leftfold = (self.parent_path() / "leftfold").string();
  std::string folder = (std::filesystem::temp_directory_path() / "leftfold-bench-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) leftfold::Die("cannot make a temporary folder");
  options.data = folder;
  const int failed = leftfold::bench::RunAll(options);
  std::filesystem::remove_all(folder);
  return failed;
}
