#include "domains/orders/notify_customer.h"

#include <fmt/format.h>

#include <algorithm>

#include "domains/orders/customer.h"
#include "domains/orders/order.h"

namespace leftfold::orders {

absl::Status NotifyCustomer::React(const v1::OrderPlaced& event, const EventMeta& meta,
                                   OwnTables& tables, Outbox&) {
  const auto customer = tables.Load<Customer>(event.customer_id());
  if (!customer.ok()) return customer.status();
  if (customer->email().empty()) return absl::OkStatus();
  tables.Exec("INSERT INTO addressee VALUES (?, ?)", meta.aggregate_id(), customer->email());
  return absl::OkStatus();
}

absl::Status NotifyCustomer::React(const v1::OrderPaymentDeclined& event, const EventMeta& meta,
                                   OwnTables& tables, Outbox& outbox) {
  if (event.attempts_left() == 0) {
    const auto order = tables.Load<Order>(meta.aggregate_id());
    if (!order.ok()) return order.status();
    if (order->status() != v1::ORDER_STATUS_PAYMENT_FAILED) {
      Forget(meta, tables);
      return absl::OkStatus();
    }
  }
  Tell(TextOf(event), meta, tables, outbox);
  return absl::OkStatus();
}

absl::Status NotifyCustomer::React(const v1::OrderCancelled& event, const EventMeta& meta,
                                   OwnTables& tables, Outbox& outbox) {
  const auto order = tables.Load<Order>(meta.aggregate_id());
  if (!order.ok()) return order.status();
  if (event.by() != order->customer_id()) Tell(TextOf(event), meta, tables, outbox);
  ForgetUnlessPaid(*order, meta, tables);
  return absl::OkStatus();
}

absl::Status NotifyCustomer::React(const v1::OrderExpired& event, const EventMeta& meta,
                                   OwnTables& tables, Outbox& outbox) {
  const auto order = tables.Load<Order>(meta.aggregate_id());
  if (!order.ok()) return order.status();
  Tell(TextOf(event), meta, tables, outbox);
  ForgetUnlessPaid(*order, meta, tables);
  return absl::OkStatus();
}

void NotifyCustomer::Tell(const std::string& text, const EventMeta& meta, OwnTables& tables,
                          Outbox& outbox) {
  Rows rows = tables.Query("SELECT email FROM addressee WHERE order_id = ?", meta.aggregate_id());
  if (!rows.Next()) return;
  outbox.Mail(rows.TextView(0), fmt::format("Your order {}", meta.aggregate_id()), text + ".");
}

void NotifyCustomer::Forget(const EventMeta& meta, OwnTables& tables) {
  tables.Exec("DELETE FROM addressee WHERE order_id = ?", meta.aggregate_id());
}

void NotifyCustomer::ForgetUnlessPaid(const v1::OrderState& order, const EventMeta& meta,
                                      OwnTables& tables) {
  const auto& attempts = order.attempts();
  const bool paid = std::any_of(attempts.begin(), attempts.end(), [](const auto& attempt) {
    return attempt.outcome() != v1::PAYMENT_OUTCOME_DECLINED;
  });
  if (!paid) Forget(meta, tables);
}

}  // namespace leftfold::orders
