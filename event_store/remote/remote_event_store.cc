#include "event_store/remote/remote_event_store.h"

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "core/ids.h"
#include "core/mutex.h"
#include "core/reject.h"
#include "core/timestamp.h"
#include "event_store/limits.h"
#include "event_store/reading.h"
#include "event_store/remote/codec.h"
#include "leftfold/store/v1/errors.pb.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"

namespace leftfold {
namespace {

namespace v1 = store::v1;

void Break(const std::shared_ptr<std::atomic<bool>>& broken) {
  if (broken != nullptr) *broken = true;
}

absl::Status TooLarge(std::size_t bytes) {
  return Reject(core::v1::ERROR_REASON_LIMIT_EXCEEDED,
                fmt::format("bytes of a remote append are {}, at most {} are allowed; split it",
                            bytes, kRemoteAppendBytesMax),
                {{"limit", "bytes of a remote append"},
                 {"maximum", std::to_string(kRemoteAppendBytesMax)},
                 {"actual", std::to_string(bytes)}});
}

absl::Status OutcomeUnknown(const std::string& command_id) {
  if (command_id.empty()) {
    return Reject(v1::ERROR_REASON_OUTCOME_UNKNOWN,
                  "the connection broke before the answer came: whether the append was stored is "
                  "unknown; read its streams before you append it again");
  }
  return Reject(v1::ERROR_REASON_OUTCOME_UNKNOWN,
                fmt::format("the connection broke before the answer came, and no answer to {} is "
                            "known yet; send it again under this id",
                            command_id),
                {{"command_id", command_id}});
}

absl::Status AnotherStore(const std::string& expected, const std::string& actual) {
  return Reject(v1::ERROR_REASON_LOG_DIVERGED,
                fmt::format("the store {} answers where {} was; connect anew", actual, expected),
                {{"expected", expected}, {"actual", actual}});
}

Head HeadOf(const v1::GetHeadResponse& response) {
  Head head{Position{response.position()}, {}};
  if (response.chain().size() == head.chain.size())
    std::copy(response.chain().begin(), response.chain().end(), head.chain.begin());
  return head;
}

// Told by the server itself before it took what it has not answered.
bool WasNotTaken(const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason == "STOPPING" || reason == "TOO_MANY_SESSIONS";
}

}  // namespace

// What outlives the store as long as calls are in flight. Posts to the executor under its lock
// (Post runs nothing), so that none comes after Close.
class RemoteEventStore::Core : public std::enable_shared_from_this<Core> {
 public:
  explicit Core(const RemoteStoreOptions& options)
      : stub_(v1::EventStoreService::NewStub(options.channel)),
        bearer_("Bearer " + options.token),
        completions_(*options.completions),
        call_wait_(options.call_wait) {}

  absl::Status Begin() {
    const auto response = Call<v1::GetHeadResponse>(&Stub::GetHead, v1::GetHeadRequest());
    if (!response.ok()) return response.status();
    store_id_ = response->store_id();
    MutexLock lock(mu_);
    head_ = HeadOf(*response);
    known_ = head_.position;
    return absl::OkStatus();
  }

  void Append(AppendRequest request, AppendDone done);
  void WaitPast(Position position, std::function<void()> wake);
  Head GetHead();
  const std::string& store_id() const { return store_id_; }
  void Interrupt();
  absl::Status WhetherDiverged() {
    MutexLock lock(mu_);
    return diverged_;
  }
  // Cancels what is in flight and waits for its end, so that the channel does not go on a thread of
  // gRPC: the last channel ends these threads.
  void Close();

  using Stub = v1::EventStoreService::Stub;
  void Prepare(grpc::ClientContext& context) const {
    context.AddMetadata("authorization", bearer_);
    context.set_wait_for_ready(true);
    // A span: gRPC counts it from now.
    context.set_deadline(gpr_time_from_micros(absl::ToInt64Microseconds(call_wait_), GPR_TIMESPAN));
  }
  // A call on its caller's thread: Interrupt ends it.
  class Blocking {
   public:
    Blocking(Core& core, grpc::ClientContext& context) : core_(core), context_(context) {
      core_.Prepare(context);
      MutexLock lock(core_.mu_);
      core_.unary_.insert(&context);
      if (core_.interrupted_) context.TryCancel();
    }
    ~Blocking() {
      MutexLock lock(core_.mu_);
      core_.unary_.erase(&context_);
    }
    Blocking(const Blocking&) = delete;
    Blocking& operator=(const Blocking&) = delete;

   private:
    Core& core_;
    grpc::ClientContext& context_;
  };
  template <class Response, class Request>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&,
                                                          Response*),
                                const Request& request, bool wait_for_server = true) {
    grpc::ClientContext context;
    const Blocking blocking(*this, context);
    context.set_wait_for_ready(wait_for_server);
    Response response;
    const grpc::Status status = (*stub_.*rpc)(&context, request, &response);
    if (!status.ok()) return remote::FromWire(status);
    return response;
  }
  // Hands each message to `take`, until it returns false.
  template <class Response, class Request, class Take>
  absl::Status Read(std::unique_ptr<grpc::ClientReader<Response>> (Stub::*rpc)(grpc::ClientContext*,
                                                                               const Request&),
                    const Request& request, const Take& take) {
    grpc::ClientContext context;
    const Blocking blocking(*this, context);
    const auto reader = (*stub_.*rpc)(&context, request);
    for (Response response; reader->Read(&response);) {
      const absl::StatusOr<bool> more = take(response);
      if (more.ok() && *more) continue;
      context.TryCancel();
      reader->Finish().IgnoreError();
      return more.status();
    }
    return remote::FromWire(reader->Finish());
  }

 private:
  class Session;
  class Hints;
  struct Pending {
    v1::SessionAppend message;  // Empty once it is sent.
    std::size_t bytes = 0;      // As sent.
    std::size_t stored = 0;     // As stored; 0 when it does not count for `unanswered_bytes_`.
    AppendDone done;
    std::shared_ptr<std::atomic<bool>> broken;
    std::string command_id;
    Digest request_hash{};
  };
  // Appends on their way that share a `broken`. The server knows them by a number, which is theirs
  // until none is on its way.
  struct Chain {
    std::uint64_t number = 0;
    std::size_t in_flight = 0;
  };
  struct HeadCall {
    std::unique_ptr<grpc::ClientContext> context = std::make_unique<grpc::ClientContext>();
    v1::GetHeadRequest request;
    v1::GetHeadResponse response;
  };
  // Appends whose outcome is looked up, one after the other.
  struct Unsettled {
    std::vector<Pending> appends;
    std::size_t next = 0;
    std::unique_ptr<grpc::ClientContext> context;
    v1::GetCommandRequest request;
    v1::GetCommandResponse response;
  };
  enum class Link { kNone, kConnecting, kOpen };

  // Does what is next for the queue: connects, or sends.
  void Pump();
  void StartSession();
  void FillMessage(v1::AppendSessionRequest& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OnConnected(const grpc::Status& status, const v1::GetHeadResponse& response);
  void OnAnswers(v1::AppendSessionResponse& message);
  void OnSessionEnd(const absl::Status& status);
  void Settle(const std::shared_ptr<Unsettled>& unsettled);
  void OnSettled(const std::shared_ptr<Unsettled>& unsettled, const absl::Status& status);
  void AskHead(std::function<void(const grpc::Status&, const v1::GetHeadResponse&)> then);
  // While somebody waits.
  void Poll();
  void PollLater() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void OpenHints();
  void OnHint(const v1::SubscribeResponse& message);
  void OnHintsEnd();
  void RaiseHead(Position position) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the server says, asked after `seen` and `known` were told. A read may show events a moment
  // before the head does, so one answer that is behind proves nothing, but a second one does.
  void CompareHead(const Head& head, const Head& seen, Position known)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Answer(Pending& pending, absl::StatusOr<Receipt> receipt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Of a unary call that begins: false when the store is closed, and the call must not be made.
  bool Enter(grpc::ClientContext* context);
  // Its end: after this nothing of it refers to the channel.
  void Leave(std::unique_ptr<grpc::ClientContext> context);
  void LeaveChain(const Pending& pending) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::unique_ptr<Stub> stub_;  // Until Close.
  const std::string bearer_;
  Executor& completions_;  // Not touched after Close.
  const absl::Duration call_wait_;
  std::string store_id_;  // Set by Begin.

  Mutex mu_;
  std::atomic<int> calls_ = 0;  // In flight, sessions too.
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_set<grpc::ClientContext*> unary_ ABSL_GUARDED_BY(mu_);  // In flight.
  Link link_ ABSL_GUARDED_BY(mu_) = Link::kNone;
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mu_);  // When the link is open.
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  std::uint64_t next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::uint64_t next_chain_ ABSL_GUARDED_BY(mu_) = 1;
  std::deque<Pending> queue_ ABSL_GUARDED_BY(mu_);                       // Not sent yet.
  std::map<std::uint64_t, Pending> sent_ ABSL_GUARDED_BY(mu_);           // By id; not answered yet.
  absl::flat_hash_map<const void*, Chain> chains_ ABSL_GUARDED_BY(mu_);  // By their `broken`.
  std::size_t unanswered_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  Head head_ ABSL_GUARDED_BY(mu_);                // As told last.
  Position known_ ABSL_GUARDED_BY(mu_);           // The head is here or beyond.
  absl::Status diverged_ ABSL_GUARDED_BY(mu_);    // Not OK once the head was not.
  bool was_behind_ ABSL_GUARDED_BY(mu_) = false;  // The last answer; see CompareHead.
  std::multimap<Position, std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  bool polling_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<Hints> hints_ ABSL_GUARDED_BY(mu_);  // While the call is open.
  bool hinted_ ABSL_GUARDED_BY(mu_) = false;           // It stands.
  int polls_skipped_ ABSL_GUARDED_BY(mu_) = 0;         // Since the head was asked for.
  bool interrupted_ ABSL_GUARDED_BY(mu_) = false;
};

// The Subscribe call. Owns itself until OnDone; one read is outstanding at any time.
class RemoteEventStore::Core::Hints final : public grpc::ClientReadReactor<v1::SubscribeResponse> {
 public:
  explicit Hints(std::shared_ptr<Core> core) : core_(std::move(core)) {
    request_.mutable_end();
    request_.set_without_events(true);
    context_.AddMetadata("authorization", core_->bearer_);
    context_.set_wait_for_ready(true);
  }
  void Start(std::shared_ptr<Hints> self) {
    self_ = std::move(self);
    core_->stub_->async()->Subscribe(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    core_->OnHint(response_);
    response_.Clear();
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    const std::shared_ptr<Core> core = core_;
    core->OnHintsEnd();
    std::shared_ptr<Hints> self = std::move(self_);
    self = nullptr;  // And with it the context, before the core may go.
    --core->calls_;
    core->calls_.notify_all();
  }

 private:
  const std::shared_ptr<Core> core_;
  std::shared_ptr<Hints> self_;
  grpc::ClientContext context_;
  v1::SubscribeRequest request_;
  v1::SubscribeResponse response_;
};

// The AppendSession call. Owns itself until OnDone. One read is outstanding at any time; writes
// come from Pump, from any thread, hence the hold.
class RemoteEventStore::Core::Session final
    : public grpc::ClientBidiReactor<v1::AppendSessionRequest, v1::AppendSessionResponse> {
 public:
  static std::shared_ptr<Session> Open(const std::shared_ptr<Core>& core) {
    auto session = std::make_shared<Session>();
    session->core_ = core;
    session->self_ = session;
    ++core->calls_;
    session->context_->AddMetadata("authorization", core->bearer_);
    core->stub_->async()->AppendSession(session->context_.get(), session.get());
    session->AddHold();
    return session;
  }
  void Start() {
    StartRead(&response_);
    StartCall();
  }
  // `writing_` of the core is set; the message is in `request()`.
  v1::AppendSessionRequest& request() { return request_; }
  void Write() {
    StartWrite(&request_);
    Release([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { --starting_; });
  }
  // Before each Write: false when there is no writing any more.
  bool MayWrite() {
    MutexLock lock(mu_);
    if (over_) return false;
    ++starting_;
    return true;
  }
  void Cancel() {
    MutexLock lock(mu_);
    if (context_ != nullptr) context_->TryCancel();
  }

  void OnReadDone(bool ok) override {
    if (ok) {
      core_->OnAnswers(response_);
      response_.Clear();
      StartRead(&response_);
      return;
    }
    Release([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { over_ = true; });
  }
  void OnWriteDone(bool ok) override {
    {
      MutexLock lock(core_->mu_);
      core_->writing_ = false;
    }
    // When it failed, the end of the call follows.
    if (ok) core_->Pump();
  }
  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<Session> self = std::move(self_);
    const std::shared_ptr<Core> core = core_;
    core->OnSessionEnd(remote::FromWire(status));
    {
      MutexLock lock(mu_);
      context_ = nullptr;
    }
    --core->calls_;
    core->calls_.notify_all();
  }

 private:
  // Lets go of the hold after `change`, if nothing can be written any more. OnDone may follow at
  // once, so not with the lock.
  template <class Change>
  void Release(const Change& change) {
    {
      MutexLock lock(mu_);
      change();
      if (!over_ || starting_ > 0 || std::exchange(released_, true)) return;
    }
    RemoveHold();
  }

  std::shared_ptr<Core> core_;
  std::shared_ptr<Session> self_;
  // Until OnDone.
  std::unique_ptr<grpc::ClientContext> context_ = std::make_unique<grpc::ClientContext>();
  v1::AppendSessionRequest request_;
  v1::AppendSessionResponse response_;
  Mutex mu_;
  bool over_ ABSL_GUARDED_BY(mu_) = false;  // The call has ended; nothing may be written.
  int starting_ ABSL_GUARDED_BY(mu_) = 0;   // Writes between MayWrite and the end of StartWrite.
  bool released_ ABSL_GUARDED_BY(mu_) = false;
};

void RemoteEventStore::Core::Append(AppendRequest request, AppendDone done) {
  Pending pending;
  pending.done = std::move(done);
  pending.broken = request.broken;
  if (request.command) {
    pending.command_id = request.command->command_id;
    pending.request_hash = request.command->request_hash;
  }
  const std::size_t stored = StoredBytes(request);
  absl::Status status = CheckForm(request);
  if (status.ok()) {
    auto message = remote::ToWire(std::move(request));
    status = message.status();
    if (message.ok()) *pending.message.mutable_append() = *std::move(message);
  }
  if (status.ok()) {
    pending.bytes = pending.message.ByteSizeLong();
    if (pending.bytes > kRemoteAppendBytesMax) status = TooLarge(pending.bytes);
  }
  {
    MutexLock lock(mu_);
    if (status.ok())
      status = CheckQueue(queue_.size() + sent_.size() + 1, unanswered_bytes_ + stored);
    if (!status.ok()) return Answer(pending, status);
    unanswered_bytes_ += pending.stored = stored;
    queue_.push_back(std::move(pending));
  }
  Pump();
}

void RemoteEventStore::Core::Answer(Pending& pending, absl::StatusOr<Receipt> receipt) {
  if (!receipt.ok() || receipt->duplicate) Break(pending.broken);
  unanswered_bytes_ -= pending.stored;
  if (closed_) return;
  completions_.Post([done = std::move(pending.done), receipt = std::move(receipt)]() mutable {
    done(std::move(receipt));
  });
}

void RemoteEventStore::Core::LeaveChain(const Pending& pending) {
  if (pending.broken == nullptr) return;
  const auto it = chains_.find(pending.broken.get());
  if (it != chains_.end() && --it->second.in_flight == 0) chains_.erase(it);
}

void RemoteEventStore::Core::Pump() {
  std::shared_ptr<Session> session;
  bool connect = false;
  {
    MutexLock lock(mu_);
    if (closed_ || queue_.empty()) return;
    if (link_ == Link::kNone) {
      link_ = Link::kConnecting;
      connect = true;
    } else if (link_ == Link::kOpen && !writing_) {
      const bool window = sent_.empty() || next_id_ - sent_.begin()->first < kRemoteAppendWindow;
      if (!window || !session_->MayWrite()) return;
      session = session_;
      writing_ = true;
      FillMessage(session->request());
    }
  }
  if (session != nullptr) session->Write();
  if (connect) {
    AskHead([self = shared_from_this()](const grpc::Status& status,
                                        const v1::GetHeadResponse& response) {
      self->OnConnected(status, response);
    });
  }
}

void RemoteEventStore::Core::FillMessage(v1::AppendSessionRequest& message) {
  message.Clear();
  std::size_t bytes = 0;
  for (std::size_t n = 0; n < kRemoteMessageAppends && !queue_.empty(); ++n) {
    if (!sent_.empty() && next_id_ - sent_.begin()->first >= kRemoteAppendWindow) return;
    Pending& pending = queue_.front();
    bytes += pending.bytes;
    if (n > 0 && bytes > kRemoteMessageBytes) return;
    pending.message.set_id(next_id_);
    if (pending.broken != nullptr) {
      Chain& chain = chains_[pending.broken.get()];
      if (chain.in_flight++ == 0) chain.number = next_chain_++;
      pending.message.mutable_append()->mutable_engine()->set_chain(chain.number);
      pending.message.mutable_append()->mutable_engine()->set_broken(*pending.broken);
    }
    *message.add_appends() = std::move(pending.message);
    sent_.emplace(next_id_++, std::move(pending));
    queue_.pop_front();
  }
}

void RemoteEventStore::Core::AskHead(
    std::function<void(const grpc::Status&, const v1::GetHeadResponse&)> then) {
  auto call = std::make_shared<HeadCall>();
  Prepare(*call->context);
  if (!Enter(call->context.get())) return;
  stub_->async()->GetHead(
      call->context.get(), &call->request, &call->response,
      [self = shared_from_this(), call, then = std::move(then)](const grpc::Status& status) {
        then(status, call->response);
        self->Leave(std::move(call->context));
      });
}

void RemoteEventStore::Core::OnConnected(const grpc::Status& status,
                                         const v1::GetHeadResponse& response) {
  absl::Status refused = remote::FromWire(status);
  if (refused.ok() && response.store_id() != store_id_)
    refused = AnotherStore(store_id_, response.store_id());
  std::shared_ptr<Session> session;
  {
    MutexLock lock(mu_);
    if (closed_) return;
    if (!refused.ok()) {
      link_ = Link::kNone;
      for (Pending& pending : queue_) Answer(pending, refused);
      queue_.clear();
      return;
    }
    session = Session::Open(shared_from_this());
    session_ = session;
    link_ = Link::kOpen;
    writing_ = false;
  }
  session->Start();
  Pump();
}

void RemoteEventStore::Core::OnAnswers(v1::AppendSessionResponse& message) {
  {
    MutexLock lock(mu_);
    // First, so that who is answered finds it there.
    Position head = known_;
    for (const v1::SessionResult& result : message.results())
      head = std::max(head, Position{result.receipt().position()});
    RaiseHead(head);
    for (v1::SessionResult& result : *message.mutable_results()) {
      const auto it = sent_.find(result.id());
      if (it == sent_.end()) continue;
      Pending pending = std::move(it->second);
      sent_.erase(it);
      LeaveChain(pending);
      if (result.has_receipt()) {
        Answer(pending, remote::FromWire(result.receipt()));
      } else {
        Answer(pending, remote::FromWire(result.error()));
      }
    }
  }
  Pump();  // The window may have been shut.
}

void RemoteEventStore::Core::OnSessionEnd(const absl::Status& status) {
  auto unsettled = std::make_shared<Unsettled>();
  {
    MutexLock lock(mu_);
    link_ = Link::kNone;
    session_ = nullptr;
    writing_ = false;
    chains_.clear();
    for (auto& [id, pending] : sent_) {
      // Whatever was decided on it must be decided anew.
      Break(pending.broken);
      if (WasNotTaken(status)) {
        Answer(pending, status);
      } else if (pending.command_id.empty()) {
        Answer(pending, OutcomeUnknown(""));
      } else {
        unsettled->appends.push_back(std::move(pending));
      }
    }
    sent_.clear();
    if (closed_) return;
  }
  Settle(unsettled);
  Pump();
}

void RemoteEventStore::Core::Settle(const std::shared_ptr<Unsettled>& unsettled) {
  if (unsettled->next == unsettled->appends.size()) return;
  unsettled->context = std::make_unique<grpc::ClientContext>();
  Prepare(*unsettled->context);
  unsettled->request.set_command_id(unsettled->appends[unsettled->next].command_id);
  if (!Enter(unsettled->context.get())) return;
  stub_->async()->GetCommand(unsettled->context.get(), &unsettled->request, &unsettled->response,
                             [self = shared_from_this(), unsettled](const grpc::Status& status) {
                               auto context = std::move(unsettled->context);
                               self->OnSettled(unsettled, remote::FromWire(status));
                               self->Leave(std::move(context));
                             });
}

void RemoteEventStore::Core::OnSettled(const std::shared_ptr<Unsettled>& unsettled,
                                       const absl::Status& status) {
  {
    MutexLock lock(mu_);
    if (closed_) return;
    Pending& pending = unsettled->appends[unsettled->next++];
    const StoredCommand stored = remote::FromWire(unsettled->response);
    if (!status.ok()) {
      Answer(pending, OutcomeUnknown(pending.command_id));
    } else if (stored.request_hash != pending.request_hash) {
      Answer(pending,
             Reject(core::v1::ERROR_REASON_COMMAND_ID_REUSED,
                    fmt::format("command_id {} was used with other content; take a new id for a "
                                "new command",
                                pending.command_id),
                    {{"command_id", pending.command_id}}));
    } else {
      RaiseHead(stored.receipt.position);
      Answer(pending, stored.receipt);
    }
    // Without a server the others would wait as long, each.
    for (; ReasonOf(status) == "STORE_UNREACHABLE" && unsettled->next < unsettled->appends.size();
         ++unsettled->next) {
      Pending& other = unsettled->appends[unsettled->next];
      Answer(other, OutcomeUnknown(other.command_id));
    }
  }
  Settle(unsettled);
}

bool RemoteEventStore::Core::Enter(grpc::ClientContext* context) {
  MutexLock lock(mu_);
  if (closed_) return false;
  unary_.insert(context);
  ++calls_;
  return true;
}

void RemoteEventStore::Core::Leave(std::unique_ptr<grpc::ClientContext> context) {
  {
    MutexLock lock(mu_);
    unary_.erase(context.get());
  }
  context = nullptr;
  --calls_;
  calls_.notify_all();
}

void RemoteEventStore::Core::RaiseHead(Position position) {
  known_ = std::max(known_, position);
  const auto end = waiting_.lower_bound(known_);
  for (auto it = waiting_.begin(); it != end; ++it) {
    if (!closed_) completions_.Post(std::move(it->second));
  }
  waiting_.erase(waiting_.begin(), end);
}

void RemoteEventStore::Core::WaitPast(Position position, std::function<void()> wake) {
  {
    MutexLock lock(mu_);
    if (known_ > position) return completions_.Post(std::move(wake));
    waiting_.emplace(position, std::move(wake));
    if (std::exchange(polling_, true)) return;
  }
  Poll();
}

void RemoteEventStore::Core::Poll() {
  OpenHints();
  Head seen;
  Position known;
  {
    MutexLock lock(mu_);
    polling_ = !closed_ && !waiting_.empty();
    if (!polling_) return;
    seen = head_;
    known = known_;
    ++polls_skipped_;
    if (hinted_ && polls_skipped_ * kRemoteHeadPollInterval < kRemoteHeadPollHinted)
      return PollLater();
    polls_skipped_ = 0;
  }
  AskHead([self = shared_from_this(), seen, known](const grpc::Status& status,
                                                   const v1::GetHeadResponse& response) {
    MutexLock lock(self->mu_);
    if (status.ok() && response.store_id() == self->store_id_)
      self->CompareHead(HeadOf(response), seen, known);
    self->PollLater();
  });
}

void RemoteEventStore::Core::CompareHead(const Head& head, const Head& seen, Position known) {
  const bool another = head.position == seen.position && head.chain != seen.chain;
  const bool behind = head.position < known;
  const bool behind_again = behind && was_behind_;
  was_behind_ = behind;
  if (diverged_.ok() && (another || behind_again)) {
    diverged_ =
        reading::Diverged(known, head.position, "the log is not the one that was read before");
  }
  if (diverged_.ok()) {
    if (head.position > head_.position) head_ = head;
    return RaiseHead(head.position);
  }
  for (auto& [position, wake] : std::exchange(waiting_, {})) {
    if (!closed_) completions_.Post(std::move(wake));  // To read, and so to hear of it.
  }
}

void RemoteEventStore::Core::PollLater() {
  if (closed_) return;
  completions_.PostAfter(kRemoteHeadPollInterval, [weak = weak_from_this()] {
    if (const auto core = weak.lock()) core->Poll();
  });
}

void RemoteEventStore::Core::OpenHints() {
  std::shared_ptr<Hints> hints;
  {
    MutexLock lock(mu_);
    if (closed_ || hints_ != nullptr) return;
    hints = hints_ = std::make_shared<Hints>(shared_from_this());
    ++calls_;
  }
  hints->Start(hints);
}

void RemoteEventStore::Core::OnHint(const v1::SubscribeResponse& message) {
  MutexLock lock(mu_);
  if (message.has_started()) {
    hinted_ = message.started().store_id() == store_id_;
    if (!hinted_) return hints_->Cancel();
    RaiseHead(Position{message.started().head_position()});
  } else if (hinted_) {
    RaiseHead(Position{message.has_heartbeat() ? message.heartbeat().head_position()
                                               : message.checkpoint().position()});
  }
}

void RemoteEventStore::Core::OnHintsEnd() {
  MutexLock lock(mu_);
  hints_ = nullptr;
  hinted_ = false;
}

void RemoteEventStore::Core::Interrupt() {
  MutexLock lock(mu_);
  interrupted_ = true;
  for (grpc::ClientContext* context : unary_) context->TryCancel();
}

Head RemoteEventStore::Core::GetHead() {
  const auto response = Call<v1::GetHeadResponse>(&Stub::GetHead, v1::GetHeadRequest(),
                                                  /*wait_for_server=*/false);
  MutexLock lock(mu_);
  head_.last_told = !response.ok() || response->store_id() != store_id_;
  if (head_.last_told) return head_;
  const Head head = HeadOf(*response);
  if (head.position > head_.position) head_ = head;
  RaiseHead(head.position);
  return head_;
}

void RemoteEventStore::Core::Close() {
  std::shared_ptr<Session> session;
  std::shared_ptr<Hints> hints;
  // What callers gave must go without the lock.
  std::deque<Pending> queue;
  std::map<std::uint64_t, Pending> sent;
  std::multimap<Position, std::function<void()>> waiting;
  {
    MutexLock lock(mu_);
    closed_ = true;
    session = session_;
    hints = hints_;
    queue.swap(queue_);
    sent.swap(sent_);
    waiting.swap(waiting_);
    for (grpc::ClientContext* context : unary_) context->TryCancel();
  }
  if (session != nullptr) session->Cancel();
  if (hints != nullptr) hints->Cancel();
  hints = nullptr;  // Its context holds the channel.
  for (int calls = calls_; calls > 0; calls = calls_) calls_.wait(calls);
  stub_ = nullptr;
}

absl::StatusOr<std::unique_ptr<RemoteEventStore>> RemoteEventStore::Connect(
    const RemoteStoreOptions& options) {
  auto core = std::make_shared<Core>(options);
  if (const absl::Status status = core->Begin(); !status.ok()) return status;
  return std::unique_ptr<RemoteEventStore>(new RemoteEventStore(std::move(core)));
}

RemoteEventStore::~RemoteEventStore() { core_->Close(); }

void RemoteEventStore::Append(AppendRequest request, AppendDone done) {
  core_->Append(std::move(request), std::move(done));
}

absl::StatusOr<std::optional<StoredCommand>> RemoteEventStore::FindCommand(
    std::string_view command_id) {
  // What cannot be sent cannot have been stored from here.
  if (command_id.empty() || !IsCommandId(command_id)) return std::nullopt;
  v1::GetCommandRequest request;
  request.set_command_id(std::string(command_id));
  const auto response = core_->Call<v1::GetCommandResponse>(&Core::Stub::GetCommand, request);
  if (response.ok()) return remote::FromWire(*response);
  if (ReasonOf(response.status()) == "COMMAND_NOT_FOUND") return std::nullopt;
  return response.status();
}

absl::StatusOr<std::vector<RecordedEvent>> RemoteEventStore::ReadStream(
    std::string_view stream, const ReadStreamOptions& options) {
  LEFTFOLD_RETURN_IF_ERROR(core_->WhetherDiverged());
  const bool forward = options.direction == Direction::kForward;
  std::vector<RecordedEvent> events;
  if (!IsStreamName(stream) || options.events_max == 0) return events;
  if (!forward && options.from < Version{0}) return events;
  v1::ReadStreamRequest request;
  request.set_stream(std::string(stream));
  request.set_version(std::max<std::int64_t>(options.from.value, 0));
  request.set_direction(forward ? v1::DIRECTION_FORWARD : v1::DIRECTION_BACKWARD);
  request.set_max_count(static_cast<std::int64_t>(options.events_max));
  request.set_raw_metadata(true);
  std::size_t bytes = 0;
  const absl::Status status =
      core_->Read(&Core::Stub::ReadStream, request,
                  [&](const v1::ReadStreamResponse& response) -> absl::StatusOr<bool> {
                    for (const core::v1::RecordedEvent& given : response.events()) {
                      auto event = remote::FromWire(given);
                      if (!event.ok()) return event.status();
                      bytes += event->payload.size();
                      if (bytes > options.bytes_max && !events.empty()) return false;
                      events.push_back(*std::move(event));
                    }
                    return true;
                  });
  if (!status.ok()) return status;
  return events;
}

absl::StatusOr<ReadAllResult> RemoteEventStore::ReadAll(const ReadAllOptions& options) {
  LEFTFOLD_RETURN_IF_ERROR(CheckForm(options.filter.items));
  LEFTFOLD_RETURN_IF_ERROR(core_->WhetherDiverged());
  const bool forward = options.direction == Direction::kForward;
  ReadAllResult result{{}, options.from};
  if (options.events_max == 0 || (!forward && options.from.value <= 1)) return result;
  v1::ReadAllRequest request;
  request.set_position(std::max<std::int64_t>(options.from.value, 0));
  request.set_direction(forward ? v1::DIRECTION_FORWARD : v1::DIRECTION_BACKWARD);
  request.set_max_count(static_cast<std::int64_t>(options.events_max));
  request.set_raw_metadata(true);
  if (!options.filter.MatchesAll()) *request.mutable_filter() = remote::ToWire(options.filter);
  std::size_t bytes = 0;
  const absl::Status status = core_->Read(
      &Core::Stub::ReadAll, request,
      [&](const v1::ReadAllResponse& response) -> absl::StatusOr<bool> {
        for (const core::v1::RecordedEvent& given : response.events()) {
          auto event = remote::FromWire(given);
          if (!event.ok()) return event.status();
          bytes += event->payload.size();
          if (bytes > options.bytes_max && !result.events.empty()) {
            result.through = Position{event->position.value - (forward ? 1 : -1)};
            return false;
          }
          result.events.push_back(*std::move(event));
        }
        // An empty log: there was nothing to examine.
        if (response.head_position() == 0) return true;
        result.through = Position{response.position()};
        const std::int64_t passed = std::abs(result.through.value - options.from.value) -
                                    static_cast<std::int64_t>(result.events.size());
        return passed < static_cast<std::int64_t>(kScanEventsMax);
      });
  // Beyond the end there is nothing yet.
  if (ReasonOf(status) == "LOG_DIVERGED") return ReadAllResult{{}, options.from};
  // What has come stands, and says how far it goes.
  if (!status.ok() && (absl::IsDataLoss(status) || result.through == options.from)) return status;
  return result;
}

absl::StatusOr<Version> RemoteEventStore::StreamVersion(std::string_view stream) {
  if (!IsStreamName(stream)) return kNoEventYet;
  v1::GetStreamRequest request;
  request.set_stream(std::string(stream));
  const auto response = core_->Call<v1::GetStreamResponse>(&Core::Stub::GetStream, request);
  if (!response.ok()) return response.status();
  return Version{response->version()};
}

absl::StatusOr<std::vector<StreamInfo>> RemoteEventStore::ListStreams(
    const ListStreamsOptions& options) {
  std::vector<StreamInfo> streams;
  if (options.streams_max == 0) return streams;
  if (!options.category.empty() && !IsCategory(options.category)) return streams;
  v1::ListStreamsRequest request;
  request.set_category(options.category);
  request.set_after(options.after);
  request.set_page_size(static_cast<std::int32_t>(std::min(options.streams_max, kListStreamsMax)));
  const auto response = core_->Call<v1::ListStreamsResponse>(&Core::Stub::ListStreams, request);
  if (!response.ok()) return response.status();
  for (const v1::StreamVersion& stream : response->streams())
    streams.push_back({stream.stream(), Version{stream.version()}});
  return streams;
}

absl::StatusOr<Position> RemoteEventStore::PositionBefore(absl::Time time) {
  if (time <= absl::UnixEpoch()) return kBeforeFirst;
  v1::ReadAllRequest request;
  request.set_direction(v1::DIRECTION_BACKWARD);
  request.set_max_count(1);
  // A time that the wire cannot carry is after all events.
  const google::protobuf::Timestamp wire = ToProto(time);
  if (IsPlausible(wire)) *request.mutable_time() = wire;
  Position position = kBeforeFirst;
  const absl::Status status =
      core_->Read(&Core::Stub::ReadAll, request,
                  [&](const v1::ReadAllResponse& response) -> absl::StatusOr<bool> {
                    for (const core::v1::RecordedEvent& event : response.events())
                      position = Position{event.position()};
                    return true;
                  });
  if (!status.ok()) return status;
  return position;
}

Head RemoteEventStore::GetHead() { return core_->GetHead(); }
std::string RemoteEventStore::StoreId() { return core_->store_id(); }
void RemoteEventStore::WaitPast(Position position, std::function<void()> wake) {
  core_->WaitPast(position, std::move(wake));
}
void RemoteEventStore::Interrupt() { core_->Interrupt(); }

}  // namespace leftfold
