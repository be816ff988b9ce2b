#ifndef DOMAINS_ORDERS_START_CHARGE_H_
#define DOMAINS_ORDERS_START_CHARGE_H_

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/payments/v1/commands.pb.h"

namespace leftfold::orders {

// Kind of the purpose of payments for orders. Never change: it is stored.
inline constexpr std::string_view kOrderPurpose = "order";

// Why a command was not carried out: the reason of its refusal, "SKIPPED" when an operator gave it
// up, "REFUSED" when there is none.
std::string WhyNot(const absl::Status& refusal);

// Has the payment begun that a customer asked for. One that cannot begin counts as declined, with
// the reason in small letters as its code, and so does one of an order that was closed meanwhile.
struct StartCharge {
  static constexpr std::string_view kName = "start_charge";
  using Reacting = Types<v1::PaymentRequested>;
  using Sends = Types<payments::v1::InitiatePaymentRequest>;

  static absl::Status React(const v1::PaymentRequested& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status OnResult(const payments::v1::InitiatePaymentRequest& sent,
                               const Result& result, OwnTables& tables, Outbox& outbox);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_START_CHARGE_H_
