#ifndef READ_API_AS_OF_H_
#define READ_API_AS_OF_H_

#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include "core/registry.h"
#include "event_store/event_store.h"

namespace leftfold::read_api {

// The most events of its stream that an earlier answer is folded from.
inline constexpr std::size_t kAsOfEventsMax = 10'000;

// Answers `request` as the view would have at the position `as_of`: the view's tables in memory,
// its fold of the one stream that the query reads (QueryEntry::stream), its own answer. Reads the
// log: not for gRPC threads. Errors besides the domain's own:
//   READ_MODEL_BEHIND  {view, applied, min_position}, RetryInfo: the log does not reach that far
//   LIMIT_EXCEEDED     {limit, maximum}: the stream has more than kAsOfEventsMax events up to there
//   DATA_LOSS          an event is not what was recorded, or does not decode
absl::StatusOr<Answer> AnswerAsOf(const ViewEntry& view, const QueryEntry& query,
                                  const google::protobuf::Message& request, Position as_of,
                                  EventStore& store);

}  // namespace leftfold::read_api
#endif  // READ_API_AS_OF_H_
