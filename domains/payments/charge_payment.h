#ifndef DOMAINS_PAYMENTS_CHARGE_PAYMENT_H_
#define DOMAINS_PAYMENTS_CHARGE_PAYMENT_H_

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "core/reactor.h"
#include "domains/payments/provider.h"
#include "leftfold/payments/v1/commands.pb.h"
#include "leftfold/payments/v1/events.pb.h"

namespace leftfold::payments {

// What the log is told of what the provider said of a payment.
v1::RecordProviderResultRequest RecordOf(const std::string& payment_id, const Said& said);

// Has the provider charge each payment, once: the payment's id is the idempotency key, and what is
// settled by the log is not asked for, so that a reactor whose file was lost charges nothing anew.
struct ChargePayment {
  static constexpr std::string_view kName = "charge_payment";
  static constexpr std::string_view kSchema[] = {kAskedTable};
  static constexpr RetryPolicy kRetry = kProviderRetry;
  using Reacting = Types<v1::PaymentInitiated>;
  using Sends = Types<v1::RecordProviderResultRequest>;

  static absl::Status React(const v1::PaymentInitiated& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status OnReply(const Delivery& delivery, const HttpReply& reply, OwnTables& tables,
                              Outbox& outbox);
  // What the provider says and the payment does not take is for an operator to look at.
  static absl::Status OnResult(const v1::RecordProviderResultRequest&, const Result& result,
                               OwnTables&, Outbox&) {
    return result.status;
  }
  static absl::Status OnWake(std::string_view timer, absl::Time now, OwnTables& tables,
                             Outbox& outbox) {
    return Poll(kChargesUrl, timer, now, tables, outbox);
  }
  static void OnParked(const Delivery& delivery, const absl::Status& error, OwnTables& tables,
                       Outbox& outbox) {
    AskWhatBecame(kChargesUrl, delivery, error, tables, outbox);
  }
};

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_CHARGE_PAYMENT_H_
