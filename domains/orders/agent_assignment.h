#ifndef DOMAINS_ORDERS_AGENT_ASSIGNMENT_H_
#define DOMAINS_ORDERS_AGENT_ASSIGNMENT_H_

#include <absl/status/status.h>

#include <string_view>

#include "core/reactor.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"

namespace leftfold::orders {

// Finds an agent for each order that the restaurant has approved, and another one when the agent
// drops out, until kDispatchWithin is over. Whom its table says to be free is only a candidate:
// ReserveAgent decides, and on its refusal the next one is tried. Orders that find nobody free wait
// in the order in which they began to search. An agent who dropped out of an order is not asked for
// it again before going offline and online.
struct AgentAssignment {
  static constexpr std::string_view kName = "agent_assignment";
  static constexpr std::string_view kSchema[] = {
      // `order_id` is whom the agent is kept or about to be kept for, else empty; `since` a
      // position
      // by which the agent who was freed first comes first.
      R"(CREATE TABLE agent (
           agent_id TEXT PRIMARY KEY NOT NULL,
           online INTEGER NOT NULL,
           order_id TEXT NOT NULL,
           since INTEGER NOT NULL
         ) STRICT)",
      "CREATE INDEX free_agent ON agent (since) WHERE online = 1 AND order_id = ''",
      // Of an order without agent, from this position on; `candidate` is the agent who is about to
      // be reserved or assigned, else empty.
      R"(CREATE TABLE search (
           order_id TEXT PRIMARY KEY NOT NULL,
           since INTEGER NOT NULL,
           candidate TEXT NOT NULL
         ) STRICT)",
      "CREATE INDEX waiting ON search (since) WHERE candidate = ''",
      R"(CREATE TABLE tried (
           order_id TEXT NOT NULL,
           agent_id TEXT NOT NULL,
           dropped_out INTEGER NOT NULL,
           PRIMARY KEY (order_id, agent_id)
         ) STRICT)",
      "CREATE INDEX tried_by_agent ON tried (agent_id)"};
  using Reacting = Types<v1::AgentWentOnline, v1::AgentWentOffline, v1::AgentReserved,
                         v1::AgentReleased, v1::OrderApproved, v1::AgentUnassigned,
                         v1::AgentAssigned, v1::FoodPickedUp, v1::NoAgentAvailable>;
  using Sends = Types<v1::ReserveAgentRequest, v1::AssignAgentRequest>;

  static absl::Status React(const v1::AgentWentOnline& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::AgentWentOffline& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::AgentReserved& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::AgentReleased& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::OrderApproved& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::AgentUnassigned& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::AgentAssigned& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);
  static absl::Status React(const v1::FoodPickedUp& event, const EventMeta& meta, OwnTables& tables,
                            Outbox& outbox);
  static absl::Status React(const v1::NoAgentAvailable& event, const EventMeta& meta,
                            OwnTables& tables, Outbox& outbox);

  static absl::Status OnResult(const v1::ReserveAgentRequest& sent, const Result& result,
                               OwnTables& tables, Outbox& outbox);
  static absl::Status OnResult(const v1::AssignAgentRequest& sent, const Result& result,
                               OwnTables& tables, Outbox& outbox);
  // The deadline of the order of this id.
  static absl::Status OnWake(std::string_view order_id, absl::Time now, OwnTables& tables,
                             Outbox& outbox);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_AGENT_ASSIGNMENT_H_
