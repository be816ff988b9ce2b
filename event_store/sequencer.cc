#include "event_store/sequencer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "core/reject.h"
#include "core/status.h"
#include "event_store/follow.h"
#include "event_store/limits.h"

namespace leftfold {
namespace {

constexpr absl::Duration kDiskRetryDelay = absl::Seconds(5);

absl::Status DiskFull() {
  return WithRetryAfter(Reject(core::v1::ERROR_REASON_DISK_FULL,
                               "the disk is full: nothing was stored; free space and retry"),
                        kDiskRetryDelay);
}

// What a check asks for, "" when `actual` fulfils it.
std::string Unfulfilled(const StreamCheck& check, Version actual) {
  if (std::holds_alternative<NoStream>(check)) return actual == kNoEventYet ? "" : "-1";
  if (std::holds_alternative<StreamExists>(check))
    return actual != kNoEventYet ? "" : "any version";
  if (const auto* exactly = std::get_if<Exactly>(&check)) {
    return actual == exactly->version ? "" : fmt::to_string(exactly->version.value);
  }
  return "";
}

// What is decided on this append does not come true.
void Break(const AppendRequest& request) {
  if (request.broken != nullptr) *request.broken = true;
}

// Makes event ids where the client gave none.
void FillEventIds(AppendRequest& request, absl::Time now) {
  int n = 0;
  for (StreamAppend& stream : request.streams) {
    for (NewEvent& event : stream.events) {
      ++n;
      if (event.event_id != Uuid{}) continue;
      constexpr int kEventOrdinals = 1 << 20;  // Apart from those that decisions use.
      event.event_id = request.command
                           ? DerivedUuid(request.command->command_id, kEventOrdinals + n)
                           : NewUuidV7(now);
    }
  }
}

std::string TakenOrCopied(std::string& text, bool taken) { return taken ? std::move(text) : text; }

}  // namespace

// Judges the appends of one group on the tail as it was and on the group so far.
class SequencedStore::GroupBuilder {
 public:
  // Of these appends.
  GroupBuilder(SequencedStore& store, absl::Time now, const std::vector<QueuedPtr>& taken)
      : store_(store),
        head_(store.tail_),
        recorded_us_(std::max(store.last_recorded_us_, absl::ToUnixMicros(now))) {
    std::size_t events = 0;
    for (const QueuedPtr& queued : taken) events += queued->leaves.size();
    group_.events.reserve(events);
    group_.commands.reserve(taken.size());
    group_.stream_heads.reserve(taken.size());
    command_index_.reserve(taken.size());
    answered_.reserve(taken.size());
  }

  // Adds the append, or answers why not.
  void Add(Queued& queued) {
    stored_ = false;
    absl::StatusOr<Receipt> receipt = Judge(queued);
    if (!receipt.ok() || receipt->duplicate) Break(queued.request);
    answered_.push_back({std::move(queued.done), std::move(receipt), stored_});
  }

  const Group& group() const { return group_; }
  const Head& head() const { return head_; }
  std::int64_t recorded_us() const { return recorded_us_; }
  std::vector<Answered> TakeAnswered() { return std::move(answered_); }
  std::vector<RecordedEvent> TakeEvents() { return std::move(group_.events); }

 private:
  absl::StatusOr<Receipt> Judge(Queued& queued) {
    AppendRequest& request = queued.request;
    if (request.command) {
      auto known = Known(*request.command);
      if (!known.ok()) return known.status();
      if (*known) return **std::move(known);
    }
    if (request.broken != nullptr && *request.broken) {
      const std::string& stream = request.streams.front().stream;
      return Reject(core::v1::ERROR_REASON_VERSION_CONFLICT,
                    fmt::format("an append to {} that this one stands on was refused; read again "
                                "and decide anew",
                                stream),
                    {{"stream", stream}});
    }
    if (request.condition) LEFTFOLD_RETURN_IF_ERROR(CheckAfter(*request.condition, head_.position));
    std::vector<Version> versions;
    if (absl::Status status = CheckStreams(request, versions); !status.ok()) return status;
    WriteAll(queued, versions);
    Receipt receipt;
    receipt.version = versions.front();
    receipt.position = head_.position;
    receipt.versions = std::move(versions);
    if (request.command) {
      receipt.aggregate_id = request.command->aggregate_id;
      receipt.created_id = request.command->created_id;
      group_.commands.push_back({*std::move(request.command), receipt.version, receipt.position});
      command_index_.emplace(group_.commands.back().record.command_id, group_.commands.size() - 1);
    }
    return receipt;
  }

  // The receipt of a command that is stored already or stands in this group.
  absl::StatusOr<std::optional<Receipt>> Known(const CommandRecord& record) {
    std::optional<StoredCommand> stored;
    if (const auto it = command_index_.find(record.command_id); it != command_index_.end()) {
      const LoggedCommand& command = group_.commands[it->second];
      stored = StoredCommand{command.record.request_hash,
                             {command.version, command.position, command.record.aggregate_id,
                              command.record.created_id, true}};
    } else {
      auto found = store_.log_->CommandBefore(record.command_id);
      if (!found.ok())
        Die(fmt::format("cannot look a command up: {}", ToStd(found.status().message())));
      stored = *std::move(found);
    }
    if (!stored) return std::nullopt;
    if (stored->request_hash != record.request_hash) return CommandIdReused(record.command_id);
    stored_ = !command_index_.contains(record.command_id);
    return stored->receipt;
  }

  // Judges all checks and the condition, so that all violations are told at once.
  absl::Status CheckStreams(const AppendRequest& request, std::vector<Version>& versions) {
    std::vector<std::string> violations;
    Metadata metadata;
    for (const StreamAppend& stream : request.streams) {
      const Version actual = HeadOf(stream.stream);
      versions.push_back(actual);
      const std::string expected = Unfulfilled(stream.check, actual);
      if (expected.empty()) continue;
      violations.push_back(
          fmt::format("{} is at version {}, expected {}", stream.stream, actual.value, expected));
      if (metadata.empty()) {
        metadata = {{"stream", stream.stream},
                    {"expected", expected},
                    {"actual", fmt::to_string(actual.value)}};
      }
    }
    const auto reason = violations.empty() ? core::v1::ERROR_REASON_CONDITION_FAILED
                                           : core::v1::ERROR_REASON_VERSION_CONFLICT;
    if (request.condition) {
      const absl::StatusOr<Position> found = MatchOf(*request.condition);
      if (!found.ok()) return found.status();
      const Position match = *found;
      if (match != kBeforeFirst) {
        violations.push_back(fmt::format("the event at position {}, after {}, fits the condition",
                                         match.value, request.condition->after.value));
        metadata.push_back({"position", fmt::to_string(match.value)});
        metadata.push_back({"after", fmt::to_string(request.condition->after.value)});
      }
    }
    if (violations.empty()) return absl::OkStatus();
    return Reject(reason,
                  fmt::format("{}; read again and decide anew", fmt::join(violations, "; ")),
                  metadata);
  }

  // An event of the log or of this group that fits the condition; 0 when there is none.
  absl::StatusOr<Position> MatchOf(const AppendCondition& condition) {
    for (const RecordedEvent& event : group_.events) {
      if (event.position > condition.after &&
          MatchesAny(condition.fail_if_events_match, event.type, event.tags)) {
        return event.position;
      }
    }
    if (condition.after >= store_.tail_.position) return kBeforeFirst;
    const auto found = store_.log_->FindMatch(condition);
    if (!found.ok() && ReasonOf(found.status()) != "LIMIT_EXCEEDED")
      Die(fmt::format("cannot look events up: {}", ToStd(found.status().message())));
    return found;
  }

  Version HeadOf(const std::string& stream) {
    if (const auto it = group_.stream_heads.find(stream); it != group_.stream_heads.end())
      return it->second;
    auto head = store_.log_->StreamHead(stream);
    if (!head.ok()) Die(fmt::format("cannot look a stream up: {}", ToStd(head.status().message())));
    return *head;
  }

  // Places all events, and brings `versions` (one for each stream) forward.
  void WriteAll(Queued& queued, std::vector<Version>& versions) {
    AppendRequest& request = queued.request;
    const Digest* leaf = queued.leaves.data();
    if (request.order.empty()) {
      for (std::size_t i = 0; i < request.streams.size(); ++i) {
        const std::size_t count = request.streams[i].events.size();
        Write(queued, request.streams[i], {0, count}, leaf, versions[i]);
        leaf += count;
      }
      return;
    }
    // By stream: how many of its events are placed, and where its leaves begin.
    std::vector<std::size_t> placed(request.streams.size());
    std::vector<const Digest*> leaves;
    for (const StreamAppend& stream : request.streams) {
      leaves.push_back(leaf);
      leaf += stream.events.size();
    }
    for (const std::uint32_t i : request.order) {
      const std::size_t n = placed[i]++;
      Write(queued, request.streams[i], {n, n + 1}, leaves[i] + n, versions[i]);
    }
  }

  struct Range {
    std::size_t begin;
    std::size_t end;
  };
  // Places some events of a stream; `leaf` is the first one's.
  void Write(Queued& queued, StreamAppend& stream, Range range, const Digest* leaf,
             Version& version) {
    if (range.begin == range.end) return;
    const bool alone = queued.leaves.size() == 1;
    const std::string category(CategoryOf(stream.stream));
    auto [last, added] = group_.category_heads.try_emplace(category);
    if (added) last->second = store_.category_heads_[category];
    for (std::size_t n = range.begin; n < range.end; ++n) {
      NewEvent& event = stream.events[n];
      RecordedEvent& recorded = group_.events.emplace_back();
      recorded.position = head_.position.Next();
      recorded.stream = TakenOrCopied(stream.stream, alone);
      recorded.version = version = version.Next();
      recorded.event_id = event.event_id;
      recorded.type = std::move(event.type);
      recorded.payload = std::move(event.payload);
      recorded.encoding = event.encoding;
      recorded.metadata = TakenOrCopied(queued.request.metadata, alone);
      recorded.tags = std::move(event.tags);
      recorded.recorded_at = absl::FromUnixMicros(recorded_us_);
      recorded.category_previous = std::exchange(last->second, recorded.position);
      recorded.leaf = *leaf++;
      recorded.chain = ChainOf(head_.chain, recorded);
      head_ = {recorded.position, recorded.chain};
    }
    group_.stream_heads[group_.events.back().stream] = version;
  }

  SequencedStore& store_;
  Head head_;
  const std::int64_t recorded_us_;
  Group group_;
  // Views into group_.commands, which has room for all.
  absl::flat_hash_map<std::string_view, std::size_t> command_index_;
  std::vector<Answered> answered_;
  bool stored_ = false;  // What is judged is in the log.
};

SequencedStore::SequencedStore(std::unique_ptr<Log> log, Executor& writer, Executor& completions,
                               const Clock& clock, std::size_t recent_events)
    : log_(std::move(log)),
      writer_(writer),
      completions_(completions),
      clock_(clock),
      store_id_(log_->GetTail().store_id),
      recent_(recent_events) {
  const Tail tail = log_->GetTail();
  tail_ = tail.head;
  last_recorded_us_ =
      tail.recorded_at == absl::InfinitePast() ? 0 : absl::ToUnixMicros(tail.recorded_at);
  category_heads_ = tail.category_heads;
  MutexLock lock(mu_);
  head_ = tail.head;
}

void SequencedStore::Append(AppendRequest request, AppendDone done) {
  auto queued =
      std::make_unique<Queued>(Queued{std::move(request), {}, std::move(done), clock_.Now(), 0});
  absl::Status status = CheckForm(queued->request);
  if (status.ok()) {
    FillEventIds(queued->request, queued->since);
    queued->bytes = StoredBytes(queued->request);
    for (const StreamAppend& stream : queued->request.streams) {
      for (const NewEvent& event : stream.events) {
        queued->leaves.push_back(LeafOf(event.event_id, event.encoding, event.type, event.payload,
                                        queued->request.metadata, EncodeTags(event.tags)));
      }
    }
    MutexLock lock(mu_);
    status = CheckQueue(queue_.size() + 1, unanswered_bytes_ + queued->bytes);
    if (status.ok()) {
      unanswered_bytes_ += queued->bytes;
      queue_.push_back(std::move(queued));
      metrics_.queued.Set(static_cast<std::int64_t>(queue_.size()));
      if (!std::exchange(step_posted_, true)) writer_.Post([this] { Step(); });
      return;
    }
  }
  Break(queued->request);
  completions_.Post([done = std::move(queued->done), status] { done(status); });
}

std::vector<SequencedStore::QueuedPtr> SequencedStore::TakeQueued() {
  std::vector<QueuedPtr> taken;
  std::size_t bytes = 0;
  MutexLock lock(mu_);
  taken.reserve(std::min(queue_.size(), kGroupAppendsMax));
  while (!queue_.empty() && taken.size() < kGroupAppendsMax) {
    bytes += queue_.front()->bytes;
    if (bytes > kGroupBytesMax && !taken.empty()) break;
    taken.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  metrics_.queued.Set(static_cast<std::int64_t>(queue_.size()));
  return taken;
}

void SequencedStore::Step() {
  const std::vector<QueuedPtr> taken = TakeQueued();
  absl::Status committed = log_->BeginGroup();
  if (!committed.ok())
    Die(fmt::format("the log cannot be written: {}", ToStd(committed.message())));
  GroupBuilder builder(*this, clock_.Now(), taken);
  for (const QueuedPtr& queued : taken) builder.Add(*queued);
  committing_ = true;
  committed = log_->Commit(builder.group());
  std::vector<Answered> answered = builder.TakeAnswered();
  if (committed.ok()) {
    tail_ = builder.head();
    if (!builder.group().events.empty()) last_recorded_us_ = builder.recorded_us();
    for (const auto& [category, position] : builder.group().category_heads)
      category_heads_[category] = position;
    Count(taken, builder.group());
    recent_.Add(builder.TakeEvents());
    committing_ = false;
  } else if (absl::IsResourceExhausted(committed)) {
    committing_ = false;
    const absl::Status refusal = ReasonOf(committed).empty() ? DiskFull() : committed;
    // Rejections that were judged on events which do not come true are not told either.
    for (Answered& answer : answered) {
      if (!answer.stored) answer.receipt = refusal;
    }
    for (const QueuedPtr& queued : taken) Break(queued->request);
  } else {
    // It is unknown what is durable: only a restart, which reads the log again, can tell.
    Die(fmt::format("the log cannot be written: {}", ToStd(committed.message())));
  }
  std::size_t bytes = 0;
  for (const QueuedPtr& queued : taken) bytes += queued->bytes;
  Publish(tail_, std::move(answered), bytes);
  if (committed.ok()) log_->AfterGroup();
  MutexLock lock(mu_);
  step_posted_ = !queue_.empty();
  if (step_posted_) writer_.Post([this] { Step(); });
}

void SequencedStore::Count(const std::vector<QueuedPtr>& taken, const Group& group) {
  metrics_.events.Add(static_cast<std::int64_t>(group.events.size()));
  metrics_.group_appends.Observe(static_cast<double>(taken.size()));
  const absl::Time now = clock_.Now();
  for (const QueuedPtr& queued : taken) {
    metrics_.append_seconds.Observe(
        std::max(0.0, absl::ToDoubleSeconds(now - queued->since)));  // Clocks may be set back.
  }
}

void SequencedStore::Publish(const Head& head, std::vector<Answered> answered, std::size_t bytes) {
  std::vector<std::function<void()>> woken;
  {
    MutexLock lock(mu_);
    unanswered_bytes_ -= bytes;
    head_ = head;
    const auto end = waiting_.lower_bound(head.position);
    for (auto it = waiting_.begin(); it != end; ++it) woken.push_back(std::move(it->second));
    waiting_.erase(waiting_.begin(), end);
  }
  const bool few = answered.size() <= kInlineAnswersMax;
  if (few) {
    for (Answered& answer : answered) answer.done(std::move(answer.receipt));
    answered.clear();
    if (woken.empty()) return;
  }
  completions_.Post([answered = std::move(answered), woken = std::move(woken)]() mutable {
    for (Answered& answer : answered) answer.done(std::move(answer.receipt));
    for (const auto& wake : woken) wake();
  });
}

void SequencedStore::WaitPast(Position position, std::function<void()> wake) {
  {
    MutexLock lock(mu_);
    if (head_.position <= position) {
      waiting_.emplace(position, std::move(wake));
      return;
    }
  }
  completions_.Post(std::move(wake));
}

Head SequencedStore::GetHead() {
  MutexLock lock(mu_);
  return head_;
}

StoreStatus SequencedStore::GetStatus() {
  const Log::Files files = log_->GetFiles();
  MutexLock lock(mu_);
  return {queue_.size(), unanswered_bytes_, files.log, files.wal};
}

absl::StatusOr<std::optional<StoredCommand>> SequencedStore::FindCommand(
    std::string_view command_id) {
  return log_->FindCommand(command_id);
}
absl::StatusOr<std::vector<RecordedEvent>> SequencedStore::ReadStream(
    std::string_view stream, const ReadStreamOptions& options) {
  return AsRecorded(log_->ReadStream(stream, options));
}

// Reads from memory what is there, else from the log, and knows which it was.
class SequencedStore::Visitor {
 public:
  explicit Visitor(SequencedStore& store) : store_(store) {}
  absl::StatusOr<Position> VisitAll(const ReadAllOptions& options, TakeEvent take) {
    LEFTFOLD_RETURN_IF_ERROR(CheckForm(options.filter.items));
    const bool all_is_recent = !store_.committing_;  // Looked at before memory is.
    const std::optional<Position> through = store_.recent_.Visit(options, take);
    from_memory_ = through && (all_is_recent || *through != options.from);
    if (from_memory_) return *through;
    return store_.log_->VisitAll(options, take);
  }
  bool from_memory() const { return from_memory_; }

 private:
  SequencedStore& store_;
  bool from_memory_ = false;
};

absl::StatusOr<ReadAllResult> SequencedStore::ReadAll(const ReadAllOptions& options) {
  Visitor visitor(*this);
  auto read = CollectAll(visitor, options);
  if (read.ok()) read->linked = visitor.from_memory();
  return read;
}
absl::StatusOr<Position> SequencedStore::VisitAll(const ReadAllOptions& options, TakeEvent take) {
  return Visitor(*this).VisitAll(options, take);
}
absl::StatusOr<Version> SequencedStore::StreamVersion(std::string_view stream) {
  return log_->StreamVersion(stream);
}
absl::StatusOr<std::vector<StreamInfo>> SequencedStore::ListStreams(
    const ListStreamsOptions& options) {
  return log_->ListStreams(options);
}
absl::StatusOr<Position> SequencedStore::PositionBefore(absl::Time time) {
  return log_->PositionBefore(time);
}

}  // namespace leftfold
