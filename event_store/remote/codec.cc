#include "event_store/remote/codec.h"

#include <absl/strings/cord.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/ids.h"
#include "core/json.h"
#include "core/reject.h"
#include "core/status.h"
#include "core/timestamp.h"
#include "leftfold/store/v1/errors.pb.h"

namespace leftfold::remote {
namespace {

constexpr absl::Duration kUnreachableRetryDelay = absl::Seconds(1);
constexpr std::string_view kTypeUrl = "type.googleapis.com/";

void AddTags(const std::vector<Tag>& tags, google::protobuf::RepeatedPtrField<core::v1::Tag>& out) {
  for (const Tag& tag : tags) {
    core::v1::Tag& added = *out.Add();
    added.set_key(tag.key);
    added.set_value(tag.value);
  }
}

void AddItems(const std::vector<QueryItem>& items,
              google::protobuf::RepeatedPtrField<store::v1::QueryItem>& out) {
  for (const QueryItem& item : items) {
    store::v1::QueryItem& added = *out.Add();
    for (const std::string& type : item.types) added.add_types(type);
    AddTags(item.tags, *added.mutable_tags());
  }
}

bool AreUtf8(const std::vector<Tag>& tags) {
  return std::all_of(tags.begin(), tags.end(),
                     [](const Tag& tag) { return IsUtf8(tag.key) && IsUtf8(tag.value); });
}

absl::Status CheckTexts(const AppendRequest& request) {
  constexpr std::string_view kForm = "must be UTF-8";
  Violations violations;
  for (const StreamAppend& stream : request.streams) {
    for (const NewEvent& event : stream.events) {
      if (!IsUtf8(event.type)) violations.Add("type", kForm);
      if (!AreUtf8(event.tags)) violations.Add("tags", kForm);
    }
  }
  if (request.condition) {
    for (const QueryItem& item : request.condition->fail_if_events_match) {
      if (!AreUtf8(item.tags) || !std::all_of(item.types.begin(), item.types.end(), IsUtf8))
        violations.Add("condition.fail_if_events_match", kForm);
    }
  }
  if (request.command) {
    if (!IsCommandId(request.command->command_id))
      violations.Add("command_id", "must have printable ASCII characters only");
    if (!IsUtf8(request.command->aggregate_id)) violations.Add("aggregate_id", kForm);
    if (!IsUtf8(request.command->created_id)) violations.Add("created_id", kForm);
  }
  return violations.ToStatus();
}

void SetCheck(const StreamCheck& check, store::v1::StreamCheck& out) {
  if (std::holds_alternative<Any>(check)) out.mutable_any();
  if (std::holds_alternative<NoStream>(check)) out.mutable_no_stream();
  if (std::holds_alternative<StreamExists>(check)) out.mutable_stream_exists();
  const auto* exactly = std::get_if<Exactly>(&check);
  if (exactly == nullptr) return;
  // The wire has no version for a stream without events.
  if (exactly->version == kNoEventYet) {
    out.mutable_no_stream();
  } else {
    out.set_exact(exactly->version.value);
  }
}

void AddRecord(const std::string& stream, NewEvent event, store::v1::AppendRequest& out) {
  store::v1::AppendRecord& record = *out.add_records();
  record.set_stream(stream);
  if (event.event_id != Uuid{}) record.set_event_id(ToString(event.event_id));
  AddTags(event.tags, *record.mutable_tags());
  if (event.encoding == Encoding::kProtobuf) {
    record.mutable_message()->set_type_url(std::string(kTypeUrl) + event.type);
    record.mutable_message()->set_value(std::move(event.payload));
  } else if (IsUtf8(event.payload)) {
    record.set_json(std::move(event.payload));
  } else {
    record.set_raw_json(std::move(event.payload));
  }
  record.set_type(std::move(event.type));
}

void AddRecords(AppendRequest& request, store::v1::AppendRequest& out) {
  if (request.order.empty()) {
    for (StreamAppend& stream : request.streams) {
      for (NewEvent& event : stream.events) AddRecord(stream.stream, std::move(event), out);
    }
    return;
  }
  std::vector<std::size_t> next(request.streams.size());
  for (const std::uint32_t i : request.order) {
    StreamAppend& stream = request.streams[i];
    AddRecord(stream.stream, std::move(stream.events[next[i]++]), out);
  }
}

// false when it has another size.
bool TakeDigest(const std::string& bytes, Digest& digest) {
  if (bytes.size() != digest.size()) return false;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return true;
}

}  // namespace

absl::StatusOr<store::v1::AppendRequest> ToWire(AppendRequest request) {
  LEFTFOLD_RETURN_IF_ERROR(CheckTexts(request));
  store::v1::AppendRequest out;
  // Every stream has a check, which gives the server their order.
  for (const StreamAppend& stream : request.streams) {
    store::v1::StreamCheck& check = *out.add_checks();
    check.set_stream(stream.stream);
    SetCheck(stream.check, check);
  }
  AddRecords(request, out);
  if (request.condition) {
    AddItems(request.condition->fail_if_events_match,
             *out.mutable_condition()->mutable_fail_if_events_match());
    out.mutable_condition()->set_after_position(request.condition->after.value);
  }
  store::v1::EngineFields& engine = *out.mutable_engine();
  engine.set_raw_metadata(std::move(request.metadata));
  if (request.command) {
    out.set_command_id(std::move(request.command->command_id));
    engine.set_request_hash(std::string(AsBytes(request.command->request_hash)));
    engine.set_aggregate_id(std::move(request.command->aggregate_id));
    engine.set_created_id(std::move(request.command->created_id));
  }
  return out;
}

store::v1::EventFilter ToWire(const EventFilter& filter) {
  store::v1::EventFilter out;
  for (const std::string& category : filter.categories) out.add_categories(category);
  out.set_stream(filter.stream);
  out.set_stream_prefix(filter.stream_prefix);
  out.set_correlation_id(filter.correlation_id);
  AddItems(filter.items, *out.mutable_items());
  return out;
}

absl::StatusOr<RecordedEvent> FromWire(const core::v1::RecordedEvent& event) {
  RecordedEvent out;
  out.position = Position{event.position()};
  out.stream = event.stream();
  out.version = Version{event.version()};
  const auto id = ParseUuid(event.event_id());
  if (!id || !TakeDigest(event.leaf(), out.leaf) || !TakeDigest(event.chain(), out.chain)) {
    return Reject(core::v1::ERROR_REASON_DATA_LOSS,
                  fmt::format("the event at position {} came without a valid id, leaf or chain",
                              event.position()),
                  {{"position", fmt::to_string(event.position())}});
  }
  out.event_id = *id;
  out.type = event.type();
  out.encoding = event.has_message() ? Encoding::kProtobuf : Encoding::kJson;
  out.payload = event.has_message()    ? event.message().value()
                : event.has_raw_json() ? event.raw_json()
                                       : event.json();
  out.metadata = event.raw_metadata();
  for (const core::v1::Tag& tag : event.tags()) out.tags.push_back({tag.key(), tag.value()});
  out.recorded_at = FromProto(event.recorded_at());
  out.category_previous = Position{event.category_previous()};
  return out;
}

Receipt FromWire(const store::v1::AppendReceipt& receipt) {
  Receipt out;
  out.version = Version{receipt.engine().version()};
  out.position = Position{receipt.position()};
  out.aggregate_id = receipt.engine().aggregate_id();
  out.created_id = receipt.engine().created_id();
  out.duplicate = receipt.duplicate();
  for (const std::int64_t version : receipt.engine().versions())
    out.versions.push_back(Version{version});
  return out;
}

StoredCommand FromWire(const store::v1::GetCommandResponse& response) {
  StoredCommand out;
  TakeDigest(response.request_hash(), out.request_hash);
  out.receipt.version = Version{response.version()};
  out.receipt.position = Position{response.position()};
  out.receipt.aggregate_id = response.aggregate_id();
  out.receipt.created_id = response.created_id();
  out.receipt.duplicate = true;
  return out;
}

absl::Status FromWire(const google::rpc::Status& status) {
  absl::Status out(static_cast<absl::StatusCode>(status.code()), status.message());
  for (const google::protobuf::Any& detail : status.details())
    out.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  return out;
}

absl::Status FromWire(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status details;
  if (!status.error_details().empty() && details.ParseFromString(status.error_details()) &&
      details.code() != 0) {
    return FromWire(details);
  }
  const bool lost = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                    status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ||
                    status.error_code() == grpc::StatusCode::CANCELLED;
  if (!lost) return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
  return WithRetryAfter(
      Reject(store::v1::ERROR_REASON_STORE_UNREACHABLE,
             fmt::format("the store cannot be reached: {}", status.error_message())),
      kUnreachableRetryDelay);
}

}  // namespace leftfold::remote
