#include "server/reactor_service.h"

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/reject.h"
#include "reactor/consumer_group.h"
#include "rpc/services.h"
#include "rpc/status.h"
#include "server/operator.h"
#include "server/parked_page.h"
#include "server/retry_parked.h"

namespace leftfold {
namespace {

admin::v1::ReactorStatus::State ToProto(ReactorState state) {
  switch (state) {
    case ReactorState::kCatchingUp:
      return admin::v1::ReactorStatus::STATE_CATCHING_UP;
    case ReactorState::kLive:
      return admin::v1::ReactorStatus::STATE_LIVE;
    case ReactorState::kPaused:
      return admin::v1::ReactorStatus::STATE_PAUSED;
    case ReactorState::kStopped:
      return admin::v1::ReactorStatus::STATE_STOPPED;
    case ReactorState::kHeldUp:
      return admin::v1::ReactorStatus::STATE_HELD_UP;
  }
  return admin::v1::ReactorStatus::STATE_UNSPECIFIED;
}

// Waits for the answer to `record`, which the log gives soon.
template <class Answer, class Record>
absl::StatusOr<Answer> Await(Record record) {
  auto answer = std::make_shared<std::promise<absl::StatusOr<Answer>>>();
  auto recorded = answer->get_future();
  record([answer](absl::StatusOr<Answer> given) { answer->set_value(std::move(given)); });
  return recorded.get();
}

std::optional<admin::v1::WatchErrorsResponse> ToProto(const RecordedEvent& event) {
  admin::v1::WatchErrorsResponse told;
  told.set_position(event.position.value);
  told.set_by(EventMeta{event}.metadata().actor());
  auto take = [&]<class E>(const E& decoded) {
    if constexpr (std::is_same_v<E, core::v1::DeliveryParked>) *told.mutable_parked() = decoded;
    if constexpr (std::is_same_v<E, core::v1::RetryRequested>) *told.mutable_retry() = decoded;
    if constexpr (std::is_same_v<E, core::v1::SkipRequested>) *told.mutable_skip() = decoded;
    if constexpr (std::is_same_v<E, core::v1::DeliveredAfterParking>)
      *told.mutable_delivered() = decoded;
  };
  using Told = Types<core::v1::DeliveryParked, core::v1::RetryRequested, core::v1::SkipRequested,
                     core::v1::DeliveredAfterParking>;
  const absl::StatusOr<bool> known = internal::Dispatch<Told>(event, take);
  if (!known.ok() || !*known) return std::nullopt;
  return told;
}

absl::Status TooManyErrorWatches() {
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_QUEUE_FULL,
             fmt::format("{} watches of errors are open already; end one, or retry later",
                         kErrorWatchesMax),
             {{"maximum", fmt::to_string(kErrorWatchesMax)}}),
      kWatchErrorsLook);
}

// Rings when the store goes on. The store is asked once until it has rung: it keeps who waits.
class Bell {
 public:
  // Returns when the store is past the position, or after kWatchErrorsLook.
  void AwaitPast(EventStore& store, Position position) {
    if (!std::exchange(asked_, true)) {
      store.WaitPast(position, [state = state_] {
        const std::lock_guard lock(state->mu);
        state->past = true;
        state->rung.notify_all();
      });
    }
    std::unique_lock lock(state_->mu);
    state_->rung.wait_for(lock, absl::ToChronoMilliseconds(kWatchErrorsLook),
                          [this] { return state_->past; });
    if (std::exchange(state_->past, false)) asked_ = false;
  }

 private:
  struct State {
    std::mutex mu;
    std::condition_variable rung;
    bool past = false;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  bool asked_ = false;
};

}  // namespace

absl::StatusOr<Reacting*> GetReacting(const google::protobuf::Message& request,
                                      const std::string& data, const ReactingNow* now) {
  LEFTFOLD_RETURN_IF_ERROR(rpc::CheckKnownFields(request));
  if (now == nullptr) return RoleNotHere(data, Role::kReact);
  if (Reacting* reacting = *now; reacting != nullptr) return reacting;
  return LogNotOpenYet();
}

grpc::Status ReactorService::ListReactors(grpc::ServerContext*,
                                          const admin::v1::ListReactorsRequest* request,
                                          admin::v1::ListReactorsResponse* response) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  for (const ReactorStatus& status : (*reacting)->reactors.List()) {
    auto* reactor = response->add_reactors();
    reactor->set_name(status.name);
    reactor->set_state(ToProto(status.state));
    reactor->set_checkpoint(status.checkpoint.value);
    reactor->set_lag_events(status.lag_events);
    reactor->set_reason(status.reason);
    reactor->set_waiting(status.waiting);
    reactor->set_timers(status.timers);
    reactor->set_parked_keys(status.parked_keys);
    reactor->set_events(status.events);
    reactor->set_delivered(status.delivered);
    reactor->set_rejections(status.rejections);
    reactor->set_retries(status.retries);
  }
  return grpc::Status::OK;
}

grpc::Status ReactorService::ListParkedDeliveries(
    grpc::ServerContext*, const admin::v1::ListParkedDeliveriesRequest* request,
    admin::v1::ListParkedDeliveriesResponse* response) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  return ToOperator(ListParkedPage((*reacting)->reactors, request->reactor(), *request, *response));
}

grpc::Status ReactorService::RetryParkedDeliveries(
    grpc::ServerContext*, const admin::v1::RetryParkedDeliveriesRequest* request,
    admin::v1::RetryParkedDeliveriesResponse* response) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  Violations violations;
  CheckBy(request->by(), violations);
  if (!violations.empty()) return rpc::ToGrpc(violations.ToStatus());
  const auto retried = Await<RetriedKeys>([&](auto done) {
    RetryParkedKeys((*reacting)->reactors, request->reactor(), request->key(),
                    ActorOf(request->by()), std::move(done));
  });
  if (!retried.ok()) return ToOperator(retried.status());
  response->set_position(retried->position.value);
  response->set_keys(retried->keys);
  return grpc::Status::OK;
}

grpc::Status ReactorService::SkipParkedDelivery(grpc::ServerContext*,
                                                const admin::v1::SkipParkedDeliveryRequest* request,
                                                admin::v1::SkipParkedDeliveryResponse* response) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  Violations violations;
  CheckBy(request->by(), violations);
  CheckRemark("why", request->why(), violations);
  if (!violations.empty()) return rpc::ToGrpc(violations.ToStatus());
  const auto position = Await<Position>([&](Reactors::Recorded done) {
    (*reacting)->reactors.Skip(request->reactor(), request->delivery_id(), request->why(),
                               ActorOf(request->by()), std::move(done));
  });
  if (!position.ok()) return ToOperator(position.status());
  response->set_position(position->value);
  return grpc::Status::OK;
}

grpc::Status ReactorService::PauseReactor(grpc::ServerContext*,
                                          const admin::v1::PauseReactorRequest* request,
                                          admin::v1::PauseReactorResponse*) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  Violations violations;
  CheckRemark("why", request->why(), violations);
  if (!violations.empty()) return rpc::ToGrpc(violations.ToStatus());
  return ToOperator((*reacting)->reactors.Pause(request->reactor(), request->why()));
}

grpc::Status ReactorService::ResumeReactor(grpc::ServerContext*,
                                           const admin::v1::ResumeReactorRequest* request,
                                           admin::v1::ResumeReactorResponse*) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  return ToOperator((*reacting)->reactors.Resume(request->reactor()));
}

grpc::Status ReactorService::WatchErrors(
    grpc::ServerContext* context, const admin::v1::WatchErrorsRequest* request,
    grpc::ServerWriter<admin::v1::WatchErrorsResponse>* writer) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  EventStore& store = (*reacting)->store;
  Position after = store.GetHead().position;
  if (request->has_after_position()) {
    Violations violations;
    CheckStart(request->after_position(), after, "after_position", violations);
    if (!violations.empty()) return rpc::ToGrpc(violations.ToStatus());
    after = Position{request->after_position()};
  }
  const bool admitted = error_watches_.fetch_add(1) < kErrorWatchesMax;
  const grpc::Status ended =
      admitted ? TellErrors(store, after, *context, *writer) : rpc::ToGrpc(TooManyErrorWatches());
  error_watches_.fetch_sub(1);
  return ended;
}

grpc::Status ReactorService::TellErrors(EventStore& store, Position after,
                                        const grpc::ServerContext& context,
                                        ErrorWriter& writer) const {
  writer.SendInitialMetadata();
  ReadAllOptions options;
  options.from = after;
  options.filter.categories = {std::string(kReactionCategory)};
  Bell bell;
  while (!context.IsCancelled()) {
    if (stopping_) return rpc::ToGrpc(ServerStopping());
    const auto read = store.ReadAll(options);
    if (!read.ok()) return ToOperator(read.status());
    for (const RecordedEvent& event : read->events) {
      const auto told = ToProto(event);
      if (told && !writer.Write(*told)) return grpc::Status::OK;
    }
    if (read->through == options.from) bell.AwaitPast(store, options.from);
    options.from = read->through;
  }
  return grpc::Status(grpc::StatusCode::CANCELLED, "the client is gone");
}

}  // namespace leftfold
