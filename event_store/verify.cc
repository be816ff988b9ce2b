#include "event_store/verify.h"

#include "core/status.h"
#include "event_store/log_checker.h"

namespace leftfold {
namespace {

constexpr std::size_t kVerifyBatchEvents = 2'000;

}  // namespace

absl::Status VerifyLog(EventStore& store,
                       const std::function<void(std::int64_t done, std::int64_t total)>& progress) {
  const Head head = store.GetHead();
  EventChecker checker(store.StoreId());
  while (checker.head().position < head.position) {
    const Position through = checker.head().position;
    const auto read = store.ReadAll({.from = through, .events_max = kVerifyBatchEvents});
    if (!read.ok()) return read.status();
    if (read->events.empty()) return FaultAt(through.Next(), "the event is missing");
    for (const RecordedEvent& event : read->events) {
      if (event.position > head.position && checker.head().position == head.position) break;
      LEFTFOLD_RETURN_IF_ERROR(checker.Add(event));
    }
    progress(checker.head().position.value, head.position.value);
  }
  if (checker.head().chain != head.chain)
    return FaultAt(head.position, "the chain does not end at the head");
  return absl::OkStatus();
}

}  // namespace leftfold
