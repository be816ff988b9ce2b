#include "server/consumer_service.h"

#include <memory>
#include <string>
#include <utility>

#include "core/reject.h"
#include "server/operator.h"
#include "server/parked_page.h"
#include "server/retry_parked.h"
#include "server/stream_session.h"

namespace leftfold {
namespace {

namespace v1 = store::v1;

using Call = std::shared_ptr<rpc::UnaryCall>;

template <class Response>
void Finish(const Call& call, const absl::StatusOr<Response>& response) {
  response.ok() ? call->Finish(*response) : call->Finish(ForOperator(response.status()));
}

template <class Response>
absl::StatusOr<Response> WithGroup(absl::StatusOr<v1::GroupStatus> group) {
  if (!group.ok()) return group.status();
  Response response;
  *response.mutable_group() = *std::move(group);
  return response;
}

void CreateGroup(const ConsumerEngines& engines, const v1::CreateGroupRequest& request,
                 const Call& call) {
  Finish(call, WithGroup<v1::CreateGroupResponse>(engines.groups.Create(request.group())));
}

void ResetGroup(const ConsumerEngines& engines, const v1::ResetGroupRequest& request,
                const Call& call) {
  Finish(call, WithGroup<v1::ResetGroupResponse>(engines.groups.Reset(request)));
}

void DeleteGroup(const ConsumerEngines& engines, const v1::DeleteGroupRequest& request,
                 const Call& call) {
  const absl::Status deleted = engines.groups.Delete(request.group());
  if (!deleted.ok()) return call->Finish(ForOperator(deleted));
  call->Finish(v1::DeleteGroupResponse());
}

void ListGroups(const ConsumerEngines& engines, const v1::ListGroupsRequest&, const Call& call) {
  v1::ListGroupsResponse response;
  for (v1::GroupStatus& group : engines.groups.List()) *response.add_groups() = std::move(group);
  call->Finish(response);
}

void ListParked(const ConsumerEngines& engines, const v1::ListParkedRequest& request,
                const Call& call) {
  const auto reactor = engines.groups.ReactorOfGroup(request.group());
  if (!reactor.ok()) return call->Finish(reactor.status());
  v1::ListParkedResponse response;
  const absl::Status listed = ListParkedPage(engines.reactors, *reactor, request, response);
  if (!listed.ok()) return call->Finish(ForOperator(listed));
  call->Finish(response);
}

void ReplayParked(const ConsumerEngines& engines, const v1::ReplayParkedRequest& request,
                  const Call& call) {
  Violations violations;
  CheckBy(request.by(), violations);
  if (!violations.empty()) return call->Finish(violations.ToStatus());
  const auto reactor = engines.groups.ReactorOfGroup(request.group());
  if (!reactor.ok()) return call->Finish(reactor.status());
  RetryParkedKeys(engines.reactors, *reactor, request.key(), ActorOf(request.by()),
                  [call](const absl::StatusOr<RetriedKeys>& retried) {
                    if (!retried.ok()) return call->Finish(ForOperator(retried.status()));
                    v1::ReplayParkedResponse response;
                    response.set_keys(retried->keys);
                    call->Finish(response);
                  });
}

void SkipParked(const ConsumerEngines& engines, const v1::SkipParkedRequest& request,
                const Call& call) {
  Violations violations;
  CheckBy(request.by(), violations);
  CheckRemark("why", request.why(), violations);
  if (!violations.empty()) return call->Finish(violations.ToStatus());
  const auto reactor = engines.groups.ReactorOfGroup(request.group());
  if (!reactor.ok()) return call->Finish(reactor.status());
  engines.reactors.Skip(*reactor, request.delivery_id(), request.why(), ActorOf(request.by()),
                        [call](const absl::StatusOr<Position>& position) {
                          if (!position.ok()) return call->Finish(ForOperator(position.status()));
                          v1::SkipParkedResponse response;
                          response.set_position(position->value);
                          call->Finish(response);
                        });
}

// Answers on `work`.
template <class Request>
absl::Status Serve(const ConsumerEngines& engines, rpc::Services& services,
                   void (*answer)(const ConsumerEngines&, const Request&, const Call&)) {
  return services.HandleUnary(*Request::descriptor(), [engines, answer](rpc::UnaryCall call) {
    auto shared = std::make_shared<rpc::UnaryCall>(std::move(call));
    engines.work.Post([engines, answer, shared] {
      answer(engines, static_cast<const Request&>(shared->request()), shared);
    });
  });
}

}  // namespace

absl::Status ServeConsumers(const ConsumerEngines& engines, rpc::Services& services) {
  LEFTFOLD_RETURN_IF_ERROR(Serve(engines, services, CreateGroup));
  LEFTFOLD_RETURN_IF_ERROR(Serve(engines, services, DeleteGroup));
  LEFTFOLD_RETURN_IF_ERROR(Serve(engines, services, ListGroups));
  LEFTFOLD_RETURN_IF_ERROR(Serve(engines, services, ResetGroup));
  LEFTFOLD_RETURN_IF_ERROR(Serve(engines, services, ListParked));
  LEFTFOLD_RETURN_IF_ERROR(Serve(engines, services, ReplayParked));
  LEFTFOLD_RETURN_IF_ERROR(Serve(engines, services, SkipParked));
  return services.HandleSession(
      *v1::ConsumeRequest::descriptor(), [engines](rpc::SessionStream& stream) {
        const auto consumer = engines.consumers.Open(std::make_shared<StreamSessionSink>(stream));
        if (!consumer.ok()) return stream.Finish(consumer.status());
        StartOn(stream, *consumer);
      });
}

}  // namespace leftfold
