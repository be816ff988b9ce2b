#include "read_api/view_pool.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "core/ids.h"
#include "core/reject.h"
#include "core/status.h"
#include "read_api/errors.h"
#include "sql/view_file.h"

namespace leftfold::read_api {
namespace internal {

// One view of the pool. Shared with its leases, which may outlive the pool.
class ServedView : public std::enable_shared_from_this<ServedView> {
 public:
  ServedView(std::string_view name, Executor& executor) : name_(name), executor_(executor) {}

  void OnServing(const std::string& path);
  void OnBuilding();
  void OnBuilt(Position done, Position total);
  void OnApplied(Position applied);
  void OnWriting();
  void OnWritten();
  void OnStopped(const absl::Status& reason);
  void Stop();

  ViewCondition Condition() const;
  bool IsAwaited() const {
    MutexLock lock(mu_);
    return !waiters_.empty();
  }
  absl::StatusOr<bool> IsReadable(Position min_position) const;
  void WaitFor(Position min_position, absl::Duration limit, WaitDone done);
  absl::StatusOr<std::optional<Lease>> TryLease();
  void LeaseLater(LeaseDone done);
  void Return(Lease::Reader reader, const Lease::Era& era);
  // Whether a transaction of then shows all that there is now.
  bool ShowsAll(const Lease::Era& era) const {
    MutexLock lock(mu_);
    return still_ && era == era_;
  }

 private:
  struct Waiter {
    std::int64_t id;
    WaitDone done;
  };
  using Waiters = std::multimap<Position, Waiter>;

  absl::Status StoppedLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status RebuildingLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return Rebuilding(name_, built_, build_to_);
  }
  absl::StatusOr<bool> IsReadableLocked(Position min_position) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes out the waiters that have an answer now.
  void SettleWaiters() ABSL_LOCKS_EXCLUDED(mu_);
  void OnTimeout(std::int64_t id, Position min_position);
  void PostWait(WaitDone done, absl::Status status);
  void PostLease(LeaseDone done, absl::StatusOr<Lease> lease);
  absl::StatusOr<Lease> Open(const std::string& path, const Lease::Era& era);
  // Takes the reader back where it still is of use; with an open transaction only while that shows
  // all there is.
  bool PutBack(Lease::Reader& reader, const Lease::Era& era) ABSL_LOCKS_EXCLUDED(mu_);
  // Serves the queue as far as connections are free, and fails all of it when there is nothing to
  // wait for.
  void ServeQueue() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status CannotLease() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string_view name_;  // The registry's.
  Executor& executor_;

  mutable Mutex mu_;
  ViewCondition condition_ ABSL_GUARDED_BY(mu_);
  Position built_ ABSL_GUARDED_BY(mu_);     // Of kBuilding.
  Position build_to_ ABSL_GUARDED_BY(mu_);  // Of kBuilding.
  std::string path_ ABSL_GUARDED_BY(mu_);
  Lease::Era era_ ABSL_GUARDED_BY(mu_);
  bool still_ ABSL_GUARDED_BY(mu_) = false;  // OnWritten was told, and no OnWriting since.
  std::vector<Lease::Reader> free_ ABSL_GUARDED_BY(mu_);
  int leased_ ABSL_GUARDED_BY(mu_) = 0;  // Of the present file.
  std::deque<LeaseDone> queue_ ABSL_GUARDED_BY(mu_);
  Waiters waiters_ ABSL_GUARDED_BY(mu_);
  std::int64_t next_waiter_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

void ServedView::OnServing(const std::string& path) {
  absl::StatusOr<std::unique_ptr<sql::Connection>> connection = sql::OpenViewReader(path);
  absl::StatusOr<sql::Checkpoint> checkpoint =
      connection.ok() ? sql::ReadCheckpoint(**connection)
                      : absl::StatusOr<sql::Checkpoint>(connection.status());
  std::vector<Lease::Reader> old;  // Closed without the lock.
  {
    MutexLock lock(mu_);
    if (!checkpoint.ok()) {
      // What was served before goes on; without it there is nothing to answer from.
      condition_.state = ViewCondition::State::kStopped;
      condition_.reason = checkpoint.status();
    } else {
      condition_ = {ViewCondition::State::kServing, true, checkpoint->position, absl::OkStatus()};
      path_ = path;
      ++era_.serving;
      leased_ = 0;
      old.swap(free_);
      free_.push_back({*std::move(connection)});
    }
  }
  SettleWaiters();
  ServeQueue();
}

void ServedView::OnBuilding() {
  std::vector<Lease::Reader> old;
  {
    MutexLock lock(mu_);
    condition_ = {ViewCondition::State::kBuilding, false, kBeforeFirst, absl::OkStatus()};
    ++era_.serving;
    leased_ = 0;
    old.swap(free_);
  }
  SettleWaiters();
  ServeQueue();
}

void ServedView::OnBuilt(Position done, Position total) {
  MutexLock lock(mu_);
  built_ = done;
  build_to_ = total;
}

void ServedView::OnApplied(Position applied) {
  {
    MutexLock lock(mu_);
    if (condition_.state == ViewCondition::State::kBuilding)
      return;  // Of a file that is not served yet.
    condition_.applied = std::max(condition_.applied, applied);
    if (condition_.readable && condition_.state == ViewCondition::State::kStopped) {
      condition_.state = ViewCondition::State::kServing;  // It went on.
      condition_.reason = absl::OkStatus();
    }
    if (waiters_.empty() || waiters_.begin()->first > condition_.applied) return;
  }
  SettleWaiters();
}

void ServedView::OnWriting() {
  std::vector<Lease> ended;  // Their transactions end where they are returned.
  MutexLock lock(mu_);
  still_ = false;
  for (Lease::Reader& reader : free_) {
    if (!reader.open_at) continue;
    ended.push_back(Lease(shared_from_this(), std::move(reader), era_));
    ++leased_;
  }
  std::erase_if(free_, [](const Lease::Reader& reader) { return reader.connection == nullptr; });
}

void ServedView::OnWritten() {
  MutexLock lock(mu_);
  ++era_.written;
  still_ = true;
}

void ServedView::OnStopped(const absl::Status& reason) {
  {
    MutexLock lock(mu_);
    condition_.state = ViewCondition::State::kStopped;
    condition_.reason = reason;
  }
  SettleWaiters();
  ServeQueue();
}

void ServedView::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
  }
  SettleWaiters();
  ServeQueue();
}

ViewCondition ServedView::Condition() const {
  MutexLock lock(mu_);
  return condition_;
}

absl::StatusOr<bool> ServedView::IsReadable(Position min_position) const {
  MutexLock lock(mu_);
  return IsReadableLocked(min_position);
}

absl::Status ServedView::StoppedLocked() const {
  return Stopped(name_, condition_.readable ? std::optional(condition_.applied) : std::nullopt,
                 condition_.reason);
}

absl::StatusOr<bool> ServedView::IsReadableLocked(Position min_position) const {
  if (stopping_) return ServerStopping();
  const bool stopped = condition_.state == ViewCondition::State::kStopped;
  if (condition_.readable && min_position <= condition_.applied) return true;
  if (stopped) return StoppedLocked();
  if (!condition_.readable) return RebuildingLocked();
  return false;
}

void ServedView::PostWait(WaitDone done, absl::Status status) {
  // The executor's tasks are copyable, `done` is not.
  auto shared = std::make_shared<WaitDone>(std::move(done));
  executor_.Post([shared, status = std::move(status)] { std::move (*shared)(status); });
}

void ServedView::WaitFor(Position min_position, absl::Duration limit, WaitDone done) {
  absl::Status now;
  std::int64_t id = 0;
  bool waits = false;
  {
    MutexLock lock(mu_);
    const absl::StatusOr<bool> readable = IsReadableLocked(min_position);
    if (!readable.ok()) {
      now = readable.status();
    } else if (!*readable && limit <= absl::ZeroDuration()) {
      now = Behind(name_, condition_.applied, min_position);
    } else if (!*readable && waiters_.size() >= kPositionWaitersMax) {
      now = QueueFull(name_, "calls wait for positions", kPositionWaitersMax);
    } else if (!*readable) {
      waits = true;
      id = next_waiter_++;
      waiters_.emplace(min_position, Waiter{id, std::move(done)});
    }
  }
  // NOLINTNEXTLINE(bugprone-use-after-move): moved from only where it waits.
  if (!waits) return PostWait(std::move(done), std::move(now));
  executor_.PostAfter(limit, [weak = weak_from_this(), id, min_position] {
    if (const auto self = weak.lock()) self->OnTimeout(id, min_position);
  });
}

void ServedView::OnTimeout(std::int64_t id, Position min_position) {
  WaitDone done;
  absl::Status status;
  {
    MutexLock lock(mu_);
    const auto [begin, end] = waiters_.equal_range(min_position);
    const auto it =
        std::find_if(begin, end, [id](const auto& entry) { return entry.second.id == id; });
    if (it == end) return;  // It was answered in time.
    done = std::move(it->second.done);
    waiters_.erase(it);
    status = Behind(name_, condition_.applied, min_position);
  }
  std::move(done)(std::move(status));
}

void ServedView::SettleWaiters() {
  std::vector<std::pair<WaitDone, absl::Status>> settled;
  {
    MutexLock lock(mu_);
    // In order of position: those that have been reached come first, and what fails one fails all
    // behind it.
    for (auto it = waiters_.begin(); it != waiters_.end(); it = waiters_.erase(it)) {
      const absl::StatusOr<bool> readable = IsReadableLocked(it->first);
      if (readable.ok() && !*readable) break;
      settled.emplace_back(std::move(it->second.done), readable.status());
    }
  }
  for (auto& [done, status] : settled) PostWait(std::move(done), std::move(status));
}

absl::Status ServedView::CannotLease() const {
  if (stopping_) return ServerStopping();
  if (condition_.readable) return absl::OkStatus();
  return condition_.state == ViewCondition::State::kStopped ? StoppedLocked() : RebuildingLocked();
}

absl::StatusOr<Lease> ServedView::Open(const std::string& path, const Lease::Era& era) {
  absl::StatusOr<std::unique_ptr<sql::Connection>> connection = sql::OpenViewReader(path);
  if (!connection.ok()) {
    Return({}, era);
    return Unreadable(name_, "opening it", connection.status());
  }
  return Lease(shared_from_this(), {*std::move(connection)}, era);
}

absl::StatusOr<std::optional<Lease>> ServedView::TryLease() {
  std::string path;
  Lease::Era era;
  {
    MutexLock lock(mu_);
    LEFTFOLD_RETURN_IF_ERROR(CannotLease());
    if (leased_ >= kConnectionsPerViewMax) return std::nullopt;
    ++leased_;
    era = era_;
    if (!free_.empty()) {
      Lease::Reader reader = std::move(free_.back());
      free_.pop_back();
      return Lease(shared_from_this(), std::move(reader), era);
    }
    path = path_;
  }
  absl::StatusOr<Lease> lease = Open(path, era);
  if (!lease.ok()) return lease.status();
  return *std::move(lease);
}

void ServedView::PostLease(LeaseDone done, absl::StatusOr<Lease> lease) {
  struct Task {
    LeaseDone done;
    absl::StatusOr<Lease> lease;
  };
  auto task = std::make_shared<Task>(Task{std::move(done), std::move(lease)});
  executor_.Post([task] {
    if (task->lease.ok()) task->lease->EndOldTransaction();
    std::move(task->done)(std::move(task->lease));
  });
}

void ServedView::LeaseLater(LeaseDone done) {
  bool full = false;
  {
    MutexLock lock(mu_);
    full = queue_.size() >= kLeaseQueueMax;
    if (!full) queue_.push_back(std::move(done));
  }
  if (full)
    // NOLINTNEXTLINE(bugprone-use-after-move): moved from only where the queue has room.
    return PostLease(std::move(done),
                     QueueFull(name_, "calls wait for connections", kLeaseQueueMax));
  ServeQueue();  // One may have come back in the meantime.
}

void ServedView::ServeQueue() {
  while (true) {
    {
      MutexLock lock(mu_);
      if (queue_.empty()) return;
    }
    absl::StatusOr<std::optional<Lease>> lease = TryLease();
    if (lease.ok() && !lease->has_value()) return;  // Whoever returns one comes here again.
    LeaseDone next;
    {
      MutexLock lock(mu_);
      if (queue_.empty()) return;  // Somebody else served it; the lease goes back by itself.
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    if (lease.ok()) {
      PostLease(std::move(next), **std::move(lease));
    } else {
      PostLease(std::move(next), lease.status());
    }
  }
}

bool ServedView::PutBack(Lease::Reader& reader, const Lease::Era& era) {
  MutexLock lock(mu_);
  if (era.serving != era_.serving) return true;
  const bool shows_all = still_ && era.written == era_.written;
  if (reader.open_at && !shows_all) return false;
  --leased_;
  if (reader.connection != nullptr) free_.push_back(std::move(reader));
  return true;
}

void ServedView::Return(Lease::Reader reader, const Lease::Era& era) {
  if (!PutBack(reader, era)) {
    reader.connection->Rollback();
    reader.open_at.reset();
    PutBack(reader, era);
  }
  reader.connection.reset();  // Of an older file: closed without the lock.
  ServeQueue();
}

}  // namespace internal

Lease::~Lease() {
  if (view_ == nullptr) return;  // Moved from.
  if (broken_) reader_ = {};
  view_->Return(std::move(reader_), era_);
}

void Lease::EndOldTransaction() {
  if (!reader_.open_at || view_->ShowsAll(era_)) return;
  reader_.connection->Rollback();
  reader_.open_at.reset();
}

Position Lease::Begin() {
  if (reader_.open_at) return *reader_.open_at;
  sql::Connection& connection = *reader_.connection;
  if (!connection.Begin().ok()) return kBeforeFirst;
  // The first read of the transaction: it fixes the state that all others see.
  const Position applied = sql::ConnectionReadTx(connection).applied();
  reader_.open_at = applied;
  return applied;
}

ViewPool::ViewPool(const Registry& registry, Executor& executor) : executor_(executor) {
  for (const ViewEntry& view : registry.views()) {
    auto served = std::make_shared<internal::ServedView>(view.name, executor_);
    by_name_.emplace(view.name, served.get());
    views_.emplace(&view, std::move(served));
  }
}

ViewPool::~ViewPool() = default;

internal::ServedView& ViewPool::At(const ViewEntry& view) const {
  const auto it = views_.find(&view);
  if (it == views_.end()) Die(fmt::format("the view {} is not of this pool's registry", view.name));
  return *it->second;
}

internal::ServedView& ViewPool::At(std::string_view view) const {
  const auto it = by_name_.find(view);
  if (it == by_name_.end()) Die(fmt::format("the view {} is not of this pool's registry", view));
  return *it->second;
}

bool ViewPool::IsAwaited(std::string_view view) const { return At(view).IsAwaited(); }

void ViewPool::OnServing(std::string_view view, const std::string& path) {
  At(view).OnServing(path);
  if (next_ != nullptr) next_->OnServing(view, path);
}

void ViewPool::OnBuilding(std::string_view view) {
  At(view).OnBuilding();
  if (next_ != nullptr) next_->OnBuilding(view);
}

void ViewPool::OnBuilt(std::string_view view, Position done, Position total) {
  At(view).OnBuilt(done, total);
  if (next_ != nullptr) next_->OnBuilt(view, done, total);
}

void ViewPool::OnApplied(std::string_view view, Position applied,
                         const std::vector<std::string>& touched) {
  At(view).OnApplied(applied);
  if (next_ != nullptr) next_->OnApplied(view, applied, touched);
}

void ViewPool::OnWriting(std::string_view view) { At(view).OnWriting(); }
void ViewPool::OnWritten(std::string_view view) { At(view).OnWritten(); }

void ViewPool::OnStopped(std::string_view view, const absl::Status& reason) {
  At(view).OnStopped(reason);
  if (next_ != nullptr) next_->OnStopped(view, reason);
}

ViewCondition ViewPool::ConditionOf(const ViewEntry& view) const { return At(view).Condition(); }

absl::StatusOr<bool> ViewPool::IsReadable(const ViewEntry& view, Position min_position) const {
  return At(view).IsReadable(min_position);
}

void ViewPool::WaitFor(const ViewEntry& view, Position min_position, absl::Duration time_left,
                       WaitDone done) {
  At(view).WaitFor(min_position, std::min(kFreshnessWaitMax, time_left - kAnswerReserve),
                   std::move(done));
  std::shared_ptr<const Hurry> hurry;
  {
    MutexLock lock(mu_);
    hurry = hurry_;
  }
  if (hurry != nullptr) (*hurry)(view.name, min_position);
}

void ViewPool::HurryBy(Hurry hurry) {
  MutexLock lock(mu_);
  hurry_ = std::make_shared<const Hurry>(std::move(hurry));
}

absl::StatusOr<std::optional<Lease>> ViewPool::TryLease(const ViewEntry& view) {
  return At(view).TryLease();
}

void ViewPool::LeaseLater(const ViewEntry& view, LeaseDone done) {
  At(view).LeaseLater(std::move(done));
}

void ViewPool::Stop() {
  for (const auto& [entry, view] : views_) view->Stop();
}

std::optional<Position> PositionIn(const google::protobuf::Message& request,
                                   const google::protobuf::FieldDescriptor* field,
                                   Violations& violations) {
  if (field == nullptr) return std::nullopt;
  std::string scratch;
  const std::string& text = request.GetReflection()->GetStringReference(request, field, &scratch);
  if (text.empty()) return std::nullopt;
  Position position;
  // Digits only: SimpleAtoi would also take blanks and signs.
  const bool digits =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (digits && absl::SimpleAtoi(text, &position.value)) return position;
  violations.Add(field->name(), "is no position; pass one that a receipt or an answer gave");
  return std::nullopt;
}

CheckedFields CheckedFieldsOf(const Registry& registry, const google::protobuf::Descriptor& type) {
  using google::protobuf::FieldDescriptor;
  CheckedFields fields;
  const FieldDescriptor* first = type.FindFieldByNumber(1);
  const bool id = first != nullptr && StringField(type, first->name().c_str()) != nullptr &&
                  std::any_of(registry.commands().begin(), registry.commands().end(),
                              [&](const CommandEntry& command) {
                                const auto* own = command.request->FindFieldByNumber(1);
                                return own != nullptr && own->name() == first->name();
                              });
  if (id) fields.id = first;
  const FieldDescriptor* version = type.FindFieldByName("version");
  if (version != nullptr && !version->is_repeated() &&
      version->type() == FieldDescriptor::TYPE_INT64) {
    fields.version = version;
  }
  return fields;
}

void CheckForm(const google::protobuf::Message& request, const CheckedFields& fields,
               Violations& violations) {
  const google::protobuf::Reflection& reflection = *request.GetReflection();
  std::string scratch;
  const bool given = fields.id != nullptr &&
                     (!fields.id->has_presence() || reflection.HasField(request, fields.id));
  if (given && !IsAggregateId(reflection.GetStringReference(request, fields.id, &scratch))) {
    violations.Add(
        fields.id->name(),
        fmt::format("must be 1 to {} characters of A-Z a-z 0-9 . _ ~ -", kAggregateIdBytesMax));
  }
  if (fields.version != nullptr && reflection.GetInt64(request, fields.version) < 0) {
    violations.Add(fields.version->name(), "must not be negative");
  }
}

const google::protobuf::FieldDescriptor* StringField(const google::protobuf::Descriptor& type,
                                                     const char* name) {
  const auto* field = type.FindFieldByName(name);
  const bool fits = field != nullptr && !field->is_repeated() &&
                    field->type() == google::protobuf::FieldDescriptor::TYPE_STRING;
  return fits ? field : nullptr;
}

const google::protobuf::FieldDescriptor* BoolField(const google::protobuf::Descriptor& type,
                                                   const char* name) {
  const auto* field = type.FindFieldByName(name);
  const bool fits = field != nullptr && !field->is_repeated() &&
                    field->type() == google::protobuf::FieldDescriptor::TYPE_BOOL;
  return fits ? field : nullptr;
}

}  // namespace leftfold::read_api
