// Leftfold itself, by its raw log (leftfold.store.v1): unary Append, or AppendSession.
#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/notification.h>

#include "bench/load.h"
#include "bench/peers/grpc_calls.h"
#include "bench/peers/peer.h"
#include "core/mutex.h"
#include "core/status.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"

namespace leftfold::bench {
namespace {

namespace v1 = store::v1;
using StoreStub = v1::EventStoreService::Stub;

v1::AppendRequest RequestOf(const std::string& stream, std::optional<std::int64_t> after,
                            int events) {
  v1::AppendRequest request;
  request.set_command_id(NewEventId());
  for (int i = 0; i < events; ++i) {
    v1::AppendRecord& record = *request.add_records();
    record.set_stream(stream);
    record.set_type(std::string(kEventType));
    record.set_json(std::string(kEventPayload));
  }
  if (after) {
    v1::StreamCheck& check = *request.add_checks();
    check.set_stream(stream);
    check.set_exact(*after);
  }
  return request;
}

std::int64_t VersionIn(const v1::AppendReceipt& receipt) { return receipt.streams(0).version(); }

// Appends of many callers over one call: those that come while a message is being written go into
// the next one.
class Session final
    : public grpc::ClientBidiReactor<v1::AppendSessionRequest, v1::AppendSessionResponse> {
 public:
  explicit Session(StoreStub& stub) {
    stub.async()->AppendSession(&context_, this);
    AddHold();
    StartRead(&response_);
    StartCall();
  }
  ~Session() override {
    context_.TryCancel();
    RemoveHold();
    over_.WaitForNotification();
  }

  void Append(v1::AppendRequest request, Peer::Done done) {
    MutexLock lock(mu_);
    done_.emplace(++id_, std::move(done));
    v1::SessionAppend& append = *next_.add_appends();
    append.set_id(id_);
    *append.mutable_append() = std::move(request);
    if (!writing_) Write();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    for (const v1::SessionResult& result : response_.results()) {
      Peer::Done done = Take(result.id());
      done(result.has_receipt() ? std::optional(VersionIn(result.receipt())) : std::nullopt);
    }
    response_.Clear();
    StartRead(&response_);
  }
  void OnWriteDone(bool ok) override {
    MutexLock lock(mu_);
    writing_ = false;
    if (ok && next_.appends_size() > 0) Write();
  }
  void OnDone(const grpc::Status&) override { over_.Notify(); }

 private:
  void Write() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    writing_ = true;
    written_.Clear();
    written_.Swap(&next_);
    StartWrite(&written_);
  }
  Peer::Done Take(std::uint64_t id) {
    MutexLock lock(mu_);
    return std::move(done_.extract(id).mapped());
  }

  grpc::ClientContext context_;
  v1::AppendSessionResponse response_;
  v1::AppendSessionRequest written_;
  absl::Notification over_;
  Mutex mu_;
  v1::AppendSessionRequest next_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::uint64_t, Peer::Done> done_ ABSL_GUARDED_BY(mu_);
  std::uint64_t id_ ABSL_GUARDED_BY(mu_) = 0;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
};

class LeftfoldPeer final : public Peer {
 public:
  LeftfoldPeer(const std::string& binary, const std::string& folder, bool session)
      : server_(EndingWithUs(testing::ServerProcess::CommandOf(binary, folder, "write"))) {
    for (const auto& channel : Connect(server_.write_address, kPeerConnections)) {
      stubs_.push_back(v1::EventStoreService::NewStub(channel));
      if (session) sessions_.push_back(std::make_unique<Session>(*stubs_.back()));
    }
  }

  void Append(int caller, const std::string& stream, std::optional<std::int64_t> after, int events,
              Done done) override {
    v1::AppendRequest request = RequestOf(stream, after, events);
    const std::size_t connection = static_cast<std::size_t>(caller) % stubs_.size();
    if (!sessions_.empty())
      return sessions_[connection]->Append(std::move(request), std::move(done));
    CallAppend(
        *stubs_[connection], std::move(request),
        [](const v1::AppendResponse& response) { return VersionIn(response.receipt()); },
        std::move(done));
  }

  std::int64_t ReadAll() override {
    grpc::ClientContext context;
    return CountEvents<v1::ReadAllResponse>(stubs_[0]->ReadAll(&context, {}));
  }
  std::int64_t CatchUp() override {
    grpc::ClientContext context;
    const auto reader = stubs_[0]->Subscribe(&context, {});
    std::int64_t events = 0;
    v1::SubscribeResponse message;
    while (reader->Read(&message) && !message.has_caught_up())
      events += message.events().events_size();
    context.TryCancel();
    reader->Finish().error_code();
    return events;
  }
  std::int64_t LoadStream(const std::string& stream) override {
    grpc::ClientContext context;
    v1::ReadStreamRequest request;
    request.set_stream(stream);
    return CountEvents<v1::ReadStreamResponse>(stubs_[0]->ReadStream(&context, request));
  }
  const testing::ChildProcess& process() const override { return server_.process; }

 private:
  testing::ServerProcess server_;
  std::vector<std::unique_ptr<StoreStub>> stubs_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace

std::optional<PeerKind> LeftfoldKind(const PeerPlaces& places, bool session) {
  const auto version = FirstLineOf(places.leftfold + " --version");
  if (!version) Die("no " + places.leftfold);
  return PeerKind{.name = session ? "leftfold-session" : "leftfold",
                  .title = *version + (session ? ", AppendSession" : ""),
                  .durable = "fdatasync of the write-ahead log, by group commit",
                  .start = [places, session](const std::string& folder) {
                    return std::make_unique<LeftfoldPeer>(places.leftfold, folder, session);
                  }};
}

}  // namespace leftfold::bench
