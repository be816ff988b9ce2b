#ifndef DOMAINS_ORDERS_APPLY_PAYMENT_RESULT_H_
#define DOMAINS_ORDERS_APPLY_PAYMENT_RESULT_H_

#include <absl/status/status.h>

#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/payments/v1/events.pb.h"

namespace leftfold::orders {

// Tells an order what became of its payment. Money that came for an order which does not take it (a
// payment that was declined before, or that the order does not know) goes back at once.
struct ApplyPaymentResult {
  static constexpr std::string_view kName = "apply_payment_result";
  using Reacting = Types<payments::v1::PaymentSucceeded, payments::v1::PaymentDeclined,
                         payments::v1::PaymentCancelled>;
  using Sends = Types<v1::RecordPaymentOutcomeRequest>;

  static absl::Status React(const payments::v1::PaymentSucceeded& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const payments::v1::PaymentDeclined& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const payments::v1::PaymentCancelled& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status OnResult(const v1::RecordPaymentOutcomeRequest& sent, const Result& result,
                               OwnTables& tables, Outbox& outbox);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_APPLY_PAYMENT_RESULT_H_
