#include "bench/sweep.h"

#include <fmt/format.h>

#include <cmath>

namespace leftfold::bench {
namespace {

constexpr std::pair<const char*, std::vector<double> Repeats::*> kPercentiles[] = {
    {"p50", &Repeats::p50_us}, {"p99", &Repeats::p99_us}, {"p99.9", &Repeats::p999_us}};

Line LineOf(const std::map<double, Repeats>& curve, std::vector<double> Repeats::*values,
            double unit) {
  Line line;
  for (const auto& [x, repeats] : curve) {
    Point point = PointAt(x, repeats.*values);
    for (double* value : {&point.y, &point.low, &point.high}) *value /= unit;
    line.points.push_back(point);
  }
  return line;
}

double TwoDigits(double value) {
  const double step = std::pow(10, std::floor(std::log10(value)) - 1);
  return std::round(value / step) * step;
}

}  // namespace

Curves SweepInFlight(const Options& options, const Driven& ours, const Driven& empty) {
  Curves curves;
  const auto measure = [&](const Driven& driven, int in_flight) {
    return Measure(driven.server, [&] {
      return driven.client.ClosedLoop(in_flight, options.WarmUp() / 2, options.Duration() / 2);
    });
  };
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (int in_flight = 1; in_flight <= 1'024; in_flight *= 4) {
      curves.empty[in_flight].Add(measure(empty, in_flight));
      curves.ours[in_flight].Add(measure(ours, in_flight));
    }
  }
  return curves;
}

Curves SweepRates(const Options& options, const Driven& ours, const Driven& empty, double rate) {
  Curves curves;
  const auto measure = [&](const Driven& driven, double per_second) {
    return Measure(driven.server, [&] {
      return driven.client.OpenLoop(per_second, options.WarmUp() / 2, options.Duration() / 2);
    });
  };
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    for (const double share : {0.1, 0.25, 0.5, 0.75, 0.9}) {
      const double per_second = TwoDigits(share * rate);
      curves.empty[per_second].Add(measure(empty, per_second));
      curves.ours[per_second].Add(measure(ours, per_second));
    }
  }
  return curves;
}

void PlotThroughput(const Curves& curves, const std::string& name, const std::string& title,
                    const std::string& x_label, Report& report) {
  Plot plot{name + "-throughput.svg", title, x_label, "calls a second", false, {}};
  plot.lines = {LineOf(curves.ours, &Repeats::per_second, 1),
                LineOf(curves.empty, &Repeats::per_second, 1)};
  plot.lines[0].name = curves.ours_name;
  plot.lines[1].name = curves.empty_name;
  plot.lines[1].colour = 1;
  report.plots.push_back(plot);
}

void PlotLatency(const Curves& curves, const std::string& name, const std::string& title,
                 const std::string& x_label, Report& report) {
  constexpr double kMicrosPerMilli = 1e3;
  Plot plot{name + "-latency.svg", title, x_label, "latency, ms", true, {}};
  for (const bool ours : {true, false}) {
    for (int dash = 0; dash < 3; ++dash) {
      const auto& [percentile, values] = kPercentiles[dash];
      Line& line = plot.lines.emplace_back(
          LineOf(ours ? curves.ours : curves.empty, values, kMicrosPerMilli));
      line.name = fmt::format("{}, {}", ours ? curves.ours_name : curves.empty_name, percentile);
      line.colour = ours ? 0 : 1;
      line.dash = dash;
    }
  }
  report.plots.push_back(plot);
}

}  // namespace leftfold::bench
