#ifndef DOMAINS_ORDERS_DEADLINES_H_
#define DOMAINS_ORDERS_DEADLINES_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/events.pb.h"

namespace leftfold::orders {

// How long an order may take, each from the event before it on.
inline constexpr absl::Duration kValidateWithin = absl::Minutes(5);
inline constexpr absl::Duration kPayWithin = absl::Minutes(30);  // Of all attempts together.
inline constexpr absl::Duration kAskWithin = absl::Minutes(5);   // The restaurant, once it is paid.
inline constexpr absl::Duration kRespondWithin = absl::Minutes(10);   // The restaurant.
inline constexpr absl::Duration kDispatchWithin = absl::Minutes(15);  // Until an agent has it.

// Has orders expire that nobody brings on. An order has one timer, under its id: that of the stage
// in which it is. The deadline of the search for an agent is AgentAssignment's.
struct Deadlines {
  static constexpr std::string_view kName = "deadlines";
  // After these there is nothing to wait for.
  using Ending =
      Types<v1::OrderInvalidated, v1::OrderPaymentFailed, v1::OrderApproved, v1::OrderRejected,
            v1::ApprovalTimedOut, v1::OrderCancelled, v1::OrderExpired>;
  using Reacting =
      Concat<Types<v1::OrderPlaced, v1::OrderValidated, v1::OrderPaid, v1::ApprovalRequested>,
             Ending>;

  static absl::Status React(const v1::OrderPlaced& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status React(const v1::OrderValidated& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::OrderPaid& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status React(const v1::ApprovalRequested& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  template <class Event>
  requires Ending::kContains<Event>
  static absl::Status React(const Event&, const EventMeta& meta, OwnTables&, Outbox& outbox) {
    outbox.Cancel(meta.aggregate_id());
    return absl::OkStatus();
  }
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_DEADLINES_H_
