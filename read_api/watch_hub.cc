#include "read_api/watch_hub.h"

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

#include "core/mutex.h"
#include "core/reject.h"
#include "core/status.h"
#include "read_api/errors.h"
#include "sql/view_file.h"

namespace leftfold::read_api {
namespace {

namespace pb = google::protobuf;

// How soon a file is read again that turned out to be older than what was said of it.
constexpr absl::Duration kLookAgain = absl::Milliseconds(10);

// Before every position: nothing was sent yet.
constexpr Position kNothing{-1};

// The engine's fields of one watch, found once.
struct WatchFields {
  const pb::Message* response = nullptr;  // The prototype.
  CheckedFields checked;                  // Of the request.
  const pb::FieldDescriptor* position = nullptr;
  const pb::FieldDescriptor* heartbeat = nullptr;
  const pb::FieldDescriptor* deleted = nullptr;            // Documents only.
  const pb::FieldDescriptor* removed_key = nullptr;        // Lists only.
  const pb::FieldDescriptor* snapshot_complete = nullptr;  // Lists only.
  const pb::FieldDescriptor* min_position = nullptr;       // Of the request; may be missing.
  const pb::FieldDescriptor* resume_position = nullptr;    // Of the request; may be missing.
};

WatchFields FieldsOf(const Registry& registry, const WatchEntry& watch) {
  const auto* method = leftfold::internal::MethodTaking(*watch.request);
  if (method == nullptr) Die(fmt::format("no RPC takes the watch {}", watch.request->full_name()));
  const pb::Descriptor& response = *method->output_type();
  WatchFields fields;
  fields.response = pb::MessageFactory::generated_factory()->GetPrototype(&response);
  fields.checked = CheckedFieldsOf(registry, *watch.request);
  fields.position = StringField(response, "position");
  fields.heartbeat = BoolField(response, "heartbeat");
  fields.deleted = BoolField(response, "deleted");
  fields.removed_key = StringField(response, "removed_key");
  fields.snapshot_complete = BoolField(response, "snapshot_complete");
  fields.min_position = StringField(*watch.request, "min_position");
  fields.resume_position = StringField(*watch.request, "resume_position");
  const bool own = watch.list ? fields.removed_key != nullptr && fields.snapshot_complete != nullptr
                              : fields.deleted != nullptr;
  if (fields.position == nullptr || fields.heartbeat == nullptr || !own) {
    Die(fmt::format("{} lacks a field that core/view.h asks of a watch's response",
                    response.full_name()));
  }
  return fields;
}

// What the engine adds to an answer. Serialised messages can be joined, so an answer is serialised
// once for all its watchers, and each one's addition follows it.
struct Addition {
  std::optional<Position> position = std::nullopt;
  std::string_view removed_key = {};
  bool heartbeat = false;
  bool deleted = false;
  bool snapshot_complete = false;
};

std::string Serialised(const WatchFields& fields, const Addition& addition) {
  const std::unique_ptr<pb::Message> message(fields.response->New());
  const pb::Reflection& reflection = *message->GetReflection();
  if (addition.position)
    reflection.SetString(message.get(), fields.position, fmt::to_string(addition.position->value));
  if (addition.heartbeat) reflection.SetBool(message.get(), fields.heartbeat, true);
  if (addition.deleted) reflection.SetBool(message.get(), fields.deleted, true);
  if (addition.snapshot_complete) reflection.SetBool(message.get(), fields.snapshot_complete, true);
  if (!addition.removed_key.empty()) {
    reflection.SetString(message.get(), fields.removed_key, std::string(addition.removed_key));
  }
  return message->SerializeAsString();
}

// What two watchers must have in common to get the same answers: the request but for where it
// starts.
std::string Fingerprint(const pb::Message& request, const WatchFields& fields) {
  const std::unique_ptr<pb::Message> copy(request.New());
  copy->CopyFrom(request);
  for (const pb::FieldDescriptor* field : {fields.min_position, fields.resume_position}) {
    if (field != nullptr) copy->GetReflection()->ClearField(copy.get(), field);
  }
  return fmt::format("{}:{}", request.GetDescriptor()->full_name(), copy->SerializeAsString());
}

}  // namespace

// What outlives the hub for the sake of watchers that do.
struct WatchHub::Shared {
  std::atomic<int> open = 0;
  std::atomic<std::int64_t> opened = 0;
  std::atomic<bool> stopping = false;
};

// Its fields belong to the group: `guarded` is used under the group's lock only, `step` by the
// group's one step at a time.
class WatchHub::OneWatcher final : public Watcher, public std::enable_shared_from_this<OneWatcher> {
 public:
  void Start() override;
  void OnWritten(bool ok) override;
  void Cancel() override;

  std::int64_t number = 0;  // Of all, in the order of Open.
  std::shared_ptr<Group> group;
  const WatchEntry* watch = nullptr;
  const WatchFields* fields = nullptr;
  std::unique_ptr<pb::Message> request;
  std::string fingerprint;
  std::string key;  // Of a document.
  absl::Duration time_left;
  std::shared_ptr<WatchSink> sink;

  struct {
    bool active = false;   // Its position has come: touches concern it.
    bool queued = false;   // In `ready_`.
    bool writing = false;  // OnWritten is to come; nothing else may be sent.
    bool finished = false;
    bool stale = false;  // Document: read it again. List: begin a whole round (or resume).
    bool switched =
        false;  // Stale, even if the client is where the file is: the file is another one.
    bool counted = false;  // In Shared::open.
    bool heartbeat_due = false;
    std::int64_t seen = 0;            // Touches before this number are dealt with (lists).
    std::optional<absl::Status> end;  // Finish with it instead of anything else.
  } guarded;

  enum class Round { kNone, kWhole, kChanges };
  struct {
    Position last = kNothing;        // What the client has been brought to.
    Position needed = kBeforeFirst;  // The first state is not older.
    std::optional<Position> resume;  // Until the first answer.
    bool again = false;              // There is more to read before there is something to write.
    std::deque<std::string> outbox;
    std::optional<absl::Status> last_words;  // Finish with it once the outbox is empty.
    Round round = Round::kNone;
    Position round_position;
    std::string after;                // kWhole: the last key that was read.
    std::deque<std::string> pending;  // kChanges.
  } step;
};

// All watches of one view. Work goes through `ready_`; one step at a time takes from it, so that no
// watcher is ever worked on twice at once.
class WatchHub::Group : public std::enable_shared_from_this<Group> {
 public:
  Group(const Registry& registry, const ViewEntry& view, ViewPool& pool, Executor& executor,
        std::shared_ptr<Shared> shared)
      : view_(view), pool_(pool), executor_(executor), shared_(std::move(shared)) {
    for (const WatchEntry& watch : view.watches) fields_.emplace(&watch, FieldsOf(registry, watch));
  }

  const ViewEntry& view() const { return view_; }
  const WatchFields* FieldsFor(const WatchEntry& watch) const {
    const auto it = fields_.find(&watch);
    if (it == fields_.end())
      Die(fmt::format("a watch of {} is not of this hub's registry", view_.name));
    return &it->second;
  }

  void Start(const std::shared_ptr<OneWatcher>& watcher);
  void OnWritten(const std::shared_ptr<OneWatcher>& watcher, bool ok);
  void End(const std::shared_ptr<OneWatcher>& watcher, absl::Status status);
  void OnServing();
  void OnApplied(Position applied, const std::vector<std::string>& touched);
  bool IsWatched();
  void Stop();
  // Lets go of all watchers, which hold the group.
  void Drop();

 private:
  using WatcherPtr = std::shared_ptr<OneWatcher>;
  struct Batch {
    std::vector<std::pair<WatcherPtr, absl::Status>> finish;
    std::vector<WatcherPtr> write;  // Their outbox has a message.
    std::vector<WatcherPtr> read;
  };
  // In the order of Open: in that of their addresses two runs with one seed would differ.
  struct InOrder {
    template <class Pointer>
    bool operator()(const Pointer& a, const Pointer& b) const {
      return a->number < b->number;
    }
  };
  using Pointers = absl::btree_set<OneWatcher*, InOrder>;
  using Watchers = absl::btree_set<WatcherPtr, InOrder>;
  // Answers of one state of one file, by fingerprint and key: each is made and serialised once for
  // all its watchers, which a run of steps comes to.
  struct Cache {
    std::string file;
    Position applied;
    std::size_t bytes = 0;
    absl::flat_hash_map<std::pair<std::string, std::string>, std::string> answers;
  };
  // Empties the cache unless it is of this state.
  void KeepAnswersOf(const std::string& file, Position applied);

  void Activate(const WatcherPtr& watcher);
  void Beat(const WatcherPtr& watcher);
  // True when the caller must PostStep after it let go of the lock.
  bool MarkReady(const WatcherPtr& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void PostStep();
  void Step();
  Batch Take();
  void TakeOne(const WatcherPtr& watcher, Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool TakeChanges(OneWatcher& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TakeHeartbeat(const WatcherPtr& watcher, Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(OneWatcher& watcher) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void WriteNext(const WatcherPtr& watcher);
  void Continue();
  void Read(absl::StatusOr<Lease> lease, std::vector<WatcherPtr> watchers);
  void ReadFailed(const absl::Status& status, const std::vector<WatcherPtr>& watchers);
  void PutBack(const std::vector<WatcherPtr>& watchers, std::size_t from);
  // Reads again when the view is past `beyond`.
  void Await(const WatcherPtr& watcher, Position beyond);
  void WakeUp(const WatcherPtr& watcher);
  void Fill(const WatcherPtr& watcher, Lease& lease, ReadTx& tx, Position applied, Cache& cache);
  void FillDocument(const WatcherPtr& watcher, Lease& lease, ReadTx& tx, Position applied,
                    Cache& cache);
  bool BeginRound(const WatcherPtr& watcher, Lease& lease, Position applied);
  void FillWhole(OneWatcher& watcher, ReadTx& tx, Cache& cache);
  void FillChanges(OneWatcher& watcher, ReadTx& tx, Cache& cache);

  const ViewEntry& view_;
  ViewPool& pool_;
  Executor& executor_;
  const std::shared_ptr<Shared> shared_;
  absl::flat_hash_map<const WatchEntry*, WatchFields>
      fields_;  // Filled by the constructor, then only read.

  Cache cache_;  // Of the one step at a time.

  Mutex mu_;
  Watchers all_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, Pointers> documents_ ABSL_GUARDED_BY(mu_);  // Active ones.
  Pointers lists_ ABSL_GUARDED_BY(mu_);                                        // Active ones.
  Watchers awaiting_ ABSL_GUARDED_BY(mu_);  // Ready again with the next OnApplied.
  std::deque<WatcherPtr> ready_ ABSL_GUARDED_BY(mu_);
  bool stepping_ ABSL_GUARDED_BY(mu_) =
      false;  // A step is posted, runs, or waits for a connection.
  // All touches that were reported belong to positions up to here, and are marked at their
  // watchers.
  Position applied_ ABSL_GUARDED_BY(mu_);
  std::deque<std::string> touches_
      ABSL_GUARDED_BY(mu_);  // The newest, for lists; the first has the number first_touch_.
  std::int64_t first_touch_ ABSL_GUARDED_BY(mu_) = 0;
};

void WatchHub::OneWatcher::Start() { group->Start(shared_from_this()); }
void WatchHub::OneWatcher::OnWritten(bool ok) { group->OnWritten(shared_from_this(), ok); }
void WatchHub::OneWatcher::Cancel() {
  group->End(shared_from_this(), absl::CancelledError("the client is gone"));
}

void WatchHub::Group::Start(const WatcherPtr& watcher) {
  {
    MutexLock lock(mu_);
    if (watcher->guarded.finished || !all_.insert(watcher).second) return;
    watcher->guarded.counted = true;
  }
  if (shared_->open.fetch_add(1) >= kWatchersMax) {
    return End(watcher, QueueFull(view_.name, "watches are open", std::size_t{kWatchersMax}));
  }
  if (shared_->stopping) return End(watcher, ServerStopping());
  Violations violations;
  CheckForm(*watcher->request, watcher->fields->checked, violations);
  const auto min_position =
      PositionIn(*watcher->request, watcher->fields->min_position, violations);
  const auto resume = PositionIn(*watcher->request, watcher->fields->resume_position, violations);
  if (!violations.empty()) return End(watcher, violations.ToStatus());
  watcher->step.resume = resume;
  watcher->step.last = resume.value_or(kNothing);
  const Position needed =
      std::max(min_position.value_or(kBeforeFirst), resume.value_or(kBeforeFirst));
  watcher->step.needed = needed;
  const absl::StatusOr<bool> readable = pool_.IsReadable(view_, needed);
  if (!readable.ok()) return End(watcher, readable.status());
  if (*readable) return Activate(watcher);
  pool_.WaitFor(view_, needed, watcher->time_left,
                [self = shared_from_this(), watcher](absl::Status status) {
                  if (!status.ok()) return self->End(watcher, std::move(status));
                  self->Activate(watcher);
                });
}

void WatchHub::Group::Activate(const WatcherPtr& watcher) {
  bool post = false;
  {
    MutexLock lock(mu_);
    if (watcher->guarded.finished || watcher->guarded.end) return;
    // Touches count from here on, and the first read comes later: no change falls in between.
    watcher->guarded.active = true;
    watcher->guarded.stale = true;
    if (watcher->watch->list) {
      lists_.insert(watcher.get());
    } else {
      documents_[watcher->key].insert(watcher.get());
    }
    post = MarkReady(watcher);
  }
  if (post) PostStep();
  Beat(watcher);
}

void WatchHub::Group::Beat(const WatcherPtr& watcher) {
  executor_.PostAfter(kHeartbeatInterval,
                      [self = weak_from_this(), weak = std::weak_ptr<OneWatcher>(watcher)] {
                        const auto group = self.lock();
                        const auto beating = weak.lock();
                        if (group == nullptr || beating == nullptr) return;
                        bool post = false;
                        {
                          MutexLock lock(group->mu_);
                          if (beating->guarded.finished) return;
                          beating->guarded.heartbeat_due = true;
                          post = group->MarkReady(beating);
                        }
                        if (post) group->PostStep();
                        group->Beat(beating);
                      });
}

void WatchHub::Group::OnWritten(const WatcherPtr& watcher, bool ok) {
  bool post = false;
  {
    MutexLock lock(mu_);
    watcher->guarded.writing = false;
    if (!ok && !watcher->guarded.end)
      watcher->guarded.end = absl::CancelledError("the client is gone");
    post = MarkReady(watcher);
  }
  if (post) PostStep();
}

void WatchHub::Group::End(const WatcherPtr& watcher, absl::Status status) {
  bool post = false;
  {
    MutexLock lock(mu_);
    if (watcher->guarded.finished || watcher->guarded.end) return;
    watcher->guarded.end = std::move(status);
    post = MarkReady(watcher);
  }
  if (post) PostStep();
}

void WatchHub::Group::OnServing() {
  const Position applied = pool_.ConditionOf(view_).applied;
  bool post = false;
  {
    MutexLock lock(mu_);
    applied_ = applied;
    for (const WatcherPtr& watcher : all_) {
      if (!watcher->guarded.active) continue;
      watcher->guarded.stale = true;
      watcher->guarded.switched = true;
      post = MarkReady(watcher) || post;
    }
    awaiting_.clear();  // All are ready.
  }
  if (post) PostStep();
}

void WatchHub::Group::OnApplied(Position applied, const std::vector<std::string>& touched) {
  bool post = false;
  {
    MutexLock lock(mu_);
    applied_ = std::max(applied_, applied);
    for (const std::string& key : touched) {
      const auto it = documents_.find(key);
      if (it == documents_.end()) continue;
      for (OneWatcher* watcher : it->second) {
        watcher->guarded.stale = true;
        post = MarkReady(watcher->shared_from_this()) || post;
      }
    }
    if (lists_.empty()) {
      first_touch_ += static_cast<std::int64_t>(touches_.size() + touched.size());
      touches_.clear();
    } else {
      touches_.insert(touches_.end(), touched.begin(), touched.end());
      while (touches_.size() > kRecentTouchesMax) {
        touches_.pop_front();
        ++first_touch_;
      }
      for (OneWatcher* watcher : lists_) {
        if (!touched.empty()) post = MarkReady(watcher->shared_from_this()) || post;
      }
    }
    for (const WatcherPtr& watcher : awaiting_) post = MarkReady(watcher) || post;
    awaiting_.clear();
  }
  if (post) PostStep();
}

bool WatchHub::Group::IsWatched() {
  MutexLock lock(mu_);
  return !documents_.empty() || !lists_.empty();
}

void WatchHub::Group::Stop() {
  bool post = false;
  {
    MutexLock lock(mu_);
    for (const WatcherPtr& watcher : all_) {
      if (!watcher->guarded.end) watcher->guarded.end = ServerStopping();
      post = MarkReady(watcher) || post;
    }
  }
  if (post) PostStep();
}

void WatchHub::Group::Drop() {
  Watchers all;  // Gone without the lock.
  std::deque<WatcherPtr> ready;
  MutexLock lock(mu_);
  all.swap(all_);
  ready.swap(ready_);
  awaiting_.clear();
  documents_.clear();
  lists_.clear();
}

bool WatchHub::Group::MarkReady(const WatcherPtr& watcher) {
  if (watcher->guarded.finished || watcher->guarded.queued) return false;
  watcher->guarded.queued = true;
  ready_.push_back(watcher);
  return !std::exchange(stepping_, true);
}

void WatchHub::Group::PostStep() {
  executor_.Post([self = shared_from_this()] { self->Step(); });
}

void WatchHub::Group::Step() {
  Batch batch = Take();
  for (auto& [watcher, status] : batch.finish) {
    watcher->sink->Finish(status);
    if (watcher->guarded.counted) shared_->open.fetch_sub(1);  // Nobody changes it after the end.
  }
  for (const WatcherPtr& watcher : batch.write) WriteNext(watcher);
  if (batch.read.empty()) return Continue();
  absl::StatusOr<std::optional<Lease>> lease = pool_.TryLease(view_);
  if (!lease.ok()) return Read(lease.status(), std::move(batch.read));
  if (lease->has_value()) return Read(**std::move(lease), std::move(batch.read));
  pool_.LeaseLater(view_, [self = shared_from_this(),
                           watchers = std::move(batch.read)](absl::StatusOr<Lease> later) mutable {
    self->Read(std::move(later), std::move(watchers));
  });
}

WatchHub::Group::Batch WatchHub::Group::Take() {
  Batch batch;
  MutexLock lock(mu_);
  for (std::size_t n = 0; n < kWatchersPerStep && !ready_.empty(); ++n) {
    const WatcherPtr watcher = std::move(ready_.front());
    ready_.pop_front();
    watcher->guarded.queued = false;
    // While a write is outstanding nothing is done: OnWritten makes it ready again.
    if (!watcher->guarded.finished && !watcher->guarded.writing) TakeOne(watcher, batch);
  }
  return batch;
}

void WatchHub::Group::TakeOne(const WatcherPtr& watcher, Batch& batch) {
  auto& guarded = watcher->guarded;
  auto& step = watcher->step;
  if (!guarded.end && step.outbox.empty() && step.last_words) guarded.end = step.last_words;
  if (guarded.end) {
    Forget(*watcher);
    batch.finish.emplace_back(watcher, *guarded.end);
    return;
  }
  if (!guarded.active) return;
  if (!step.outbox.empty()) {
    batch.write.push_back(watcher);
    return;
  }
  if (step.round != OneWatcher::Round::kNone) {
    batch.read.push_back(watcher);
    return;
  }
  if (guarded.stale) {
    if (step.last != kNothing && !step.resume && applied_ <= step.last) {
      // The client has all touches up to applied_. Of another file it gets the states as soon as
      // that file is past what it has: positions never go back.
      guarded.stale = guarded.switched;
      if (guarded.stale) awaiting_.insert(watcher);
      return TakeHeartbeat(watcher, batch);
    }
    guarded.stale = false;
    guarded.switched = false;
    guarded.seen = first_touch_ + static_cast<std::int64_t>(touches_.size());
    batch.read.push_back(watcher);
    return;
  }
  if (watcher->watch->list && TakeChanges(*watcher)) {
    batch.read.push_back(watcher);
    return;
  }
  TakeHeartbeat(watcher, batch);
}

// Begins a round of the keys that were touched since the last one; false when there is none.
bool WatchHub::Group::TakeChanges(OneWatcher& watcher) {
  const std::int64_t end = first_touch_ + static_cast<std::int64_t>(touches_.size());
  const std::int64_t from = std::exchange(watcher.guarded.seen, end);
  // Touches up to applied_ are all there are; when the client is at applied_ or beyond, it has
  // them.
  if (from == end || applied_ <= watcher.step.last) return false;
  if (from < first_touch_) return true;  // Too far behind: a whole round.
  absl::flat_hash_set<std::string_view> keys;
  std::deque<std::string> pending;
  for (std::int64_t i = from; i < end; ++i) {
    const std::string& key = touches_[static_cast<std::size_t>(i - first_touch_)];
    if (keys.insert(key).second) pending.push_back(key);
  }
  if (pending.size() > kDirtyKeysMax) return true;
  watcher.step.round = OneWatcher::Round::kChanges;
  watcher.step.round_position = applied_;
  watcher.step.pending = std::move(pending);
  return true;
}

void WatchHub::Group::TakeHeartbeat(const WatcherPtr& watcher, Batch& batch) {
  if (!watcher->guarded.heartbeat_due) return;
  auto& step = watcher->step;
  // All touches up to applied_ are marked, and there is nothing to send: the client's state is that
  // of applied_.
  if (!watcher->guarded.stale) step.last = std::max(step.last, applied_);
  step.outbox.push_back(Serialised(*watcher->fields, {.position = step.last, .heartbeat = true}));
  batch.write.push_back(watcher);
}

void WatchHub::Group::Forget(OneWatcher& watcher) {
  watcher.guarded.finished = true;
  lists_.erase(&watcher);
  const auto it = documents_.find(watcher.key);
  if (it != documents_.end()) {
    it->second.erase(&watcher);
    if (it->second.empty()) documents_.erase(it);
  }
  awaiting_.erase(watcher.shared_from_this());
  all_.erase(watcher.shared_from_this());
}

void WatchHub::Group::WriteNext(const WatcherPtr& watcher) {
  const std::string message = std::move(watcher->step.outbox.front());
  watcher->step.outbox.pop_front();
  {
    MutexLock lock(mu_);
    watcher->guarded.writing = true;
    watcher->guarded.heartbeat_due = false;
  }
  watcher->sink->Write(message);
}

void WatchHub::Group::Continue() {
  {
    MutexLock lock(mu_);
    if (ready_.empty()) cache_ = {};
    stepping_ = !ready_.empty();
    if (!stepping_) return;
  }
  PostStep();
}

void WatchHub::Group::KeepAnswersOf(const std::string& file, Position applied) {
  if (cache_.file == file && cache_.applied == applied) return;
  cache_ = {};
  cache_.file = file;
  cache_.applied = applied;
}

void WatchHub::Group::Read(absl::StatusOr<Lease> lease, std::vector<WatcherPtr> watchers) {
  if (!lease.ok()) return ReadFailed(lease.status(), watchers);
  std::size_t done = 0;
  {
    Lease leased = *std::move(lease);
    sql::Connection& connection = leased.connection();
    sql::ConnectionReadTx tx(connection);
    const Position applied = leased.Begin();
    KeepAnswersOf(connection.database().getFilename(), applied);
    while (done < watchers.size() && tx.status().ok())
      Fill(watchers[done++], leased, tx, applied, cache_);
    if (!tx.status().ok()) {
      leased.Drop();
      const std::size_t guilty = done == 0 ? 0 : done - 1;
      auto& step = watchers[guilty]->step;
      step.outbox.clear();
      step.last_words =
          Unreadable(view_.name, watchers[guilty]->watch->request->full_name(), tx.status());
      done = guilty + 1;
    }
  }
  PutBack(watchers, done);
  for (std::size_t i = 0; i < done; ++i) {
    if (!watchers[i]->step.outbox.empty()) {
      WriteNext(watchers[i]);
    } else if (std::exchange(watchers[i]->step.again, false) || watchers[i]->step.last_words) {
      MutexLock lock(mu_);
      MarkReady(watchers[i]);
    }
  }
  Continue();
}

void WatchHub::Group::ReadFailed(const absl::Status& status,
                                 const std::vector<WatcherPtr>& watchers) {
  if (ReasonOf(status) == "QUEUE_FULL") {
    // The queries have taken all places in the queue: that is no reason to end a watch.
    PutBack(watchers, 0);
    executor_.PostAfter(kRetryWhenBehind, [self = shared_from_this()] { self->Step(); });
    return;
  }
  for (const WatcherPtr& watcher : watchers) End(watcher, status);
  Continue();
}

// What was taken for reading and was not read is to be read again.
void WatchHub::Group::PutBack(const std::vector<WatcherPtr>& watchers, std::size_t from) {
  MutexLock lock(mu_);
  for (std::size_t i = from; i < watchers.size(); ++i) {
    if (watchers[i]->step.round == OneWatcher::Round::kNone) watchers[i]->guarded.stale = true;
    MarkReady(watchers[i]);
  }
}

void WatchHub::Group::Await(const WatcherPtr& watcher, Position beyond) {
  {
    MutexLock lock(mu_);
    if (watcher->step.round == OneWatcher::Round::kNone)
      watcher->guarded.stale = watcher->guarded.switched = true;
    awaiting_.insert(watcher);
    if (applied_ <= beyond) return;
  }
  // The file that was read is behind what was said of the view: it is just being switched. No
  // OnApplied need follow.
  executor_.PostAfter(kLookAgain, [self = shared_from_this(), watcher] { self->WakeUp(watcher); });
}

void WatchHub::Group::WakeUp(const WatcherPtr& watcher) {
  bool post = false;
  {
    MutexLock lock(mu_);
    post = awaiting_.erase(watcher) > 0 && MarkReady(watcher);
  }
  if (post) PostStep();
}

namespace {

// The serialised answer, from the cache where another watcher asked for it in this transaction.
template <class Cache>
absl::StatusOr<std::string> AnswerOf(const WatchEntry& watch, const pb::Message& request,
                                     const std::string& fingerprint, const std::string& key,
                                     ReadTx& tx, Cache& cache) {
  const auto found = cache.answers.find({fingerprint, key});
  if (found != cache.answers.end()) return found->second;
  const absl::StatusOr<Answer> answer = watch.answer(request, key, tx);
  if (!answer.ok()) return answer.status();
  std::string bytes = (*answer)->SerializeAsString();
  cache.bytes += bytes.size();
  if (cache.bytes <= kCachedBytesMax)
    cache.answers.emplace(std::make_pair(fingerprint, key), bytes);
  return bytes;
}

}  // namespace

void WatchHub::Group::Fill(const WatcherPtr& watcher, Lease& lease, ReadTx& tx, Position applied,
                           Cache& cache) {
  if (!watcher->watch->list) return FillDocument(watcher, lease, tx, applied, cache);
  auto& step = watcher->step;
  if (step.round == OneWatcher::Round::kNone && !BeginRound(watcher, lease, applied)) return;
  if (applied < step.round_position) return Await(watcher, Position{step.round_position.value - 1});
  if (step.round == OneWatcher::Round::kWhole) {
    FillWhole(*watcher, tx, cache);
  } else {
    FillChanges(*watcher, tx, cache);
  }
}

void WatchHub::Group::FillDocument(const WatcherPtr& watcher, Lease& lease, ReadTx& tx,
                                   Position applied, Cache& cache) {
  auto& step = watcher->step;
  // The view was switched to a file that is further back, after it had been looked at.
  if (applied < step.needed) return Await(watcher, Position{step.needed.value - 1});
  if (applied < step.last || (applied == step.last && !step.resume)) {
    return Await(watcher, step.last);
  }
  if (const auto from = std::exchange(step.resume, std::nullopt)) {
    const auto changed =
        sql::ChangesAfter(lease.connection(), *from, static_cast<int>(kDirtyKeysMax));
    if (!changed.ok()) return;  // In tx.status().
    if (*changed &&
        std::find((*changed)->begin(), (*changed)->end(), watcher->key) == (*changed)->end())
      return;  // Touches and switches that come make it stale again.
    // Changed by a retry, or in another file, at the very position that the client has.
    if (applied == step.last) return Await(watcher, step.last);
  }
  const bool first = step.last == kNothing;  // A client that resumes has had it.
  auto answer =
      AnswerOf(*watcher->watch, *watcher->request, watcher->fingerprint, watcher->key, tx, cache);
  if (answer.ok()) {
    step.outbox.push_back(*std::move(answer) + Serialised(*watcher->fields, {.position = applied}));
  } else if (absl::IsNotFound(answer.status()) && !first) {
    step.outbox.push_back(Serialised(*watcher->fields, {.position = applied, .deleted = true}));
    step.last_words = absl::OkStatus();
  } else {
    step.last_words = answer.status();
  }
  step.last = applied;
}

bool WatchHub::Group::BeginRound(const WatcherPtr& watcher, Lease& lease, Position applied) {
  auto& step = watcher->step;
  if (applied < step.needed) {  // As of a document.
    Await(watcher, Position{step.needed.value - 1});
    return false;
  }
  if (applied < step.last || (applied == step.last && !step.resume)) {
    Await(watcher, step.last);
    return false;
  }
  if (applied == step.last) {
    const auto changed = sql::ChangesAfter(lease.connection(), applied, 1);
    if (!changed.ok()) return false;
    const bool same = *changed && (*changed)->empty();
    // Else changed by a retry, or in another file, at the very position that the client has.
    same ? step.resume.reset() : Await(watcher, step.last);
    return false;
  }
  step.round_position = applied;
  step.round = OneWatcher::Round::kWhole;
  step.after.clear();
  const auto from = std::exchange(step.resume, std::nullopt);
  if (!from) return true;
  auto changed = sql::ChangesAfter(lease.connection(), *from, static_cast<int>(kDirtyKeysMax));
  if (!changed.ok() || !*changed) return changed.ok();  // Not known any more: a whole round.
  step.pending.assign((*changed)->begin(), (*changed)->end());
  step.round = step.pending.empty() ? OneWatcher::Round::kNone : OneWatcher::Round::kChanges;
  if (step.pending.empty()) step.last = applied;
  return !step.pending.empty();
}

void WatchHub::Group::FillWhole(OneWatcher& watcher, ReadTx& tx, Cache& cache) {
  auto& step = watcher.step;
  // One more than is sent, to know whether the round ends with this chunk.
  std::vector<std::string> keys =
      watcher.watch->keys(*watcher.request, step.after, kWatchChunk + 1, tx);
  const bool more = keys.size() > static_cast<std::size_t>(kWatchChunk);
  if (more) keys.resize(static_cast<std::size_t>(kWatchChunk));
  for (const std::string& key : keys) {
    auto answer = AnswerOf(*watcher.watch, *watcher.request, watcher.fingerprint, key, tx, cache);
    if (answer.ok()) {
      step.outbox.push_back(*std::move(answer));
    } else if (!absl::IsNotFound(answer.status())) {
      step.last_words = answer.status();
      return;
    }
  }
  if (!keys.empty()) step.after = keys.back();
  step.again = more && step.outbox.empty();
  if (more) return;
  if (step.outbox.empty()) step.outbox.emplace_back();
  step.outbox.back() +=
      Serialised(*watcher.fields, {.position = step.round_position, .snapshot_complete = true});
  step.last = step.round_position;
  step.round = OneWatcher::Round::kNone;
}

void WatchHub::Group::FillChanges(OneWatcher& watcher, ReadTx& tx, Cache& cache) {
  auto& step = watcher.step;
  for (int n = 0; n < kWatchChunk && !step.pending.empty(); ++n) {
    const std::string key = std::move(step.pending.front());
    step.pending.pop_front();
    absl::StatusOr<std::string> answer = absl::NotFoundError("");
    if (watcher.watch->matches(*watcher.request, key, tx)) {
      answer = AnswerOf(*watcher.watch, *watcher.request, watcher.fingerprint, key, tx, cache);
    }
    if (answer.ok()) {
      step.outbox.push_back(*std::move(answer));
    } else if (absl::IsNotFound(answer.status())) {
      step.outbox.push_back(Serialised(*watcher.fields, {.removed_key = key}));
    } else {
      step.last_words = answer.status();
      return;
    }
  }
  if (!step.pending.empty()) return;
  step.outbox.back() += Serialised(*watcher.fields, {.position = step.round_position});
  step.last = step.round_position;
  step.round = OneWatcher::Round::kNone;
}

WatchHub::WatchHub(const Registry& registry, ViewPool& pool, Executor& executor)
    : shared_(std::make_shared<Shared>()) {
  for (const ViewEntry& view : registry.views()) {
    auto group = std::make_shared<Group>(registry, view, pool, executor, shared_);
    by_name_.emplace(view.name, group.get());
    groups_.emplace(&view, std::move(group));
  }
}

WatchHub::~WatchHub() {
  for (const auto& [view, group] : groups_) group->Drop();
}

std::shared_ptr<Watcher> WatchHub::Open(const ViewEntry& view, const WatchEntry& watch,
                                        std::unique_ptr<pb::Message> request,
                                        absl::Duration time_left, std::shared_ptr<WatchSink> sink) {
  const auto it = groups_.find(&view);
  if (it == groups_.end()) Die(fmt::format("the view {} is not of this hub's registry", view.name));
  auto watcher = std::make_shared<OneWatcher>();
  watcher->number = shared_->opened.fetch_add(1);
  watcher->group = it->second;
  watcher->watch = &watch;
  watcher->fields = it->second->FieldsFor(watch);
  watcher->fingerprint = Fingerprint(*request, *watcher->fields);
  if (!watch.list) watcher->key = watch.key(*request).substr(0, kKeyBytesMax);  // As Touch cuts it.
  watcher->request = std::move(request);
  watcher->time_left = time_left;
  watcher->sink = std::move(sink);
  return watcher;
}

void WatchHub::OnServing(std::string_view view, const std::string&) {
  const auto it = by_name_.find(view);
  if (it != by_name_.end()) it->second->OnServing();
}

void WatchHub::OnApplied(std::string_view view, Position applied,
                         const std::vector<std::string>& touched) {
  const auto it = by_name_.find(view);
  if (it != by_name_.end()) it->second->OnApplied(applied, touched);
}

bool WatchHub::IsWatched(std::string_view view) {
  const auto it = by_name_.find(view);
  return it != by_name_.end() && it->second->IsWatched();
}

void WatchHub::Stop() {
  shared_->stopping = true;
  for (const auto& [view, group] : groups_) group->Stop();
}

int WatchHub::open_watches() const { return shared_->open; }

}  // namespace leftfold::read_api
