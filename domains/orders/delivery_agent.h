#ifndef DOMAINS_ORDERS_DELIVERY_AGENT_H_
#define DOMAINS_ORDERS_DELIVERY_AGENT_H_

#include <string_view>

#include "core/aggregate.h"
#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/state.pb.h"

namespace leftfold::orders {

// Who brings the food: online or not, and free or kept for one order.
struct DeliveryAgent {
  static constexpr std::string_view kCategory = "delivery_agent";
  using Commands =
      Types<v1::RegisterAgentRequest, v1::AgentGoOnlineRequest, v1::AgentGoOfflineRequest,
            v1::ReserveAgentRequest, v1::ReleaseAgentRequest>;
  using Creates = Types<v1::RegisterAgentRequest>;
  using Events = Types<v1::AgentRegistered, v1::AgentWentOnline, v1::AgentWentOffline,
                       v1::AgentReserved, v1::AgentReleased>;
  using State = v1::DeliveryAgentState;
  static constexpr int kStateVersion = 1;  // Bump it when Evolve or the state's meaning changes.
  using Decision = leftfold::Decision<Events>;

  static void Validate(const v1::RegisterAgentRequest& command, Violations& violations);
  static void Validate(const v1::AgentGoOnlineRequest& command, Violations& violations);
  static void Validate(const v1::AgentGoOfflineRequest& command, Violations& violations);
  static void Validate(const v1::ReserveAgentRequest& command, Violations& violations);
  static void Validate(const v1::ReleaseAgentRequest& command, Violations& violations);

  static Decision Decide(const v1::RegisterAgentRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::AgentGoOnlineRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::AgentGoOfflineRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ReserveAgentRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::ReleaseAgentRequest& command, const State& state,
                         const CommandContext& context);

  static void Evolve(State& state, const v1::AgentRegistered& event);
  static void Evolve(State& state, const v1::AgentWentOnline& event);
  static void Evolve(State& state, const v1::AgentWentOffline& event);
  static void Evolve(State& state, const v1::AgentReserved& event);
  static void Evolve(State& state, const v1::AgentReleased& event);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_DELIVERY_AGENT_H_
