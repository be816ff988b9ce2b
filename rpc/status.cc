#include "rpc/status.h"

#include <absl/strings/cord.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/log.h"
#include "core/mutex.h"
#include "core/reject.h"
#include "core/status.h"
#include "core/traceparent.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace leftfold::rpc {
namespace {

// What a client may know of a failure that is not meant for it.
std::string_view GeneralText(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
      return "the call was cancelled";
    case absl::StatusCode::kDeadlineExceeded:
      return "the deadline passed";
    case absl::StatusCode::kUnavailable:
      return "the server cannot answer now; try again";
    case absl::StatusCode::kDataLoss:
      return "the server met damaged data; the operator finds the cause in its log";
    case absl::StatusCode::kResourceExhausted:
      return "the server is out of a resource; the operator finds the cause in its log";
    default:
      return "the server failed to answer; the operator finds the cause in its log";
  }
}

std::string Cut(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return std::string(text);
  std::size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // Not inside a character.
  return std::string(text.substr(0, end)) + "…";
}

google::protobuf::Any* Add(google::rpc::Status& details, std::string_view url, std::string bytes) {
  google::protobuf::Any* any = details.add_details();
  any->set_type_url(std::string(url));
  any->set_value(std::move(bytes));
  return any;
}

bool TooLarge(const google::rpc::Status& details) {
  return details.ByteSizeLong() > kStatusDetailsBytesMax;
}

// Keeps the first violations of a BadRequest, as many as fit; false when not even one does.
bool ShortenBadRequest(google::rpc::Status& details, google::protobuf::Any& any) {
  constexpr std::size_t kFrame = 16;  // Tags and lengths around it, generously.
  google::rpc::BadRequest all;
  if (any.type_url() != kBadRequestUrl || !all.ParseFromString(any.value())) return false;
  any.clear_value();
  google::rpc::BadRequest kept;
  std::size_t size = details.ByteSizeLong() + kFrame;
  for (const auto& violation : all.field_violations()) {
    size += violation.ByteSizeLong() + kFrame;
    if (size > kStatusDetailsBytesMax) break;
    *kept.add_field_violations() = violation;
  }
  any.set_value(kept.SerializeAsString());
  return kept.field_violations_size() > 0;
}

google::rpc::ErrorInfo ErrorInfoOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  const auto payload = status.GetPayload(ToAbsl(kErrorInfoUrl));
  if (payload && info.ParseFromString(std::string(*payload))) return info;
  info.set_reason(absl::StatusCodeToString(status.code()));
  info.set_domain(core::v1::ErrorReason_descriptor()->file()->package());
  return info;
}

struct RejectionCounts {
  Mutex mu;
  std::map<std::pair<std::string, std::string>, std::int64_t> by_kind ABSL_GUARDED_BY(mu);
};
RejectionCounts& TheRejections() {
  static auto* const counts = new RejectionCounts;
  return *counts;
}

void CountRejection(const google::rpc::ErrorInfo& info) {
  RejectionCounts& counts = TheRejections();
  MutexLock lock(counts.mu);
  const auto it = counts.by_kind.find({info.domain(), info.reason()});
  if (it != counts.by_kind.end()) {
    ++it->second;
  } else if (counts.by_kind.size() < kRejectionKindsMax) {
    counts.by_kind[{info.domain(), info.reason()}] = 1;
  } else {
    ++counts.by_kind[{"", "OTHER"}];
  }
}

}  // namespace

bool IsForClients(const absl::Status& status) {
  return status.GetPayload(ToAbsl(kErrorInfoUrl)).has_value();
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  const bool for_clients = IsForClients(status);
  const std::string message = for_clients ? Cut(ToStd(status.message()), kStatusMessageBytesMax)
                                          : std::string(GeneralText(status.code()));
  google::rpc::Status details;
  if (status.ok()) return details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  const google::rpc::ErrorInfo info = ErrorInfoOf(status);
  CountRejection(info);
  Add(details, kErrorInfoUrl, info.SerializeAsString());
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    if (!for_clients || ToStd(url) == kErrorInfoUrl) return;
    google::protobuf::Any* any = Add(details, ToStd(url), std::string(payload));
    if (TooLarge(details) && !ShortenBadRequest(details, *any))
      details.mutable_details()->RemoveLast();
  });
  return details;
}

void LogFailure(std::string_view rpc, std::string_view traceparent, const absl::Status& status) {
  if (status.ok() || absl::IsCancelled(status) || absl::IsDeadlineExceeded(status)) return;
  if (IsForClients(status)) return;
  LogEvent(LogLevel::kError, "an RPC failed",
           {{"rpc", std::string(rpc)},
            {"status", status.ToString()},
            {"trace_id", std::string(TraceIdOf(traceparent))}});
}

std::vector<Rejections> ListRejections() {
  RejectionCounts& counts = TheRejections();
  MutexLock lock(counts.mu);
  std::vector<Rejections> all;
  for (const auto& [kind, count] : counts.by_kind) all.push_back({kind.first, kind.second, count});
  return all;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status details = ToRpcStatus(status);
  return {static_cast<grpc::StatusCode>(status.code()), details.message(),
          details.SerializeAsString()};
}

}  // namespace leftfold::rpc
