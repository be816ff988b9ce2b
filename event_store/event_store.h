#ifndef EVENT_STORE_EVENT_STORE_H_
#define EVENT_STORE_EVENT_STORE_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/event.h"
#include "core/types.h"

namespace leftfold {

// Limits of one append and of one query. Beyond: LIMIT_EXCEEDED.
inline constexpr std::size_t kEventBytesMax = 1 << 20;      // payload of one event
inline constexpr std::size_t kMetadataBytesMax = 64 << 10;  // metadata of one append
inline constexpr std::size_t kAppendEventsMax = 1'000;      // events in one append
inline constexpr std::size_t kAppendStreamsMax = 100;       // streams in one append
inline constexpr std::size_t kAppendBytesMax = 8 << 20;     // all payloads of one append
inline constexpr std::size_t kQueryItemsMax = 32;           // items of a filter or a condition
inline constexpr std::size_t kQueryTermsMax = 64;           // types and tags of all its items
// Events that its filter does not want, that one ReadAll passes over at the most.
inline constexpr std::size_t kScanEventsMax = 10'000;
// Streams that one ListStreams returns at the most.
inline constexpr std::size_t kListStreamsMax = 1'000;
// Appends that are not answered yet, and their events as they will be stored. Beyond: QUEUE_FULL
// with RetryInfo.
inline constexpr std::size_t kAppendQueueMax = 65'536;
inline constexpr std::size_t kAppendQueueBytesMax = 256 << 20;

// What must hold of a stream when the append commits.
struct Any {};
struct NoStream {};
struct StreamExists {};
struct Exactly {
  Version version;
};
using StreamCheck = std::variant<Any, NoStream, StreamExists, Exactly>;

struct StreamAppend {
  std::string stream;
  StreamCheck check = Any{};
  std::vector<NewEvent> events;  // May be empty: then only the check counts.
};

// Events of one of the types (of any when there are none) that carry every one of the tags. As in
// the public specification of dynamic consistency boundaries (dcb.events).
struct QueryItem {
  std::vector<std::string> types = {};
  std::vector<Tag> tags = {};
};

// Fails the append when an event after `after` fits one of the items: whoever decided on what it
// read up to `after` then knows that nothing came between.
struct AppendCondition {
  std::vector<QueryItem> fail_if_events_match;  // 1 to kQueryItemsMax.
  Position after;                               // At most the head.
};

// Remembers an accepted command for ever, with or without events (I5).
struct CommandRecord {
  std::string command_id;    // 1 to kCommandIdBytesMax bytes; unique in the store.
  Digest request_hash{};     // Of the RPC name and the request without its command id.
  std::string aggregate_id;  // As answered.
  std::string created_id;    // As answered.
};

struct AppendRequest {
  // Streams are distinct; the first is the one whose version the result names. Checks are judged
  // before any event is written, all of them, and every violation is reported.
  std::vector<StreamAppend> streams;
  // Whose next event stands next in the log: an index into `streams` for each event. Empty: all
  // events of the first stream, then all of the second, and so on.
  std::vector<std::uint32_t> order = {};
  std::string metadata;  // Bytes of an EventMetadata; kept with each event.
  std::optional<AppendCondition> condition;
  std::optional<CommandRecord> command;
  // Shared by appends that were decided each on the ones before it. The store sets it when one of
  // them is not appended, and gives VERSION_CONFLICT to those that find it set: their checks may
  // hold by chance. nullptr: stands alone.
  std::shared_ptr<std::atomic<bool>> broken;
};

// What an accepted append or command answered, first or again.
struct Receipt {
  Version version;  // Of the first stream's last event, after this append.
  Position
      position;  // Of the last event of this append; of the head at that time when it had no event.
  std::string aggregate_id;
  std::string created_id;
  bool duplicate = false;  // The command had been stored before; nothing was appended now.
  // Of each stream's last event, in the order of the request; empty in a duplicate, whose events
  // end at `position`.
  std::vector<Version> versions = {};
};

struct StoredCommand {
  Digest request_hash{};
  Receipt receipt;  // duplicate = true
};

// What an operator watches.
struct StoreStatus {
  std::size_t queued_appends = 0;    // That wait for the writer.
  std::size_t unanswered_bytes = 0;  // As stored: of these and of those that are being committed.
  // 0 without files.
  std::int64_t file_bytes = 0;
  std::int64_t wal_bytes = 0;  // Of the write-ahead log beside the file.
};

struct Head {
  Position position;       // Of the last event; 0 when the log is empty.
  Digest chain{};          // Chain value there.
  bool last_told = false;  // The store cannot be asked now: there may be more.
};

enum class Direction { kForward, kBackward };

struct ReadStreamOptions {
  // The first version to read (inclusive); backward from the end when it is beyond the end.
  Version from{0};
  Direction direction = Direction::kForward;
  std::size_t events_max = 1'000;
  std::size_t bytes_max = 8 << 20;  // Of payloads; at least one event is returned all the same.
};

// Which events a reader wants: those for which all that is given holds. The default is every event.
struct EventFilter {
  std::vector<std::string> categories = {};  // In one of these.
  std::string stream = {};                   // In this one.
  std::string stream_prefix = {};            // The stream's name begins so.
  std::string correlation_id = {};           // The metadata carry it.
  std::vector<QueryItem> items = {};         // One of these fits; at most kQueryItemsMax.

  bool MatchesAll() const;
  bool Matches(const EventView& event) const;
  bool Matches(const RecordedEvent& event) const { return Matches(ViewOf(event)); }
};
// Whether one of the items fits.
bool MatchesAny(const std::vector<QueryItem>& items, std::string_view type,
                std::span<const Tag> tags);

struct ReadAllOptions {
  // Forward: events after this position. Backward: events before it (exclusive both ways).
  Position from;
  Direction direction = Direction::kForward;
  std::size_t events_max = 1'000;
  std::size_t bytes_max = 8 << 20;  // Of payloads; at least one event is returned all the same.
  EventFilter filter = {};
};

struct ReadAllResult {
  std::vector<RecordedEvent> events;
  // Go on from here: every event between `from` and it, itself included, was either returned or is
  // none that the filter wants. It equals `from` when there was nothing more to examine. Backward
  // it is 1 at the least, and 0 when `from` was 0.
  Position through;
  // The events are as this process recorded them, each after the one before: leaves and chain of
  // all but the first need no check.
  bool linked = false;
};

struct StreamInfo {
  std::string stream;
  Version version;  // Of its last event.
  friend bool operator==(const StreamInfo&, const StreamInfo&) = default;
};

struct ListStreamsOptions {
  std::string category = {};  // Empty: of every category.
  std::string after = {};     // Streams whose names come after this one, in the order of bytes.
  std::size_t streams_max = kListStreamsMax;
};

// Takes an event, or refuses it with false. Must not call the store.
using TakeEvent = absl::FunctionRef<bool(const EventView& event)>;

struct LogMetrics;

// An append-only log of events: dense positions, contiguous versions per stream, one chain. This is
// the one seam between the engines and storage; SQLite, memory and remote stores pass one
// contract suite (tests/contract/event_store_contract_test.cc). Thread-safe. Reads see committed,
// durable events only, and always a complete prefix.
class EventStore {
 public:
  using AppendDone = std::function<void(absl::StatusOr<Receipt>)>;
  virtual ~EventStore() = default;

  // All or nothing. Never blocks and never calls `done` before it returns; `done` runs once, on an
  // executor that the store was given, after the fsync; it must not block. Appends commit in the
  // order of their calls. Errors:
  //   ABORTED VERSION_CONFLICT {stream, expected, actual}: a check failed, the message names all
  //   that did
  //   ABORTED CONDITION_FAILED {position, after}: an event fits the condition
  //   ALREADY_EXISTS COMMAND_ID_REUSED: the command id is stored with another request hash
  //   INVALID_ARGUMENT LIMIT_EXCEEDED {limit, maximum, actual}; malformed stream names and types;
  //   a condition after a position that the log does not have yet
  //   RESOURCE_EXHAUSTED QUEUE_FULL, DISK_FULL or WAL_FULL: nothing was stored
  // A command id that is stored with the same hash gives its receipt again (duplicate = true).
  // Any other I/O error ends the process: it is unknown what is durable.
  virtual void Append(AppendRequest request, AppendDone done) = 0;

  // What the command answered, nullopt when it was never accepted. A point read.
  virtual absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) = 0;

  // Empty when there is no such stream, or nothing in the range. DATA_LOSS when a leaf does not
  // match its event.
  virtual absl::StatusOr<std::vector<RecordedEvent>> ReadStream(
      std::string_view stream, const ReadStreamOptions& options) = 0;
  // Leaves and chain are not checked here: the reader that keeps a chain value does (projector,
  // verify), where they are not `linked`.
  virtual absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) = 0;
  // The same without a copy of each event: `take` is shown them one by one, and the reading ends
  // before the first that it refuses. Says how far it went, as ReadAllResult::through.
  virtual absl::StatusOr<Position> VisitAll(const ReadAllOptions& options, TakeEvent take);

  // Version of the stream's last event, kNoEventYet when it has none.
  virtual absl::StatusOr<Version> StreamVersion(std::string_view stream) = 0;
  // Streams that have events, in the order of their names' bytes.
  virtual absl::StatusOr<std::vector<StreamInfo>> ListStreams(
      const ListStreamsOptions& options) = 0;
  // Position of the last event that was recorded before `time`; 0 when there is none.
  virtual absl::StatusOr<Position> PositionBefore(absl::Time time) = 0;

  // Asks a store elsewhere.
  virtual Head GetHead() = 0;
  virtual std::string StoreId() = 0;
  // Of the store that writes the log; all 0 in others.
  virtual StoreStatus GetStatus() { return {}; }

  // Calls `wake` once, on the completions executor, as soon as the head is beyond `position` (at
  // once when it is).
  virtual void WaitPast(Position position, std::function<void()> wake) = 0;

  // What it has counted; nullptr where it counts nothing.
  virtual const LogMetrics* metrics() const { return nullptr; }
};

// What ReadAll answers where there is a VisitAll.
template <class Log>
absl::StatusOr<ReadAllResult> CollectAll(Log& log, const ReadAllOptions& options) {
  ReadAllResult result;
  // Where there are several there will be many: events are not moved again and again.
  constexpr std::size_t kSeveral = 64;
  const absl::StatusOr<Position> through = log.VisitAll(options, [&](const EventView& event) {
    if (result.events.size() == kSeveral)
      result.events.reserve(std::min(options.events_max, kScanEventsMax));
    result.events.push_back(CopyOf(event));
    return true;
  });
  if (!through.ok()) return through.status();
  result.through = *through;
  return result;
}

}  // namespace leftfold
#endif  // EVENT_STORE_EVENT_STORE_H_
