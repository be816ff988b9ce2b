#include "tools/tail.h"

#include <absl/strings/escaping.h>
#include <absl/time/clock.h>
#include <google/protobuf/util/json_util.h>

#include <cstdio>

#include "core/event.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"

namespace leftfold::tools {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(100);

std::string JsonOf(const RecordedEvent& event) {
  core::v1::RecordedEvent proto = ToProto(event);
  std::string json;
  if (google::protobuf::util::MessageToJsonString(proto, &json).ok()) return json;
  std::string payload;
  absl::Base64Escape(event.payload, &payload);
  proto.set_json(fmt::format("base64 of an undecodable {}: {}", event.type, payload));
  json.clear();
  const bool shown = google::protobuf::util::MessageToJsonString(proto, &json).ok();
  return shown ? json : "{}";
}

}  // namespace

int Tail(const std::string& data, const TailOptions& options) {
  auto store = OpenSqliteEventStoreReadOnly(data + "/log");
  if (!store.ok()) {
    fmt::print(stderr, "leftfold tail: {}\n", ToStd(store.status().message()));
    return 1;
  }
  ReadAllOptions read{.from = Position{options.after}};
  if (!options.category.empty()) read.category = options.category;
  while (true) {
    const auto events = (*store)->ReadAll(read);
    if (!events.ok()) {
      fmt::print(stderr, "leftfold tail: {}\n", ToStd(events.status().message()));
      return 1;
    }
    for (const RecordedEvent& event : *events) fmt::print("{}\n", JsonOf(event));
    std::fflush(stdout);
    if (!events->empty()) {
      read.from = events->back().position;
    } else if (!options.follow) {
      return 0;
    } else {
      absl::SleepFor(kPollInterval);
    }
  }
}

}  // namespace leftfold::tools
