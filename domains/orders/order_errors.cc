#include "domains/orders/order_errors.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "core/timestamp.h"
#include "domains/orders/compensate.h"
#include "domains/orders/documents.h"
#include "domains/orders/order_words.h"
#include "domains/orders/start_charge.h"

namespace leftfold::orders {
namespace {

constexpr std::pair<std::string_view, std::string_view> kStages[] = {
    {"validate_order", "validation"},
    {"pay_all_orders", "payment"},
    {"start_charge", "payment"},
    {"charge_payment", "payment"},
    {"apply_payment_result", "payment"},
    {"restaurant_approval", "approval"},
    {"agent_assignment", "assignment"},
    {"release_agent", "delivery"},
    {"compensate", "refund"},
    {"refund_charge", "refund"},
    {"deadlines", "deadline"},
    {"notify_customer", "notification"},
};

// "" of a reactor that has nothing to do with orders.
std::string_view StageOf(std::string_view reactor) {
  for (const auto& [name, stage] : kStages) {
    if (name == reactor) return stage;
  }
  return "";
}

std::string IdOf(std::string_view order_id, std::string_view stage) {
  return fmt::format("{}/{}", order_id, stage);
}

// One order may have two: of its own money, and of money that it did not take.
std::string RefundErrorIdOf(std::string_view order_id, std::string_view refund_id) {
  return IdOf(order_id, fmt::format("refund/{}", refund_id));
}

struct Row {
  std::int64_t position = 0;
  v1::ProcessError error;
};

std::optional<Row> FindError(std::string_view error_id, WriteTx& tx) {
  Rows rows = tx.Query("SELECT position, document FROM error WHERE error_id = ?", error_id);
  Row row;
  if (!rows.Next() || !DecodeOrFail(rows.Blob(1), "error", error_id, row.error, tx))
    return std::nullopt;
  row.position = rows.Int(0);
  return row;
}

void Store(Row row, const EventMeta& meta, WriteTx& tx) {
  v1::ProcessError& error = row.error;
  *error.mutable_updated_at() = ToProto(meta.recorded_at());
  if (!error.has_created_at()) {
    row.position = meta.position().value;
    *error.mutable_created_at() = error.updated_at();
  }
  const std::string document = error.SerializeAsString();
  tx.Exec(
      "INSERT OR REPLACE INTO error (position, error_id, state, reactor, key, document) "
      "VALUES (?, ?, ?, ?, ?, ?)",
      row.position, error.error_id(), static_cast<std::int32_t>(error.state()), error.reactor(),
      error.key(), AsBlob{document});
  tx.Touch(error.error_id());
}

// Of one that there is.
void SetState(std::string_view error_id, v1::ErrorState state, const EventMeta& meta, WriteTx& tx) {
  std::optional<Row> row = FindError(error_id, tx);
  if (!row) return;
  row->error.set_state(state);
  Store(*std::move(row), meta, tx);
}

void SetStateOf(std::string_view stage, v1::ErrorState state, const EventMeta& meta, WriteTx& tx) {
  SetState(IdOf(meta.aggregate_id(), stage), state, meta, tx);
}

struct FailedStage {
  std::string error_id;
  std::string_view order_id;
  std::string_view stage;
};

// It went wrong, perhaps again; `attempts` 0 leaves those that are known.
void Fail(const FailedStage& failed, v1::ErrorState state, std::string why, int attempts,
          const EventMeta& meta, WriteTx& tx) {
  Row row = FindError(failed.error_id, tx).value_or(Row());
  row.error.set_error_id(failed.error_id);
  row.error.set_stage(std::string(failed.stage));
  row.error.set_order_id(std::string(failed.order_id));
  row.error.set_last_error(std::move(why));
  row.error.set_state(state);
  if (attempts > 0) row.error.set_attempts(attempts);
  Store(std::move(row), meta, tx);
}

void Fail(std::string_view stage, v1::ErrorState state, std::string why, int attempts,
          const EventMeta& meta, WriteTx& tx) {
  Fail({IdOf(meta.aggregate_id(), stage), meta.aggregate_id(), stage}, state, std::move(why),
       attempts, meta, tx);
}

FailedStage FailedRefund(std::string_view order_id, std::string_view refund_id) {
  return {RefundErrorIdOf(order_id, refund_id), order_id, "refund"};
}

// Position, id and document of what `request` (a query or watch) is about.
template <class Request>
Rows Select(const Request& request, std::int64_t after, int limit, ReadTx& tx) {
  if (request.state() == v1::ERROR_STATE_UNSPECIFIED) {
    return tx.Query(
        "SELECT position, error_id, document FROM error WHERE position > ? "
        "ORDER BY position LIMIT ?",
        after, limit);
  }
  return tx.Query(
      "SELECT position, error_id, document FROM error INDEXED BY error_by_state "
      "WHERE state = ? AND position > ? ORDER BY position LIMIT ?",
      static_cast<std::int32_t>(request.state()), after, limit);
}

}  // namespace

void OrderErrors::On(const core::v1::DeliveryParked& event, const EventMeta& meta, WriteTx& tx) {
  const std::string_view stage = StageOf(event.reactor());
  if (stage.empty()) return;
  Row row = FindError(event.delivery_id(), tx).value_or(Row());
  row.error.set_error_id(event.delivery_id());
  row.error.set_stage(std::string(stage));
  row.error.set_reactor(event.reactor());
  row.error.set_attempts(event.attempts());
  row.error.set_last_error(event.error());
  row.error.set_state(v1::ERROR_STATE_OPEN);
  row.error.set_key(event.key());
  row.error.set_what(event.what());
  Store(std::move(row), meta, tx);
}

void OrderErrors::On(const core::v1::RetryRequested& event, const EventMeta& meta, WriteTx& tx) {
  std::vector<std::string> ids;
  {
    Rows rows =
        tx.Query("SELECT error_id FROM error WHERE reactor = ? AND key = ? AND state = ?",
                 event.reactor(), event.key(), static_cast<std::int32_t>(v1::ERROR_STATE_OPEN));
    while (rows.Next()) ids.push_back(rows.Text(0));
  }
  for (const std::string& id : ids) SetState(id, v1::ERROR_STATE_RETRIED, meta, tx);
}

void OrderErrors::On(const core::v1::SkipRequested& event, const EventMeta& meta, WriteTx& tx) {
  const std::optional<Row> row = FindError(event.delivery_id(), tx);
  if (!row || row->error.state() != v1::ERROR_STATE_OPEN) return;  // The reactor did nothing.
  SetState(event.delivery_id(), v1::ERROR_STATE_SKIPPED, meta, tx);
}

void OrderErrors::On(const core::v1::DeliveredAfterParking& event, const EventMeta& meta,
                     WriteTx& tx) {
  SetState(event.delivery_id(), v1::ERROR_STATE_RESOLVED, meta, tx);
}

void OrderErrors::On(const v1::OrderPaymentDeclined& event, const EventMeta& meta, WriteTx& tx) {
  const auto state = event.attempts_left() > 0 ? v1::ERROR_STATE_OPEN : v1::ERROR_STATE_FINAL;
  Fail("payment", state, TextOf(event), event.attempt_no(), meta, tx);
}

void OrderErrors::On(const v1::OrderPaymentFailed& event, const EventMeta& meta, WriteTx& tx) {
  Fail("payment", v1::ERROR_STATE_FINAL, TextOf(event), 0, meta, tx);
}

void OrderErrors::On(const v1::OrderPaid&, const EventMeta& meta, WriteTx& tx) {
  SetStateOf("payment", v1::ERROR_STATE_RESOLVED, meta, tx);
}

void OrderErrors::On(const v1::ApprovalTimedOut& event, const EventMeta& meta, WriteTx& tx) {
  Fail("approval", v1::ERROR_STATE_FINAL, TextOf(event), 0, meta, tx);
}

void OrderErrors::On(const v1::NoAgentAvailable& event, const EventMeta& meta, WriteTx& tx) {
  Fail("assignment", v1::ERROR_STATE_FINAL, TextOf(event), event.tried_size(), meta, tx);
}

void OrderErrors::On(const v1::DeliveryFailed& event, const EventMeta& meta, WriteTx& tx) {
  Fail("delivery", v1::ERROR_STATE_FINAL, TextOf(event), 1, meta, tx);
}

void OrderErrors::On(const v1::OrderExpired& event, const EventMeta& meta, WriteTx& tx) {
  Fail("deadline", v1::ERROR_STATE_FINAL, TextOf(event), 0, meta, tx);
  // Nobody can pay again.
  SetStateOf("payment", v1::ERROR_STATE_FINAL, meta, tx);
}

void OrderErrors::On(const v1::OrderCancelled&, const EventMeta& meta, WriteTx& tx) {
  SetStateOf("payment", v1::ERROR_STATE_FINAL, meta, tx);  // Nobody is to pay again.
}

void OrderErrors::On(const v1::RefundStuck& event, const EventMeta& meta, WriteTx& tx) {
  Fail(FailedRefund(meta.aggregate_id(), event.refund_id()), v1::ERROR_STATE_OPEN, TextOf(event), 0,
       meta, tx);
}

void OrderErrors::On(const v1::RefundRequested& event, const EventMeta& meta, WriteTx& tx) {
  SetState(RefundErrorIdOf(meta.aggregate_id(), event.refund_id()), v1::ERROR_STATE_RETRIED, meta,
           tx);
}

void OrderErrors::On(const v1::OrderRefunded& event, const EventMeta& meta, WriteTx& tx) {
  SetState(RefundErrorIdOf(meta.aggregate_id(), event.refund_id()), v1::ERROR_STATE_RESOLVED, meta,
           tx);
}

void OrderErrors::On(const payments::v1::RefundFailed& event, const EventMeta& meta, WriteTx& tx) {
  if (event.purpose().kind() != kOrderPurpose) return;
  const bool last = event.attempt_no() % kRefundAttemptsMax == 0;
  Fail(FailedRefund(event.purpose().ref_id(), event.refund_id()),
       last ? v1::ERROR_STATE_OPEN : v1::ERROR_STATE_RETRIED, TextOf(event), event.attempt_no(),
       meta, tx);
}

void OrderErrors::On(const payments::v1::RefundSucceeded& event, const EventMeta& meta,
                     WriteTx& tx) {
  if (event.purpose().kind() != kOrderPurpose) return;
  SetState(RefundErrorIdOf(event.purpose().ref_id(), event.refund_id()), v1::ERROR_STATE_RESOLVED,
           meta, tx);
}

absl::StatusOr<v1::ListErrorsResponse> OrderErrors::Answer(const v1::ListErrorsRequest& query,
                                                           ReadTx& tx) {
  return DocumentPage(
      query, "error", &v1::ListErrorsResponse::mutable_errors,
      [&](std::int64_t after, int limit) { return Select(query, after, limit, tx); });
}

bool OrderErrors::Matches(const v1::WatchErrorsRequest& watch, std::string_view key, ReadTx& tx) {
  Rows rows = tx.Query("SELECT state FROM error WHERE error_id = ?", key);
  return rows.Next() &&
         (watch.state() == v1::ERROR_STATE_UNSPECIFIED || rows.Int(0) == watch.state());
}

std::vector<std::string> OrderErrors::Keys(const v1::WatchErrorsRequest& watch,
                                           std::string_view after, int limit, ReadTx& tx) {
  std::int64_t position = 0;
  {
    Rows rows = tx.Query("SELECT position FROM error WHERE error_id = ?", after);
    if (rows.Next()) position = rows.Int(0);
  }
  std::vector<std::string> keys;
  Rows rows = Select(watch, position, limit, tx);
  while (rows.Next()) keys.push_back(rows.Text(1));
  return keys;
}

absl::StatusOr<v1::WatchErrorsResponse> OrderErrors::Answer(const v1::WatchErrorsRequest&,
                                                            std::string_view key, ReadTx& tx) {
  Rows rows = tx.Query("SELECT document FROM error WHERE error_id = ?", key);
  v1::WatchErrorsResponse response;
  if (!rows.Next() || !Decode(rows.Blob(0), *response.mutable_error()))
    return BrokenRow("error", key);
  return response;
}

}  // namespace leftfold::orders
