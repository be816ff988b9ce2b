#include "domains/orders/release_agent.h"

#include <string>

#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
namespace {

absl::Status Release(const std::string& agent_id, const EventMeta& meta, v1::ReleaseReason reason,
                     Outbox& outbox) {
  v1::ReleaseAgentRequest release;
  release.set_agent_id(agent_id);
  release.set_order_id(std::string(meta.aggregate_id()));
  release.set_reason(reason);
  outbox.Send(release);
  return absl::OkStatus();
}

}  // namespace

absl::Status ReleaseAgent::React(const v1::OrderDelivered& event, const EventMeta& meta, OwnTables&,
                                 Outbox& outbox) {
  return Release(event.agent_id(), meta, v1::RELEASE_REASON_DELIVERED, outbox);
}

absl::Status ReleaseAgent::React(const v1::DeliveryFailed& event, const EventMeta& meta, OwnTables&,
                                 Outbox& outbox) {
  return Release(event.agent_id(), meta, v1::RELEASE_REASON_DELIVERY_FAILED, outbox);
}

absl::Status ReleaseAgent::React(const v1::AgentUnassigned& event, const EventMeta& meta,
                                 OwnTables&, Outbox& outbox) {
  return Release(event.agent_id(), meta, v1::RELEASE_REASON_UNASSIGNED, outbox);
}

}  // namespace leftfold::orders
