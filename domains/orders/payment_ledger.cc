#include "domains/orders/payment_ledger.h"

#include <absl/time/time.h>

#include <string>

#include "core/page.h"
#include "core/reject.h"
#include "domains/orders/start_charge.h"

namespace leftfold::orders {
namespace {

// Greater than every id, day and currency, which are printable ASCII.
constexpr const char* kAfterAll = "\x7f";

// What an event moves, in minor units.
struct Booking {
  std::int64_t captured = 0;
  std::int64_t refunded = 0;
  std::int64_t delivered = 0;
  std::int64_t open = 0;
};

// Adds to all totals that the order's money belongs to.
void Book(const std::string& restaurant_id, const std::string& currency, const Booking& booking,
          const EventMeta& meta, WriteTx& tx) {
  const std::string day = absl::FormatTime("%Y-%m-%d", meta.recorded_at(), absl::UTCTimeZone());
  tx.Exec(
      "INSERT INTO total (restaurant_id, day, currency, captured, refunded, delivered, open) "
      "VALUES ('', '', ?3, ?4, ?5, ?6, ?7), (?1, '', ?3, ?4, ?5, ?6, ?7), "
      "('', ?2, ?3, ?4, ?5, ?6, ?7), (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
      "ON CONFLICT DO UPDATE SET captured = captured + excluded.captured, "
      "refunded = refunded + excluded.refunded, delivered = delivered + excluded.delivered, "
      "open = open + excluded.open",
      restaurant_id, day, currency, booking.captured, booking.refunded, booking.delivered,
      booking.open);
}

// Books what a payment for an order says; `add` adds the amount to the order's row.
template <class Event>
void BookPayment(std::string_view add, const Event& event, const Booking& booking,
                 const EventMeta& meta, WriteTx& tx) {
  if (event.purpose().kind() != kOrderPurpose) return;
  for (Rows rows = tx.Query(add, event.amount_minor(), event.purpose().ref_id()); rows.Next();)
    Book(rows.Text(0), event.currency(), booking, meta, tx);
}

// The keys of the rows to be sent: after (key, currency), up to `last`.
struct Range {
  std::string key;
  std::string currency;
  std::string last;
};

// `only` is the only key, or empty where all are asked for. INVALID_PAGE_TOKEN where the page's key
// is none that a page ends with.
absl::StatusOr<Range> RangeOf(const Page& page, const std::string& only) {
  const std::string last = only.empty() ? kAfterAll : only;
  if (page.after().empty()) {
    // Totals have the key "".
    return only.empty() ? Range{"", kAfterAll, last} : Range{only, "", last};
  }
  const std::size_t end = page.after().find('\n');
  if (end == std::string::npos || end == 0) return InvalidPageToken();
  return Range{page.after().substr(0, end), page.after().substr(end + 1), last};
}

Rows SelectOrders(const v1::GetLedgerRequest& query, const Page& page, ReadTx& tx) {
  const std::string after = page.after().substr(0, page.after().find('\n'));
  if (query.restaurant_id().empty()) {
    return tx.Query(
        "SELECT order_id, currency, captured, refunded, delivered, open FROM placed "
        "INDEXED BY paid WHERE captured > 0 AND order_id > ? ORDER BY order_id LIMIT ?",
        after, page.size() + 1);
  }
  return tx.Query(
      "SELECT order_id, currency, captured, refunded, delivered, open FROM placed "
      "INDEXED BY paid_of_restaurant WHERE captured > 0 AND restaurant_id = ? AND order_id > ? "
      "ORDER BY order_id LIMIT ?",
      query.restaurant_id(), after, page.size() + 1);
}

Rows SelectRestaurants(const std::string& day, const Range& range, int limit, ReadTx& tx) {
  return tx.Query(
      "SELECT restaurant_id, currency, captured, refunded, delivered, open FROM total "
      "INDEXED BY total_by_day WHERE day = ? AND (restaurant_id, currency) > (?, ?) "
      "AND restaurant_id <= ? ORDER BY restaurant_id, currency LIMIT ?",
      day, range.key, range.currency, range.last, limit);
}

Rows SelectDays(const std::string& restaurant_id, const Range& range, int limit, ReadTx& tx) {
  return tx.Query(
      "SELECT day, currency, captured, refunded, delivered, open FROM total "
      "WHERE restaurant_id = ? AND (day, currency) > (?, ?) AND day <= ? "
      "ORDER BY day, currency LIMIT ?",
      restaurant_id, range.key, range.currency, range.last, limit);
}

void ReadRow(const Rows& rows, v1::LedgerRow& row) {
  row.set_key(rows.Text(0));
  row.set_currency(rows.Text(1));
  row.set_captured_minor(rows.Int(2));
  row.set_refunded_minor(rows.Int(3));
  row.set_net_minor(rows.Int(2) - rows.Int(3));
  row.set_delivered_minor(rows.Int(4));
  row.set_open_minor(rows.Int(5));
}

void AddChecks(v1::GetLedgerResponse& response, ReadTx& tx) {
  Rows rows = tx.Query(
      "SELECT currency, captured, refunded, delivered, open FROM total "
      "WHERE restaurant_id = '' AND day = '' ORDER BY currency");
  while (rows.Next()) {
    v1::LedgerCheck& check = *response.add_checks();
    check.set_currency(rows.Text(0));
    check.set_captured_minor(rows.Int(1));
    check.set_refunded_minor(rows.Int(2));
    check.set_delivered_minor(rows.Int(3));
    check.set_open_minor(rows.Int(4));
    check.set_difference_minor(rows.Int(1) - rows.Int(2) - rows.Int(3) - rows.Int(4));
  }
}

absl::Status CheckQuery(const v1::GetLedgerRequest& query) {
  Violations violations;
  if (query.group() == v1::LEDGER_GROUP_UNSPECIFIED || !v1::LedgerGroup_IsValid(query.group())) {
    violations.Add("group", "must be order, restaurant or day");
  }
  if (query.group() == v1::LEDGER_GROUP_ORDER && !query.day().empty()) {
    violations.Add("day", "must be empty where rows are of orders");
  }
  return violations.ToStatus();
}

}  // namespace

void PaymentLedger::On(const v1::OrderPlaced& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec(
      "INSERT OR REPLACE INTO placed (order_id, restaurant_id, currency, captured, refunded, "
      "delivered, open, refunding) VALUES (?, ?, '', 0, 0, 0, 0, 0)",
      meta.aggregate_id(), event.restaurant_id());
}

void PaymentLedger::On(const v1::OrderValidated& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE placed SET currency = ? WHERE order_id = ?", event.currency(),
          meta.aggregate_id());
}

void PaymentLedger::On(const v1::OrderPaid& event, const EventMeta& meta, WriteTx& tx) {
  for (Rows rows = tx.Query(
           "UPDATE placed SET open = open + ? WHERE order_id = ? RETURNING restaurant_id, currency",
           event.amount_minor(), meta.aggregate_id());
       rows.Next();) {
    Book(rows.Text(0), rows.Text(1), {.open = event.amount_minor()}, meta, tx);
  }
}

void PaymentLedger::On(const payments::v1::PaymentSucceeded& event, const EventMeta& meta,
                       WriteTx& tx) {
  BookPayment(
      "UPDATE placed SET captured = captured + ? WHERE order_id = ? RETURNING restaurant_id", event,
      {.captured = event.amount_minor()}, meta, tx);
}

void PaymentLedger::On(const payments::v1::RefundSucceeded& event, const EventMeta& meta,
                       WriteTx& tx) {
  BookPayment(
      "UPDATE placed SET refunded = refunded + ? WHERE order_id = ? RETURNING restaurant_id", event,
      {.refunded = event.amount_minor()}, meta, tx);
}

void PaymentLedger::On(const v1::OrderDelivered&, const EventMeta& meta, WriteTx& tx) {
  for (Rows rows = tx.Query(
           "UPDATE placed SET delivered = open, open = 0 "
           "WHERE order_id = ? AND delivered = 0 RETURNING restaurant_id, currency, delivered",
           meta.aggregate_id());
       rows.Next();) {
    Book(rows.Text(0), rows.Text(1), {.delivered = rows.Int(2), .open = -rows.Int(2)}, meta, tx);
  }
}

void PaymentLedger::On(const v1::RefundRequested& event, const EventMeta& meta, WriteTx& tx) {
  tx.Exec("UPDATE placed SET refunding = ? WHERE order_id = ?", event.amount_minor(),
          meta.aggregate_id());
}

void PaymentLedger::On(const v1::OrderRefunded&, const EventMeta& meta, WriteTx& tx) {
  for (Rows rows = tx.Query("SELECT restaurant_id, currency, refunding FROM placed "
                            "WHERE order_id = ? AND refunding > 0",
                            meta.aggregate_id());
       rows.Next();) {
    Book(rows.Text(0), rows.Text(1), {.open = -rows.Int(2)}, meta, tx);
  }
  tx.Exec("UPDATE placed SET open = open - refunding, refunding = 0 WHERE order_id = ?",
          meta.aggregate_id());
}

absl::StatusOr<v1::GetLedgerResponse> PaymentLedger::Answer(const v1::GetLedgerRequest& query,
                                                            ReadTx& tx) {
  LEFTFOLD_RETURN_IF_ERROR(CheckQuery(query));
  const absl::StatusOr<Page> page = Page::Of(query);
  if (!page.ok()) return page.status();
  const bool of_days = query.group() == v1::LEDGER_GROUP_DAY;
  const absl::StatusOr<Range> range = RangeOf(*page, of_days ? query.day() : query.restaurant_id());
  if (!range.ok()) return range.status();
  v1::GetLedgerResponse response;
  AddChecks(response, tx);
  const int limit = page->size() + 1;
  Rows rows = query.group() == v1::LEDGER_GROUP_ORDER ? SelectOrders(query, *page, tx)
              : of_days ? SelectDays(query.restaurant_id(), *range, limit, tx)
                        : SelectRestaurants(query.day(), *range, limit, tx);
  while (rows.Next()) {
    if (response.rows_size() == page->size()) {
      const v1::LedgerRow& last = *response.rows().rbegin();
      response.set_next_page_token(page->TokenAfter(last.key() + "\n" + last.currency()));
      break;
    }
    ReadRow(rows, *response.add_rows());
  }
  return response;
}

}  // namespace leftfold::orders
