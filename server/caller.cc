#include "server/caller.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/reject.h"
#include "core/status.h"
#include "core/traceparent.h"

namespace leftfold {
namespace {

// Collects the headers of one call.
class Reader {
 public:
  explicit Reader(Caller& caller) : caller_(caller) {}

  void Add(const rpc::HeaderLine& header) {
    const auto& [key, value] = header;
    if (key == kCorrelationHeader) {
      SetId(key, value, caller_.correlation_id);
    } else if (key == kCausationHeader) {
      SetId(key, value, caller_.causation_id);
    } else if (key == kTraceHeader) {
      ++traceparents_;
      caller_.traceparent = traceparents_ == 1 && IsTraceparent(value) ? value : "";
    } else if (key.starts_with(kHeaderPrefix)) {
      AddFree(key, value);
    }
  }

  absl::Status Finish() {
    CheckLimit("kHeadersMax", kHeadersMax, caller_.headers.size());
    CheckLimit("kHeadersBytesMax", kHeadersBytesMax, bytes_);
    return violations_.ToStatus();
  }

 private:
  void SetId(std::string_view key, std::string_view value, std::string& id) {
    if (value.size() > kCorrelationIdBytesMax || !IsPrintable(value)) {
      violations_.Add(key, fmt::format("must be at most {} characters of printable ASCII",
                                       kCorrelationIdBytesMax));
    } else if (!id.empty() && id != value) {
      violations_.Add(key, "is there twice; send one");
    } else {
      id = value;
    }
  }

  void AddFree(std::string_view key, std::string_view value) {
    const std::string name(key.substr(kHeaderPrefix.size()));
    bytes_ += name.size() + value.size();
    if (name.empty()) {
      violations_.Add(key, fmt::format("must have a name after {}", kHeaderPrefix));
    } else if (name.ends_with("-bin")) {
      violations_.Add(key, "headers are text: send it as base64, under a name without -bin");
    } else if (!IsPrintable(value)) {
      violations_.Add(key, "must be printable ASCII");
    } else if (std::any_of(caller_.headers.begin(), caller_.headers.end(),
                           [&](const auto& known) { return known.first == name; })) {
      violations_.Add(key, "is there twice; send one");
    } else {
      caller_.headers.emplace_back(name, value);
    }
  }

  void CheckLimit(std::string_view limit, std::size_t maximum, std::size_t actual) {
    if (actual <= maximum) return;
    violations_.Add(
        core::v1::ERROR_REASON_LIMIT_EXCEEDED, kHeaderPrefix,
        fmt::format("{} is {}, not {}; send fewer or shorter ones", limit, maximum, actual),
        {{"limit", std::string(limit)},
         {"maximum", fmt::to_string(maximum)},
         {"actual", fmt::to_string(actual)}});
  }

  Caller& caller_;
  Violations violations_;
  int traceparents_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace

absl::StatusOr<Caller> CallerOf(const std::vector<rpc::HeaderLine>& headers,
                                std::string_view bearer) {
  Caller caller;
  Reader reader(caller);
  std::string reactor;
  for (const rpc::HeaderLine& header : headers) {
    if (header.first == "authorization") {
      caller.trusted = caller.trusted || header.second == bearer;
    } else if (header.first == kReactorHeader) {
      reactor = header.second;
    } else {
      reader.Add(header);
    }
  }
  if (caller.trusted && reactor.starts_with("reactor:")) caller.actor = reactor;
  LEFTFOLD_RETURN_IF_ERROR(reader.Finish());
  return caller;
}

}  // namespace leftfold
