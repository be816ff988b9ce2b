#include "domains/orders/agent_assignment.h"

#include <string>

#include "core/timestamp.h"
#include "domains/orders/deadlines.h"
#include "domains/orders/delivery_agent.h"
#include "domains/orders/order.h"

namespace leftfold::orders {
namespace {

// The first column of the first row, "" when there is none.
template <class... Args>
std::string First(OwnTables& tables, std::string_view sql, const Args&... args) {
  Rows rows = tables.Query(sql, args...);
  return rows.Next() ? rows.Text(0) : "";
}

void Reserve(const std::string& agent_id, const std::string& order_id, OwnTables& tables,
             Outbox& outbox) {
  tables.Exec("UPDATE agent SET order_id = ? WHERE agent_id = ?", order_id, agent_id);
  tables.Exec("UPDATE search SET candidate = ? WHERE order_id = ?", agent_id, order_id);
  v1::ReserveAgentRequest reserve;
  reserve.set_agent_id(agent_id);
  reserve.set_order_id(order_id);
  outbox.Send(reserve);
}

// Takes whoever is free and has waited longest. Nobody: the order waits.
void FindAgent(const std::string& order_id, OwnTables& tables, Outbox& outbox) {
  const std::string agent_id = First(tables, R"(
      SELECT agent_id FROM agent
      WHERE online = 1 AND order_id = '' AND NOT EXISTS (
        SELECT 1 FROM tried
        WHERE tried.order_id = ? AND tried.agent_id = agent.agent_id AND dropped_out = 1)
      ORDER BY since LIMIT 1)",
                                     order_id);
  if (!agent_id.empty()) Reserve(agent_id, order_id, tables, outbox);
}

// Offers the agent, if free, to the order that has searched longest.
void FindOrder(std::string_view agent_id, OwnTables& tables, Outbox& outbox) {
  const std::string order_id = First(tables, R"(
      SELECT order_id FROM search
      WHERE candidate = '' AND EXISTS (
        SELECT 1 FROM agent WHERE agent_id = ?1 AND online = 1 AND agent.order_id = ''
      ) AND NOT EXISTS (
        SELECT 1 FROM tried
        WHERE tried.order_id = search.order_id AND tried.agent_id = ?1 AND dropped_out = 1)
      ORDER BY since LIMIT 1)",
                                     agent_id);
  if (!order_id.empty()) Reserve(std::string(agent_id), order_id, tables, outbox);
}

absl::Status Assign(const v1::ReserveAgentRequest& reserved, Outbox& outbox) {
  v1::AssignAgentRequest assign;
  assign.set_order_id(reserved.order_id());
  assign.set_agent_id(reserved.agent_id());
  outbox.Send(assign);
  return absl::OkStatus();
}

absl::Status Search(const EventMeta& meta, OwnTables& tables, Outbox& outbox) {
  const std::string order_id(meta.aggregate_id());
  const absl::Time deadline = meta.recorded_at() + kDispatchWithin;
  tables.Exec("INSERT OR REPLACE INTO search VALUES (?, ?, '')", order_id, meta.position());
  v1::StartAgentSearchRequest start;
  start.set_order_id(order_id);
  *start.mutable_deadline() = ToProto(deadline);
  outbox.Send(start);
  outbox.WakeAt(deadline, order_id);
  FindAgent(order_id, tables, outbox);
  return absl::OkStatus();
}

void EndSearch(std::string_view order_id, OwnTables& tables) {
  tables.Exec("DELETE FROM search WHERE order_id = ?", order_id);
}

// Ends a search that found nobody. Whoever was about to be reserved is free again, as far as this
// reactor knows: an operator may have given the reservation up.
void GiveUp(std::string_view order_id, OwnTables& tables, Outbox& outbox) {
  const std::string candidate =
      First(tables, "SELECT candidate FROM search WHERE order_id = ?", order_id);
  EndSearch(order_id, tables);
  if (candidate.empty()) return;
  tables.Exec("UPDATE agent SET order_id = '' WHERE agent_id = ? AND order_id = ?", candidate,
              order_id);
  FindOrder(candidate, tables, outbox);
}

void Forget(std::string_view order_id, OwnTables& tables) {
  tables.Exec("DELETE FROM tried WHERE order_id = ?", order_id);
}

}  // namespace

absl::Status AgentAssignment::React(const v1::AgentWentOnline&, const EventMeta& meta,
                                    OwnTables& tables, Outbox& outbox) {
  // Nobody goes offline while kept for an order.
  tables.Exec(R"(INSERT INTO agent VALUES (?, 1, '', ?)
                 ON CONFLICT DO UPDATE SET online = 1, order_id = '', since = excluded.since)",
              meta.aggregate_id(), meta.position());
  tables.Exec("DELETE FROM tried WHERE agent_id = ?", meta.aggregate_id());
  FindOrder(meta.aggregate_id(), tables, outbox);
  return absl::OkStatus();
}

absl::Status AgentAssignment::React(const v1::AgentWentOffline&, const EventMeta& meta,
                                    OwnTables& tables, Outbox&) {
  tables.Exec("UPDATE agent SET online = 0 WHERE agent_id = ?", meta.aggregate_id());
  return absl::OkStatus();
}

absl::Status AgentAssignment::React(const v1::AgentReserved& event, const EventMeta& meta,
                                    OwnTables& tables, Outbox&) {
  tables.Exec("UPDATE agent SET order_id = ? WHERE agent_id = ?", event.order_id(),
              meta.aggregate_id());
  return absl::OkStatus();
}

absl::Status AgentAssignment::React(const v1::AgentReleased& event, const EventMeta& meta,
                                    OwnTables& tables, Outbox& outbox) {
  tables.Exec("UPDATE agent SET order_id = '', since = ? WHERE agent_id = ? AND order_id = ?",
              meta.position(), meta.aggregate_id(), event.order_id());
  FindOrder(meta.aggregate_id(), tables, outbox);
  return absl::OkStatus();
}

absl::Status AgentAssignment::React(const v1::OrderApproved&, const EventMeta& meta,
                                    OwnTables& tables, Outbox& outbox) {
  return Search(meta, tables, outbox);
}

absl::Status AgentAssignment::React(const v1::AgentUnassigned& event, const EventMeta& meta,
                                    OwnTables& tables, Outbox& outbox) {
  tables.Exec("INSERT OR REPLACE INTO tried VALUES (?, ?, 1)", meta.aggregate_id(),
              event.agent_id());
  return Search(meta, tables, outbox);
}

absl::Status AgentAssignment::React(const v1::AgentAssigned&, const EventMeta& meta,
                                    OwnTables& tables, Outbox& outbox) {
  EndSearch(meta.aggregate_id(), tables);
  outbox.Cancel(meta.aggregate_id());
  return absl::OkStatus();
}

absl::Status AgentAssignment::React(const v1::FoodPickedUp&, const EventMeta& meta,
                                    OwnTables& tables, Outbox&) {
  Forget(meta.aggregate_id(), tables);
  return absl::OkStatus();
}

absl::Status AgentAssignment::React(const v1::NoAgentAvailable&, const EventMeta& meta,
                                    OwnTables& tables, Outbox& outbox) {
  GiveUp(meta.aggregate_id(), tables, outbox);
  Forget(meta.aggregate_id(), tables);
  outbox.Cancel(meta.aggregate_id());
  return absl::OkStatus();
}

absl::Status AgentAssignment::OnResult(const v1::ReserveAgentRequest& sent, const Result& result,
                                       OwnTables& tables, Outbox& outbox) {
  if (result.status.ok()) return Assign(sent, outbox);
  // What the log has now: a later change of it is an event that is still to come here.
  const auto agent = tables.Load<DeliveryAgent>(sent.agent_id());
  if (!agent.ok()) return agent.status();
  const bool skipped = absl::IsCancelled(result.status);
  if (skipped && agent->order_id() == sent.order_id()) return Assign(sent, outbox);
  tables.Exec("UPDATE agent SET online = ?, order_id = ? WHERE agent_id = ? AND order_id = ?",
              agent->online(), agent->order_id(), sent.agent_id(), sent.order_id());
  // An agent whose reservation was skipped is free, but not asked for this order again.
  tables.Exec("INSERT OR IGNORE INTO tried VALUES (?, ?, ?)", sent.order_id(), sent.agent_id(),
              skipped ? 1 : 0);
  tables.Exec("UPDATE search SET candidate = '' WHERE order_id = ? AND candidate = ?",
              sent.order_id(), sent.agent_id());
  const std::string waiting = First(
      tables, "SELECT order_id FROM search WHERE order_id = ? AND candidate = ''", sent.order_id());
  if (!waiting.empty()) FindAgent(waiting, tables, outbox);
  FindOrder(sent.agent_id(), tables, outbox);
  return absl::OkStatus();
}

absl::Status AgentAssignment::OnResult(const v1::AssignAgentRequest& sent, const Result& result,
                                       OwnTables& tables, Outbox& outbox) {
  if (result.status.ok()) return absl::OkStatus();
  if (absl::IsCancelled(result.status)) {  // It may have been assigned all the same.
    const auto order = tables.Load<Order>(sent.order_id());
    if (!order.ok()) return order.status();
    if (order->agent_id() == sent.agent_id()) return absl::OkStatus();
  }
  v1::ReleaseAgentRequest release;
  release.set_agent_id(sent.agent_id());
  release.set_order_id(sent.order_id());
  release.set_reason(v1::RELEASE_REASON_NOT_NEEDED);
  outbox.Send(release);
  return absl::OkStatus();
}

absl::Status AgentAssignment::OnWake(std::string_view order_id, absl::Time, OwnTables& tables,
                                     Outbox& outbox) {
  if (First(tables, "SELECT order_id FROM search WHERE order_id = ?", order_id).empty())
    return absl::OkStatus();
  v1::MarkNoAgentAvailableRequest none;
  none.set_order_id(std::string(order_id));
  for (Rows rows =
           tables.Query("SELECT agent_id FROM tried WHERE order_id = ? ORDER BY agent_id LIMIT ?",
                        order_id, kTriedAgentsMax);
       rows.Next();) {
    none.add_tried(rows.Text(0));
  }
  outbox.Send(none);
  GiveUp(order_id, tables, outbox);
  return absl::OkStatus();
}

}  // namespace leftfold::orders
