// `make bench`: ceilings, our numbers and their ratios, all in one run on one machine.
#include <absl/time/clock.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "bench/sections.h"
#include "core/status.h"

int main(int argc, char** argv) {
  CLI::App app("Measures Leftfold against ceilings of the same run.");
  leftfold::bench::Options options;
  bool empty_server = false;
  CLI::Option* out =
      app.add_option("--out", options.out, "folder for latest.json, the page and its plots")
          ->capture_default_str();
  app.add_option("--seconds", options.seconds, "length of one measurement")->capture_default_str();
  app.add_option("--repeats", options.repeats, "measurements of each kind; medians are reported")
      ->capture_default_str();
  app.add_option("--rebuild-events", options.rebuild_events, "events in the rebuilt log")
      ->capture_default_str();
  app.add_option("--growth-events", options.growth_events, "events in the grown log")
      ->capture_default_str();
  app.add_option("--only", options.only, "one section, by its name; saved where --out says so")
      ->check(CLI::IsMember(leftfold::bench::SectionNames()));
  bool quick = false;
  app.add_flag("--quick", quick, "in a minute or two, for a look: short, once, to 300,000 events");
  app.add_flag("--empty-server", empty_server,
               "serve RPCs that do nothing (the ceiling; started by the bench itself)");
  std::string views_data;
  int views = 0, per_second = 0;
  app.add_option("--run-views", views, "run so many views in --data (started by the bench itself)");
  app.add_option(
      "--data", views_data,
      "folder for --run-views; with --empty-server: answer after a write + fdatasync there");
  app.add_option("--events-per-second", per_second, "that --run-views appends");
  CLI11_PARSE(app, argc, argv);
  if (!options.only.empty() && out->count() == 0) options.out.clear();
  if (quick) {
    options.seconds = 0.4;
    options.repeats = 1;
    options.rebuild_events = 50'000;
    options.growth_events = 300'000;
  }
  if (views > 0) return leftfold::bench::RunViews(views_data, views, per_second);
  if (empty_server) return leftfold::bench::ServeEmpty(views_data);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // Also into a file: who waits sees how far it is.
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
