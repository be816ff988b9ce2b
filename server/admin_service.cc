#include "server/admin_service.h"

#include "core/reject.h"
#include "rpc/status.h"

namespace leftfold {
namespace {

admin::v1::ViewStatus::State ToProto(ViewState state) {
  switch (state) {
    case ViewState::kCatchingUp:
      return admin::v1::ViewStatus::STATE_CATCHING_UP;
    case ViewState::kLive:
      return admin::v1::ViewStatus::STATE_LIVE;
    case ViewState::kStopped:
      return admin::v1::ViewStatus::STATE_STOPPED;
  }
  return admin::v1::ViewStatus::STATE_UNSPECIFIED;
}

absl::StatusOr<RebuildAction> ActionOf(const admin::v1::RebuildViewRequest& request) {
  switch (request.action()) {
    case admin::v1::RebuildViewRequest::ACTION_SWITCH:
      return RebuildAction::kSwitch;
    case admin::v1::RebuildViewRequest::ACTION_VERIFY:
      return RebuildAction::kVerify;
    case admin::v1::RebuildViewRequest::ACTION_KEEP:
      return RebuildAction::kKeep;
    default:
      break;
  }
  Violations violations;
  violations.Add("action", "must be ACTION_SWITCH, ACTION_VERIFY or ACTION_KEEP");
  return violations.ToStatus();
}

admin::v1::RebuildViewResponse ToProto(const RebuildProgress& progress) {
  admin::v1::RebuildViewResponse response;
  response.set_done(progress.done);
  response.set_total(progress.total);
  if (!progress.finished) return response;
  auto* outcome = response.mutable_outcome();
  outcome->set_position(progress.position.value);
  outcome->set_generation(progress.generation);
  outcome->set_equal(progress.equal);
  outcome->set_difference(progress.difference);
  outcome->set_file(progress.file);
  return response;
}

// Operators are told of a full disk, which clients of the other APIs are not.
grpc::Status ToOperator(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status) || rpc::IsForClients(status)) return rpc::ToGrpc(status);
  return rpc::ToGrpc(Reject(core::v1::ERROR_REASON_DISK_FULL,
                            fmt::format("the disk with the data folder is full: free space and try "
                                        "again ({})",
                                        ToStd(status.message()))));
}

}  // namespace

grpc::Status AdminService::GetLog(grpc::ServerContext*, const admin::v1::GetLogRequest*,
                                  admin::v1::GetLogResponse* response) {
  const StoreStatus status = store_.GetStatus();
  response->set_head_position(store_.GetHead().position.value);
  response->set_file_bytes(status.file_bytes);
  response->set_wal_bytes(status.wal_bytes);
  response->set_queued_appends(static_cast<std::int64_t>(status.queued_appends));
  response->set_unanswered_bytes(static_cast<std::int64_t>(status.unanswered_bytes));
  return grpc::Status::OK;
}

grpc::Status AdminService::ListViews(grpc::ServerContext*, const admin::v1::ListViewsRequest*,
                                     admin::v1::ListViewsResponse* response) {
  for (const ViewStatus& status : projector_.ListViews()) {
    auto* view = response->add_views();
    view->set_name(status.name);
    view->set_version(status.version);
    view->set_generation(status.generation);
    view->set_state(ToProto(status.state));
    view->set_checkpoint(status.checkpoint.value);
    view->set_lag_events(status.lag_events);
    view->set_reason(status.reason);
    view->set_duplicates_ignored(status.duplicates_ignored);
  }
  return grpc::Status::OK;
}

grpc::Status AdminService::RebuildView(grpc::ServerContext* context,
                                       const admin::v1::RebuildViewRequest* request,
                                       grpc::ServerWriter<admin::v1::RebuildViewResponse>* writer) {
  const auto action = ActionOf(*request);
  if (!action.ok()) return rpc::ToGrpc(action.status());
  auto rebuild =
      projector_.NewRebuild(request->view(), *action, Position{request->until_position()});
  if (!rebuild.ok()) return ToOperator(rebuild.status());
  while (true) {
    if (context->IsCancelled())
      return grpc::Status(grpc::StatusCode::CANCELLED, "the rebuild is abandoned");
    if (stopping_)
      return rpc::ToGrpc(
          Reject(core::v1::ERROR_REASON_STOPPING, "the server is stopping; start it again later"));
    const auto progress = (*rebuild)->Step();
    if (!progress.ok()) return ToOperator(progress.status());
    if (!writer->Write(ToProto(*progress)))
      return grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone");
    if (progress->finished) return grpc::Status::OK;
  }
}

}  // namespace leftfold
