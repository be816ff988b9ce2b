#include "domains/orders/delivery_agent.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "domains/orders/checks.h"

namespace leftfold::orders {
namespace {

absl::Status CheckExists(const v1::DeliveryAgentState& state, const CommandContext& context) {
  if (state.exists()) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_AGENT_NOT_FOUND,
                fmt::format("there is no agent {}; register it first", context.aggregate_id),
                {{"agent_id", context.aggregate_id}});
}

}  // namespace

void DeliveryAgent::Validate(const v1::RegisterAgentRequest& command, Violations& violations) {
  CheckName(command.name(), "name", violations);
}

void DeliveryAgent::Validate(const v1::AgentGoOnlineRequest&, Violations&) {}

void DeliveryAgent::Validate(const v1::AgentGoOfflineRequest&, Violations&) {}

void DeliveryAgent::Validate(const v1::ReserveAgentRequest& command, Violations& violations) {
  CheckId(command.order_id(), "order_id", violations);
}

void DeliveryAgent::Validate(const v1::ReleaseAgentRequest& command, Violations& violations) {
  CheckId(command.order_id(), "order_id", violations);
  if (command.reason() == v1::RELEASE_REASON_UNSPECIFIED ||
      !v1::ReleaseReason_IsValid(command.reason())) {
    violations.Add(v1::ERROR_REASON_INVALID_RELEASE_REASON, "reason",
                   "must be one of ReleaseReason, and specified");
  }
}

DeliveryAgent::Decision DeliveryAgent::Decide(const v1::RegisterAgentRequest& command,
                                              const State& state, const CommandContext& context) {
  if (state.exists()) {
    return Reject(
        v1::ERROR_REASON_AGENT_EXISTS,
        fmt::format("there is an agent {} already; take another id", context.aggregate_id),
        {{"agent_id", context.aggregate_id}});
  }
  v1::AgentRegistered registered;
  registered.set_name(command.name());
  return Accept(std::move(registered));
}

DeliveryAgent::Decision DeliveryAgent::Decide(const v1::AgentGoOnlineRequest&, const State& state,
                                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.online()) return Accept();
  return Accept(v1::AgentWentOnline());
}

DeliveryAgent::Decision DeliveryAgent::Decide(const v1::AgentGoOfflineRequest&, const State& state,
                                              const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (!state.online()) return Accept();
  if (state.order_id().empty()) return Accept(v1::AgentWentOffline());
  return Reject(v1::ERROR_REASON_AGENT_HAS_ACTIVE_DELIVERY,
                fmt::format("agent {} is kept for order {}; deliver it or have it unassigned first",
                            context.aggregate_id, state.order_id()),
                {{"agent_id", context.aggregate_id}, {"order_id", state.order_id()}});
}

DeliveryAgent::Decision DeliveryAgent::Decide(const v1::ReserveAgentRequest& command,
                                              const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.order_id() == command.order_id()) return Accept();
  if (!state.order_id().empty()) {
    return Reject(v1::ERROR_REASON_AGENT_BUSY,
                  fmt::format("agent {} is kept for order {}; try another agent",
                              context.aggregate_id, state.order_id()),
                  {{"agent_id", context.aggregate_id}, {"order_id", state.order_id()}});
  }
  if (!state.online()) {
    return Reject(v1::ERROR_REASON_AGENT_OFFLINE,
                  fmt::format("agent {} is offline; try another agent", context.aggregate_id),
                  {{"agent_id", context.aggregate_id}});
  }
  v1::AgentReserved reserved;
  reserved.set_order_id(command.order_id());
  return Accept(std::move(reserved));
}

DeliveryAgent::Decision DeliveryAgent::Decide(const v1::ReleaseAgentRequest& command,
                                              const State& state, const CommandContext& context) {
  LEFTFOLD_RETURN_IF_ERROR(CheckExists(state, context));
  if (state.order_id() != command.order_id()) {
    return Reject(
        v1::ERROR_REASON_NOT_RESERVED_FOR_ORDER,
        fmt::format("agent {} is not kept for order {}", context.aggregate_id, command.order_id()),
        {{"agent_id", context.aggregate_id}, {"order_id", command.order_id()}});
  }
  v1::AgentReleased released;
  released.set_order_id(command.order_id());
  released.set_reason(command.reason());
  return Accept(std::move(released));
}

void DeliveryAgent::Evolve(State& state, const v1::AgentRegistered&) { state.set_exists(true); }

void DeliveryAgent::Evolve(State& state, const v1::AgentWentOnline&) { state.set_online(true); }

void DeliveryAgent::Evolve(State& state, const v1::AgentWentOffline&) { state.set_online(false); }

void DeliveryAgent::Evolve(State& state, const v1::AgentReserved& event) {
  state.set_order_id(event.order_id());
}

void DeliveryAgent::Evolve(State& state, const v1::AgentReleased&) { state.clear_order_id(); }

}  // namespace leftfold::orders
