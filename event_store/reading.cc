#include "event_store/reading.h"

#include <algorithm>
#include <utility>

#include "core/event_wire.h"
#include "core/ids.h"
#include "core/status.h"
#include "core/timestamp.h"
#include "event_store/feed.h"
#include "event_store/limits.h"
#include "leftfold/store/v1/errors.pb.h"

namespace leftfold::reading {
namespace {

// Room for an event that turns out not to fit, and for the other fields.
constexpr std::size_t kMore = 4 << 10;

std::vector<Tag> ToTags(const google::protobuf::RepeatedPtrField<core::v1::Tag>& tags) {
  std::vector<Tag> out;
  for (const core::v1::Tag& tag : tags) out.push_back({tag.key(), tag.value()});
  return out;
}

// The types that both want; nothing given wants all.
std::vector<std::string> Both(const std::vector<std::string>& a,
                              const std::vector<std::string>& b) {
  if (a.empty()) return b;
  if (b.empty()) return a;
  std::vector<std::string> both;
  for (const std::string& type : a) {
    if (std::find(b.begin(), b.end(), type) != b.end()) both.push_back(type);
  }
  return both;
}

}  // namespace

void CheckPartition(std::int32_t partition, Violations& violations) {
  if (partition != 0) violations.Add("partition", "must be 0: this log has one partition");
}

void CheckTime(const google::protobuf::Timestamp& time, Violations& violations) {
  if (!IsPlausible(time)) violations.Add("time", "must be in the years 1970 to 9999");
}

void CheckCount(std::int64_t max_count, Violations& violations) {
  if (max_count < 0) violations.Add("max_count", "must be 0 (no limit) or more");
}

EventFilter ToFilter(const store::v1::EventFilter& filter, Violations& violations,
                     std::string_view field) {
  const auto inside = [field](std::string_view name) { return fmt::format("{}.{}", field, name); };
  EventFilter out;
  for (const std::string& category : filter.categories()) {
    if (!IsCategory(category))
      violations.Add(inside(fmt::format("categories[{}]", out.categories.size())),
                     "must be a category, [a-z][a-z0-9_]{0,63}");
    out.categories.push_back(category);
  }
  if (!filter.stream().empty() && !IsStreamName(filter.stream()))
    violations.Add(inside("stream"), "must be <category>-<id>; `stream_prefix` takes a part of it");
  out.stream = filter.stream();
  out.stream_prefix = filter.stream_prefix();
  out.correlation_id = filter.correlation_id();
  const std::vector<std::string> types(filter.types().begin(), filter.types().end());
  const std::vector<Tag> tags = ToTags(filter.tags());
  for (const store::v1::QueryItem& given : filter.items()) {
    const std::vector<std::string> wanted(given.types().begin(), given.types().end());
    QueryItem item{Both(types, wanted), ToTags(given.tags())};
    if (item.types.empty() && !(types.empty() && wanted.empty())) continue;  // No event has both.
    item.tags.insert(item.tags.end(), tags.begin(), tags.end());
    out.items.push_back(std::move(item));
  }
  if (filter.items().empty() && !(types.empty() && tags.empty()))
    out.items.push_back({types, tags});
  if (!filter.items().empty() && out.items.empty())
    violations.Add(inside("items"), "no event has a type of `types` and of an item");
  if (out.categories.size() > kQueryTermsMax)
    violations.Add(inside("categories"), fmt::format("at most {} are allowed", kQueryTermsMax));
  if (const absl::Status status = CheckForm(out.items); !status.ok())
    violations.Add(field, ToStd(status.message()));
  return out;
}

bool EventsField::Add(const EventView& event) {
  if (count_ == kReaderMessageEvents) return false;
  const std::size_t before = bytes_.size();
  // Where there are several there will be many. What is not written to costs nothing.
  if (count_ == 1) bytes_.reserve(kReaderMessageBytes + kMore);
  AppendEventField(field_, event, raw_metadata_, bytes_);
  if (bytes_.size() > kReaderMessageBytes && count_ > 0) {
    bytes_.resize(before);
    return false;
  }
  ++count_;
  return true;
}

std::string EventsField::TakeWith(const google::protobuf::Message& rest) {
  rest.AppendToString(&bytes_);
  count_ = 0;
  return std::exchange(bytes_, {});
}

ReadAllOptions BatchOptions(Position from, Direction direction, const EventFilter& filter) {
  return {.from = from,
          .direction = direction,
          .events_max = kReaderMessageEvents,
          .bytes_max = kReaderMessageBytes,
          .filter = filter};
}

absl::Status Diverged(Position position, Position head, std::string_view why) {
  return Reject(
      store::v1::ERROR_REASON_LOG_DIVERGED,
      fmt::format("{}: another log answers, or an older copy of it was restored; find "
                  "out which before you go on (position {}, head {})",
                  why, position.value, head.value),
      {{"position", fmt::to_string(position.value)}, {"head", fmt::to_string(head.value)}});
}

absl::Status HoleAt(Position position) {
  return Reject(
      core::v1::ERROR_REASON_DATA_LOSS,
      fmt::format("the log lacks the event at position {}; run `leftfold verify`", position.value),
      {{"position", fmt::to_string(position.value)}});
}

}  // namespace leftfold::reading
