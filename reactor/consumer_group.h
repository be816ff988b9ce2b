#ifndef REACTOR_CONSUMER_GROUP_H_
#define REACTOR_CONSUMER_GROUP_H_

#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/registry.h"
#include "leftfold/store/v1/consumers.pb.h"

// A consumer group is a reactor that hands each event to a consumer (reactor/consumers.h).
// docs/guide/consumers.md has what a consumer is to know.
namespace leftfold {

inline constexpr int kGroupsMax = 100;
inline constexpr std::size_t kGroupNameBytesMax = 64;
inline constexpr std::size_t kGroupStreamBytesMax = 193;  // Of a filter's stream and prefix.
// Deliveries that a consumer holds: the most that a group may allow, and where it does not say.
inline constexpr int kConsumerWindowMax = 1'000;
inline constexpr int kConsumerWindow = 100;
inline constexpr absl::Duration kAckTimeoutMin = absl::Milliseconds(100);
inline constexpr absl::Duration kAckTimeoutMax = absl::Hours(1);
inline constexpr absl::Duration kAckTimeout = absl::Seconds(30);
// Deliveries of one group that consumers hold, or that wait for one who has room.
inline constexpr std::size_t kGroupDeliveriesMax = 4'096;

inline constexpr RetryPolicy kGroupRetry{
    .attempts = 10, .first_delay = absl::Seconds(1), .ceiling = absl::Minutes(1)};

// Adds all that is wrong with a group; fields are named "group.name" …
void CheckGroup(const store::v1::ConsumerGroup& group, Position head, Violations& violations);
// The same of a place in the log.
void CheckStart(std::int64_t after_position, Position head, std::string_view field,
                Violations& violations);

// GROUP_NOT_FOUND.
absl::Status GroupNotFound(std::string_view name);

absl::Duration AckTimeoutOf(const store::v1::ConsumerGroup& group);
int WindowMaxOf(const store::v1::ConsumerGroup& group);

// "group.<name>.<number>". Domains' reactors have no dot in their names.
std::string GroupReactorName(std::string_view name, std::int64_t number);
// The reactor that a group, which was checked, is.
ReactorEntry ReactorOf(const store::v1::ConsumerGroupFile::Entry& entry);

}  // namespace leftfold
#endif  // REACTOR_CONSUMER_GROUP_H_
