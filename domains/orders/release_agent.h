#ifndef DOMAINS_ORDERS_RELEASE_AGENT_H_
#define DOMAINS_ORDERS_RELEASE_AGENT_H_

#include <absl/status/status.h>

#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/events.pb.h"

namespace leftfold::orders {

// Frees the agent when the tour with an order is over, or the order was taken away.
struct ReleaseAgent {
  static constexpr std::string_view kName = "release_agent";
  using Reacting = Types<v1::OrderDelivered, v1::DeliveryFailed, v1::AgentUnassigned>;

  static absl::Status React(const v1::OrderDelivered& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::DeliveryFailed& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::AgentUnassigned& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_RELEASE_AGENT_H_
