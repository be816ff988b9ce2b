#ifndef READ_API_VIEW_POOL_H_
#define READ_API_VIEW_POOL_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/executor.h"
#include "core/mutex.h"
#include "core/registry.h"
#include "core/reject.h"
#include "core/types.h"
#include "core/view_listener.h"
#include "sql/connection.h"

namespace leftfold::read_api {

// Reading connections that a view has open at most, each with its own page cache.
inline constexpr int kConnectionsPerViewMax = 4;
// Queries of one view that wait for a connection; above it QUEUE_FULL.
inline constexpr std::size_t kLeaseQueueMax = 1'024;
// Queries and watches of one view that wait for a position; above it QUEUE_FULL.
inline constexpr std::size_t kPositionWaitersMax = 10'000;
// Longest wait for `min_position`.
inline constexpr absl::Duration kFreshnessWaitMax = absl::Seconds(5);
// What is left of the client's deadline for the answer itself and its way back.
inline constexpr absl::Duration kAnswerReserve = absl::Milliseconds(50);
// RetryInfo of READ_MODEL_BEHIND and QUEUE_FULL; of VIEW_REBUILDING; of VIEW_STOPPED.
inline constexpr absl::Duration kRetryWhenBehind = absl::Milliseconds(100);
inline constexpr absl::Duration kRetryWhenRebuilding = absl::Seconds(1);
inline constexpr absl::Duration kRetryWhenStopped = absl::Seconds(30);

namespace internal {
class ServedView;
}

// A reading connection for one answer or several of one state; goes back to its view when
// destroyed. Movable; not thread-safe.
class Lease {
 public:
  Lease(Lease&&) noexcept = default;
  Lease& operator=(Lease&&) = delete;
  ~Lease();
  sql::Connection& connection() { return *reader_.connection; }
  // Begins a read transaction, or goes on in the one that the last lease has left open because
  // nothing had been written when this one was given: to begin and to end one takes locks of the
  // file. Returns the position of its state; a failure is kept in the connection's status.
  Position Begin();
  // The connection met an error: it is closed instead of used again.
  void Drop() { broken_ = true; }

 private:
  friend class internal::ServedView;
  // A connection, and the position of the transaction that is open in it.
  struct Reader {
    std::unique_ptr<sql::Connection> connection;
    std::optional<Position> open_at = std::nullopt;
  };
  // What a view counts of itself.
  struct Era {
    std::int64_t serving = 0;  // Its OnServing: connections of before are not used again.
    std::int64_t written = 0;  // Its OnWritten: transactions of before are not gone on with.
    bool operator==(const Era&) const = default;
  };
  Lease(std::shared_ptr<internal::ServedView> view, Reader reader, Era era)
      : view_(std::move(view)), reader_(std::move(reader)), era_(era) {}

  // For who was given it long after it was taken.
  void EndOldTransaction();

  std::shared_ptr<internal::ServedView> view_;
  Reader reader_;
  Era era_;
  bool broken_ = false;
};

using LeaseDone = absl::AnyInvocable<void(absl::StatusOr<Lease>) &&>;
using WaitDone = absl::AnyInvocable<void(absl::Status) &&>;

// How a view is doing, for operators.
struct ViewCondition {
  enum class State { kStarting, kBuilding, kServing, kStopped };
  State state = State::kStarting;
  bool readable = false;  // There is a file to answer from.
  Position applied;       // Of that file.
  absl::Status reason;    // Of kStopped.
};

// The served files of all views: what the projector says of them, connections to read them, and who
// waits for a position. Thread-safe. Owns no thread: callbacks of waiters run as tasks of the
// executor, whose tasks must be gone before the pool.
class ViewPool final : public ViewListener {
 public:
  // Both must outlive the pool.
  ViewPool(const Registry& registry, Executor& executor);
  ~ViewPool() override;

  // Is told the same after the pool itself knows it (the watch hub). At most once, before the first
  // event.
  void ForwardTo(ViewListener* next) { next_ = next; }

  void OnServing(std::string_view view, const std::string& path) override;
  void OnBuilding(std::string_view view) override;
  void OnBuilt(std::string_view view, Position done, Position total) override;
  void OnApplied(std::string_view view, Position applied,
                 const std::vector<std::string>& touched) override;
  void OnWriting(std::string_view view) override;
  void OnWritten(std::string_view view) override;
  void OnStopped(std::string_view view, const absl::Status& reason) override;
  void HurryBy(Hurry hurry) override;
  bool IsWatched(std::string_view view) override {
    return (next_ != nullptr && next_->IsWatched(view)) || IsAwaited(view);
  }

  ViewCondition ConditionOf(const ViewEntry& view) const;

  // Can the view be read at `min_position` now? true: yes; false: not yet, but it may come
  // (WaitFor); else VIEW_REBUILDING {view, done, total}, VIEW_STOPPED {view, applied, reason} or
  // STOPPING.
  absl::StatusOr<bool> IsReadable(const ViewEntry& view, Position min_position) const;
  // Calls `done` when IsReadable is no longer false, at most min(kFreshnessWaitMax, time_left -
  // kAnswerReserve) from now; then with READ_MODEL_BEHIND {view, applied, min_position}. QUEUE_FULL
  // at kPositionWaitersMax. Always calls `done` from a task, never from inside. A view of this
  // process that rests is made to go on at once.
  void WaitFor(const ViewEntry& view, Position min_position, absl::Duration time_left,
               WaitDone done);

  // A connection to the served file: nullopt when all are leased. Otherwise as LeaseLater.
  absl::StatusOr<std::optional<Lease>> TryLease(const ViewEntry& view);
  // Calls `done` from a task as soon as a connection is free. QUEUE_FULL at kLeaseQueueMax,
  // VIEW_REBUILDING when there is no file, STOPPING; an error of opening the file is INTERNAL and
  // not for clients.
  void LeaseLater(const ViewEntry& view, LeaseDone done);

  // Everybody who waits, now or later, gets STOPPING.
  void Stop();

 private:
  // Somebody waits for a position.
  bool IsAwaited(std::string_view view) const;
  internal::ServedView& At(const ViewEntry& view) const;
  internal::ServedView& At(std::string_view view) const;

  Executor& executor_;
  ViewListener* next_ = nullptr;
  // Filled by the constructor, then only read.
  absl::flat_hash_map<const ViewEntry*, std::shared_ptr<internal::ServedView>> views_;
  absl::flat_hash_map<std::string_view, internal::ServedView*> by_name_;
  Mutex mu_;
  std::shared_ptr<const Hurry> hurry_ ABSL_GUARDED_BY(mu_);
};

// The value of a position field (`min_position`, `resume_position`) of a request; `field` may be
// nullptr. Empty is nullopt, and what is no position is too, and a violation.
std::optional<Position> PositionIn(const google::protobuf::Message& request,
                                   const google::protobuf::FieldDescriptor* field,
                                   Violations& violations);
// Fields of a request that the engine checks; nullptr where it has none.
struct CheckedFields {
  // Field 1 where it has the name that commands give an aggregate's id, which is their field 1. A
  // filter that may be empty has another number, or is optional.
  const google::protobuf::FieldDescriptor* id = nullptr;
  const google::protobuf::FieldDescriptor* version = nullptr;  // int64
};
CheckedFields CheckedFieldsOf(const Registry& registry, const google::protobuf::Descriptor& type);
// Violations: an id that no aggregate can have, a negative version.
void CheckForm(const google::protobuf::Message& request, const CheckedFields& fields,
               Violations& violations);
// The field if the message has it, with this name and type, not repeated; else nullptr.
const google::protobuf::FieldDescriptor* StringField(const google::protobuf::Descriptor& type,
                                                     const char* name);
const google::protobuf::FieldDescriptor* BoolField(const google::protobuf::Descriptor& type,
                                                   const char* name);

}  // namespace leftfold::read_api
#endif  // READ_API_VIEW_POOL_H_
