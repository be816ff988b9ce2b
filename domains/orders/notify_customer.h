#ifndef DOMAINS_ORDERS_NOTIFY_CUSTOMER_H_
#define DOMAINS_ORDERS_NOTIFY_CUSTOMER_H_

#include <absl/status/status.h>

#include <string>
#include <string_view>

#include "core/reactor.h"
#include "domains/orders/order_words.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/state.pb.h"

namespace leftfold::orders {

// Writes to the customer how an order gets on, where the customer has an e-mail address when the
// order is placed: one mail a stage, in the words of the timeline. Orders of before it first ran
// are not written about.
struct NotifyCustomer {
  static constexpr std::string_view kName = "notify_customer";
  static constexpr RetryPolicy kRetry = kOutageRetry;
  static constexpr StartAt kStart = StartAt::kNow;
  static constexpr std::string_view kSchema[] = {
      R"(CREATE TABLE addressee (
           order_id TEXT PRIMARY KEY NOT NULL,
           email TEXT NOT NULL
         ) STRICT)"};
  // After these there is nothing to tell.
  using Ending =
      Types<v1::OrderInvalidated, v1::OrderPaymentFailed, v1::OrderDelivered, v1::OrderRefunded>;
  using Telling =
      Concat<Types<v1::OrderPaid, v1::OrderApproved, v1::OrderRejected, v1::ApprovalTimedOut,
                   v1::AgentAssigned, v1::NoAgentAvailable, v1::FoodPickedUp, v1::DeliveryFailed>,
             Ending>;
  using Reacting =
      Concat<Types<v1::OrderPlaced, v1::OrderPaymentDeclined, v1::OrderCancelled, v1::OrderExpired>,
             Telling>;

  static absl::Status React(const v1::OrderPlaced& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  // Of an order that was over before it is not told.
  static absl::Status React(const v1::OrderPaymentDeclined& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  // What the customer did is not told.
  static absl::Status React(const v1::OrderCancelled& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::OrderExpired& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  template <class Event>
  requires Telling::kContains<Event>
  static absl::Status React(const Event& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox) {
    Tell(TextOf(event), meta, tables, outbox);
    if constexpr (Ending::kContains<Event>) Forget(meta, tables);
    return absl::OkStatus();
  }

 private:
  static void Tell(const std::string& text, const EventMeta& meta, OwnTables& tables,
                   Outbox& outbox);
  static void Forget(const EventMeta& meta, OwnTables& tables);
  // There is more to tell where money is to be given back, also of a payment that is on its way.
  static void ForgetUnlessPaid(const v1::OrderState& order, const EventMeta& meta,
                               OwnTables& tables);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_NOTIFY_CUSTOMER_H_
