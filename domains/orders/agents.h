#ifndef DOMAINS_ORDERS_AGENTS_H_
#define DOMAINS_ORDERS_AGENTS_H_

#include <absl/status/statusor.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/view.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"

namespace leftfold::orders {

// The delivery agents, and of each order that is on its way what an agent needs to know. What an
// agent has to do is both together.
struct Agents {
  static constexpr std::string_view kName = "agents";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema = R"(
    CREATE TABLE agent (
      agent_id TEXT PRIMARY KEY NOT NULL,
      version INTEGER NOT NULL,
      name TEXT NOT NULL,
      status INTEGER NOT NULL,
      order_id TEXT NOT NULL,
      orders INTEGER NOT NULL,
      delivered INTEGER NOT NULL,
      failed INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX agent_by_status ON agent (status, agent_id);
    CREATE TABLE job (
      order_id TEXT PRIMARY KEY NOT NULL,
      document BLOB NOT NULL,  -- leftfold.orders.v1.AgentJob without state and ready_at.
      ready_at INTEGER,  -- Unix microseconds, once it is approved.
      agent_id TEXT,  -- Who has it.
      picked_up INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
  )";
  using Handles =
      Types<v1::AgentRegistered, v1::AgentWentOnline, v1::AgentWentOffline, v1::AgentReserved,
            v1::AgentReleased, v1::OrderPlaced, v1::OrderApproved, v1::AgentAssigned,
            v1::AgentUnassigned, v1::FoodPickedUp, v1::OrderInvalidated, v1::OrderPaymentFailed,
            v1::OrderRejected, v1::ApprovalTimedOut, v1::NoAgentAvailable, v1::OrderDelivered,
            v1::DeliveryFailed, v1::OrderCancelled, v1::OrderExpired>;
  using Queries = Types<v1::ListAgentsRequest, v1::GetAgentJobRequest>;
  using Watches = Types<v1::WatchAgentsRequest, v1::WatchAgentJobRequest>;
  static constexpr Poison kOnPoison = Poison::kParkStream;

  static void On(const v1::AgentRegistered& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentWentOnline& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentWentOffline& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentReserved& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentReleased& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderPlaced& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::OrderApproved& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentAssigned& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::AgentUnassigned& event, const EventMeta& meta, WriteTx& tx);
  static void On(const v1::FoodPickedUp& event, const EventMeta& meta, WriteTx& tx);
  // The others end the order's way to the customer.
  template <class Event>
  static void On(const Event&, const EventMeta& meta, WriteTx& tx) {
    EndJob(meta, tx);
  }

  static absl::StatusOr<v1::ListAgentsResponse> Answer(const v1::ListAgentsRequest& query,
                                                       ReadTx& tx);
  static absl::StatusOr<v1::GetAgentJobResponse> Answer(const v1::GetAgentJobRequest& query,
                                                        ReadTx& tx);

  static bool Matches(const v1::WatchAgentsRequest& watch, std::string_view key, ReadTx& tx);
  static std::vector<std::string> Keys(const v1::WatchAgentsRequest& watch, std::string_view after,
                                       int limit, ReadTx& tx);
  static absl::StatusOr<v1::WatchAgentsResponse> Answer(const v1::WatchAgentsRequest& watch,
                                                        std::string_view key, ReadTx& tx);

  static std::string Key(const v1::WatchAgentJobRequest& watch) { return watch.agent_id(); }
  static absl::StatusOr<v1::WatchAgentJobResponse> Answer(const v1::WatchAgentJobRequest& watch,
                                                          ReadTx& tx);

 private:
  static void EndJob(const EventMeta& meta, WriteTx& tx);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_AGENTS_H_
