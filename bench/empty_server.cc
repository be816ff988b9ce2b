#include <absl/container/flat_hash_map.h>
#include <absl/synchronization/mutex.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bench/sections.h"
#include "core/mutex.h"
#include "core/status.h"
#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "leftfold/rooms/v1/queries.grpc.pb.h"
#include "rpc/server.h"
#include "server/thread_pool.h"

namespace leftfold::bench {
namespace {

// Open watches by room; a rename is written to those of its room at once, from memory.
class EmptyWatches {
 public:
  class Stream final : public grpc::ServerWriteReactor<rooms::v1::WatchRoomResponse> {
   public:
    Stream(EmptyWatches& all, std::string room) : all_(all), room_(std::move(room)) {
      Send("Oak");
      const std::lock_guard lock(all_.mu_);
      all_.open_[room_].insert(this);
    }
    void Send(const std::string& name) {
      const std::lock_guard lock(mu_);
      newest_ = name;
      if (!std::exchange(writing_, true)) Write();
    }

   private:
    void Write() {
      response_.mutable_room()->set_room_id(room_);
      response_.mutable_room()->set_name(std::exchange(newest_, ""));
      response_.set_position("1234567");
      StartWrite(&response_);
    }
    void OnWriteDone(bool ok) override {
      const std::lock_guard lock(mu_);
      writing_ = ok && !newest_.empty();
      if (writing_) Write();
    }
    void OnCancel() override {
      {
        const std::lock_guard lock(all_.mu_);
        all_.open_[room_].erase(this);
      }
      Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override { delete this; }

    EmptyWatches& all_;
    const std::string room_;
    std::mutex mu_;
    bool writing_ = false;
    std::string newest_;
    rooms::v1::WatchRoomResponse response_;
  };

  void Renamed(const std::string& room, const std::string& name) {
    const std::lock_guard lock(mu_);
    const auto streams = open_.find(room);
    if (streams == open_.end()) return;
    for (Stream* stream : streams->second) stream->Send(name);
  }

 private:
  std::mutex mu_;
  absl::flat_hash_map<std::string, std::set<Stream*>> open_;
};

// Answers once the bytes of all that came with it are written and synced: what no durable command
// can do without. One thread writes and two others answer; a call that is alone is written and
// answered where it came in.
class SyncedAnswers {
 public:
  explicit SyncedAnswers(const std::string& folder)
      : file_(open((folder + "/synced").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    const std::string zeros(kFileBytes, '\0');
    if (pwrite(file_, zeros.data(), kFileBytes, 0) != kFileBytes || fsync(file_) != 0)
      Die("cannot write to " + folder);
  }
  ~SyncedAnswers() { close(file_); }
  SyncedAnswers(const SyncedAnswers&) = delete;
  SyncedAnswers& operator=(const SyncedAnswers&) = delete;

  void Add(grpc::ServerUnaryReactor* call) {
    {
      const std::lock_guard lock(mu_);
      waiting_.push_back(call);
      const bool alone = open_++ == 0;
      if (std::exchange(committing_, true)) return;
      if (!alone) return writer_.Post([this] { Commit(); });
    }
    Commit();
  }

 private:
  static constexpr std::int64_t kFileBytes = 4 << 20;  // Written again from its begin, as a WAL is.
  static constexpr std::size_t kCallBytes = 256;

  void Commit() {
    std::vector<grpc::ServerUnaryReactor*> group;
    {
      const std::lock_guard lock(mu_);
      group.swap(waiting_);
    }
    const std::string bytes(group.size() * kCallBytes, 'x');
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (end_ + size > kFileBytes) end_ = 0;
    if (pwrite(file_, bytes.data(), bytes.size(), end_) != size || fdatasync(file_) != 0)
      Die("cannot write");
    end_ += size;
    if (group.size() == 1) {
      Answer(group);
    } else {
      completions_.Post([this, group = std::move(group)] { Answer(group); });
    }
    const std::lock_guard lock(mu_);
    committing_ = !waiting_.empty();
    if (committing_) writer_.Post([this] { Commit(); });
  }
  void Answer(const std::vector<grpc::ServerUnaryReactor*>& group) {
    open_ -= std::ssize(group);
    for (grpc::ServerUnaryReactor* call : group) call->Finish(grpc::Status::OK);
  }

  const int file_;
  std::int64_t end_ = 0;
  std::mutex mu_;
  bool committing_ = false;
  std::vector<grpc::ServerUnaryReactor*> waiting_;
  std::atomic<std::int64_t> open_ = 0;
  ThreadPool completions_{"completions", 2};
  ThreadPool writer_{"writer", 1};
};

// Answers every command at once, or when `synced` has it, with a receipt of the usual size.
class EmptyCommands final : public rooms::v1::RoomCommandService::CallbackService {
 public:
  EmptyCommands(EmptyWatches& watches, SyncedAnswers* synced)
      : watches_(watches), synced_(synced) {}

 private:
  grpc::ServerUnaryReactor* RenameRoom(grpc::CallbackServerContext* context,
                                       const rooms::v1::RenameRoomRequest* request,
                                       rooms::v1::RenameRoomResponse* response) override {
    watches_.Renamed(request->room_id(), request->name());
    auto* receipt = response->mutable_receipt();
    receipt->set_aggregate_id(request->room_id());
    receipt->set_version(1'234);
    receipt->set_position("1234567");
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    synced_ == nullptr ? reactor->Finish(grpc::Status::OK) : synced_->Add(reactor);
    return reactor;
  }

  EmptyWatches& watches_;
  SyncedAnswers* synced_;
};

class EmptyQueries final : public rooms::v1::RoomQueryService::CallbackService {
 public:
  explicit EmptyQueries(EmptyWatches& watches) : watches_(watches) {}

 private:
  grpc::ServerUnaryReactor* GetRoom(grpc::CallbackServerContext* context,
                                    const rooms::v1::GetRoomRequest* request,
                                    rooms::v1::GetRoomResponse* response) override {
    response->mutable_room()->set_room_id(request->room_id());
    response->mutable_room()->set_version(1);
    response->mutable_room()->set_name("Oak");
    response->mutable_room()->mutable_created_at()->set_seconds(1'767'225'600);
    response->mutable_room()->mutable_updated_at()->set_seconds(1'767'225'600);
    response->set_applied_position("1234567");
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<rooms::v1::WatchRoomResponse>* WatchRoom(
      grpc::CallbackServerContext*, const rooms::v1::WatchRoomRequest* request) override {
    return new EmptyWatches::Stream(watches_, request->room_id());
  }

  EmptyWatches& watches_;
};

}  // namespace

int ServeEmpty(const std::string& synced_in) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  EmptyWatches watches;
  std::optional<SyncedAnswers> synced;
  if (!synced_in.empty()) synced.emplace(synced_in);
  EmptyCommands commands(watches, synced ? &*synced : nullptr);
  EmptyQueries queries(watches);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, rpc::kStreamsPerConnectionMax);
  builder.RegisterService(&commands);
  builder.RegisterService(&queries);
  const auto server = builder.BuildAndStart();
  fmt::print("commands listening on 127.0.0.1:{}\n", port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  server->Shutdown(std::chrono::system_clock::now());
  return 0;
}

}  // namespace leftfold::bench
