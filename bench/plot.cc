#include "bench/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

namespace leftfold::bench {
namespace {

constexpr double kWidth = 840, kHeight = 400;
constexpr double kLeft = 76, kRight = 600, kTop = 44, kBottom = 340;
constexpr double kLegend = kRight + 20, kLegendStep = 22;
constexpr std::array<std::string_view, 5> kColours = {"#0b62a8", "#c8500a", "#2d7d32", "#7a3b94",
                                                      "#555555"};
constexpr std::array<std::string_view, 3> kDashes = {"none", "7 4", "2 3"};

std::string Stroke(const Line& line) {
  return fmt::format("stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\"",
                     kColours[static_cast<std::size_t>(line.colour) % kColours.size()],
                     kDashes[static_cast<std::size_t>(line.dash) % kDashes.size()]);
}

std::string Straight(double x1, double y1, double x2, double y2, std::string_view look) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1,
                     x2, y2, look);
}

std::string Text(double x, double y, std::string_view anchor, std::string_view text,
                 std::string_view look = "") {
  std::string escaped;
  for (const char c : text) {
    escaped += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  }
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" {}>{}</text>\n", x, y,
                     anchor, look, escaped);
}

std::string Drawn(const Line& line, const Scale& x, const Scale& y) {
  std::string svg, points;
  for (const Point& point : line.points) {
    points += fmt::format("{:.1f},{:.1f} ", x.At(point.x), y.At(point.y));
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x.At(point.x),
                       y.At(point.y), kColours[static_cast<std::size_t>(line.colour)]);
    if (point.low > 0 && point.low < point.high)
      svg += Straight(x.At(point.x), y.At(point.low), x.At(point.x), y.At(point.high),
                      "stroke=\"#000\" stroke-opacity=\"0.35\"");
  }
  return svg + fmt::format("<polyline points=\"{}\" fill=\"none\" {}/>\n", points, Stroke(line));
}

}  // namespace

Scale::Scale(double low, double high, bool log, double at_low, double at_high)
    : log_(log), low_(low), high_(high), at_low_(at_low), at_high_(at_high) {}

double Scale::Of(double value) const { return log_ ? std::log(value) : value; }

double Scale::At(double value) const {
  if (low_ == high_) return (at_low_ + at_high_) / 2;
  return at_low_ + (at_high_ - at_low_) * (Of(value) - Of(low_)) / (Of(high_) - Of(low_));
}

std::vector<double> Ticks(double high) {
  const double power = std::pow(10, std::floor(std::log10(high)));
  const double step = high / power >= 5 ? power : high / power >= 2 ? power / 2 : power / 5;
  std::vector<double> ticks = {0};
  while (ticks.back() < high) ticks.push_back(step * static_cast<double>(ticks.size()));
  return ticks;
}

std::vector<double> LogTicks(double low, double high) {
  std::vector<double> ticks;
  const bool many = high / low > 1e3;
  for (double power = std::pow(10, std::floor(std::log10(low)));
       ticks.empty() || ticks.back() < high; power *= 10) {
    for (const double times : {1, 2, 5}) {
      if (!ticks.empty() && (ticks.back() >= high || (many && times > 1))) break;
      if (times * power <= low) ticks.clear();
      ticks.push_back(times * power);
    }
  }
  return ticks;
}

std::string ShortNumber(double value) {
  if (value < 1e4 && std::fmod(value, 100) != 0) return fmt::format("{:.4g}", value);
  if (value >= 1e6) return fmt::format("{:.3g}M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.3g}k", value / 1e3);
  return fmt::format("{:.3g}", value);
}

std::string ToSvg(const Plot& plot) {
  std::set<double> xs, ys;
  for (const Line& line : plot.lines) {
    for (const Point& point : line.points) {
      xs.insert(point.x);
      ys.insert({point.y, std::max(point.y, point.high)});
      if (point.low > 0) ys.insert(point.low);
    }
  }
  if (xs.empty()) xs = ys = {1};
  const std::vector<double> y_ticks =
      plot.log_y ? LogTicks(*ys.begin(), *ys.rbegin()) : Ticks(*ys.rbegin());
  const Scale x(*xs.begin(), *xs.rbegin(), true, kLeft + 20, kRight - 20);
  const Scale y(y_ticks.front(), y_ticks.back(), plot.log_y, kBottom, kTop);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
      "height=\"{1}\" font-family=\"sans-serif\" font-size=\"13\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
      kWidth, kHeight);
  svg += Text(kLeft, 24, "start", plot.title, "font-size=\"16\" font-weight=\"bold\"");
  for (const double tick : y_ticks) {
    svg += Straight(kLeft, y.At(tick), kRight, y.At(tick), "stroke=\"#ddd\"");
    svg += Text(kLeft - 8, y.At(tick) + 4, "end", ShortNumber(tick));
  }
  for (const double tick : xs) {
    svg += Straight(x.At(tick), kBottom, x.At(tick), kBottom + 5, "stroke=\"#000\"");
    svg += Text(x.At(tick), kBottom + 20, "middle", ShortNumber(tick));
  }
  svg += Straight(kLeft, kBottom, kRight, kBottom, "stroke=\"#000\"");
  svg += Straight(kLeft, kTop, kLeft, kBottom, "stroke=\"#000\"");
  svg += Text((kLeft + kRight) / 2, kBottom + 44, "middle", plot.x_label);
  const double middle = (kTop + kBottom) / 2;
  svg += Text(18, middle, "middle", plot.y_label,
              fmt::format("transform=\"rotate(-90 18 {})\"", middle));
  double legend = kTop + 8;
  for (const Line& line : plot.lines) {
    svg += Drawn(line, x, y);
    svg += Straight(kLegend, legend, kLegend + 32, legend, Stroke(line));
    svg += Text(kLegend + 40, legend + 4, "start", line.name);
    legend += kLegendStep;
  }
  return svg + "</svg>\n";
}

}  // namespace leftfold::bench
