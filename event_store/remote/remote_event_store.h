#ifndef EVENT_STORE_REMOTE_REMOTE_EVENT_STORE_H_
#define EVENT_STORE_REMOTE_REMOTE_EVENT_STORE_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <grpcpp/channel.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/executor.h"
#include "event_store/event_store.h"

namespace leftfold {

// One append as serialised; the server takes no larger request. Beyond: LIMIT_EXCEEDED "bytes of a
// remote append".
inline constexpr std::size_t kRemoteAppendBytesMax = (4 << 20) - 1'024;
// What one message of the session carries at the most, unless a single append has more bytes.
inline constexpr std::size_t kRemoteMessageAppends = 512;
inline constexpr std::size_t kRemoteMessageBytes = 512 << 10;
// Ids of unanswered appends are closer together than this, which is what the server remembers of
// broken chains (kSessionBrokenChainsMax there).
inline constexpr std::uint64_t kRemoteAppendWindow = 65'536;
// While somebody waits for the head, the server tells when it moves, by a subscription without
// events. That is a hint: the head is asked for each kRemoteHeadPollHinted too, and while there is
// no subscription each kRemoteHeadPollInterval.
inline constexpr absl::Duration kRemoteHeadPollInterval = absl::Milliseconds(50);
inline constexpr absl::Duration kRemoteHeadPollHinted = absl::Seconds(1);
// How long a call waits for a server and its answer, also the one that comes before a session and
// the one that settles an unknown outcome.
inline constexpr absl::Duration kRemoteCallWait = absl::Seconds(10);

struct RemoteStoreOptions {
  std::shared_ptr<grpc::Channel> channel;  // To the server's write address; reconnects by itself.
  std::string token;                       // Of the server's data folder.
  // Where answers and wake-ups run; must outlive the store.
  Executor* completions = nullptr;
  absl::Duration call_wait = kRemoteCallWait;
};

// The store of another process, over leftfold.store.v1. Keeps the contract of event_store.h, with
// this added:
//
// Appends go through one AppendSession, so that they commit in the order of their calls, many of
// them in one message, and `broken` holds as in the process of the store. The session is opened
// with the first append, and again with the first after it broke. Further errors of Append:
//   UNAVAILABLE STORE_UNREACHABLE   nothing was sent: no server answered in `call_wait`
//   UNAVAILABLE STOPPING            the server is stopping and has not taken it
//   UNKNOWN OUTCOME_UNKNOWN {command_id}  the session broke before the answer came. It is never
//                                   sent again by this class. With a command id its answer is
//                                   looked up by the id first, and given as a duplicate when it is
//                                   there; the error then says that there was none by then. Without
//                                   an id only reading the streams can tell
//   DATA_LOSS LOG_DIVERGED          another store answers at the address now
//   PERMISSION_DENIED TOKEN_REQUIRED  the token is not the server's
//   INVALID_ARGUMENT LIMIT_EXCEEDED above kRemoteAppendBytesMax; INVALID_FIELDS for texts that are
//                                   no UTF-8 and command ids that are not printable ASCII
// Appends that are decided on one whose outcome is unknown are refused (`broken`).
//
// Reads and GetHead are calls and block their thread, at most `call_wait`: not for gRPC threads.
// They fail with STORE_UNREACHABLE, and with DATA_LOSS for an event that cannot be understood. When
// the server does not answer, or is known to be away, GetHead gives the last head that it was told,
// which may be behind an append that was answered meanwhile. A filter whose categories are no
// category names is INVALID_FIELDS.
//
// WaitPast: appends of this object wake at once, others as soon as the server tells of them. When
// the head that is asked for meanwhile is before one that was told, twice in turn, or has another
// chain, an older copy of the log was restored there: everybody who waits is woken, and reads are
// DATA_LOSS LOG_DIVERGED from then on.
//
// Thread-safe. When it goes, appends that are not answered are never answered, and nothing is
// posted to `completions` any more; it waits until its calls are cancelled, so it must not be
// destroyed on a thread of gRPC. What it had posted must have run or been dropped.
class RemoteEventStore final : public EventStore {
 public:
  // Blocks until the server has answered: STORE_UNREACHABLE.
  static absl::StatusOr<std::unique_ptr<RemoteEventStore>> Connect(
      const RemoteStoreOptions& options);
  ~RemoteEventStore() override;

  void Append(AppendRequest request, AppendDone done) override;
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view command_id) override;
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override;
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override;
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override;
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override;
  absl::StatusOr<Position> PositionBefore(absl::Time time) override;
  Head GetHead() override;
  std::string StoreId() override;
  void WaitPast(Position position, std::function<void()> wake) override;
  // Calls that block end at once, those to come too, with an error: before their threads are
  // waited for.
  void Interrupt();

 private:
  class Core;
  explicit RemoteEventStore(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  const std::shared_ptr<Core> core_;  // Shared with calls in flight.
};

}  // namespace leftfold
#endif  // EVENT_STORE_REMOTE_REMOTE_EVENT_STORE_H_
