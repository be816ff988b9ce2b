#ifndef EVENT_STORE_FEED_H_
#define EVENT_STORE_FEED_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/executor.h"
#include "core/metrics.h"
#include "core/mutex.h"
#include "event_store/event_store.h"

namespace leftfold {

// Reads and subscriptions open at a time. Beyond: TOO_MANY_READERS with RetryInfo.
inline constexpr std::size_t kReadersMax = 10'000;
// A message to a reader ends when it has so many events, or so many bytes (as serialised).
inline constexpr std::size_t kReaderMessageEvents = 1'000;
inline constexpr std::size_t kReaderMessageBytes = 256 << 10;
// What a reader that does not read costs at the most: a message, which is sent without a copy, the
// next one, and what gRPC has of the call. The first is with one large event in a message, the
// second with many small ones.
inline constexpr std::size_t kReaderBytesMax = (1 << 20) + (768 << 10);
inline constexpr std::size_t kReaderSmallEventsBytesMax = 2 * kReaderMessageBytes + (128 << 10);
// A subscriber that waits looks for new events this often, though nobody told it of any.
inline constexpr absl::Duration kReaderPollInterval = absl::Milliseconds(500);
inline constexpr absl::Duration kSubscriptionHeartbeat = absl::Seconds(10);
// Events that the filter does not want, after which a reader is told how far it is.
inline constexpr std::int64_t kCheckpointEvents = 10'000;
// A live subscriber that is further behind than this is told that it is.
inline constexpr std::int64_t kFellBehindEvents = 1'000;

// Where a feed's messages go; the server implements it over an RPC stream. Write is called again
// only after Feed::OnWritten; Finish exactly once, last, and not while a write is outstanding.
// Neither may block, and neither is called while the other runs. Both are called from tasks and may
// call the feed back.
class FeedSink {
 public:
  virtual ~FeedSink() = default;
  // A message of the RPC's response type, serialised.
  virtual void Write(std::string message) = 0;
  virtual void Finish(const absl::Status& status) = 0;
};

class Feeds;

// One open read or subscription: a loop that reads the store and writes a message. Where it knows
// that there is more it reads the next message while that is on its way, and no further, so that a
// slow client costs two; after a large one, or at the head, it reads on when that is through.
// Thread-safe; calls after the end do nothing.
class Feed : public std::enable_shared_from_this<Feed> {
 public:
  virtual ~Feed() = default;
  // Begins; nothing is written before. Once.
  void Start() { Hint(); }
  // The write is through; false: the client is gone, which cancels.
  void OnWritten(bool ok);
  // The client is gone. Finish(CANCELLED) follows, after the outstanding write's OnWritten.
  void Cancel() { End(absl::CancelledError()); }

 protected:
  enum class Next { kWrite, kAgain, kWait, kEnd };

  Feed(Feeds& feeds, std::shared_ptr<FeedSink> sink) : feeds_(feeds), sink_(std::move(sink)) {}

  // Does one bounded piece of work, at no time two of them. kWrite: `TakeMessage()`, serialised, is
  // to be written. kWait: there is nothing beyond `waits_past()`. An error ends the feed.
  virtual absl::StatusOr<Next> Step() = 0;
  virtual std::string TakeMessage() = 0;
  // After a step to kWrite: the next one has certainly something to tell.
  virtual bool HasMore() const = 0;
  virtual Position waits_past() const { return kBeforeFirst; }
  // A poll came while it waited: whether to step.
  virtual bool OnPoll(Position head) { return head > waits_past(); }

  EventStore& store() const;

 private:
  friend class Feeds;
  // Something may have changed: step unless that is not possible now.
  void Hint();
  void End(absl::Status status);
  // Runs, unless that is posted or what it would do must wait for the write.
  void Post() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run();
  // These end a run. Write leaves the message for later while another is on its way.
  void Write(std::string message);
  void Send(std::string message);
  void EndStep(const absl::Status& status);
  void Finish(const absl::Status& status);
  bool Writing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return calling_ || outstanding_; }

  Feeds& feeds_;
  const std::shared_ptr<FeedSink> sink_;
  Mutex mu_;
  bool running_ ABSL_GUARDED_BY(mu_) = false;              // Run is posted or runs.
  bool again_ ABSL_GUARDED_BY(mu_) = false;                // A hint came meanwhile.
  bool calling_ ABSL_GUARDED_BY(mu_) = false;              // The sink's Write runs.
  bool outstanding_ ABSL_GUARDED_BY(mu_) = false;          // And OnWritten has not come.
  bool reads_ahead_ ABSL_GUARDED_BY(mu_) = false;          // While that is so.
  std::optional<std::string> ahead_ ABSL_GUARDED_BY(mu_);  // Waits for the write before it.
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
};

// Owns what all feeds of a process share: their number, the executor on which they step (and may
// block on reads), and their wake-ups. The store's notifications are hints; a poll finds what they
// lose. Owns no thread. Thread-safe. Both arguments must outlive it; the executor's tasks must be
// gone before it.
class Feeds {
 public:
  Feeds(EventStore& store, Executor& work);
  Feeds(const Feeds&) = delete;
  Feeds& operator=(const Feeds&) = delete;

  // Counts the feed as open until it has finished; TOO_MANY_READERS, or STOPPING after Stop.
  absl::Status Admit(const std::shared_ptr<Feed>& feed);
  // Every open feed ends with STOPPING, those to come too.
  void Stop();
  std::size_t open() const;
  // Messages that were written to all feeds.
  const Counter& messages() const { return messages_; }

  EventStore& store() { return store_; }
  Executor& work() { return work_; }

 private:
  friend class Feed;
  // Hints the feed when the head is past `position`, or at the poll after.
  void Wait(const std::shared_ptr<Feed>& feed, Position position);
  void Close(Feed* feed);
  void OnHead();
  void OnPoll();

  EventStore& store_;
  Executor& work_;
  Counter messages_;
  mutable Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<Feed*, std::weak_ptr<Feed>> open_ ABSL_GUARDED_BY(mu_);
  std::vector<std::weak_ptr<Feed>> waiting_ ABSL_GUARDED_BY(mu_);
  // The store has been asked to call when the head is past this; at most one call is outstanding,
  // so that feeds that come and go on a quiet log leave nothing behind.
  std::optional<Position> asked_past_ ABSL_GUARDED_BY(mu_);
  bool poll_posted_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leftfold
#endif  // EVENT_STORE_FEED_H_
