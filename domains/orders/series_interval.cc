#include "domains/orders/series_interval.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "core/reject.h"
#include "core/timestamp.h"
#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
namespace {

// 0 where it is none.
std::int64_t SecondsOf(v1::SeriesInterval interval) {
  switch (interval) {
    case v1::SERIES_INTERVAL_MINUTE:
      return 60;
    case v1::SERIES_INTERVAL_HOUR:
      return 3'600;
    case v1::SERIES_INTERVAL_DAY:
      return 86'400;
    default:
      return 0;
  }
}

}  // namespace

std::int64_t StartOf(v1::SeriesInterval interval, absl::Time time) {
  const std::int64_t size = SecondsOf(interval);
  return absl::ToUnixSeconds(time) / size * size;
}

absl::StatusOr<Span> SpanOf(v1::SeriesInterval interval, const google::protobuf::Timestamp& from,
                            const google::protobuf::Timestamp& to) {
  Violations violations;
  const std::int64_t size = SecondsOf(interval);
  if (size == 0) violations.Add("interval", "must be a minute, an hour or a day");
  for (const auto& [field, time] : {std::pair("from", from), std::pair("to", to)}) {
    if (IsPlausible(time)) continue;
    violations.Add(v1::ERROR_REASON_INVALID_TIME, field, "must be in the years 1970 to 9999");
  }
  if (!violations.empty()) return violations.ToStatus();
  const Span span{StartOf(interval, FromProto(from)),
                  StartOf(interval, FromProto(to) + absl::Seconds(size) - absl::Nanoseconds(1))};
  if (FromProto(to) <= FromProto(from) || (span.end - span.begin) / size > kSeriesPointsMax) {
    violations.Add("to", fmt::format("must be after from, by at most {} points", kSeriesPointsMax));
  }
  if (!violations.empty()) return violations.ToStatus();
  return span;
}

}  // namespace leftfold::orders
