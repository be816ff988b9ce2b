#ifndef BENCH_PLOT_H_
#define BENCH_PLOT_H_

#include <string>
#include <vector>

namespace leftfold::bench {

// With the range that its repeats lie in.
struct Point {
  double x = 0, y = 0, low = 0, high = 0;
};

struct Line {
  std::string name;
  std::vector<Point> points;
  int colour = 0;  // 0, 1 …
  int dash = 0;    // 0 is solid, 1, 2 …
};

// A chart of lines: x is logarithmic, y begins at 0 or is logarithmic too. All values above 0.
struct Plot {
  std::string file;  // Its name, without a folder.
  std::string title;
  std::string x_label, y_label;
  bool log_y = false;
  std::vector<Line> lines;
};

// Where values lie on an axis, in pixels.
class Scale {
 public:
  Scale(double low, double high, bool log, double at_low, double at_high);
  double At(double value) const;

 private:
  double Of(double value) const;
  const bool log_;
  const double low_, high_, at_low_, at_high_;
};

// Round values, some 4 to 10, that the axis is marked at; the last is `high` or beyond.
std::vector<double> Ticks(double high);
// 1, 2 and 5 of each power of ten, or the powers alone where they are many; the first is `low` or
// below, the last is `high` or beyond.
std::vector<double> LogTicks(double low, double high);
// 250, 1.5k, 10M.
std::string ShortNumber(double value);

// A picture without scripts that needs nothing else.
std::string ToSvg(const Plot& plot);

}  // namespace leftfold::bench
#endif  // BENCH_PLOT_H_
