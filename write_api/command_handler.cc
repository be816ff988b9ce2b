#include "write_api/command_handler.h"

#include <absl/strings/match.h>

#include <algorithm>
#include <limits>

#include "core/reject.h"
#include "core/serialize.h"
#include "core/status.h"
#include "leftfold/core/v1/claims.pb.h"
#include "write_api/aggregate_loader.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;

constexpr absl::Duration kQueueRetryDelay = absl::Milliseconds(100);
constexpr int kAggregateIdOrdinal = -1;  // Those that decisions make count from 0.

core::v1::CommandReceipt ToProto(Receipt receipt) {
  core::v1::CommandReceipt out;
  out.set_aggregate_id(std::move(receipt.aggregate_id));
  out.set_version(receipt.version.value);
  out.set_position(fmt::to_string(receipt.position.value));
  if (!receipt.created_id.empty()) out.set_created_id(std::move(receipt.created_id));
  out.set_duplicate(receipt.duplicate);
  return out;
}

absl::Status VersionConflict(const std::string& stream, Version expected, Version actual) {
  return Reject(core::v1::ERROR_REASON_VERSION_CONFLICT,
                fmt::format("{} is at version {}, not at {}; read it again and decide anew", stream,
                            actual.value, expected.value),
                {{"stream", stream},
                 {"expected", fmt::to_string(expected.value)},
                 {"actual", fmt::to_string(actual.value)}});
}

absl::Status QueueFull(std::string_view what, std::size_t maximum, const std::string& stream) {
  Metadata metadata = {{"maximum", fmt::to_string(maximum)}};
  if (!stream.empty()) metadata.emplace_back("stream", stream);
  return WithRetryAfter(Reject(core::v1::ERROR_REASON_QUEUE_FULL,
                               fmt::format("{} {} already; retry later", maximum, what), metadata),
                        kQueueRetryDelay);
}

StreamCheck Unchanged(Version version) {
  if (version == kNoEventYet) return NoStream{};
  return Exactly{version};
}

std::string MetadataBytes(const Job& job) {
  const Caller& caller = job.caller;
  thread_local core::v1::EventMetadata metadata;  // What it has allocated is used again.
  metadata.Clear();
  metadata.set_actor(caller.actor);
  if (job.request_hash) metadata.set_command_id(job.context.command_id);
  metadata.set_correlation_id(caller.correlation_id);
  metadata.set_causation_id(caller.causation_id);
  metadata.set_traceparent(caller.traceparent);
  for (const auto& [key, value] : caller.headers) (*metadata.mutable_headers())[key] = value;
  return DeterministicBytes(metadata);
}

// `claim_<scope>-<value>`; a value that is no stream id, or could be taken for a digest, stands as
// its digest.
std::string ClaimStream(const ClaimName& claim) {
  const bool plain = IsAggregateId(claim.value) && claim.value.size() + 2 <= kAggregateIdBytesMax;
  const std::string id =
      plain ? "v." + claim.value : "h." + ToHex(AsBytes(Sha256().Add(claim.value).Finish()));
  return StreamName(fmt::format("{}{}", kClaimCategoryPrefix, claim.scope), id);
}

// Back among those that wait, in the order of their calls.
void Requeue(std::deque<JobPtr>& queue, JobPtr job) {
  const auto at =
      std::upper_bound(queue.begin(), queue.end(), job->order,
                       [](std::int64_t order, const JobPtr& j) { return order < j->order; });
  queue.insert(at, std::move(job));
}

void AddReply(Lane& lane, JobPtr job, absl::StatusOr<Receipt> answer, Replies& replies)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane.mu) {
  --lane.unanswered;
  replies.push_back({std::move(job), std::move(answer)});
}

// True when the caller must load the lane, once it has let go of its lock: commands wait for the
// state, and nothing is in flight whose end loads it.
bool MustLoad(Lane& lane) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lane.mu) {
  if (lane.state != nullptr || lane.queue.empty() || !lane.pending.empty()) return false;
  return !std::exchange(lane.loading, true);
}

bool HasEvents(const AppendRequest& request) {
  return std::any_of(request.streams.begin(), request.streams.end(),
                     [](const StreamAppend& stream) { return !stream.events.empty(); });
}

template <class Event>
NewEvent Encoded(const Event& event) {
  NewEvent encoded;
  encoded.type = event.GetDescriptor()->full_name();
  encoded.payload = event.SerializeAsString();
  return encoded;
}

// The stream that holds the claimed value after `last`, "" when it is free.
absl::StatusOr<std::string> OwnerAfter(const RecordedEvent& last) {
  if (last.type == core::v1::ClaimReleased::descriptor()->full_name()) return "";
  core::v1::ClaimTaken taken;
  if (last.type != taken.GetDescriptor()->full_name() || !taken.ParseFromString(last.payload)) {
    return internal::Undecodable(last);
  }
  return taken.owner();
}

absl::StatusOr<std::optional<RecordedEvent>> LastEvent(EventStore& store,
                                                       const std::string& stream) {
  auto events = store.ReadStream(stream, {.from = Version{std::numeric_limits<std::int64_t>::max()},
                                          .direction = Direction::kBackward,
                                          .events_max = 1});
  if (!events.ok()) return events.status();
  if (events->empty()) return std::nullopt;
  return std::move(events->front());
}

// A reservation stream as it is.
struct Holding {
  std::string owner;  // "" when the value is free.
  Version version = kNoEventYet;
};

absl::StatusOr<Holding> HoldingOf(EventStore& store, const std::string& stream) {
  const auto last = LastEvent(store, stream);
  if (!last.ok()) return last.status();
  if (!last->has_value()) return Holding{};
  auto owner = OwnerAfter(**last);
  if (!owner.ok()) return owner.status();
  return Holding{*std::move(owner), (*last)->version};
}

// The aggregate that `name` names: who holds the claim, else one whose id is derived from it.
absl::StatusOr<std::string> NamedAggregate(EventStore& store, const ClaimName& name,
                                           std::string_view category) {
  const std::string stream = ClaimStream(name);
  const auto holding = HoldingOf(store, stream);
  if (!holding.ok()) return holding.status();
  if (CategoryOf(holding->owner) == category) return std::string(AggregateIdOf(holding->owner));
  return leftfold::ToString(DerivedUuid(stream, kAggregateIdOrdinal));
}

}  // namespace

// Where the engine's fields are in a command.
struct CommandHandler::Fields {
  const pb::MethodDescriptor* method;
  const pb::FieldDescriptor* id;
  const pb::FieldDescriptor* command_id;
  const pb::FieldDescriptor* expected_version;
};

// A command id in flight, and the duplicates that wait for its answer.
struct CommandHandler::Joined {
  Digest request_hash{};
  std::vector<CommandSink::Done> waiting;
};

CommandHandler::CommandHandler(const Registry& registry, EventStore& store, const Clock& clock,
                               Executor& work, Snapshotter* snapshotter)
    : store_(store), clock_(clock), work_(work), snapshotter_(snapshotter) {
  for (const CommandEntry& entry : registry.commands()) {
    const pb::Descriptor& type = *entry.request;
    Fields fields{internal::MethodTaking(type), type.FindFieldByNumber(1),
                  type.FindFieldByName("command_id"), type.FindFieldByName("expected_version")};
    if (fields.method == nullptr || fields.id == nullptr ||
        fields.id->cpp_type() != pb::FieldDescriptor::CPPTYPE_STRING ||
        fields.command_id == nullptr || fields.expected_version == nullptr) {
      Die(
          fmt::format("{} is no command: it needs an RPC, a string id as field 1, command_id and "
                      "expected_version",
                      type.full_name()));
    }
    fields_.emplace(&entry, std::make_unique<Fields>(fields));
  }
}

CommandHandler::~CommandHandler() = default;

absl::Status CommandHandler::Check(const CommandEntry& entry, const Fields& fields,
                                   const pb::Message& command, const Caller& caller) const {
  const pb::Reflection& reflection = *command.GetReflection();
  if (entry.system && !caller.trusted) {
    return Reject(core::v1::ERROR_REASON_TOKEN_REQUIRED,
                  fmt::format("{} is for reactors and operators; send `authorization: Bearer "
                              "TOKEN` with the content of "
                              "the data folder's file `token`",
                              fields.method->name()),
                  {{"rpc", fields.method->full_name()}});
  }
  Violations violations;
  std::string scratch;
  const std::string& id = reflection.GetStringReference(command, fields.id, &scratch);
  if (!(id.empty() && entry.creates) && !IsAggregateId(id)) {
    violations.Add(
        fields.id->name(),
        fmt::format("must be 1 to {} characters of A-Z a-z 0-9 . _ ~ -", kAggregateIdBytesMax));
  }
  std::string scratch2;
  const std::string& command_id =
      reflection.GetStringReference(command, fields.command_id, &scratch2);
  if (!IsCommandId(command_id)) {
    violations.Add(
        "command_id",
        fmt::format(
            "must be at most {} printable ASCII characters without spaces; a UUIDv7 is best",
            kCommandIdBytesMax));
  } else if (!caller.trusted && !caller.derives_ids && command_id.starts_with("lf:")) {
    violations.Add(core::v1::ERROR_REASON_COMMAND_ID_RESERVED, "command_id",
                   "ids that begin with lf: belong to reactors; choose another");
  }
  if (reflection.HasField(command, fields.expected_version) &&
      reflection.GetInt64(command, fields.expected_version) < kNoEventYet.value) {
    violations.Add("expected_version", "must be -1 (no event yet) or the version of an event");
  }
  entry.validate(command, violations);
  return violations.ToStatus();
}

void CommandHandler::Handle(const CommandEntry& entry, std::unique_ptr<pb::Message> command,
                            Caller caller, Done done) noexcept {
  const Fields& fields = *fields_.at(&entry);
  if (absl::Status status = Check(entry, fields, *command, caller); !status.ok())
    return done(std::move(status));
  const pb::Reflection& reflection = *command->GetReflection();
  auto job = std::make_unique<Job>();
  job->entry = &entry;
  job->done = std::move(done);
  job->context.now = clock_.Now();
  job->context.actor = caller.actor;
  job->caller = std::move(caller);
  if (reflection.HasField(*command, fields.expected_version)) {
    job->expected = Version{reflection.GetInt64(*command, fields.expected_version)};
  }
  std::string& command_id = job->context.command_id;
  command_id = reflection.GetString(*command, fields.command_id);
  if (command_id.empty()) {
    command_id = leftfold::ToString(NewUuidV7(job->context.now));
  } else {
    reflection.ClearField(command.get(), fields.command_id);
    job->request_hash = Sha256()
                            .AddLengthPrefixed(fields.method->full_name())
                            .Add(DeterministicBytes(*command))
                            .Finish();
  }
  std::string& aggregate_id = job->context.aggregate_id;
  aggregate_id = reflection.GetString(*command, fields.id);
  if (aggregate_id.empty()) {
    if (entry.named) {
      auto named = NamedAggregate(store_, entry.named(*command), entry.aggregate->category);
      if (!named.ok()) return Answer(std::move(job), named.status());
      aggregate_id = *std::move(named);
    } else {
      aggregate_id = leftfold::ToString(DerivedUuid(command_id, kAggregateIdOrdinal));
    }
    reflection.SetString(command.get(), fields.id, aggregate_id);
  }
  job->command = std::move(command);
  if (job->request_hash) job = EnterOnce(std::move(job));
  if (job == nullptr) return;
  const std::shared_ptr<Lane> lane =
      lanes_.Get(StreamName(entry.aggregate->category, job->context.aggregate_id));
  Submit(lane, std::move(job));
}

JobPtr CommandHandler::EnterOnce(JobPtr job) {
  const std::string& id = job->context.command_id;
  const Digest& hash = *job->request_hash;
  absl::Status refusal;
  {
    MutexLock lock(mu_);
    const auto it = in_flight_.find(id);
    if (it == in_flight_.end()) {
      if (in_flight_.size() >= kCommandIdsMax) {
        refusal = QueueFull("commands with an id wait for their answers", kCommandIdsMax, "");
      } else {
        in_flight_[id].request_hash = hash;
        job->in_flight = true;
      }
    } else if (it->second.request_hash != hash) {
      refusal = CommandIdReused(id);
    } else if (it->second.waiting.size() >= kJoinedCallsMax) {
      refusal = QueueFull("calls with this command_id wait for its answer", kJoinedCallsMax, "");
    } else {
      it->second.waiting.push_back(std::move(job->done));
      return nullptr;
    }
  }
  if (!refusal.ok()) {
    Answer(std::move(job), std::move(refusal));
    return nullptr;
  }
  const auto stored = store_.FindCommand(id);
  if (stored.ok() && !stored->has_value()) return job;
  if (!stored.ok()) {
    Answer(std::move(job), stored.status());
  } else if ((*stored)->request_hash != hash) {
    absl::Status reused = CommandIdReused(id);
    Answer(std::move(job), std::move(reused));
  } else {
    Answer(std::move(job), (*stored)->receipt);
  }
  return nullptr;
}

void CommandHandler::Answer(JobPtr job, absl::StatusOr<Receipt> answer) {
  if (job->in_flight) AnswerJoined(job->context.command_id, answer);
  if (!answer.ok()) return job->done(answer.status());
  job->done(ToProto(*std::move(answer)));
}

void CommandHandler::AnswerJoined(const std::string& command_id,
                                  const absl::StatusOr<Receipt>& answer) {
  Joined joined;
  {
    MutexLock lock(mu_);
    const auto it = in_flight_.find(command_id);
    joined = std::move(it->second);
    in_flight_.erase(it);
  }
  for (const Done& done : joined.waiting) {
    if (!answer.ok()) {
      done(answer.status());
      continue;
    }
    core::v1::CommandReceipt again = ToProto(*answer);
    again.set_duplicate(true);
    done(std::move(again));
  }
}

void CommandHandler::Submit(const std::shared_ptr<Lane>& lane, JobPtr job) {
  Replies replies;
  bool load = false;
  {
    MutexLock lock(lane->mu);
    job->order = lane->next_order++;
    ++lane->unanswered;
    if (lane->unanswered > kLaneCommandsMax) {
      const std::string what = fmt::format("commands on {} wait for their answers", lane->stream);
      AddReply(*lane, std::move(job), QueueFull(what, kLaneCommandsMax, lane->stream), replies);
    } else if (lane->state != nullptr) {
      metrics_.cache_hits.Add();
      Decide(lane, std::move(job), replies);
    } else if (lane->queue.size() >= kLaneQueueMax) {
      const std::string what = fmt::format("commands wait for {} to be loaded", lane->stream);
      AddReply(*lane, std::move(job), QueueFull(what, kLaneQueueMax, lane->stream), replies);
    } else {
      metrics_.cache_misses.Add();
      lane->queue.push_back(std::move(job));
    }
    load = MustLoad(*lane);
  }
  Give(replies);
  if (load) work_.Post([this, lane] { Load(lane); });
}

// Runs only while nothing of the lane is in flight, so that what it reads is all there is.
void CommandHandler::Load(const std::shared_ptr<Lane>& lane) {
  const AggregateEntry* aggregate = nullptr;
  {
    MutexLock lock(lane->mu);
    aggregate = lane->queue.front()->entry->aggregate;
  }
  auto loaded = LoadAggregate(*aggregate, lane->stream, store_,
                              snapshotter_ == nullptr ? nullptr : &snapshotter_->snapshots());
  Replies replies;
  bool load = false;
  bool snapshot = false;
  {
    MutexLock lock(lane->mu);
    lane->loading = false;
    if (loaded.ok()) {
      lane->state = std::move(loaded->state);
      lane->version = loaded->version;
      lane->snapshot = loaded->snapshot;
      lane->broken = std::make_shared<std::atomic<bool>>(false);
      snapshot = SnapshotIsDue(*lane, *aggregate, loaded->version);
      DecideQueued(lane, replies);
    } else {
      for (JobPtr& job : lane->queue) AddReply(*lane, std::move(job), loaded.status(), replies);
      lane->queue.clear();
    }
    load = MustLoad(*lane);
  }
  if (snapshot) snapshotter_->Ask(*aggregate, lane->stream);
  Give(replies);
  if (load) work_.Post([this, lane] { Load(lane); });
}

void CommandHandler::DecideQueued(const std::shared_ptr<Lane>& lane, Replies& replies) {
  while (!lane->queue.empty() && lane->state != nullptr) {
    JobPtr job = std::move(lane->queue.front());
    lane->queue.pop_front();
    Decide(lane, std::move(job), replies);
  }
}

bool CommandHandler::MustDecideAgain(const Lane& lane, Version decided, Job& job) {
  if (!lane.pending.empty()) return false;
  const absl::StatusOr<Version> stored = store_.StreamVersion(lane.stream);
  const bool out_of_date = !stored.ok() || *stored != decided;
  return out_of_date && ++job.attempts < kDecideAttemptsMax;
}

void CommandHandler::Decide(const std::shared_ptr<Lane>& lane, JobPtr job, Replies& replies) {
  const Version before = lane->version;
  absl::StatusOr<ErasedDecision> decision;
  if (job->expected && *job->expected != before) {
    decision = VersionConflict(lane->stream, *job->expected, before);
  } else {
    decision = job->entry->decide(lane->state.get(), *job->command, job->context);
  }
  const bool stores = decision.ok() && (!decision->events.empty() || !decision->claims.empty() ||
                                        job->request_hash.has_value());
  if (stores) return Append(lane, std::move(job), *std::move(decision), before, replies);
  // An append would find that another writer has been there; this answer has none.
  if (MustDecideAgain(*lane, before, *job)) {
    lane->state.reset();
    return Requeue(lane->queue, std::move(job));
  }
  absl::StatusOr<Receipt> answer =
      decision.ok()
          ? absl::StatusOr<Receipt>(Receipt{before, store_.GetHead().position,
                                            job->context.aggregate_id, decision->created_id, false})
          : absl::StatusOr<Receipt>(decision.status());
  if (lane->pending.empty()) {
    AddReply(*lane, std::move(job), std::move(answer), replies);
  } else {
    lane->pending.rbegin()->second.held.push_back({std::move(job), std::move(answer)});
  }
}

void CommandHandler::Append(const std::shared_ptr<Lane>& lane, JobPtr job, ErasedDecision decision,
                            Version before, Replies& replies) {
  AppendRequest request;
  request.metadata = MetadataBytes(*job);
  request.broken = lane->broken;
  lane->version.value += static_cast<std::int64_t>(decision.events.size());
  request.streams.push_back({lane->stream, Unchanged(before), std::move(decision.events)});
  const absl::Status claimed = AddClaims(lane->stream, std::move(decision.claims), request);
  job->created_id = std::move(decision.created_id);
  if (job->request_hash) {
    request.command = CommandRecord{job->context.command_id, *job->request_hash,
                                    job->context.aggregate_id, job->created_id};
  }
  const bool stores = HasEvents(request) || request.command;
  if ((!claimed.ok() || !stores) &&
      (!lane->pending.empty() || MustDecideAgain(*lane, before, *job))) {
    // Claims are judged on what is durable, and so is an answer that no append carries: decide
    // again when the lane has nothing on its way, and knows what another writer has stored.
    lane->state.reset();
    return Requeue(lane->queue, std::move(job));
  }
  if (claimed.ok() && !stores) {
    Receipt unchanged{before, store_.GetHead().position, job->context.aggregate_id,
                      job->created_id};
    AddReply(*lane, std::move(job), std::move(unchanged), replies);
    return;
  }
  const std::int64_t ticket = lane->next_ticket++;
  lane->pending.emplace(ticket, Lane::Pending{std::move(job), {}});
  if (!claimed.ok()) {
    // The state has moved by a decision that does not come true; what follows must not be decided
    // on it.
    lane->state.reset();
    work_.Post([this, lane, ticket, claimed] { Committed(lane, ticket, claimed); });
    return;
  }
  store_.Append(std::move(request), [this, lane, ticket](absl::StatusOr<Receipt> result) {
    Committed(lane, ticket, std::move(result));
  });
}

void CommandHandler::Committed(const std::shared_ptr<Lane>& lane, std::int64_t ticket,
                               absl::StatusOr<Receipt> result) {
  Replies replies;
  bool load = false;
  bool snapshot = false;
  const AggregateEntry* aggregate = nullptr;
  {
    MutexLock lock(lane->mu);
    const auto it = lane->pending.find(ticket);
    Lane::Pending pending = std::move(it->second);
    Job& job = *pending.job;
    aggregate = job.entry->aggregate;
    const auto next = lane->pending.erase(it);
    const bool stale = !result.ok() || result->duplicate;
    const Position committed = result.ok() ? result->position : kBeforeFirst;
    if (stale) {
      lane->state.reset();
    } else {
      // With a command's record, the log has answered with its names.
      if (!job.request_hash) {
        result->aggregate_id = job.context.aggregate_id;
        result->created_id = std::move(job.created_id);
      }
      snapshot = SnapshotIsDue(*lane, *aggregate, result->version);
    }
    const bool again = absl::IsAborted(result.status()) && ++job.attempts < kDecideAttemptsMax;
    if (again) {
      Requeue(lane->queue, std::move(pending.job));
    } else {
      AddReply(*lane, std::move(pending.job), std::move(result), replies);
    }
    for (Reply& held : pending.held) {
      // Who reads at its position sees what it was decided on.
      if (held.answer.ok()) held.answer->position = std::max(held.answer->position, committed);
      if (stale) {
        Requeue(lane->queue, std::move(held.job));
      } else if (next != lane->pending.begin()) {
        // An earlier append has not been heard of yet; its answer is the one to wait for.
        std::prev(next)->second.held.push_back(std::move(held));
      } else {
        AddReply(*lane, std::move(held.job), std::move(held.answer), replies);
      }
    }
    load = MustLoad(*lane);
  }
  Give(replies);
  if (load) work_.Post([this, lane] { Load(lane); });
  if (snapshot) snapshotter_->Ask(*aggregate, lane->stream);
}

bool CommandHandler::SnapshotIsDue(Lane& lane, const AggregateEntry& aggregate, Version durable) {
  if (snapshotter_ == nullptr || aggregate.state_type.empty() ||
      durable.value - lane.snapshot.value < kSnapshotEvery) {
    return false;
  }
  lane.snapshot = durable;
  return true;
}

absl::Status CommandHandler::AddClaims(const std::string& owner, std::vector<Claim> claims,
                                       AppendRequest& request) {
  struct Claimed {
    StreamAppend append;
    std::string holder;  // After the events of `append`.
  };
  std::vector<Claimed> all;  // A decision may release a value and take it again: one append each.
  for (Claim& claim : claims) {
    const std::string stream = ClaimStream({claim.scope, claim.value});
    auto at = std::find_if(all.begin(), all.end(),
                           [&](const Claimed& c) { return c.append.stream == stream; });
    if (at == all.end()) {
      auto holding = HoldingOf(store_, stream);
      if (!holding.ok()) return holding.status();
      at = all.insert(all.end(),
                      {{stream, Unchanged(holding->version), {}}, std::move(holding->owner)});
    }
    if (claim.kind == Claim::Kind::kTake && at->holder != owner) {
      if (!at->holder.empty()) return claim.taken;
      core::v1::ClaimTaken taken;
      taken.set_owner(owner);
      taken.set_value(claim.value);
      at->append.events.push_back(Encoded(taken));
      at->holder = owner;
    } else if (claim.kind == Claim::Kind::kRelease && at->holder == owner) {
      core::v1::ClaimReleased released;
      released.set_owner(owner);
      at->append.events.push_back(Encoded(released));
      at->holder.clear();
    }
  }
  for (Claimed& claimed : all) request.streams.push_back(std::move(claimed.append));
  return absl::OkStatus();
}

void CommandHandler::Give(Replies& replies) {
  for (Reply& reply : replies) Answer(std::move(reply.job), std::move(reply.answer));
}

}  // namespace leftfold
