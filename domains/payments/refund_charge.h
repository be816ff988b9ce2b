#ifndef DOMAINS_PAYMENTS_REFUND_CHARGE_H_
#define DOMAINS_PAYMENTS_REFUND_CHARGE_H_

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "core/reactor.h"
#include "domains/payments/provider.h"
#include "leftfold/payments/v1/commands.pb.h"
#include "leftfold/payments/v1/events.pb.h"

namespace leftfold::payments {

// The error of an attempt that the provider did not answer. Another attempt of the same refund is
// safe, since the key is the same; another refund is not.
inline constexpr std::string_view kNoAnswer = "no_answer";

// Has the provider give money back; the refund's id is the idempotency key of all its attempts.
// Attempts do not wait for those before them, which may be parked.
struct RefundCharge {
  static constexpr std::string_view kName = "refund_charge";
  static constexpr std::string_view kSchema[] = {kAskedTable};
  static constexpr RetryPolicy kRetry = kProviderRetry;
  using Reacting = Types<v1::RefundInitiated>;
  using Sends = Types<v1::RecordRefundResultRequest>;

  static std::string Key(const v1::RefundInitiated& event, const EventMeta& meta);
  static absl::Status React(const v1::RefundInitiated& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status OnReply(const Delivery& delivery, const HttpReply& reply, OwnTables& tables,
                              Outbox& outbox);
  // What the provider says and the payment does not take is for an operator to look at.
  static absl::Status OnResult(const v1::RecordRefundResultRequest&, const Result& result,
                               OwnTables&, Outbox&) {
    return result.status;
  }
  static absl::Status OnWake(std::string_view timer, absl::Time now, OwnTables& tables,
                             Outbox& outbox) {
    return Poll(kRefundsUrl, timer, now, tables, outbox);
  }
  static void OnParked(const Delivery& delivery, const absl::Status& error, OwnTables& tables,
                       Outbox& outbox);
};

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_REFUND_CHARGE_H_
