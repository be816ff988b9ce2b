#include "domains/orders/restaurant_queue.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include <limits>
#include <utility>

#include "core/page.h"
#include "core/timestamp.h"
#include "domains/orders/checks.h"
#include "domains/orders/documents.h"

namespace leftfold::orders {
namespace {

// The order after which a page begins, in the order of (respond_by, order_id).
struct Place {
  std::int64_t respond_by = std::numeric_limits<std::int64_t>::min();
  std::string order_id;
};

std::string ToKey(const Place& place) {
  return fmt::format("{}\n{}", place.respond_by, place.order_id);
}

absl::StatusOr<Place> PlaceOf(const std::string& key) {
  Place place;
  if (key.empty()) return place;
  const std::size_t end = key.find('\n');
  if (end == std::string::npos || !absl::SimpleAtoi(key.substr(0, end), &place.respond_by)) {
    return InvalidPageToken();
  }
  place.order_id = key.substr(end + 1);
  return place;
}

bool ReadRow(std::string_view document, std::int64_t respond_by, v1::PendingApproval& approval) {
  if (!Decode(document, approval)) return false;
  *approval.mutable_respond_by() = ToProto(absl::FromUnixMicros(respond_by));
  return true;
}

}  // namespace

void RestaurantQueue::On(const v1::OrderValidated& event, const EventMeta& meta, WriteTx& tx) {
  v1::PendingApproval approval;
  approval.set_order_id(std::string(meta.aggregate_id()));
  *approval.mutable_lines() = event.priced_lines();
  approval.set_total_minor(event.total_minor());
  approval.set_currency(event.currency());
  const std::string document = approval.SerializeAsString();
  tx.Exec("INSERT OR REPLACE INTO valid (order_id, document) VALUES (?, ?)", meta.aggregate_id(),
          AsBlob{document});
}

void RestaurantQueue::On(const v1::ApprovalRequested& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE valid SET restaurant_id = ?, respond_by = ? WHERE order_id = ?",
          event.restaurant_id(), absl::ToUnixMicros(FromProto(event.respond_by())),
          meta.aggregate_id());
  tx.Touch(meta.aggregate_id());
}

void RestaurantQueue::Remove(const EventMeta& meta, WriteTx& tx) {
  bool pending = false;
  for (Rows rows = tx.Query("DELETE FROM valid WHERE order_id = ? RETURNING respond_by",
                            meta.aggregate_id());
       rows.Next();) {
    pending = !rows.IsNull(0);
  }
  if (pending) tx.Touch(meta.aggregate_id());
}

absl::StatusOr<v1::ListPendingApprovalsResponse> RestaurantQueue::Answer(
    const v1::ListPendingApprovalsRequest& query, ReadTx& tx) {
  Violations violations;
  CheckId(query.restaurant_id(), "restaurant_id", violations);
  if (!violations.empty()) return violations.ToStatus();
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  absl::StatusOr<Place> place = PlaceOf(page->after());
  if (!place.ok()) return place.status();
  v1::ListPendingApprovalsResponse response;
  std::size_t bytes = 0;
  Rows rows = tx.Query(
      "SELECT order_id, document, respond_by FROM valid INDEXED BY pending "
      "WHERE respond_by IS NOT NULL AND restaurant_id = ? AND (respond_by, order_id) > (?, ?) "
      "ORDER BY respond_by, order_id LIMIT ?",
      query.restaurant_id(), place->respond_by, place->order_id, page->size() + 1);
  while (rows.Next()) {
    if (response.approvals_size() == page->size() || bytes >= kPageBytesMax) {
      response.set_next_page_token(page->TokenAfter(ToKey(*place)));
      break;
    }
    *place = {rows.Int(2), rows.Text(0)};
    bytes += rows.Blob(1).size();
    if (!ReadRow(rows.Blob(1), rows.Int(2), *response.add_approvals())) {
      return BrokenRow("order", place->order_id);
    }
  }
  return response;
}

bool RestaurantQueue::Matches(const v1::WatchPendingApprovalsRequest& watch, std::string_view key,
                              ReadTx& tx) {
  return tx
      .Query("SELECT 1 FROM valid WHERE order_id = ? AND restaurant_id = ?", key,
             watch.restaurant_id())
      .Next();
}

std::vector<std::string> RestaurantQueue::Keys(const v1::WatchPendingApprovalsRequest& watch,
                                               std::string_view after, int limit, ReadTx& tx) {
  std::vector<std::string> keys;
  Rows rows = tx.Query(
      "SELECT order_id FROM valid INDEXED BY pending_by_order "
      "WHERE respond_by IS NOT NULL AND restaurant_id = ? AND order_id > ? "
      "ORDER BY order_id LIMIT ?",
      watch.restaurant_id(), after, limit);
  while (rows.Next()) keys.push_back(rows.Text(0));
  return keys;
}

absl::StatusOr<v1::WatchPendingApprovalsResponse> RestaurantQueue::Answer(
    const v1::WatchPendingApprovalsRequest&, std::string_view key, ReadTx& tx) {
  Rows rows = tx.Query(
      "SELECT document, respond_by FROM valid WHERE order_id = ? AND respond_by IS NOT NULL", key);
  if (!rows.Next()) return NoSuchOrder(key);
  v1::WatchPendingApprovalsResponse response;
  if (!ReadRow(rows.Blob(0), rows.Int(1), *response.mutable_approval()))
    return BrokenRow("order", key);
  return response;
}

}  // namespace leftfold::orders
