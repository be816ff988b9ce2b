#ifndef DOMAINS_ORDERS_DOCUMENTS_H_
#define DOMAINS_ORDERS_DOCUMENTS_H_

#include <absl/status/statusor.h>
#include <fmt/format.h>
#include <google/protobuf/repeated_ptr_field.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "core/documents.h"
#include "core/page.h"
#include "core/reject.h"
#include "core/view.h"
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

// The page that `query` asks for. `select(after, limit)` gives rows of a position, an id and a
// document (of a `what`), by position.
template <class Query, class Response, class Document, class Select>
absl::StatusOr<Response> DocumentPage(
    const Query& query, std::string_view what,
    google::protobuf::RepeatedPtrField<Document>* (Response::*documents)(), Select select) {
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  const absl::StatusOr<std::int64_t> after =
      page->NumberAfter(0, std::numeric_limits<std::int64_t>::max());
  if (!after.ok()) return after.status();
  std::int64_t last = *after;
  Response response;
  auto& shown = *(response.*documents)();
  std::size_t bytes = 0;
  Rows rows = select(last, page->size() + 1);
  while (rows.Next()) {
    if (shown.size() == page->size() || bytes >= kPageBytesMax) {
      response.set_next_page_token(page->TokenAfter(fmt::to_string(last)));
      break;
    }
    last = rows.Int(0);
    bytes += rows.Blob(2).size();
    if (!Decode(rows.Blob(2), *shown.Add())) return BrokenRow(what, rows.TextView(1));
  }
  return response;
}

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_DOCUMENTS_H_
