#ifndef DOMAINS_ORDERS_SERIES_INTERVAL_H_
#define DOMAINS_ORDERS_SERIES_INTERVAL_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstdint>

#include "leftfold/orders/v1/queries.pb.h"

// The stretches of time by which things are counted.
namespace leftfold::orders {

// Points that one answer may span.
inline constexpr std::int64_t kSeriesPointsMax = 1'500;

// Unix seconds of the begin of the interval that `time` is in.
std::int64_t StartOf(v1::SeriesInterval interval, absl::Time time);

// Begins of the first interval and of the one after the last, Unix seconds.
struct Span {
  std::int64_t begin;
  std::int64_t end;
};

// What GetSeriesRequest and GetStageLatencyRequest ask for. INVALID_FIELDS without an interval,
// with an end that is not after the begin, or with more than kSeriesPointsMax points; INVALID_TIME.
absl::StatusOr<Span> SpanOf(v1::SeriesInterval interval, const google::protobuf::Timestamp& from,
                            const google::protobuf::Timestamp& to);

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_SERIES_INTERVAL_H_
