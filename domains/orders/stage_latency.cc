#include "domains/orders/stage_latency.h"

#include <absl/time/time.h>

#include <map>

#include "domains/orders/latency_histogram.h"
#include "domains/orders/series_interval.h"

namespace leftfold::orders {
namespace {

// Numbers of fields of v1::StageLatencies: stored, and so never changed.
enum class Stage : std::int32_t {
  kNone = 0,
  kValidation = v1::StageLatencies::kValidationFieldNumber,
  kPayment = v1::StageLatencies::kPaymentFieldNumber,
  kApproval = v1::StageLatencies::kApprovalFieldNumber,
  kAssignment = v1::StageLatencies::kAssignmentFieldNumber,
  kPickup = v1::StageLatencies::kPickupFieldNumber,
  kDelivery = v1::StageLatencies::kDeliveryFieldNumber,
};

void Measure(std::int64_t stage, absl::Time begin, absl::Time end, WriteTx& tx) {
  tx.Exec(
      "INSERT INTO bucket (interval, start, stage, bucket, durations) "
      "VALUES (1, ?1, ?4, ?5, 1), (2, ?2, ?4, ?5, 1), (3, ?3, ?4, ?5, 1) "
      "ON CONFLICT DO UPDATE SET durations = durations + 1",
      StartOf(v1::SERIES_INTERVAL_MINUTE, end), StartOf(v1::SERIES_INTERVAL_HOUR, end),
      StartOf(v1::SERIES_INTERVAL_DAY, end), stage,
      BucketOf(absl::ToInt64Milliseconds(end - begin)));
}

// The stage that runs has ended, and `next` begins. Orders that are over have no row.
void GoOn(Stage next, const EventMeta& meta, WriteTx& tx) {
  std::int64_t stage = 0;
  std::int64_t since = 0;
  for (Rows rows = tx.Query(
           "UPDATE running SET stage_before = stage, since_before = since, stage = ?, since = ? "
           "WHERE order_id = ? RETURNING stage_before, since_before",
           static_cast<std::int32_t>(next), absl::ToUnixMicros(meta.recorded_at()),
           meta.aggregate_id());
       rows.Next();) {
    stage = rows.Int(0);
    since = rows.Int(1);
  }
  if (stage != 0) Measure(stage, absl::FromUnixMicros(since), meta.recorded_at(), tx);
}

// The order is over; the stage that runs is given up.
void GiveUp(const EventMeta& meta, WriteTx& tx) {
  tx.Exec("DELETE FROM running WHERE order_id = ?", meta.aggregate_id());
}

// The order is over with the stage that runs.
void Finish(const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kNone, meta, tx);
  GiveUp(meta, tx);
}

void Report(const Histogram& histogram, v1::StageLatency& latency) {
  latency.set_count(CountOf(histogram));
  latency.set_p50_ms(PercentileOf(histogram, 50));
  latency.set_p95_ms(PercentileOf(histogram, 95));
  latency.set_p99_ms(PercentileOf(histogram, 99));
}

using Histograms = std::map<std::int64_t, Histogram>;  // By stage.

void Report(const Histograms& histograms, v1::StageLatencies& latencies) {
  for (const auto& [stage, histogram] : histograms) {
    const auto* field = latencies.GetDescriptor()->FindFieldByNumber(static_cast<int>(stage));
    if (field == nullptr) continue;
    auto* latency = latencies.GetReflection()->MutableMessage(&latencies, field);
    Report(histogram, static_cast<v1::StageLatency&>(*latency));
  }
}

}  // namespace

void StageLatency::On(const v1::OrderPlaced&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "INSERT OR REPLACE INTO running (order_id, stage, since, stage_before, since_before) "
      "VALUES (?, ?, ?, 0, 0)",
      meta.aggregate_id(), static_cast<std::int32_t>(Stage::kValidation),
      absl::ToUnixMicros(meta.recorded_at()));
}

void StageLatency::On(const v1::OrderValidated&, const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kNone, meta, tx);
}

void StageLatency::On(const v1::OrderInvalidated&, const EventMeta& meta, WriteTx& tx) {
  Finish(meta, tx);
}

void StageLatency::On(const v1::PaymentRequested&, const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kPayment, meta, tx);
}

void StageLatency::On(const v1::OrderPaid&, const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kApproval, meta, tx);
}

void StageLatency::On(const v1::OrderPaymentDeclined&, const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kNone, meta, tx);
}

void StageLatency::On(const v1::OrderPaymentFailed&, const EventMeta& meta, WriteTx& tx) {
  GiveUp(meta, tx);
}

void StageLatency::On(const v1::OrderApproved&, const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kAssignment, meta, tx);
}

void StageLatency::On(const v1::OrderRejected&, const EventMeta& meta, WriteTx& tx) {
  Finish(meta, tx);
}

void StageLatency::On(const v1::ApprovalTimedOut&, const EventMeta& meta, WriteTx& tx) {
  Finish(meta, tx);
}

void StageLatency::On(const v1::AgentAssigned&, const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kPickup, meta, tx);
}

void StageLatency::On(const v1::AgentUnassigned&, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE running SET stage = ?, since = ? WHERE order_id = ?",
          static_cast<std::int32_t>(Stage::kAssignment), absl::ToUnixMicros(meta.recorded_at()),
          meta.aggregate_id());
}

void StageLatency::On(const v1::NoAgentAvailable&, const EventMeta& meta, WriteTx& tx) {
  Finish(meta, tx);
}

void StageLatency::On(const v1::FoodPickedUp&, const EventMeta& meta, WriteTx& tx) {
  GoOn(Stage::kDelivery, meta, tx);
}

void StageLatency::On(const v1::OrderDelivered&, const EventMeta& meta, WriteTx& tx) {
  Finish(meta, tx);
}

void StageLatency::On(const v1::DeliveryFailed&, const EventMeta& meta, WriteTx& tx) {
  Finish(meta, tx);
}

void StageLatency::On(const v1::OrderCancelled&, const EventMeta& meta, WriteTx& tx) {
  GiveUp(meta, tx);
}

void StageLatency::On(const v1::OrderExpired&, const EventMeta& meta, WriteTx& tx) {
  GiveUp(meta, tx);
}

absl::StatusOr<v1::GetStageLatencyResponse> StageLatency::Answer(
    const v1::GetStageLatencyRequest& query, ReadTx& tx) {
  const absl::StatusOr<Span> span = SpanOf(query.interval(), query.from(), query.to());
  if (!span.ok()) return span.status();
  Histograms overall;
  std::map<std::int64_t, Histograms> points;  // By start.
  Rows rows = tx.Query(
      "SELECT start, stage, bucket, durations FROM bucket "
      "WHERE interval = ? AND start >= ? AND start < ? ORDER BY start, stage, bucket",
      static_cast<std::int32_t>(query.interval()), span->begin, span->end);
  while (rows.Next()) {
    const int bucket = static_cast<int>(rows.Int(2));
    overall[rows.Int(1)][bucket] += rows.Int(3);
    points[rows.Int(0)][rows.Int(1)][bucket] += rows.Int(3);
  }
  v1::GetStageLatencyResponse response;
  Report(overall, *response.mutable_overall());
  for (const auto& [start, histograms] : points) {
    v1::LatencyPoint& point = *response.add_points();
    point.mutable_start()->set_seconds(start);
    Report(histograms, *point.mutable_stages());
  }
  return response;
}

}  // namespace leftfold::orders
