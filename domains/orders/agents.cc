#include "domains/orders/agents.h"

#include "core/page.h"
#include "core/reject.h"
#include "core/timestamp.h"
#include "domains/orders/documents.h"

namespace leftfold::orders {
namespace {

void SetStatus(v1::AgentStatus status, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE agent SET version = ?, status = ? WHERE agent_id = ?", meta.version(),
          static_cast<std::int32_t>(status), meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

absl::Status NoSuchAgent(const std::string& agent_id) {
  return Reject(v1::ERROR_REASON_AGENT_NOT_FOUND, "there is no agent " + agent_id,
                {{"agent_id", agent_id}});
}

void ReadRow(const Rows& rows, v1::Agent& agent) {
  agent.set_agent_id(rows.Text(0));
  agent.set_version(rows.Int(1));
  agent.set_name(rows.Text(2));
  agent.set_status(static_cast<v1::AgentStatus>(rows.Int(3)));
  agent.set_order_id(rows.Text(4));
  agent.set_orders(rows.Int(5));
  agent.set_delivered(rows.Int(6));
  agent.set_failed(rows.Int(7));
}

// The agents that `request` (a query or watch of them) is about, in the order of their ids.
template <class Request>
Rows SelectAgents(const Request& request, std::string_view after, int limit, ReadTx& tx) {
  if (request.status() == v1::AGENT_STATUS_UNSPECIFIED) {
    return tx.Query(
        "SELECT agent_id, version, name, status, order_id, orders, delivered, failed FROM agent "
        "WHERE agent_id > ? ORDER BY agent_id LIMIT ?",
        after, limit);
  }
  return tx.Query(
      "SELECT agent_id, version, name, status, order_id, orders, delivered, failed FROM agent "
      "INDEXED BY agent_by_status WHERE status = ? AND agent_id > ? ORDER BY agent_id LIMIT ?",
      static_cast<std::int32_t>(request.status()), after, limit);
}

v1::JobState StateOf(bool has_it, bool picked_up) {
  if (!has_it) return v1::JOB_STATE_RESERVED;
  return picked_up ? v1::JOB_STATE_TO_DELIVER : v1::JOB_STATE_TO_PICK_UP;
}

// Without a job for an agent who has none to do.
template <class Response>
absl::StatusOr<Response> FindJob(const std::string& agent_id, ReadTx& tx) {
  Rows rows = tx.Query(
      "SELECT j.document, j.ready_at, j.agent_id IS a.agent_id, j.picked_up, j.order_id "
      "FROM agent AS a LEFT JOIN job AS j ON j.order_id = a.order_id WHERE a.agent_id = ?",
      agent_id);
  if (!rows.Next()) return NoSuchAgent(agent_id);
  Response response;
  if (rows.IsNull(0)) return response;
  v1::AgentJob& job = *response.mutable_job();
  if (!Decode(rows.Blob(0), job)) return BrokenRow("order", rows.TextView(4));
  if (!rows.IsNull(1)) *job.mutable_ready_at() = ToProto(absl::FromUnixMicros(rows.Int(1)));
  job.set_state(StateOf(rows.Int(2) != 0, rows.Int(3) != 0));
  return response;
}

}  // namespace

void Agents::On(const v1::AgentRegistered& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "INSERT OR REPLACE INTO agent (agent_id, version, name, status, order_id, orders, delivered, "
      "failed) VALUES (?, ?, ?, ?, '', 0, 0, 0)",
      meta.aggregate_id(), meta.version(), event.name(),
      static_cast<std::int32_t>(v1::AGENT_STATUS_OFFLINE));
  tx.Touch(meta.aggregate_id());
}

void Agents::On(const v1::AgentWentOnline&, const EventMeta& meta, WriteTx& tx) {
  SetStatus(v1::AGENT_STATUS_FREE, meta, tx);
}

void Agents::On(const v1::AgentWentOffline&, const EventMeta& meta, WriteTx& tx) {
  SetStatus(v1::AGENT_STATUS_OFFLINE, meta, tx);
}

void Agents::On(const v1::AgentReserved& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "UPDATE agent SET version = ?, status = ?, order_id = ?, orders = orders + 1 "
      "WHERE agent_id = ?",
      meta.version(), static_cast<std::int32_t>(v1::AGENT_STATUS_BUSY), event.order_id(),
      meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

void Agents::On(const v1::AgentReleased& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "UPDATE agent SET version = ?, status = ?, order_id = '', delivered = delivered + ?, "
      "failed = failed + ? WHERE agent_id = ?",
      meta.version(), static_cast<std::int32_t>(v1::AGENT_STATUS_FREE),
      event.reason() == v1::RELEASE_REASON_DELIVERED,
      event.reason() == v1::RELEASE_REASON_DELIVERY_FAILED, meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

void Agents::On(const v1::OrderPlaced& event, const EventMeta& meta, WriteTx& tx) {
  v1::AgentJob job;
  job.set_order_id(std::string(meta.aggregate_id()));
  job.set_restaurant_id(event.restaurant_id());
  job.set_customer_id(event.customer_id());
  job.set_address(event.address());
  *job.mutable_lines() = event.lines();
  const std::string document = job.SerializeAsString();
  tx.Exec("INSERT OR REPLACE INTO job (order_id, document, picked_up) VALUES (?, ?, 0)",
          meta.aggregate_id(), AsBlob{document});
}

void Agents::On(const v1::OrderApproved& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE job SET ready_at = ? WHERE order_id = ?",
          absl::ToUnixMicros(FromProto(event.ready_at())), meta.aggregate_id());
}

void Agents::On(const v1::AgentAssigned& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE job SET agent_id = ? WHERE order_id = ?", event.agent_id(), meta.aggregate_id());
  tx.Touch(event.agent_id());
}

void Agents::On(const v1::AgentUnassigned& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE job SET agent_id = NULL WHERE order_id = ?", meta.aggregate_id());
  tx.Touch(event.agent_id());
}

void Agents::On(const v1::FoodPickedUp& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE job SET picked_up = 1 WHERE order_id = ?", meta.aggregate_id());
  tx.Touch(event.agent_id());
}

void Agents::EndJob(const EventMeta& meta, WriteTx& tx) {
  std::string agent_id;
  for (Rows rows =
           tx.Query("DELETE FROM job WHERE order_id = ? RETURNING agent_id", meta.aggregate_id());
       rows.Next();) {
    agent_id = rows.Text(0);
  }
  if (!agent_id.empty()) tx.Touch(agent_id);
}

absl::StatusOr<v1::ListAgentsResponse> Agents::Answer(const v1::ListAgentsRequest& query,
                                                      ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  v1::ListAgentsResponse response;
  Rows rows = SelectAgents(query, page->after(), page->size() + 1, tx);
  while (rows.Next()) {
    if (response.agents_size() == page->size()) {
      response.set_next_page_token(page->TokenAfter(response.agents().rbegin()->agent_id()));
      break;
    }
    ReadRow(rows, *response.add_agents());
  }
  return response;
}

absl::StatusOr<v1::GetAgentJobResponse> Agents::Answer(const v1::GetAgentJobRequest& query,
                                                       ReadTx& tx) {
  return FindJob<v1::GetAgentJobResponse>(query.agent_id(), tx);
}

bool Agents::Matches(const v1::WatchAgentsRequest& watch, std::string_view key, ReadTx& tx) {
  Rows rows = tx.Query("SELECT status FROM agent WHERE agent_id = ?", key);
  return rows.Next() &&
         (watch.status() == v1::AGENT_STATUS_UNSPECIFIED || rows.Int(0) == watch.status());
}

std::vector<std::string> Agents::Keys(const v1::WatchAgentsRequest& watch, std::string_view after,
                                      int limit, ReadTx& tx) {
  std::vector<std::string> keys;
  Rows rows = SelectAgents(watch, after, limit, tx);
  while (rows.Next()) keys.push_back(rows.Text(0));
  return keys;
}

absl::StatusOr<v1::WatchAgentsResponse> Agents::Answer(const v1::WatchAgentsRequest&,
                                                       std::string_view key, ReadTx& tx) {
  Rows rows = tx.Query(
      "SELECT agent_id, version, name, status, order_id, orders, delivered, failed FROM agent "
      "WHERE agent_id = ?",
      key);
  if (!rows.Next()) return NoSuchAgent(std::string(key));
  v1::WatchAgentsResponse response;
  ReadRow(rows, *response.mutable_agent());
  return response;
}

absl::StatusOr<v1::WatchAgentJobResponse> Agents::Answer(const v1::WatchAgentJobRequest& watch,
                                                         ReadTx& tx) {
  return FindJob<v1::WatchAgentJobResponse>(watch.agent_id(), tx);
}

}  // namespace leftfold::orders
