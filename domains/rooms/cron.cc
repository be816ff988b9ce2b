#include "domains/rooms/cron.h"

#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/status.h"

namespace leftfold::rooms {
namespace {

constexpr std::string_view kMonths[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                        "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::string_view kDays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

struct Field {
  int low;
  int high;
  const std::string_view* names = nullptr;  // The first stands for `low`.
  int name_count = 0;
};

std::optional<int> Value(const std::string& text, const Field& field) {
  const std::string upper = absl::AsciiStrToUpper(text);
  for (int i = 0; i < field.name_count; ++i) {
    if (field.names[i] == upper) return field.low + i;
  }
  int value = 0;
  const bool digits = !text.empty() && text.size() <= 2 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || !absl::SimpleAtoi(text, &value)) return std::nullopt;
  if (value < field.low || value > field.high) return std::nullopt;
  return value;
}

template <std::size_t N>
bool ParseItem(const std::string& item, const Field& field, std::bitset<N>& bits) {
  const std::vector<std::string> halves = absl::StrSplit(item, '/');
  if (halves.size() > 2) return false;
  int step = 1;
  if (halves.size() == 2) {
    const std::optional<int> parsed = Value(halves[1], {1, field.high == 7 ? 7 : field.high + 1});
    if (!parsed) return false;
    step = *parsed;
  }
  int first = field.low;
  int last = field.high;
  if (halves[0] != "*") {
    const std::vector<std::string> ends = absl::StrSplit(halves[0], '-');
    if (ends.size() > 2) return false;
    const std::optional<int> low = Value(ends.front(), field);
    const std::optional<int> high = Value(ends.back(), field);
    if (!low || !high || *low > *high) return false;
    first = *low;
    // `5/10` is from 5 on, as in most crons.
    last = ends.size() == 1 && halves.size() == 2 ? field.high : *high;
  }
  for (int value = first; value <= last; value += step) bits.set(static_cast<std::size_t>(value));
  return true;
}

template <std::size_t N>
bool ParseField(const std::string& text, const Field& field, std::bitset<N>& bits) {
  for (const auto& item : absl::StrSplit(text, ',')) {
    if (!ParseItem(std::string(item), field, bits)) return false;
  }
  return true;
}

}  // namespace

std::optional<Cron> Cron::Parse(std::string_view text) {
  if (text.size() > kBytesMax) return std::nullopt;
  const std::vector<std::string> fields =
      absl::StrSplit(ToAbsl(text), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5) return std::nullopt;
  Cron cron;
  const bool parsed = ParseField(fields[0], {0, 59}, cron.minutes_) &&
                      ParseField(fields[1], {0, 23}, cron.hours_) &&
                      ParseField(fields[2], {1, 31}, cron.days_of_month_) &&
                      ParseField(fields[3], {1, 12, kMonths, 12}, cron.months_) &&
                      ParseField(fields[4], {0, 7, kDays, 7}, cron.days_of_week_);
  if (!parsed) return std::nullopt;
  if (cron.days_of_week_[7]) cron.days_of_week_.set(0);
  cron.either_day_ = fields[2][0] != '*' && fields[4][0] != '*';
  if (cron.Next(absl::UnixEpoch()) == absl::InfiniteFuture()) return std::nullopt;
  return cron;
}

bool Cron::FitsDay(const absl::CivilDay& day) const {
  if (!months_[static_cast<std::size_t>(day.month())]) return false;
  const bool month_day = days_of_month_[static_cast<std::size_t>(day.day())];
  // absl counts from Monday = 0, cron from Sunday = 0.
  const bool week_day = days_of_week_[(static_cast<std::size_t>(absl::GetWeekday(day)) + 1) % 7];
  return either_day_ ? month_day || week_day : month_day && week_day;
}

std::vector<int> Cron::MinutesOfDay() const {
  std::vector<int> minutes;
  for (std::size_t hour = 0; hour < hours_.size(); ++hour) {
    for (std::size_t minute = 0; hours_[hour] && minute < minutes_.size(); ++minute) {
      if (minutes_[minute]) minutes.push_back(static_cast<int>(hour * 60 + minute));
    }
  }
  return minutes;
}

absl::Time Cron::Next(absl::Time time, absl::Time until) const {
  const absl::TimeZone utc = absl::UTCTimeZone();
  const absl::CivilMinute minute = absl::ToCivilMinute(time, utc) + 1;
  const absl::CivilDay today(minute);
  const absl::CivilDay last =
      std::min(today + std::int64_t{366} * kYearsMax, absl::ToCivilDay(until, utc));
  for (absl::CivilDay day = today; day <= last; ++day) {
    if (!months_[static_cast<std::size_t>(day.month())]) {
      day = absl::CivilDay(absl::CivilMonth(day) + 1) - 1;
      continue;
    }
    if (!FitsDay(day)) continue;
    for (int hour = day == today ? minute.hour() : 0; hour < 24; ++hour) {
      if (!hours_[static_cast<std::size_t>(hour)]) continue;
      const bool this_hour = day == today && hour == minute.hour();
      for (int m = this_hour ? minute.minute() : 0; m < 60; ++m) {
        if (!minutes_[static_cast<std::size_t>(m)]) continue;
        const absl::Time next =
            absl::FromCivil(absl::CivilMinute(day.year(), day.month(), day.day(), hour, m), utc);
        return next <= until ? next : absl::InfiniteFuture();
      }
    }
  }
  return absl::InfiniteFuture();
}

}  // namespace leftfold::rooms
