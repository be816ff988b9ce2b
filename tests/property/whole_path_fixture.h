#ifndef TESTS_PROPERTY_WHOLE_PATH_FIXTURE_H_
#define TESTS_PROPERTY_WHOLE_PATH_FIXTURE_H_

#include <google/protobuf/message.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "core/clock.h"
#include "core/registry.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/sqlite_snapshots.h"
#include "projector/projector.h"
#include "read_api/query_handler.h"
#include "read_api/view_pool.h"
#include "read_api/watch_hub.h"
#include "testing/virtual_scheduler.h"
#include "write_api/command_handler.h"
#include "write_api/snapshotter.h"

namespace leftfold::testing {

template <class T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) Die(fmt::format("not OK: {}", ToStd(result.status().message())));
  return *std::move(result);
}

// The threads of this process.
inline std::int64_t Threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

// All engines over one data folder, put together as server/app.cc does, but on a scheduler that the
// test steps. It goes as a crashed process does: what is on its way is dropped unfinished.
class WholePath {
 public:
  // What the engines are given in place of the log; it passes calls on.
  using Through = std::function<std::unique_ptr<EventStore>(EventStore& log, Executor& executor)>;

  // Registry and clock must outlive it.
  WholePath(const Registry& registry, const Clock& clock, const std::string& folder,
            std::uint64_t seed, const Through& through = nullptr)
      : registry_(registry),
        scheduler_(seed),
        log_(Must(OpenSqliteEventStore(
            folder + "/log",
            {.writer = &scheduler_.Serial(), .completions = &scheduler_.Pool(), .clock = &clock}))),
        through_(through != nullptr ? through(*log_, scheduler_.Pool()) : nullptr),
        store_(through_ != nullptr ? through_.get() : log_.get()),
        snapshots_(std::make_unique<SqliteSnapshots>(folder + "/log")),
        snapshotter_(std::make_unique<Snapshotter>(*store_, *snapshots_, scheduler_.Pool())),
        commands_(std::make_unique<CommandHandler>(registry, *store_, clock, scheduler_.Pool(),
                                                   snapshotter_.get())),
        pool_(std::make_unique<read_api::ViewPool>(registry, scheduler_.Pool())),
        watches_(std::make_unique<read_api::WatchHub>(registry, *pool_, scheduler_.Pool())),
        queries_(std::make_unique<read_api::QueryHandler>(registry, *pool_)) {
    pool_->ForwardTo(watches_.get());
    projector_ = Must(Projector::Open(registry, *store_, scheduler_.Pool(), clock, pool_.get(),
                                      folder + "/views"));
    projector_->Start();
  }
  ~WholePath() {
    scheduler_.DropAll();
    projector_.reset();
    queries_.reset();
    watches_.reset();
    pool_.reset();
    commands_.reset();
    scheduler_.DropAll();
  }
  WholePath(const WholePath&) = delete;
  WholePath& operator=(const WholePath&) = delete;

  void Command(const google::protobuf::Message& command, Caller caller, CommandHandler::Done done) {
    const auto& all = registry_.commands();
    const auto entry = std::find_if(all.begin(), all.end(), [&](const CommandEntry& e) {
      return e.request == command.GetDescriptor();
    });
    commands_->Handle(*entry, Copy(command), std::move(caller), std::move(done));
  }
  void Query(const google::protobuf::Message& query, read_api::QueryDone done) {
    for (const ViewEntry& view : registry_.views()) {
      for (const QueryEntry& entry : view.queries) {
        if (entry.request != query.GetDescriptor()) continue;
        return queries_->Handle(view, entry, Copy(query), absl::InfiniteDuration(),
                                std::move(done));
      }
    }
  }
  // To be started by the caller.
  std::shared_ptr<read_api::Watcher> Watch(const google::protobuf::Message& watch,
                                           std::shared_ptr<read_api::WatchSink> sink) {
    for (const ViewEntry& view : registry_.views()) {
      for (const WatchEntry& entry : view.watches) {
        if (entry.request != watch.GetDescriptor()) continue;
        return watches_->Open(view, entry, Copy(watch), absl::InfiniteDuration(), std::move(sink));
      }
    }
    return nullptr;
  }

  VirtualScheduler& scheduler() { return scheduler_; }
  EventStore& store() { return *log_; }
  // As the engines see it.
  EventStore& seen_store() { return *store_; }
  CommandHandler& commands() { return *commands_; }
  Projector& projector() { return *projector_; }
  read_api::WatchHub& watches() { return *watches_; }

 private:
  static std::unique_ptr<google::protobuf::Message> Copy(const google::protobuf::Message& message) {
    std::unique_ptr<google::protobuf::Message> copy(message.New());
    copy->CopyFrom(message);
    return copy;
  }

  const Registry& registry_;
  VirtualScheduler scheduler_;
  std::unique_ptr<EventStore> log_;
  std::unique_ptr<EventStore> through_;
  EventStore* const store_;
  std::unique_ptr<SnapshotStore> snapshots_;
  std::unique_ptr<Snapshotter> snapshotter_;
  std::unique_ptr<CommandHandler> commands_;
  std::unique_ptr<read_api::ViewPool> pool_;
  std::unique_ptr<read_api::WatchHub> watches_;
  std::unique_ptr<read_api::QueryHandler> queries_;
  std::unique_ptr<Projector> projector_;
};

}  // namespace leftfold::testing
#endif  // TESTS_PROPERTY_WHOLE_PATH_FIXTURE_H_
