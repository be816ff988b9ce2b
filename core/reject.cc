#include "core/reject.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/cord.h>
#include <absl/strings/strip.h>
#include <absl/time/time.h>

#include "google/rpc/error_details.pb.h"
#include "leftfold/core/v1/options.pb.h"

namespace leftfold {
namespace {

absl::StatusCode CodeFrom(std::string_view name) {
  static constexpr std::pair<std::string_view, absl::StatusCode> kCodes[] = {
      {"INVALID_ARGUMENT", absl::StatusCode::kInvalidArgument},
      {"NOT_FOUND", absl::StatusCode::kNotFound},
      {"ALREADY_EXISTS", absl::StatusCode::kAlreadyExists},
      {"PERMISSION_DENIED", absl::StatusCode::kPermissionDenied},
      {"UNAUTHENTICATED", absl::StatusCode::kUnauthenticated},
      {"RESOURCE_EXHAUSTED", absl::StatusCode::kResourceExhausted},
      {"FAILED_PRECONDITION", absl::StatusCode::kFailedPrecondition},
      {"ABORTED", absl::StatusCode::kAborted},
      {"UNAVAILABLE", absl::StatusCode::kUnavailable},
      {"UNIMPLEMENTED", absl::StatusCode::kUnimplemented},
      {"INTERNAL", absl::StatusCode::kInternal},
      {"DATA_LOSS", absl::StatusCode::kDataLoss},
  };
  for (const auto& [known, code] : kCodes) {
    if (known == name) return code;
  }
  return absl::StatusCode::kUnknown;
}

std::string Shortened(std::string_view text) {
  if (text.size() <= kErrorValueBytesMax) return std::string(text);
  std::size_t end = kErrorValueBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // Not inside a character.
  return std::string(text.substr(0, end)) + "…";
}

template <class Message>
void Attach(absl::Status& status, std::string_view url, const Message& detail) {
  status.SetPayload(ToAbsl(url), absl::Cord(detail.SerializeAsString()));
}

template <class Message>
Message Detail(const absl::Status& status, std::string_view url) {
  Message detail;
  if (auto payload = status.GetPayload(ToAbsl(url))) detail.ParseFromString(std::string(*payload));
  return detail;
}

std::string ReasonName(const google::protobuf::EnumValueDescriptor& reason) {
  return std::string(absl::StripPrefix(reason.name(), "ERROR_REASON_"));
}

}  // namespace

absl::Status RejectWith(const google::protobuf::EnumValueDescriptor& reason,
                        std::string_view message, const Metadata& metadata) {
  absl::Status status(CodeFrom(reason.options().GetExtension(core::v1::grpc_code)),
                      ToAbsl(message));
  google::rpc::ErrorInfo info;
  info.set_reason(ReasonName(reason));
  info.set_domain(reason.file()->package());
  for (const auto& [key, value] : metadata)
    info.mutable_metadata()->insert({key, Shortened(value)});  // The first value of a key stays.
  Attach(status, kErrorInfoUrl, info);
  if (absl::IsFailedPrecondition(status)) {
    google::rpc::PreconditionFailure failure;
    auto* violation = failure.add_violations();
    violation->set_type(info.reason());
    violation->set_subject(info.domain());
    violation->set_description(std::string(message));
    Attach(status, kPreconditionFailureUrl, failure);
  }
  return status;
}

absl::Status WithRetryAfter(absl::Status status, absl::Duration delay) {
  google::rpc::RetryInfo retry;
  const std::int64_t nanos = absl::ToInt64Nanoseconds(delay);
  retry.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
  retry.mutable_retry_delay()->set_nanos(static_cast<std::int32_t>(nanos % 1'000'000'000));
  Attach(status, kRetryInfoUrl, retry);
  return status;
}

absl::Status CommandIdReused(const std::string& command_id) {
  return Reject(
      core::v1::ERROR_REASON_COMMAND_ID_REUSED,
      fmt::format("command_id {} was used with other content; take a new id for a new command",
                  command_id),
      {{"command_id", command_id}});
}

absl::Status ServerStopping(std::string_view then) {
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_STOPPING, fmt::format("the server is stopping; {}", then)),
      kRetryWhenStopping);
}

std::string ReasonOf(const absl::Status& status) {
  return Detail<google::rpc::ErrorInfo>(status, kErrorInfoUrl).reason();
}

std::string MetadataOf(const absl::Status& status, std::string_view key) {
  const auto info = Detail<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  const auto it = info.metadata().find(std::string(key));
  return it == info.metadata().end() ? "" : it->second;
}

void Violations::AddWith(const google::protobuf::EnumValueDescriptor& reason,
                         std::string_view field, std::string_view description,
                         const Metadata& metadata) {
  entries_.push_back({&reason, std::string(field), std::string(description), metadata});
}

absl::Status Violations::ToStatus() const {
  if (entries_.empty()) return absl::OkStatus();
  std::string message;
  std::string fields;
  absl::flat_hash_set<std::string_view> named;
  Metadata metadata;
  google::rpc::BadRequest bad;
  for (const Entry& entry : entries_) {
    if (!message.empty()) message += "; ";
    message += fmt::format("{}: {}", entry.field, entry.description);
    if (named.insert(entry.field).second) fields += (fields.empty() ? "" : ", ") + entry.field;
    metadata.insert(metadata.end(), entry.metadata.begin(), entry.metadata.end());
    auto* violation = bad.add_field_violations();
    violation->set_field(entry.field);
    violation->set_description(entry.description);
  }
  metadata.emplace_back("fields", fields);
  absl::Status status = RejectWith(*entries_.front().reason, message, metadata);
  Attach(status, kBadRequestUrl, bad);
  return status;
}

}  // namespace leftfold
