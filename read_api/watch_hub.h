#ifndef READ_API_WATCH_HUB_H_
#define READ_API_WATCH_HUB_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/executor.h"
#include "core/registry.h"
#include "core/view_listener.h"
#include "read_api/view_pool.h"

namespace leftfold::read_api {

// Watches open in the process; above it QUEUE_FULL.
inline constexpr int kWatchersMax = 10'000;
// Different keys that a list's watcher may be behind; above it the list is sent anew.
inline constexpr std::size_t kDirtyKeysMax = 1'000;
// Touches of a view that are kept for all its list watchers together; who is further behind gets
// the list anew.
inline constexpr std::size_t kRecentTouchesMax = 8'192;
// Documents of a list that are read in one transaction, and so wait in memory for a slow client.
inline constexpr int kWatchChunk = 16;
// Watchers that are answered from one transaction.
inline constexpr std::size_t kWatchersPerStep = 64;
// Answers that are kept for a view's other watchers of the same state, in bytes; further ones are
// made for each.
inline constexpr std::size_t kCachedBytesMax = 4 << 20;
inline constexpr absl::Duration kHeartbeatInterval = absl::Seconds(15);

// Where a watch's messages go; the server implements it over an RPC stream. Write is called again
// only after Watcher::OnWritten, Finish exactly once and last, and not while a write is
// outstanding. Neither may block. Both are called from tasks and may call the watcher back.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // One serialised response of the watch's RPC; valid during the call.
  virtual void Write(std::string_view message) = 0;
  virtual void Finish(const absl::Status& status) = 0;
};

// The handle of one open watch. Thread-safe; calls after the end do nothing.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // Begins; nothing is written before. Once.
  virtual void Start() = 0;
  // The write is through; false: the client is gone, which cancels.
  virtual void OnWritten(bool ok) = 0;
  // The client is gone. Finish(CANCELLED) follows, after the outstanding write's OnWritten.
  virtual void Cancel() = 0;
};

// Sends states to watchers, as core/view.h says of watches: what is there first, then what changed,
// each state once, at strictly increasing positions; states in between merge for a slow client,
// which costs one chunk of memory.
//
// A document: the state (error NOT_FOUND when there is none), then the newest state after commits
// that touched its key, each with its `position`. When it is gone: one message with `deleted` and
// `position`, then the end with OK.
//
// A list: rounds. A round is a run of messages of which the last one has a `position`; it brings
// the client to that position.
//   - A round that ends with `snapshot_complete` states the whole list: what the client has from
//   before and what is not
//     among the messages of this round is gone. The first round is one, unless it resumes. An empty
//     list is one message with `snapshot_complete` and `position` alone.
//   - Every other round has one message for each key that changed: the document, or `removed_key`
//   when it does not match
//     (the client may never have had it).
//   A whole round is sent again when the client was too far behind to be told the changes, and when
//   the view was rebuilt.
//
// Heartbeats every kHeartbeatInterval while there is nothing else, with the position that all sent
// messages amount to. `resume_position` in the request continues from there: the keys changed since
// are sent, or a whole round when that is too long ago; a document that is gone is a tombstone
// then, not NOT_FOUND. `min_position` and `resume_position` are waited for as in queries, with the
// same errors. A switch to a rebuilt file sends everything again, as soon as that file is past what
// the client has seen. A stopped view sends its last state and then heartbeats only.
//
// Thread-safe. Owns no thread: one task a view works at a time, from the executor, whose tasks must
// be gone before the hub. Watches that are still open when it goes are dropped without a word.
class WatchHub final : public ViewListener {
 public:
  // All must outlive the hub. The pool must forward to the hub: pool.ForwardTo(&hub). Ends the
  // process when a watch's response lacks one of the fields in core/view.h.
  WatchHub(const Registry& registry, ViewPool& pool, Executor& executor);
  ~WatchHub() override;

  // Never fails: errors come through the sink, after Start. `time_left` bounds the wait for
  // min_position only.
  std::shared_ptr<Watcher> Open(const ViewEntry& view, const WatchEntry& watch,
                                std::unique_ptr<google::protobuf::Message> request,
                                absl::Duration time_left, std::shared_ptr<WatchSink> sink);

  void OnServing(std::string_view view, const std::string& path) override;
  void OnBuilding(std::string_view) override {}
  void OnApplied(std::string_view view, Position applied,
                 const std::vector<std::string>& touched) override;
  void OnStopped(std::string_view, const absl::Status&) override {}
  bool IsWatched(std::string_view view) override;

  // Every watch ends with STOPPING, those to come too.
  void Stop();
  int open_watches() const;

 private:
  class Group;
  class OneWatcher;

  absl::flat_hash_map<const ViewEntry*, std::shared_ptr<Group>>
      groups_;  // Filled by the constructor, then only read.
  absl::flat_hash_map<std::string_view, Group*> by_name_;
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace leftfold::read_api
#endif  // READ_API_WATCH_HUB_H_
