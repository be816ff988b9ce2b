#include "reactor/consumer_group.h"

#include <optional>
#include <utility>

#include "core/ids.h"
#include "event_store/reading.h"
#include "leftfold/store/v1/errors.pb.h"
#include "reactor/retry_policy.h"

namespace leftfold {

using store::v1::ConsumerGroup;

void CheckStart(std::int64_t after_position, Position head, std::string_view field,
                Violations& violations) {
  if (after_position < 0 || after_position > head.value)
    violations.Add(field, fmt::format("must be 0 to the log's last position, {}", head.value));
}

void CheckGroup(const ConsumerGroup& group, Position head, Violations& violations) {
  if (!IsCategory(group.name()) || group.name().size() > kGroupNameBytesMax) {
    violations.Add("group.name", fmt::format("must be [a-z][a-z0-9_]*, at most {} characters",
                                             kGroupNameBytesMax));
  }
  reading::ToFilter(group.filter(), violations, "group.filter");
  if (group.filter().stream().size() > kGroupStreamBytesMax ||
      group.filter().stream_prefix().size() > kGroupStreamBytesMax) {
    violations.Add("group.filter", fmt::format("stream and stream_prefix must be at most {} bytes",
                                               kGroupStreamBytesMax));
  }
  CheckStart(group.after_position(), head, "group.after_position", violations);
  if (!ConsumerGroup::Key_IsValid(group.key()))
    violations.Add("group.key", "must be KEY_STREAM, KEY_LOG or KEY_EVENT");
  CheckPolicy(PolicyOf(group.retry(), kGroupRetry), "group.retry.", violations);
  CheckDuration(AckTimeoutOf(group), kAckTimeoutMin, kAckTimeoutMax, "group.ack_timeout",
                violations);
  if (group.max_in_flight() < 0 || group.max_in_flight() > kConsumerWindowMax) {
    violations.Add("group.max_in_flight", fmt::format("must be 1 to {}, or 0 for {}",
                                                      kConsumerWindowMax, kConsumerWindow));
  }
}

absl::Status GroupNotFound(std::string_view name) {
  return Reject(store::v1::ERROR_REASON_GROUP_NOT_FOUND,
                fmt::format("there is no consumer group {}; ListGroups shows all", name),
                {{"group", std::string(name)}});
}

absl::Duration AckTimeoutOf(const ConsumerGroup& group) {
  return group.has_ack_timeout() ? DurationOf(group.ack_timeout()) : kAckTimeout;
}

int WindowMaxOf(const ConsumerGroup& group) {
  return group.max_in_flight() == 0 ? kConsumerWindow : group.max_in_flight();
}

std::string GroupReactorName(std::string_view name, std::int64_t number) {
  return fmt::format("group.{}.{}", name, number);
}

ReactorEntry ReactorOf(const store::v1::ConsumerGroupFile::Entry& configured) {
  const ConsumerGroup& group = configured.group();
  ReactorEntry entry;
  entry.name = configured.reactor();
  entry.start_after = Position{configured.start()};
  entry.retry = PolicyOf(group.retry(), kGroupRetry);
  entry.trusted = false;
  entry.deliveries_max = kGroupDeliveriesMax;
  Violations checked;  // It was.
  entry.key = [filter = reading::ToFilter(group.filter(), checked),
               key = group.key()](const RecordedEvent& event) -> std::optional<std::string> {
    if (!filter.Matches(event)) return std::nullopt;
    if (key == ConsumerGroup::KEY_LOG) return "log";
    if (key == ConsumerGroup::KEY_EVENT) return fmt::to_string(event.position.value);
    return event.stream;
  };
  entry.react = [](const RecordedEvent& event, OwnTables&, Outbox& outbox) {
    outbox.HandOver(event.type);
    return absl::OkStatus();
  };
  entry.on_result = [](const Delivery&, const Result&, OwnTables&, Outbox&) {
    return absl::OkStatus();
  };
  return entry;
}

}  // namespace leftfold
