#include "domains/orders/restaurant_approval.h"

#include <string>

#include "core/timestamp.h"
#include "domains/orders/deadlines.h"
#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
namespace {

constexpr char kAutomatic[] = "automatic";  // Who approves.

}  // namespace

absl::Status RestaurantApproval::React(const v1::RestaurantRegistered& event, const EventMeta& meta,
                                       OwnTables& tables, Outbox&) {
  if (event.approval_mode() == v1::APPROVAL_MODE_AUTO)
    tables.Exec("INSERT INTO automatic VALUES (?)", meta.aggregate_id());
  return absl::OkStatus();
}

absl::Status RestaurantApproval::React(const v1::OrderPaid&, const EventMeta& meta, OwnTables&,
                                       Outbox& outbox) {
  v1::RequestApprovalRequest request;
  request.set_order_id(std::string(meta.aggregate_id()));
  *request.mutable_respond_by() = ToProto(meta.recorded_at() + kRespondWithin);
  outbox.Send(request);
  return absl::OkStatus();
}

absl::Status RestaurantApproval::React(const v1::ApprovalRequested& event, const EventMeta& meta,
                                       OwnTables& tables, Outbox& outbox) {
  Rows rows =
      tables.Query("SELECT 1 FROM automatic WHERE restaurant_id = ?", event.restaurant_id());
  if (!rows.Next()) return absl::OkStatus();
  v1::ApproveOrderRequest approve;
  approve.set_order_id(std::string(meta.aggregate_id()));
  approve.set_restaurant_id(event.restaurant_id());
  approve.set_prep_minutes(kAutoPrepMinutes);
  approve.set_by(kAutomatic);
  outbox.Send(approve);
  return absl::OkStatus();
}

}  // namespace leftfold::orders
