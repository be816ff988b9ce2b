#ifndef DOMAINS_ORDERS_COMPENSATE_H_
#define DOMAINS_ORDERS_COMPENSATE_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/payments/v1/commands.pb.h"
#include "leftfold/payments/v1/events.pb.h"

namespace leftfold::orders {

// How often a refund is tried, and again after each RetryRefund, before it is stuck.
inline constexpr int kRefundAttemptsMax = 5;
// After the first failed attempt; doubles before each one that follows.
inline constexpr absl::Duration kRefundRetryFirst = absl::Minutes(1);

// Gives the money back of orders that went wrong. Whether there is any is the order's to say, in
// answer to RequestRefund, and it begins by itself when a payment succeeds too late.
struct Compensate {
  static constexpr std::string_view kName = "compensate";
  // After these a paid order is to be refunded.
  using Failing = Types<v1::OrderRejected, v1::ApprovalTimedOut, v1::NoAgentAvailable,
                        v1::DeliveryFailed, v1::OrderCancelled, v1::OrderExpired>;
  using Reacting =
      Concat<Types<v1::RefundRequested, payments::v1::RefundSucceeded, payments::v1::RefundFailed>,
             Failing>;
  using Sends = Types<payments::v1::RefundPaymentRequest, v1::MarkRefundStuckRequest>;

  template <class Event>
  requires Failing::kContains<Event>
  static absl::Status React(const Event&, const EventMeta& meta, OwnTables&, Outbox& outbox) {
    RequestRefund(meta, outbox);
    return absl::OkStatus();
  }
  static absl::Status React(const v1::RefundRequested& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const payments::v1::RefundSucceeded& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const payments::v1::RefundFailed& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);

  static absl::Status OnResult(const payments::v1::RefundPaymentRequest& sent, const Result& result,
                               OwnTables& tables, Outbox& outbox);
  static absl::Status OnResult(const v1::MarkRefundStuckRequest& sent, const Result& result,
                               OwnTables& tables, Outbox& outbox);

 private:
  static void RequestRefund(const EventMeta& meta, Outbox& outbox);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_COMPENSATE_H_
