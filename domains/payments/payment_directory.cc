#include "domains/payments/payment_directory.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "core/documents.h"
#include "core/page.h"
#include "core/timestamp.h"

namespace leftfold::payments {
namespace {

absl::StatusOr<v1::Payment> Find(std::string_view payment_id, ReadTx& tx) {
  Rows rows = tx.Query("SELECT document FROM payment WHERE payment_id = ?", payment_id);
  if (!rows.Next()) {
    return Reject(v1::ERROR_REASON_PAYMENT_NOT_FOUND,
                  fmt::format("there is no payment {}", payment_id),
                  {{"payment_id", std::string(payment_id)}});
  }
  v1::Payment payment;
  if (!Decode(rows.Blob(0), payment)) return BrokenRow("payment", payment_id);
  return payment;
}

void SumUp(v1::Payment& payment) {
  std::int64_t refunded = 0, refunding = 0;
  for (const v1::Refund& refund : payment.refunds()) {
    if (refund.status() == v1::REFUND_STATUS_SUCCEEDED) refunded += refund.amount_minor();
    if (refund.status() == v1::REFUND_STATUS_PENDING) refunding += refund.amount_minor();
  }
  payment.set_refunded_minor(refunded);
  payment.set_refunding_minor(refunding);
}

// Which version the document is of, and since when.
std::string Stamped(const EventMeta& meta, v1::Payment& payment) {
  payment.set_version(meta.version().value);
  *payment.mutable_updated_at() = ToProto(meta.recorded_at());
  if (!payment.has_created_at()) *payment.mutable_created_at() = payment.updated_at();
  return payment.SerializeAsString();
}

// Loads the event's payment, applies the event and `more`, stores it.
template <class Event>
void Change(const Event& event, const EventMeta& meta, WriteTx& tx,
            absl::FunctionRef<void(v1::Payment&)> more) {
  v1::Payment payment;
  {
    Rows rows = tx.Query("SELECT document FROM payment WHERE payment_id = ?", meta.aggregate_id());
    if (!rows.Next()) return;
    if (!DecodeOrFail(rows.Blob(0), "payment", meta.aggregate_id(), payment, tx)) return;
  }
  fold::Apply(payment, event);
  more(payment);
  const std::string document = Stamped(meta, payment);
  tx.Exec("UPDATE payment SET document = ? WHERE payment_id = ?", AsBlob{document},
          meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

// Rows (initiated, document) strictly between the two positions.
struct Range {
  std::int64_t after;
  std::int64_t before;
  int limit;
};

Rows SelectOldestFirst(const v1::ListPaymentsRequest& query, const Range& range, ReadTx& tx) {
  if (query.has_purpose()) {
    return tx.Query(
        "SELECT initiated, document FROM payment WHERE purpose_kind = ?1 AND purpose_ref = ?2 "
        "AND initiated > ?3 AND (?4 = '' OR payer_id = ?4) ORDER BY initiated LIMIT ?5",
        query.purpose().kind(), query.purpose().ref_id(), range.after, query.payer_id(),
        range.limit);
  }
  if (!query.payer_id().empty()) {
    return tx.Query(
        "SELECT initiated, document FROM payment WHERE payer_id = ? AND initiated > ? "
        "ORDER BY initiated LIMIT ?",
        query.payer_id(), range.after, range.limit);
  }
  return tx.Query(
      "SELECT initiated, document FROM payment WHERE initiated > ? ORDER BY initiated LIMIT ?",
      range.after, range.limit);
}

Rows SelectNewestFirst(const v1::ListPaymentsRequest& query, const Range& range, ReadTx& tx) {
  if (query.has_purpose()) {
    return tx.Query(
        "SELECT initiated, document FROM payment WHERE purpose_kind = ?1 AND purpose_ref = ?2 "
        "AND initiated < ?3 AND (?4 = '' OR payer_id = ?4) ORDER BY initiated DESC LIMIT ?5",
        query.purpose().kind(), query.purpose().ref_id(), range.before, query.payer_id(),
        range.limit);
  }
  if (!query.payer_id().empty()) {
    return tx.Query(
        "SELECT initiated, document FROM payment WHERE payer_id = ? AND initiated < ? "
        "ORDER BY initiated DESC LIMIT ?",
        query.payer_id(), range.before, range.limit);
  }
  return tx.Query(
      "SELECT initiated, document FROM payment WHERE initiated < ? ORDER BY initiated DESC LIMIT ?",
      range.before, range.limit);
}

absl::Status CheckFilter(const v1::ListPaymentsRequest& query) {
  Violations violations;
  if (query.has_purpose() && (query.purpose().kind().empty() || query.purpose().ref_id().empty())) {
    violations.Add(v1::ERROR_REASON_INVALID_FILTER, "purpose",
                   "must have both kind and ref_id, or be absent");
  }
  if (!v1::PaymentOrder_IsValid(query.order())) violations.Add("order", "must be one of its names");
  return violations.empty() ? absl::OkStatus() : violations.ToStatus();
}

}  // namespace

void PaymentDirectory::On(const v1::PaymentInitiated& event, const EventMeta& meta, WriteTx& tx) {
  v1::Payment payment;
  payment.set_payment_id(std::string(meta.aggregate_id()));
  fold::Apply(payment, event);
  payment.set_payer_id(event.payer_id());
  payment.set_method_type(event.method_type());
  payment.set_card_last4(event.card_last4());
  const std::string document = Stamped(meta, payment);
  tx.Exec(
      "INSERT OR REPLACE INTO payment (initiated, payment_id, purpose_kind, purpose_ref, payer_id, "
      "document) VALUES (?, ?, ?, ?, ?, ?)",
      meta.position(), meta.aggregate_id(), event.purpose().kind(), event.purpose().ref_id(),
      event.payer_id(), AsBlob{document});
  tx.Touch(meta.aggregate_id());
}

void PaymentDirectory::On(const v1::PaymentSucceeded& event, const EventMeta& meta, WriteTx& tx) {
  Change(event, meta, tx,
         [&](v1::Payment& payment) { payment.set_captured_minor(event.amount_minor()); });
}

void PaymentDirectory::On(const v1::PaymentDeclined& event, const EventMeta& meta, WriteTx& tx) {
  Change(event, meta, tx, [&](v1::Payment& payment) {
    payment.set_decline_code(event.decline_code());
    payment.set_retryable(event.retryable());
  });
}

void PaymentDirectory::On(const v1::PaymentCancelled& event, const EventMeta& meta, WriteTx& tx) {
  Change(event, meta, tx, [](v1::Payment&) {});
}

void PaymentDirectory::On(const v1::RefundInitiated& event, const EventMeta& meta, WriteTx& tx) {
  Change(event, meta, tx, SumUp);
}

void PaymentDirectory::On(const v1::RefundSucceeded& event, const EventMeta& meta, WriteTx& tx) {
  Change(event, meta, tx, SumUp);
}

void PaymentDirectory::On(const v1::RefundFailed& event, const EventMeta& meta, WriteTx& tx) {
  Change(event, meta, tx, SumUp);
}

absl::StatusOr<v1::GetPaymentResponse> PaymentDirectory::Answer(const v1::GetPaymentRequest& query,
                                                                ReadTx& tx) {
  absl::StatusOr<v1::Payment> payment = Find(query.payment_id(), tx);
  if (!payment.ok()) return payment.status();
  v1::GetPaymentResponse response;
  *response.mutable_payment() = *std::move(payment);
  return response;
}

absl::StatusOr<v1::ListPaymentsResponse> PaymentDirectory::Answer(
    const v1::ListPaymentsRequest& query, ReadTx& tx) {
  LEFTFOLD_RETURN_IF_ERROR(CheckFilter(query));
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  const bool newest_first = query.order() == v1::PAYMENT_ORDER_NEWEST_FIRST;
  const absl::StatusOr<std::int64_t> last_seen = page->NumberAfter(0, kLast);
  if (!last_seen.ok()) return last_seen.status();
  const Range range{*last_seen, *last_seen == 0 ? kLast : *last_seen, page->size() + 1};
  v1::ListPaymentsResponse response;
  std::size_t bytes = 0;
  std::int64_t last = 0;
  Rows rows =
      newest_first ? SelectNewestFirst(query, range, tx) : SelectOldestFirst(query, range, tx);
  while (rows.Next()) {
    if (response.payments_size() == page->size() || bytes >= kPageBytesMax) {
      response.set_next_page_token(page->TokenAfter(fmt::to_string(last)));
      break;
    }
    last = rows.Int(0);
    bytes += rows.Blob(1).size();
    if (!Decode(rows.Blob(1), *response.add_payments()))
      return Error(absl::StatusCode::kInternal,
                   "a stored payment, initiated at position {}, does "
                   "not decode",
                   last);
  }
  return response;
}

absl::StatusOr<v1::WatchPaymentResponse> PaymentDirectory::Answer(
    const v1::WatchPaymentRequest& watch, ReadTx& tx) {
  absl::StatusOr<v1::Payment> payment = Find(watch.payment_id(), tx);
  if (!payment.ok()) return payment.status();
  v1::WatchPaymentResponse response;
  *response.mutable_payment() = *std::move(payment);
  return response;
}

}  // namespace leftfold::payments
