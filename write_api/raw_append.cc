#include "write_api/raw_append.h"

#include <absl/container/flat_hash_map.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <utility>

#include "core/engine_events.h"
#include "core/ids.h"
#include "core/json.h"
#include "core/reject.h"
#include "core/serialize.h"
#include "leftfold/store/v1/errors.pb.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;

constexpr std::string_view kStreamForm =
    "must be <category>-<id>, category [a-z][a-z0-9_]*, id [A-Za-z0-9._~-]{1,128}";

const pb::Message* FindPrototype(const std::string& type) {
  const pb::Descriptor* descriptor =
      pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  return descriptor == nullptr ? nullptr
                               : pb::MessageFactory::generated_factory()->GetPrototype(descriptor);
}

// nullptr for a type that this server does not know. The pool takes a lock for each question, and
// looks through all files for a name that it does not have: a thread remembers what it has asked.
const pb::Message* PrototypeOf(const std::string& type) {
  constexpr std::size_t kTypesRemembered = 256, kTypeBytesRemembered = 256;
  if (type.size() > kTypeBytesRemembered) return FindPrototype(type);
  thread_local absl::flat_hash_map<std::string, const pb::Message*> remembered;
  const auto it = remembered.find(type);
  if (it != remembered.end()) return it->second;
  if (remembered.size() == kTypesRemembered) remembered.clear();
  return remembered[type] = FindPrototype(type);
}

bool Decodes(const std::string& type, const std::string& bytes) {
  // Of a type that is not known only the wire format can be checked.
  const pb::Message* known = PrototypeOf(type);
  const std::unique_ptr<pb::Message> message(known == nullptr ? new pb::Empty() : known->New());
  return message->ParseFromString(bytes);
}

// Collects violations of one append under the names of its fields.
class Judge {
 public:
  explicit Judge(const store::v1::AppendRequest& request)
      : trusts_payloads_(request.has_engine()) {}

  bool full() const { return count_ >= kAppendViolationsMax; }
  absl::Status ToStatus() const { return violations_.ToStatus(); }

  template <class... What>
  void Add(What&&... what) {
    ++count_;
    violations_.Add(std::forward<What>(what)...);
  }

  NewEvent ToEvent(const store::v1::AppendRecord& record, int index) {
    const auto field = [&](std::string_view name) {
      return fmt::format("records[{}].{}", index, name);
    };
    NewEvent event;
    if (!IsStreamName(record.stream())) Add(field("stream"), kStreamForm);
    if (!record.event_id().empty()) {
      const auto id = ParseUuid(record.event_id());
      if (!id) Add(field("event_id"), "must be a UUID in its canonical form, or empty");
      event.event_id = id.value_or(Uuid{});
    }
    for (const core::v1::Tag& tag : record.tags()) event.tags.push_back({tag.key(), tag.value()});
    if (record.has_message()) {
      TakeMessage(record, index, event);
    } else if (record.has_json()) {
      TakeJson(record, index, event, record.json());
    } else if (record.has_raw_json() && trusts_payloads_) {
      TakeJson(record, index, event, record.raw_json());
    } else {
      Add(field("data"), "must have a message or json");
    }
    return event;
  }

 private:
  void AddPayload(const store::v1::AppendRecord& record, int index, const std::string& type,
                  std::string_view what) {
    Add(store::v1::ERROR_REASON_INVALID_PAYLOAD,
        fmt::format("records[{}].{}", index, record.has_json() ? "json" : "message"), what,
        Metadata{{"record", fmt::to_string(index)}, {"type", type}});
  }

  void TakeMessage(const store::v1::AppendRecord& record, int index, NewEvent& event) {
    const std::string& url = record.message().type_url();
    event.type = url.substr(url.rfind('/') + 1);
    // A type that has a slash itself.
    if (trusts_payloads_ && !record.type().empty()) event.type = record.type();
    event.payload = record.message().value();
    if (url.find('/') == std::string::npos || event.type.empty())
      return Add(fmt::format("records[{}].message.type_url", index),
                 "must be type.googleapis.com/<full name of the message>");
    if (!record.type().empty() && record.type() != event.type)
      Add(fmt::format("records[{}].type", index), "must be the message's name, or empty");
    if (!trusts_payloads_ && !Decodes(event.type, event.payload))
      AddPayload(record, index, event.type,
                 fmt::format("the bytes do not decode as {}", event.type));
  }

  void TakeJson(const store::v1::AppendRecord& record, int index, NewEvent& event,
                const std::string& payload) {
    event.type = record.type();
    event.payload = payload;
    event.encoding = Encoding::kJson;
    if (event.type.empty())
      Add(fmt::format("records[{}].type", index), "must name the type of the JSON payload");
    if (trusts_payloads_) return;
    if (PrototypeOf(event.type) != nullptr)
      return AddPayload(record, index, event.type,
                        fmt::format("{} is a protobuf message; send it as `message`", event.type));
    if (!IsJson(event.payload))
      AddPayload(
          record, index, event.type,
          fmt::format("must be one JSON value (RFC 8259), at most {} levels deep", kJsonDepthMax));
  }

  const bool trusts_payloads_;
  Violations violations_;
  std::size_t count_ = 0;
};

std::optional<StreamCheck> ToCheck(const store::v1::StreamCheck& check) {
  switch (check.expected_case()) {
    case store::v1::StreamCheck::kExact:
      if (check.exact() < 0) return std::nullopt;
      return Exactly{Version{check.exact()}};
    case store::v1::StreamCheck::kNoStream:
      return NoStream{};
    case store::v1::StreamCheck::kStreamExists:
      return StreamExists{};
    case store::v1::StreamCheck::kAny:
      return Any{};
    case store::v1::StreamCheck::EXPECTED_NOT_SET:
      break;
  }
  return std::nullopt;
}

AppendCondition ToCondition(const store::v1::AppendCondition& given, Judge& judge) {
  AppendCondition condition;
  condition.after = Position{given.after_position()};
  if (given.partition() != 0)
    judge.Add("condition.partition", "must be 0: this log has one partition");
  for (const store::v1::QueryItem& item : given.fail_if_events_match()) {
    QueryItem& added = condition.fail_if_events_match.emplace_back();
    added.types.assign(item.types().begin(), item.types().end());
    for (const core::v1::Tag& tag : item.tags()) added.tags.push_back({tag.key(), tag.value()});
  }
  return condition;
}

std::string MetadataBytes(const store::v1::AppendRequest& request, const Caller& caller) {
  if (request.has_engine()) return request.engine().raw_metadata();
  core::v1::EventMetadata metadata = request.metadata();
  metadata.set_actor(caller.actor);
  metadata.set_command_id(request.command_id());
  if (metadata.correlation_id().empty()) metadata.set_correlation_id(caller.correlation_id);
  if (metadata.causation_id().empty()) metadata.set_causation_id(caller.causation_id);
  if (metadata.traceparent().empty()) metadata.set_traceparent(caller.traceparent);
  return DeterministicBytes(metadata);
}

Digest HashOf(store::v1::AppendRequest request) {
  // Of the unary RPC also in a session: a retry may take the other way.
  static const std::string kRpc = "leftfold.store.v1.EventStoreService.Append";
  if (request.engine().request_hash().size() == Digest{}.size()) {
    Digest given;
    std::copy_n(request.engine().request_hash().begin(), given.size(), given.begin());
    return given;
  }
  request.clear_command_id();
  return Sha256().AddLengthPrefixed(kRpc).Add(DeterministicBytes(request)).Finish();
}

void CheckEnvelope(const store::v1::AppendRequest& request, const Caller& caller, Judge& judge) {
  constexpr std::string_view kReserved = "lf:";
  if (!IsCommandId(request.command_id())) {
    judge.Add("command_id",
              fmt::format("must have at most {} printable ASCII characters", kCommandIdBytesMax));
  } else if (request.command_id().starts_with(kReserved) && !caller.trusted) {
    judge.Add(core::v1::ERROR_REASON_COMMAND_ID_RESERVED, "command_id",
              "must not begin with lf:, which belongs to reactors",
              Metadata{{"command_id", request.command_id()}});
  }
  if (!request.metadata().actor().empty() || !request.metadata().command_id().empty())
    judge.Add("metadata", "actor and command_id are filled in by the server");
  const std::size_t hash = request.engine().request_hash().size();
  if (hash != 0 && hash != Digest{}.size()) judge.Add("engine.request_hash", "must have 32 bytes");
}

}  // namespace

struct RawAppender::Prepared {
  AppendRequest append;
  bool engine = false;
  std::size_t records = 0;
  std::vector<std::size_t> written;  // Indexes of streams, in the order of their first records.
  std::vector<std::string> names;    // Of all streams.

  // The index of the stream, which is added if it is new.
  std::size_t Stream(const std::string& name) {
    const auto [it, added] = index_.try_emplace(name, append.streams.size());
    if (added) {
      append.streams.emplace_back().stream = name;
      names.push_back(name);
    }
    return it->second;
  }

 private:
  absl::flat_hash_map<std::string, std::size_t> index_;
};

RawAppender::RawAppender(const Registry& registry, EventStore& store, Executor& work)
    : store_(store), work_(work) {
  for (const AggregateEntry& aggregate : registry.aggregates()) owned_.emplace(aggregate.category);
  for (const CommandEntry& command : registry.commands())
    packages_.insert(command.request->file()->package() + ".");
  owned_.emplace(kReactionCategory);
  packages_.emplace(kEnginePackage);
}

absl::StatusOr<RawAppender::Prepared> RawAppender::Prepare(const store::v1::AppendRequest& request,
                                                           const Caller& caller) const {
  Judge judge(request);
  CheckEnvelope(request, caller, judge);
  Prepared prepared;
  prepared.engine = request.has_engine();
  prepared.records = static_cast<std::size_t>(request.records_size());
  // The first stream gives the version that is stored with a command id.
  if (prepared.engine) {
    for (const store::v1::StreamCheck& check : request.checks()) prepared.Stream(check.stream());
  }
  for (int i = 0; i < request.records_size() && !judge.full(); ++i) {
    NewEvent event = judge.ToEvent(request.records(i), i);
    const std::size_t stream = prepared.Stream(request.records(i).stream());
    if (prepared.append.streams[stream].events.empty()) prepared.written.push_back(stream);
    prepared.append.streams[stream].events.push_back(std::move(event));
    prepared.append.order.push_back(static_cast<std::uint32_t>(stream));
  }
  // Stream by stream is what the store does by itself.
  if (std::is_sorted(prepared.append.order.begin(), prepared.append.order.end()))
    prepared.append.order.clear();
  absl::flat_hash_set<std::string_view> checked;
  for (int i = 0; i < request.checks_size() && !judge.full(); ++i) {
    const store::v1::StreamCheck& check = request.checks(i);
    const std::optional<StreamCheck> expected = ToCheck(check);
    if (!IsStreamName(check.stream())) judge.Add(fmt::format("checks[{}].stream", i), kStreamForm);
    if (!checked.insert(check.stream()).second)
      judge.Add(fmt::format("checks[{}].stream", i), "is checked before; one check a stream");
    if (!expected)
      judge.Add(fmt::format("checks[{}].expected", i),
                "must be exact (0 or more), no_stream, stream_exists or any");
    prepared.append.streams[prepared.Stream(check.stream())].check = expected.value_or(Any{});
  }
  if (request.records().empty() && request.command_id().empty())
    judge.Add("records", "must hold at least one record, unless there is a command_id");
  if (request.records().empty() && request.checks().empty())
    judge.Add("checks", "must name a stream where there are no records");
  if (request.has_condition()) prepared.append.condition = ToCondition(request.condition(), judge);
  LEFTFOLD_RETURN_IF_ERROR(judge.ToStatus());
  prepared.append.metadata = MetadataBytes(request, caller);
  if (!request.command_id().empty()) {
    prepared.append.command =
        CommandRecord{request.command_id(), HashOf(request), request.engine().aggregate_id(),
                      request.engine().created_id()};
  }
  return prepared;
}

absl::Status RawAppender::CheckToken(const Prepared& prepared) const {
  if (prepared.engine) {
    return Reject(core::v1::ERROR_REASON_TOKEN_REQUIRED,
                  "`engine` is for processes of this system and needs the token");
  }
  for (const std::size_t index : prepared.written) {
    const std::string category(CategoryOf(prepared.names[index]));
    if (!category.starts_with(kClaimCategoryPrefix) && !owned_.contains(category)) continue;
    return Reject(
        core::v1::ERROR_REASON_TOKEN_REQUIRED,
        fmt::format(
            "streams of {} are written by commands or by the engines; a raw append to them needs "
            "the token of the data folder",
            category),
        {{"category", category}});
  }
  for (const StreamAppend& stream : prepared.append.streams) {
    for (const NewEvent& event : stream.events) {
      const bool owned =
          std::any_of(packages_.begin(), packages_.end(),
                      [&](const std::string& package) { return event.type.starts_with(package); });
      if (!owned) continue;
      return Reject(core::v1::ERROR_REASON_TOKEN_REQUIRED,
                    fmt::format("events of type {} come from commands or from the engines, and "
                                "views fold them; a raw "
                                "append of them needs the token of the data folder",
                                event.type),
                    {{"type", event.type}});
    }
  }
  return absl::OkStatus();
}

namespace {

// A duplicate's receipt does not name its streams: its events do.
absl::Status ReadVersions(EventStore& store, std::size_t records,
                          store::v1::AppendReceipt& receipt) {
  absl::flat_hash_map<std::string, int> index;
  const Position last{receipt.position()};
  Position at{last.value - static_cast<std::int64_t>(records)};
  while (at < last) {
    const auto read =
        store.ReadAll({.from = at, .events_max = static_cast<std::size_t>(last.value - at.value)});
    if (!read.ok()) return read.status();
    if (read->events.empty())
      return Error(absl::StatusCode::kDataLoss, "no event after {}", at.value);
    for (const RecordedEvent& event : read->events) {
      const auto [it, added] = index.try_emplace(event.stream, receipt.streams_size());
      if (added) receipt.add_streams()->set_stream(event.stream);
      receipt.mutable_streams(it->second)->set_version(event.version.value);
    }
    at = read->events.back().position;
  }
  return absl::OkStatus();
}

}  // namespace

void RawAppender::Append(const store::v1::AppendRequest& request, const Caller& caller, Done done,
                         std::shared_ptr<std::atomic<bool>> broken) {
  absl::StatusOr<Prepared> prepared = Prepare(request, caller);
  absl::Status refused = prepared.status();
  if (refused.ok() && !caller.trusted) refused = CheckToken(*prepared);
  if (!refused.ok()) {
    if (broken != nullptr) *broken = true;
    return done(refused);
  }
  AppendRequest append = std::move(prepared->append);
  append.broken = std::move(broken);
  store_.Append(std::move(append), [this, prepared = *std::move(prepared),
                                    done = std::move(done)](const absl::StatusOr<Receipt>& result) {
    if (!result.ok()) return done(result.status());
    store::v1::AppendReceipt receipt;
    receipt.set_position(result->position.value);
    receipt.set_duplicate(result->duplicate);
    if (prepared.engine) {
      store::v1::EngineReceipt& engine = *receipt.mutable_engine();
      engine.set_version(result->version.value);
      engine.set_aggregate_id(result->aggregate_id);
      engine.set_created_id(result->created_id);
      for (const Version version : result->versions) engine.add_versions(version.value);
    }
    // Engines get versions, and their records need not be those that were stored.
    if (result->duplicate && prepared.records > 0 && !prepared.engine) {
      work_.Post([this, records = prepared.records, receipt, done]() mutable {
        const absl::Status status = ReadVersions(store_, records, receipt);
        status.ok() ? done(std::move(receipt)) : done(status);
      });
      return;
    }
    if (!result->duplicate) {
      for (const std::size_t index : prepared.written) {
        store::v1::StreamVersion& stream = *receipt.add_streams();
        stream.set_stream(prepared.names[index]);
        stream.set_version(result->versions[index].value);
      }
    }
    done(std::move(receipt));
  });
}

}  // namespace leftfold
