#include "domains/orders/deadlines.h"

#include <string>

#include "core/timestamp.h"
#include "leftfold/orders/v1/commands.pb.h"

namespace leftfold::orders {
namespace {

absl::Status ExpireAfter(absl::Duration delay, v1::OrderStage stage, const EventMeta& meta,
                         Outbox& outbox) {
  v1::ExpireOrderRequest expire;
  expire.set_order_id(std::string(meta.aggregate_id()));
  expire.set_stage(stage);
  outbox.SendAt(meta.recorded_at() + delay, meta.aggregate_id(), expire);
  return absl::OkStatus();
}

}  // namespace

absl::Status Deadlines::React(const v1::OrderPlaced&, const EventMeta& meta, OwnTables&,
                              Outbox& outbox) {
  return ExpireAfter(kValidateWithin, v1::ORDER_STAGE_VALIDATION, meta, outbox);
}

absl::Status Deadlines::React(const v1::OrderValidated&, const EventMeta& meta, OwnTables&,
                              Outbox& outbox) {
  return ExpireAfter(kPayWithin, v1::ORDER_STAGE_PAYMENT, meta, outbox);
}

absl::Status Deadlines::React(const v1::OrderPaid&, const EventMeta& meta, OwnTables&,
                              Outbox& outbox) {
  return ExpireAfter(kAskWithin, v1::ORDER_STAGE_APPROVAL, meta, outbox);
}

absl::Status Deadlines::React(const v1::ApprovalRequested& event, const EventMeta& meta, OwnTables&,
                              Outbox& outbox) {
  v1::TimeOutApprovalRequest time_out;
  time_out.set_order_id(std::string(meta.aggregate_id()));
  outbox.SendAt(FromProto(event.respond_by()), meta.aggregate_id(), time_out);
  return absl::OkStatus();
}

}  // namespace leftfold::orders
