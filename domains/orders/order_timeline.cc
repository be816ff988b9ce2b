#include "domains/orders/order_timeline.h"

#include <absl/time/time.h>
#include <fmt/format.h>

#include <limits>

#include "core/page.h"
#include "core/timestamp.h"
#include "domains/orders/documents.h"
#include "domains/orders/order_words.h"

namespace leftfold::orders {
namespace {

// "2026-01-31 09:30:00 UTC"
std::string TextOf(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", FromProto(time), absl::UTCTimeZone());
}

// " (why)" or nothing.
std::string InBrackets(const std::string& reason) {
  return reason.empty() ? "" : fmt::format(" ({})", reason);
}

}  // namespace

std::string TextOf(const v1::OrderPlaced& event) {
  return fmt::format("{} placed the order at {}, {} lines, for {}", event.customer_id(),
                     event.restaurant_id(), event.lines_size(), event.address());
}

std::string TextOf(const v1::OrderValidated& event) {
  return fmt::format("The order is valid and costs {} {}", event.total_minor(), event.currency());
}

std::string TextOf(const v1::OrderInvalidated& event) {
  return fmt::format("The order is invalid: {}", WordsOf(event));
}

std::string TextOf(const v1::PaymentRequested& event) {
  const std::string card = event.card_last4().empty() ? "" : " ending in " + event.card_last4();
  return fmt::format("Attempt {} to pay {} {} by {}{}", event.attempt_no(), event.amount_minor(),
                     event.currency(), event.method_type(), card);
}

std::string TextOf(const v1::OrderPaid& event) {
  return fmt::format("Paid: {}", event.amount_minor());
}

std::string TextOf(const v1::OrderPaymentDeclined& event) {
  return fmt::format("Attempt {} to pay was declined{}, {} left", event.attempt_no(),
                     InBrackets(event.decline_code()), event.attempts_left());
}

std::string TextOf(const v1::OrderPaymentFailed& event) {
  return fmt::format("The order could not be paid{}", InBrackets(event.reason()));
}

std::string TextOf(const v1::ApprovalRequested& event) {
  return fmt::format("{} was asked to answer until {}", event.restaurant_id(),
                     TextOf(event.respond_by()));
}

std::string TextOf(const v1::OrderApproved& event) {
  return fmt::format("{} approved the order, ready at {}", event.by(), TextOf(event.ready_at()));
}

std::string TextOf(const v1::OrderRejected& event) {
  return fmt::format("{} rejected the order{}", event.by(), InBrackets(event.reason()));
}

std::string TextOf(const v1::ApprovalTimedOut&) { return "The restaurant did not answer in time"; }

std::string TextOf(const v1::AgentSearchStarted& event) {
  return fmt::format("An agent is looked for until {}", TextOf(event.deadline()));
}

std::string TextOf(const v1::AgentAssigned& event) {
  return fmt::format("Agent {} has the order", event.agent_id());
}

std::string TextOf(const v1::AgentUnassigned& event) {
  return fmt::format("Agent {} does not have the order any more{}", event.agent_id(),
                     InBrackets(event.reason()));
}

std::string TextOf(const v1::NoAgentAvailable& event) {
  return fmt::format("No agent was found in time, {} were tried", event.tried_size());
}

std::string TextOf(const v1::FoodPickedUp& event) {
  return fmt::format("Agent {} picked up the food", event.agent_id());
}

std::string TextOf(const v1::OrderDelivered& event) {
  return fmt::format("Agent {} delivered the food", event.agent_id());
}

std::string TextOf(const v1::DeliveryFailed& event) {
  return fmt::format("Agent {} could not deliver the food{}", event.agent_id(),
                     InBrackets(event.reason()));
}

std::string TextOf(const v1::OrderCancelled& event) {
  return fmt::format("{} cancelled the order{}", event.by(), InBrackets(event.reason()));
}

std::string TextOf(const v1::OrderExpired& event) {
  return fmt::format("The order missed the deadline of its {}", WordsOf(event.stage()));
}

std::string TextOf(const v1::RefundRequested& event) {
  return fmt::format("Attempt {} to pay back {} ({})", event.attempt_no(), event.amount_minor(),
                     WordsOf(event.cause()));
}

std::string TextOf(const v1::OrderRefunded&) { return "The money is back with the customer"; }

std::string TextOf(const v1::RefundStuck& event) {
  return fmt::format("The money could not be paid back{}", InBrackets(event.error()));
}

void OrderTimeline::Record(const std::string& type, const std::string& text, const EventMeta& meta,
                           WriteTx& tx) {
  tx.Exec(
      "INSERT INTO entry (position, order_id, version, type, text, recorded_at, actor) "
      "VALUES (?, ?, ?, ?, ?, ?, ?)",
      meta.position(), meta.aggregate_id(), meta.version(), type, text,
      absl::ToUnixMicros(meta.recorded_at()), meta.metadata().actor());
}

absl::StatusOr<v1::GetTimelineResponse> OrderTimeline::Answer(const v1::GetTimelineRequest& query,
                                                              ReadTx& tx) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  const absl::StatusOr<std::int64_t> after =
      page->NumberAfter(0, std::numeric_limits<std::int64_t>::max());
  if (!after.ok()) return after.status();
  std::int64_t last = *after;
  v1::GetTimelineResponse response;
  Rows rows = tx.Query(
      "SELECT position, version, type, text, recorded_at, actor FROM entry "
      "INDEXED BY entry_of_order WHERE order_id = ? AND position > ? ORDER BY position LIMIT ?",
      query.order_id(), last, page->size() + 1);
  while (rows.Next()) {
    if (response.entries_size() == page->size()) {
      response.set_next_page_token(page->TokenAfter(fmt::to_string(last)));
      break;
    }
    last = rows.Int(0);
    v1::TimelineEntry& entry = *response.add_entries();
    entry.set_version(rows.Int(1));
    entry.set_type(rows.Text(2));
    entry.set_text(rows.Text(3));
    *entry.mutable_recorded_at() = ToProto(absl::FromUnixMicros(rows.Int(4)));
    entry.set_actor(rows.Text(5));
  }
  if (response.entries().empty() && *after == 0) return NoSuchOrder(query.order_id());
  return response;
}

}  // namespace leftfold::orders
