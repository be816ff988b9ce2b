#ifndef DOMAINS_ORDERS_DOCUMENTS_H_
#define DOMAINS_ORDERS_DOCUMENTS_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/documents.h"
#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"

// What several views of orders say in the same way.
namespace leftfold::orders {

inline absl::Status NoSuchOrder(std::string_view order_id) {
  return Reject(v1::ERROR_REASON_ORDER_NOT_FOUND, fmt::format("no such order id {}", order_id),
                {{"order_id", std::string(order_id)}});
}

inline absl::Status NoSuchBulkPayment(std::string_view bulk_payment_id) {
  return Reject(v1::ERROR_REASON_BULK_PAYMENT_NOT_FOUND,
                fmt::format("there is no bulk payment {}", bulk_payment_id),
                {{"bulk_payment_id", std::string(bulk_payment_id)}});
}

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_DOCUMENTS_H_
