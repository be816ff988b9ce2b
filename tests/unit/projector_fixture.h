#ifndef TESTS_UNIT_PROJECTOR_FIXTURE_H_
#define TESTS_UNIT_PROJECTOR_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/executor.h"
#include "core/registry.h"
#include "core/status.h"
#include "core/view_listener.h"
#include "event_store/event_store.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "projector/view_runner.h"
#include "sql/view_file.h"

// What the projector's tests share: a log that can be damaged, an executor on a time of its own,
// and small views.
namespace leftfold::projecting {

// A log in memory whose events tests may change, remove and hide.
class FakeStore final : public EventStore {
 public:
  explicit FakeStore(std::string id = "store") : id_(std::move(id)) {
    head_ = {{}, FirstChain(id_)};
  }

  // The next event of the stream.
  RecordedEvent& Add(const std::string& stream, std::string type, std::string payload) {
    RecordedEvent event;
    event.position = head_.position.Next();
    event.stream = stream;
    event.version = versions_.try_emplace(stream, kNoEventYet).first->second.Next();
    versions_[stream] = event.version;
    event.event_id = DerivedUuid(id_, static_cast<int>(event.position.value));
    event.type = std::move(type);
    event.payload = std::move(payload);
    event.recorded_at = absl::FromUnixSeconds(1'767'225'600 + event.position.value) + waited;
    event.leaf = LeafOf(event.event_id, event.encoding, event.type, event.payload, "", "");
    event.chain = ChainOf(head_.chain, event);
    head_ = {event.position, event.chain};
    events.push_back(std::move(event));
    return events.back();
  }
  template <class Event>
  RecordedEvent& Add(const std::string& stream, const Event& event) {
    return Add(stream, Event::descriptor()->full_name(), event.SerializeAsString());
  }
  // Room names in order, each of them another room's.
  void AddNames(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      rooms::v1::RoomCreated created;
      created.set_name(name);
      Add("room-" + name, created);
    }
  }
  void Remove(Position position) {
    std::erase_if(events, [position](const auto& event) { return event.position == position; });
  }
  // Wakes who waits for what has been added.
  void Wake() {
    while (!waiting_.empty() && waiting_.begin()->first < head_.position) {
      const auto wake = std::move(waiting_.extract(waiting_.begin()).mapped());
      wake();
    }
  }

  void Append(AppendRequest, AppendDone done) override { done(absl::UnimplementedError("fake")); }
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view) override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view,
                                                        const ReadStreamOptions&) override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<Version> StreamVersion(std::string_view) override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions&) override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<Position> PositionBefore(absl::Time) override {
    return absl::UnimplementedError("fake");
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    ++reads;
    if (on_read) on_read();
    if (!failure.ok()) return failure;
    auto it = std::upper_bound(events.begin(), events.end(), options.from,
                               [](Position p, const RecordedEvent& e) { return p < e.position; });
    ReadAllResult read{{}, options.from, linked};
    std::size_t bytes = 0;
    for (; it != events.end() && read.events.size() < options.events_max; ++it) {
      bytes += it->payload.size();
      if (bytes > options.bytes_max && !read.events.empty()) break;
      if (it->position == damaged) return absl::DataLossError("damaged");
      read.events.push_back(*it);
      read.through = it->position;
    }
    return read;
  }
  Head GetHead() override {
    ++heads;
    return head_;
  }
  std::string StoreId() override { return id_; }
  void WaitPast(Position position, std::function<void()> wake) override {
    if (head_.position > position) return wake();
    waiting_.emplace(position, std::move(wake));
  }
  std::size_t waiting() const { return waiting_.size(); }

  std::deque<RecordedEvent> events;
  absl::Duration waited;  // What is added comes so much later.
  absl::Status failure;   // Of every read.
  Position damaged;       // Fails reads that come so far.
  bool linked = false;    // What reads say of the events.
  int reads = 0;
  int heads = 0;
  std::function<void()> on_read;  // What others do meanwhile.

 private:
  const std::string id_;
  Head head_;
  std::map<std::string, Version> versions_;
  std::multimap<Position, std::function<void()>> waiting_;
};

// Runs tasks when told to, in an order that a seed decides, on a time of its own.
class ManualExecutor final : public Executor {
 public:
  explicit ManualExecutor(std::uint64_t seed = 1) : random_(seed) {}
  void Post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void PostAfter(absl::Duration delay, std::function<void()> task) override {
    timers_.emplace(now_ + delay, std::move(task));
  }
  // One task; false when there is none.
  bool RunOne() {
    if (tasks_.empty()) return false;
    const auto it = tasks_.begin() + static_cast<std::ptrdiff_t>(random_() % tasks_.size());
    const std::function<void()> task = std::move(*it);
    tasks_.erase(it);
    task();
    return true;
  }
  // Tasks and timers, until nothing is left or `by` has passed.
  void Advance(absl::Duration by) {
    const absl::Duration end = now_ + by;
    while (true) {
      while (RunOne()) {
      }
      if (timers_.empty() || timers_.begin()->first > end) break;
      now_ = timers_.begin()->first;
      tasks_.push_back(std::move(timers_.extract(timers_.begin()).mapped()));
    }
    now_ = end;
  }
  std::size_t size() const { return tasks_.size() + timers_.size(); }

 private:
  std::mt19937_64 random_;
  absl::Duration now_;
  std::deque<std::function<void()>> tasks_;
  std::multimap<absl::Duration, std::function<void()>> timers_;
};

// Writes down what the read side is told: "serving names", "applied names 3 a,b" …
class ListenerLog final : public ViewListener {
 public:
  void OnServing(std::string_view view, const std::string& path) override {
    lines.push_back(fmt::format("serving {}", view));
    files[std::string(view)] = path;
  }
  void OnBuilding(std::string_view view) override {
    lines.push_back(fmt::format("building {}", view));
  }
  void OnApplied(std::string_view view, Position applied,
                 const std::vector<std::string>& touched) override {
    std::vector<std::string> keys = touched;
    std::sort(keys.begin(), keys.end());
    lines.push_back(fmt::format("applied {} {} {}", view, applied.value, fmt::join(keys, ",")));
    if (on_applied) on_applied(view);
  }
  void OnWriting(std::string_view view) override {
    EXPECT_TRUE(writing.emplace(view).second) << view;
  }
  void OnWritten(std::string_view view) override {
    EXPECT_EQ(writing.erase(std::string(view)), 1U) << view;
    ++written[std::string(view)];
  }
  void OnStopped(std::string_view view, const absl::Status& reason) override {
    lines.push_back(fmt::format("stopped {}", view));
    reasons[std::string(view)] = reason;
  }
  bool IsWatched(std::string_view view) override { return view == watched; }
  void HurryBy(Hurry how) override { hurry = std::move(how); }
  bool Has(const std::string& line) const {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  }

  std::string watched;  // The view that somebody watches.
  Hurry hurry;
  std::function<void(std::string_view)> on_applied;  // What others do meanwhile.
  std::vector<std::string> lines;
  std::map<std::string, std::string> files;
  std::set<std::string> writing;       // Views whose files may be written just now.
  std::map<std::string, int> written;  // How often each has been.
  std::map<std::string, absl::Status> reasons;
};

// Nobody asks these views.
struct NotAsked {
  using Queries = Types<>;
  using Watches = Types<>;
  template <class Query>
  static absl::StatusOr<Query> Answer(const Query&, ReadTx&) {
    return absl::UnimplementedError("not asked");
  }
};

// One row a room, in the order of the log. A room named "poison" breaks its SQL, one named "clock"
// asks it for the time.
struct Names : NotAsked {
  static constexpr std::string_view kName = "names";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema =
      "CREATE TABLE name(position INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT";
  using Handles = Types<rooms::v1::RoomCreated>;
  static void On(const rooms::v1::RoomCreated& event, const EventMeta& meta, WriteTx& tx) {
    tx.Exec("INSERT INTO name VALUES (?, ?)", meta.position(), event.name());
    tx.Touch(event.name());
    if (event.name() == "poison") tx.Exec("INSERT INTO name VALUES (?, NULL)", std::int64_t{-1});
    if (event.name() == "clock") tx.Exec("INSERT INTO name VALUES (-1, datetime('now'))");
  }
};

// Folds whatever comes.
struct Count : NotAsked {
  static constexpr std::string_view kName = "count";
  static constexpr int kVersion = 1;
  static constexpr std::string_view kSchema =
      "CREATE TABLE count(id INTEGER PRIMARY KEY, rooms INTEGER NOT NULL) STRICT";
  using Handles = Types<rooms::v1::RoomCreated>;
  static void On(const rooms::v1::RoomCreated&, const EventMeta&, WriteTx& tx) {
    tx.Exec("INSERT INTO count VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET rooms = rooms + 1");
    tx.Touch("all");
  }
};

template <View V>
const ViewEntry& EntryOf() {
  static const Registry* const kRegistry = [] {
    auto* registry = new Registry;
    registry->Add<V>();
    return registry;
  }();
  return kRegistry->views().front();
}

// The names in a file of the view Names, and its checkpoint: "3: a b c".
inline std::string RowsOf(const std::string& path) {
  auto reader = sql::OpenViewReader(path);
  if (!reader.ok()) return std::string(reader.status().message());
  std::vector<std::string> names;
  for (Rows rows((*reader)->Prepare("SELECT name FROM name ORDER BY position")); rows.Next();) {
    names.push_back(rows.Text(0));
  }
  const auto checkpoint = sql::ReadCheckpoint(**reader);
  return fmt::format("{}: {}", checkpoint.ok() ? checkpoint->position.value : -1,
                     fmt::join(names, " "));
}

}  // namespace leftfold::projecting
#endif  // TESTS_UNIT_PROJECTOR_FIXTURE_H_
