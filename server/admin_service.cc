#include "server/admin_service.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "core/page.h"
#include "core/reject.h"
#include "core/timestamp.h"
#include "rpc/services.h"
#include "rpc/status.h"
#include "server/operator.h"

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
    case ViewState::kRebuilding:
      return admin::v1::ViewStatus::STATE_REBUILDING;
    case ViewState::kPaused:
      return admin::v1::ViewStatus::STATE_PAUSED;
    case ViewState::kServed:
      return admin::v1::ViewStatus::STATE_SERVED;
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

// Of RebuildView and VerifyView.
template <class Response>
void AddComparison(const RebuildProgress& progress, Response& response) {
  if (!progress.finished) {
    response.set_phase(progress.comparing ? admin::v1::REBUILD_PHASE_COMPARING
                                          : admin::v1::REBUILD_PHASE_FOLDING);
  }
  response.set_compared_rows(progress.compared_rows);
  response.set_rows_to_compare(progress.rows_to_compare);
}

// Of RebuildView, VerifyView, SwitchView and RollbackView.
template <class Response>
Response ToProto(const RebuildProgress& progress) {
  Response response;
  response.set_done(progress.done);
  response.set_total(progress.total);
  if constexpr (requires { response.phase(); }) AddComparison(progress, response);
  if (!progress.finished) return response;
  auto* outcome = response.mutable_outcome();
  outcome->set_position(progress.position.value);
  outcome->set_generation(progress.generation);
  outcome->set_file(progress.file);
  outcome->set_not_compared(progress.not_compared);
  if (!progress.equal) return response;
  outcome->set_equal(*progress.equal);
  outcome->set_difference(progress.difference);
  outcome->set_content_hash(progress.content_hash);
  outcome->set_compared_position(progress.compared_at.value);
  return response;
}

admin::v1::ParkedEvent ToProto(const sql::ParkedEvent& event) {
  admin::v1::ParkedEvent proto;
  proto.set_position(event.position.value);
  proto.set_stream(event.stream);
  proto.set_event_id(event.event_id);
  proto.set_type(event.type);
  proto.set_reason(event.reason);
  if (!event.skip) return proto;
  proto.mutable_skip()->set_by(event.skip->by);
  proto.mutable_skip()->set_why(event.skip->why);
  *proto.mutable_skip()->mutable_at() = leftfold::ToProto(event.skip->at);
  return proto;
}

}  // namespace

absl::StatusOr<Projector*> AdminService::GetProjector(
    const google::protobuf::Message& request) const {
  LEFTFOLD_RETURN_IF_ERROR(rpc::CheckKnownFields(request));
  if (parts_.projector == nullptr) return RoleNotHere(parts_.data, Role::kProject);
  if (Projector* projector = *parts_.projector; projector != nullptr) return projector;
  return LogNotOpenYet();
}

grpc::Status AdminService::GetLog(grpc::ServerContext*, const admin::v1::GetLogRequest* request,
                                  admin::v1::GetLogResponse* response) {
  if (const auto known = rpc::CheckKnownFields(*request); !known.ok()) return rpc::ToGrpc(known);
  if (parts_.log == nullptr) return rpc::ToGrpc(RoleNotHere(parts_.data, Role::kWrite));
  const StoreStatus status = parts_.log->GetStatus();
  response->set_head_position(parts_.log->GetHead().position.value);
  response->set_file_bytes(status.file_bytes);
  response->set_wal_bytes(status.wal_bytes);
  response->set_queued_appends(static_cast<std::int64_t>(status.queued_appends));
  response->set_unanswered_bytes(static_cast<std::int64_t>(status.unanswered_bytes));
  return grpc::Status::OK;
}

grpc::Status AdminService::ListViews(grpc::ServerContext*,
                                     const admin::v1::ListViewsRequest* request,
                                     admin::v1::ListViewsResponse* response) {
  if (const auto known = rpc::CheckKnownFields(*request); !known.ok()) return rpc::ToGrpc(known);
  const auto projector = GetProjector(*request);
  if (!projector.ok() && parts_.list_served == nullptr) return rpc::ToGrpc(projector.status());
  for (const ViewStatus& status :
       projector.ok() ? (*projector)->ListViews() : parts_.list_served()) {
    auto* view = response->add_views();
    view->set_name(status.name);
    view->set_version(status.version);
    view->set_generation(status.generation);
    view->set_state(ToProto(status.state));
    view->set_checkpoint(status.checkpoint.value);
    view->set_lag_events(status.lag_events);
    view->set_lag_unknown(status.lag_unknown);
    view->set_reason(status.reason);
    view->set_duplicates_ignored(status.duplicates_ignored);
    if (status.oldest_unapplied < absl::InfiniteFuture()) {
      view->set_lag_seconds(
          std::max(0.0, absl::ToDoubleSeconds(parts_.clock.Now() - status.oldest_unapplied)));
    }
    view->set_bytes(status.bytes);
    view->set_parked_events(status.parked_events);
    for (const std::int64_t other : status.other_generations) view->add_other_generations(other);
    view->set_previous_generation(status.previous_generation);
  }
  return grpc::Status::OK;
}

grpc::Status AdminService::RebuildView(grpc::ServerContext* context,
                                       const admin::v1::RebuildViewRequest* request,
                                       grpc::ServerWriter<admin::v1::RebuildViewResponse>* writer) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  const auto action = ActionOf(*request);
  if (!action.ok()) return rpc::ToGrpc(action.status());
  return Run(
      *context,
      (*projector)->NewRebuild(request->view(), *action, Position{request->until_position()}),
      *writer);
}

grpc::Status AdminService::VerifyView(grpc::ServerContext* context,
                                      const admin::v1::VerifyViewRequest* request,
                                      grpc::ServerWriter<admin::v1::VerifyViewResponse>* writer) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  return Run(*context,
             (*projector)->NewRebuild(request->view(), RebuildAction::kVerify, kBeforeFirst),
             *writer);
}

grpc::Status AdminService::SwitchView(grpc::ServerContext* context,
                                      const admin::v1::SwitchViewRequest* request,
                                      grpc::ServerWriter<admin::v1::SwitchViewResponse>* writer) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  return Run(*context, (*projector)->NewSwitch(request->view(), request->generation()), *writer);
}

grpc::Status AdminService::RollbackView(
    grpc::ServerContext* context, const admin::v1::RollbackViewRequest* request,
    grpc::ServerWriter<admin::v1::RollbackViewResponse>* writer) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  return Run(*context, (*projector)->NewRollback(request->view()), *writer);
}

template <class Response>
grpc::Status AdminService::Run(grpc::ServerContext& context,
                               absl::StatusOr<std::unique_ptr<Rebuild>> rebuild,
                               grpc::ServerWriter<Response>& writer) {
  if (!rebuild.ok()) return ToOperator(rebuild.status());
  std::optional<std::tuple<std::int64_t, bool, std::int64_t, std::int64_t>> told;
  while (true) {
    if (context.IsCancelled())
      return grpc::Status(grpc::StatusCode::CANCELLED, "the rebuild is abandoned");
    if (stopping_) return rpc::ToGrpc(ServerStopping());
    const auto progress = (*rebuild)->Step();
    if (!progress.ok()) return ToOperator(progress.status());
    const std::tuple now(progress->done, progress->comparing, progress->compared_rows,
                         progress->rows_to_compare);
    if (std::exchange(told, now) == now && !progress->finished) continue;
    if (!writer.Write(ToProto<Response>(*progress)))
      return grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone");
    if (progress->finished) return grpc::Status::OK;
  }
}

grpc::Status AdminService::PauseView(grpc::ServerContext*,
                                     const admin::v1::PauseViewRequest* request,
                                     admin::v1::PauseViewResponse*) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  Violations violations;
  CheckRemark("why", request->why(), violations);
  if (!violations.empty()) return rpc::ToGrpc(violations.ToStatus());
  return ToOperator((*projector)->PauseView(request->view(), request->why()));
}

grpc::Status AdminService::ResumeView(grpc::ServerContext*,
                                      const admin::v1::ResumeViewRequest* request,
                                      admin::v1::ResumeViewResponse*) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  return ToOperator((*projector)->ResumeView(request->view()));
}

grpc::Status AdminService::ListParked(grpc::ServerContext*,
                                      const admin::v1::ListParkedRequest* request,
                                      admin::v1::ListParkedResponse* response) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  const auto page = Page::Of(*request);
  if (!page.ok()) return rpc::ToGrpc(page.status());
  const auto after = page->NumberAfter(0, std::numeric_limits<std::int64_t>::max());
  if (!after.ok()) return rpc::ToGrpc(after.status());
  const auto size = static_cast<std::size_t>(page->size());
  auto events = (*projector)->ListParked(request->view(), Position{*after}, size + 1);
  if (!events.ok()) return ToOperator(events.status());
  const bool more = events->size() > size;
  if (more) events->resize(size);
  for (const sql::ParkedEvent& event : *events) *response->add_events() = ToProto(event);
  if (more) {
    response->set_next_page_token(page->TokenAfter(fmt::to_string(events->back().position.value)));
  }
  return grpc::Status::OK;
}

grpc::Status AdminService::RetryParked(grpc::ServerContext*,
                                       const admin::v1::RetryParkedRequest* request,
                                       admin::v1::RetryParkedResponse* response) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  Violations violations;
  if (request->stream().empty()) violations.Add("stream", "must be given");
  if (!violations.empty()) return rpc::ToGrpc(violations.ToStatus());
  const auto retried = (*projector)->RetryParked(request->view(), request->stream());
  if (!retried.ok()) return ToOperator(retried.status());
  response->set_folded(retried->folded);
  response->set_parked(retried->parked);
  response->set_reason(retried->reason);
  return grpc::Status::OK;
}

grpc::Status AdminService::SkipParked(grpc::ServerContext*,
                                      const admin::v1::SkipParkedRequest* request,
                                      admin::v1::SkipParkedResponse*) {
  const auto projector = GetProjector(*request);
  if (!projector.ok()) return rpc::ToGrpc(projector.status());
  Violations violations;
  CheckRemark("by", request->by(), violations);
  CheckRemark("why", request->why(), violations);
  if (!violations.empty()) return rpc::ToGrpc(violations.ToStatus());
  return ToOperator(
      (*projector)
          ->SkipParked(request->view(), Position{request->position()},
                       {.by = request->by(), .why = request->why(), .at = parts_.clock.Now()}));
}

}  // namespace leftfold
