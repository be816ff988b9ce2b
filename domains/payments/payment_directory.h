#ifndef DOMAINS_PAYMENTS_PAYMENT_DIRECTORY_H_
#define DOMAINS_PAYMENTS_PAYMENT_DIRECTORY_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "core/view.h"
#include "domains/payments/payment.h"
#include "domains/payments/payment_fold.h"
#include "leftfold/payments/v1/queries.pb.h"

namespace leftfold::payments {

// The payments as documents: one row a payment, ready to be sent; found by id, purpose and payer.
struct PaymentDirectory {
  static constexpr std::string_view kName = "payment_directory";
  static constexpr int kVersion = 1;  // Bump it when the schema or a fold changes.
  // `initiated` is the position of the first event: the order of lists.
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE payment (
      initiated INTEGER PRIMARY KEY NOT NULL,
      payment_id TEXT NOT NULL UNIQUE,
      purpose_kind TEXT NOT NULL,
      purpose_ref TEXT NOT NULL,
      payer_id TEXT NOT NULL,
      document BLOB NOT NULL
    ) STRICT;
    CREATE INDEX payment_of_purpose ON payment (purpose_kind, purpose_ref, initiated);
    CREATE INDEX payment_of_payer ON payment (payer_id, initiated);
  )";
  using Handles = Payment::Events;
  using Queries = Types<v1::GetPaymentRequest, v1::ListPaymentsRequest>;
  using Watches = Types<v1::WatchPaymentRequest>;

  static void On(const v1::PaymentInitiated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::PaymentSucceeded& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::PaymentDeclined& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::PaymentCancelled& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RefundInitiated& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RefundSucceeded& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::RefundFailed& event, const EventMeta& meta, WriteTx& tx);

  static absl::StatusOr<v1::GetPaymentResponse> Answer(const v1::GetPaymentRequest& query,
                                                       ReadTx& tx);
  static std::string Stream(const v1::GetPaymentRequest& query) {
    return StreamName(Payment::kCategory, query.payment_id());
  }
  static absl::StatusOr<v1::ListPaymentsResponse> Answer(const v1::ListPaymentsRequest& query,
                                                         ReadTx& tx);

  static std::string Key(const v1::WatchPaymentRequest& watch) { return watch.payment_id(); }
  static absl::StatusOr<v1::WatchPaymentResponse> Answer(const v1::WatchPaymentRequest& watch,
                                                         ReadTx& tx);
};

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_PAYMENT_DIRECTORY_H_
