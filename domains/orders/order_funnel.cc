#include "domains/orders/order_funnel.h"

#include "core/timestamp.h"
#include "domains/orders/series_interval.h"

namespace leftfold::orders {
namespace {

// An unknown series, of a file that a newer binary wrote, is left out.
void SetCount(std::int64_t series, std::int64_t orders, v1::OrderCounts& counts) {
  const auto* field = counts.GetDescriptor()->FindFieldByNumber(static_cast<int>(series));
  if (field != nullptr) counts.GetReflection()->SetInt64(&counts, field, orders);
}

v1::OrderCounts CountsEver(ReadTx& tx) {
  v1::OrderCounts counts;
  Rows rows = tx.Query("SELECT series, orders FROM point WHERE interval = 0 AND start = 0");
  while (rows.Next()) SetCount(rows.Int(0), rows.Int(1), counts);
  return counts;
}

// True when it happens to the order for the first time.
bool MarkFirst(int series, const EventMeta& meta, WriteTx& tx) {
  bool first = false;
  Rows rows = tx.Query(
      "INSERT INTO placed (order_id, series) VALUES (?1, 1 << ?2) ON CONFLICT DO UPDATE "
      "SET series = series | excluded.series WHERE series & excluded.series = 0 RETURNING 1",
      meta.aggregate_id(), series);
  while (rows.Next()) first = true;
  return first;
}

}  // namespace

void OrderFunnel::Count(int series, const EventMeta& meta, WriteTx& tx) {
  if (!MarkFirst(series, meta, tx)) return;
  const absl::Time at = meta.recorded_at();
  tx.Exec(
      "INSERT INTO point (interval, start, series, orders) "
      "VALUES (0, 0, ?1, 1), (1, ?2, ?1, 1), (2, ?3, ?1, 1), (3, ?4, ?1, 1) "
      "ON CONFLICT DO UPDATE SET orders = orders + 1",
      series, StartOf(v1::SERIES_INTERVAL_MINUTE, at), StartOf(v1::SERIES_INTERVAL_HOUR, at),
      StartOf(v1::SERIES_INTERVAL_DAY, at));
  tx.Touch(kFunnelKey);
}

absl::StatusOr<v1::GetFunnelResponse> OrderFunnel::Answer(const v1::GetFunnelRequest&, ReadTx& tx) {
  v1::GetFunnelResponse response;
  *response.mutable_counts() = CountsEver(tx);
  return response;
}

absl::StatusOr<v1::WatchFunnelResponse> OrderFunnel::Answer(const v1::WatchFunnelRequest&,
                                                            ReadTx& tx) {
  v1::WatchFunnelResponse response;
  *response.mutable_counts() = CountsEver(tx);
  return response;
}

absl::StatusOr<v1::GetSeriesResponse> OrderFunnel::Answer(const v1::GetSeriesRequest& query,
                                                          ReadTx& tx) {
  const absl::StatusOr<Span> span = SpanOf(query.interval(), query.from(), query.to());
  if (!span.ok()) return span.status();
  v1::GetSeriesResponse response;
  v1::SeriesPoint* point = nullptr;
  Rows rows = tx.Query(
      "SELECT start, series, orders FROM point "
      "WHERE interval = ? AND start >= ? AND start < ? ORDER BY start, series",
      static_cast<std::int32_t>(query.interval()), span->begin, span->end);
  while (rows.Next()) {
    if (point == nullptr || point->start().seconds() != rows.Int(0)) {
      point = response.add_points();
      point->mutable_start()->set_seconds(rows.Int(0));
    }
    SetCount(rows.Int(1), rows.Int(2), *point->mutable_counts());
  }
  return response;
}

}  // namespace leftfold::orders
