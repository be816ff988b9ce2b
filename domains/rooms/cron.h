#ifndef DOMAINS_ROOMS_CRON_H_
#define DOMAINS_ROOMS_CRON_H_

#include <absl/time/time.h>

#include <bitset>
#include <optional>
#include <string_view>
#include <vector>

namespace leftfold::rooms {

// A rule of five fields as in crontab(5), in UTC: minute 0-59, hour 0-23, day of month 1-31, month
// 1-12 or JAN-DEC, day of week 0-7 (0 and 7 are Sunday) or SUN-SAT. A field is a list of `*`, `a`,
// `a-b`, each with an optional `/step`. When both days are restricted (do not begin with `*`), a
// day fits that fits either, as Vixie's cron has it.
class Cron {
 public:
  // Longest rule, in bytes.
  static constexpr std::size_t kBytesMax = 256;
  // How far Next looks; 29 February comes at least every eight years.
  static constexpr int kYearsMax = 9;

  // nullopt when it is malformed, or never comes true.
  static std::optional<Cron> Parse(std::string_view text);
  // The first moment of the rule after `time`; InfiniteFuture when there is none by `until` or
  // within kYearsMax. Looks at no day after that of `until`.
  absl::Time Next(absl::Time time, absl::Time until = absl::InfiniteFuture()) const;
  // Whether the rule comes true on some minute of this day.
  bool FitsDay(const absl::CivilDay& day) const;
  // The minutes, from midnight, on which it comes true on each day that fits; ascending.
  std::vector<int> MinutesOfDay() const;

 private:
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_of_month_;
  std::bitset<13> months_;
  std::bitset<8> days_of_week_;
  bool either_day_ = false;
};

}  // namespace leftfold::rooms
#endif  // DOMAINS_ROOMS_CRON_H_
