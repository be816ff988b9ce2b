#include "testing/event_store_contract.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "core/reject.h"
#include "event_store/memory/memory_event_store.h"
#include "event_store/remote/remote_event_store.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "server/thread_pool.h"
#include "testing/store_server.h"

namespace leftfold::testing {

void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }

StoreKind MemoryStore() {
  return {"memory", [](const StoreParts& parts) {
            return NewMemoryEventStore(parts.writer, parts.completions, parts.clock);
          }};
}

namespace {

StoreKind SqliteStoreWith(const std::string& name, std::size_t recent_events) {
  return {name, [recent_events](const StoreParts& parts) {
            // Small batches, so that even short tests read from the index's file.
            auto store = OpenSqliteEventStore(parts.folder, {.writer = &parts.writer,
                                                             .completions = &parts.completions,
                                                             .clock = &parts.clock,
                                                             .index_batch = 16,
                                                             .recent_events = recent_events});
            if (!store.ok()) Die(store.status().ToString());
            return *std::move(store);
          }};
}

}  // namespace

StoreKind SqliteStore() { return SqliteStoreWith("sqlite", 0); }
// So few that readers meet their beginning.
StoreKind RecentStore() { return SqliteStoreWith("recent", 5); }

namespace {

// Answers and wake-ups go to the store's executor, but time is real: a poll would keep a virtual
// scheduler from ever being idle.
class PostsOnly final : public Executor {
 public:
  explicit PostsOnly(Executor& executor) : executor_(executor) {}
  ~PostsOnly() override { timers_.Stop(); }
  void Post(std::function<void()> task) override { executor_.Post(std::move(task)); }
  void PostAfter(absl::Duration delay, std::function<void()> task) override {
    timers_.PostAfter(delay, std::move(task));
  }

 private:
  Executor& executor_;
  ThreadPool timers_{"remote timers", 1};
};

// A remote store together with what it is remote from.
class RemoteWithServer final : public EventStore {
 public:
  explicit RemoteWithServer(const StoreParts& parts)
      : completions_(parts.completions),
        scheduler_(parts.scheduler),
        served_(SqliteStore().open(parts)),
        server_(*served_) {
    auto remote = RemoteEventStore::Connect(
        {.channel = grpc::CreateChannel(server_.address(), grpc::InsecureChannelCredentials()),
         .token = StoreServer::kToken,
         .completions = &completions_});
    if (!remote.ok()) Die(remote.status().ToString());
    remote_ = *std::move(remote);
  }

  void Append(AppendRequest request, AppendDone done) override {
    if (scheduler_ == nullptr) return remote_->Append(std::move(request), std::move(done));
    scheduler_->BeginElsewhere();
    remote_->Append(std::move(request), [scheduler = scheduler_,
                                         done = std::move(done)](absl::StatusOr<Receipt> receipt) {
      scheduler->EndElsewhere();
      done(std::move(receipt));
    });
  }
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view id) override {
    return remote_->FindCommand(id);
  }
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    return remote_->ReadStream(stream, options);
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    return remote_->ReadAll(options);
  }
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override {
    return remote_->StreamVersion(stream);
  }
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override {
    return remote_->ListStreams(options);
  }
  absl::StatusOr<Position> PositionBefore(absl::Time time) override {
    return remote_->PositionBefore(time);
  }
  Head GetHead() override { return remote_->GetHead(); }
  std::string StoreId() override { return remote_->StoreId(); }
  void WaitPast(Position position, std::function<void()> wake) override {
    remote_->WaitPast(position, std::move(wake));
  }

 private:
  PostsOnly completions_;
  VirtualScheduler* const scheduler_;
  const std::unique_ptr<EventStore> served_;
  StoreServer server_;
  std::unique_ptr<EventStore> remote_;
};

}  // namespace

StoreKind RemoteStore() {
  return {"remote",
          [](const StoreParts& parts) { return std::make_unique<RemoteWithServer>(parts); }};
}

std::vector<StoreKind> AllStores() {
  return {MemoryStore(), SqliteStore(), RecentStore(), RemoteStore()};
}

StoreOnScheduler::StoreOnScheduler(const StoreKind& kind, std::uint64_t seed)
    : kind_(kind), scheduler_(seed) {
  Reopen();
}

void StoreOnScheduler::Reopen() {
  store_.reset();
  store_ = kind_.open({.folder = folder(),
                       .writer = scheduler_.Serial(),
                       .completions = scheduler_.Pool(),
                       .clock = clock_,
                       .scheduler = &scheduler_});
}

absl::StatusOr<Receipt> StoreOnScheduler::Append(AppendRequest request) {
  std::vector<AppendRequest> requests;
  requests.push_back(std::move(request));
  return AppendTogether(std::move(requests)).front();
}

std::vector<absl::StatusOr<Receipt>> StoreOnScheduler::AppendTogether(
    std::vector<AppendRequest> requests) {
  std::vector<absl::StatusOr<Receipt>> receipts(requests.size(),
                                                absl::UnknownError("was not answered"));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    store_->Append(std::move(requests[i]), [&receipts, i](absl::StatusOr<Receipt> receipt) {
      if (!absl::IsUnknown(receipts[i].status())) Die("an append was answered twice");
      receipts[i] = std::move(receipt);
    });
  }
  scheduler_.RunUntilIdle();
  return receipts;
}

std::vector<RecordedEvent> StoreOnScheduler::All() {
  auto read = store_->ReadAll({.from = kBeforeFirst, .events_max = 1'000'000});
  if (!read.ok()) Die(read.status().ToString());
  return std::move(read->events);
}

NewEvent EventOf(std::string payload) {
  NewEvent event;
  event.type = "test.Happened";
  event.payload = std::move(payload);
  return event;
}

AppendRequest AppendOf(std::string stream, const std::vector<std::string>& payloads,
                       StreamCheck check) {
  AppendRequest request;
  StreamAppend& append = request.streams.emplace_back();
  append.stream = std::move(stream);
  append.check = check;
  for (const std::string& payload : payloads) append.events.push_back(EventOf(payload));
  return request;
}

AppendRequest CommandOf(AppendRequest request, std::string command_id, std::uint8_t hash) {
  request.command = CommandRecord{std::move(command_id), Digest{hash}, "oak", "created-1"};
  return request;
}

std::vector<std::string> Brief(const std::vector<RecordedEvent>& events) {
  std::vector<std::string> out;
  for (const RecordedEvent& event : events) {
    out.push_back(fmt::format("{}:{}@{}={}", event.position.value, event.stream,
                              event.version.value, event.payload));
  }
  return out;
}

std::string Describe(const RecordedEvent& event) {
  return fmt::format(
      "{}:{}@{} id={} type={} payload={} encoding={} metadata={} tags={} at={} previous={} leaf={}",
      event.position.value, event.stream, event.version.value, ToString(event.event_id), event.type,
      ToHex(event.payload), static_cast<int>(event.encoding), ToHex(event.metadata),
      ToHex(EncodeTags(event.tags)), absl::ToUnixMicros(event.recorded_at),
      event.category_previous.value, ToHex(AsBytes(event.leaf)));
}

std::string Describe(const absl::StatusOr<Receipt>& receipt) {
  if (!receipt.ok()) {
    return fmt::format("{} {} {}", static_cast<int>(receipt.status().code()),
                       ReasonOf(receipt.status()), ToStd(receipt.status().message()));
  }
  return fmt::format("version={} position={} aggregate={} created={} duplicate={}",
                     receipt->version.value, receipt->position.value, receipt->aggregate_id,
                     receipt->created_id, receipt->duplicate);
}

}  // namespace leftfold::testing
