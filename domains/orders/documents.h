#ifndef DOMAINS_ORDERS_DOCUMENTS_H_
#define DOMAINS_ORDERS_DOCUMENTS_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"

// What several views of orders say in the same way.
namespace leftfold::orders {

// A page ends with the row that reaches this. With the largest row (an order of kOrderLinesMax
// lines, 30 KiB) it stays below the 4 MiB that gRPC clients take by default.
inline constexpr std::size_t kPageBytesMax = 2 << 20;

inline absl::Status NoSuchOrder(std::string_view order_id) {
  return Reject(v1::ERROR_REASON_ORDER_NOT_FOUND, fmt::format("no such order id {}", order_id),
                {{"order_id", std::string(order_id)}});
}

inline absl::Status NoSuchBulkPayment(std::string_view bulk_payment_id) {
  return Reject(v1::ERROR_REASON_BULK_PAYMENT_NOT_FOUND,
                fmt::format("there is no bulk payment {}", bulk_payment_id),
                {{"bulk_payment_id", std::string(bulk_payment_id)}});
}

// A stored row that does not decode; the view needs to be rebuilt.
inline absl::Status BrokenRow(std::string_view order_id) {
  return Error(absl::StatusCode::kInternal, "the stored row of order {} does not decode", order_id);
}

template <class Message>
bool Decode(std::string_view bytes, Message& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_DOCUMENTS_H_
