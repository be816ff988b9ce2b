#include "domains/orders/order_timeline.h"

#include <absl/time/time.h>
#include <fmt/format.h>

#include <limits>

#include "core/page.h"
#include "core/timestamp.h"
#include "domains/orders/documents.h"

namespace leftfold::orders {

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
