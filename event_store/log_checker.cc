#include "event_store/log_checker.h"

#include <utility>

#include "core/status.h"

namespace leftfold {
namespace {

// Claims stand in streams of their own behind those of the aggregate.
constexpr std::string_view kClaimCategoryPrefix = "claim_";

}  // namespace

absl::Status FaultAt(Position position, std::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "at position {}: {}", position.value, what);
}

bool BeginsAppend(const RecordedEvent& previous, const RecordedEvent& next) {
  return previous.recorded_at != next.recorded_at || previous.metadata != next.metadata;
}

EventChecker::EventChecker(std::string_view store_id)
    : EventChecker(Start{
          .head = {kBeforeFirst, FirstChain(store_id)}, .category_heads = {}, .versions = {}}) {}

EventChecker::EventChecker(Start start)
    : head_(start.head),
      recorded_at_(start.recorded_at),
      versions_(std::move(start.versions)),
      categories_(std::move(start.category_heads)) {}

std::string EventChecker::Misfit(const RecordedEvent& event) {
  if (event.position != head_.position.Next())
    return fmt::format("the event is missing (the next one is at {})", event.position.value);
  const auto version = versions_.try_emplace(event.stream, kNoEventYet).first;
  if (event.version != version->second.Next()) {
    return fmt::format("{} goes from version {} to {}", event.stream, version->second.value,
                       event.version.value);
  }
  if (event.recorded_at < recorded_at_)
    return "it was recorded before the event that stands before it";
  Position& previous = categories_[std::string(CategoryOf(event.stream))];
  if (event.category_previous != previous)
    return fmt::format("category_previous is {}, not {}", event.category_previous.value,
                       previous.value);
  if (LeafOf(event) != event.leaf) return "its content is not what was recorded (leaf)";
  if (ChainOf(head_.chain, event) != event.chain) return "the chain is broken";
  previous = event.position;
  version->second = event.version;
  recorded_at_ = event.recorded_at;
  head_ = {event.position, event.chain};
  return "";
}

absl::Status EventChecker::Add(const RecordedEvent& event) {
  const Position at = head_.position.Next();
  const std::string misfit = Misfit(event);
  return misfit.empty() ? absl::OkStatus() : FaultAt(at, misfit);
}

CommandChecker::CommandChecker(std::int64_t number, Position position)
    : number_(number), at_(position) {}

absl::Status CommandChecker::Add(const RecordedEvent& event) {
  const std::string command_id = EventMeta{event}.metadata().command_id();
  if (command_id != run_.command_id) {
    LEFTFOLD_RETURN_IF_ERROR(Finish());
    run_ = {.command_id = command_id,
            .whole = begun_ || at_ == kBeforeFirst,
            .answered = false,
            .stream = event.stream,
            .version = event.version};
  } else if (!command_id.empty()) {
    if (run_.answered)
      return FaultAt(event.position, fmt::format("the record of its command {} is of position {}",
                                                 command_id, at_.value));
    if (event.stream == run_.stream) run_.version = event.version;
  }
  at_ = event.position;
  begun_ = true;
  return absl::OkStatus();
}

std::string CommandChecker::Misfit(const LoggedCommand& command) const {
  const CommandRecord& record = command.record;
  if (command.position != at_) {
    return fmt::format("it was decided at position {}{}", command.position.value,
                       command.position > at_ ? ", and the events up to there are missing"
                                              : ", before the one that stands before it");
  }
  if (record.command_id.empty() || record.command_id.size() > kCommandIdBytesMax)
    return "its id has not 1 to 128 bytes";
  if (command.version < kNoEventYet) return fmt::format("its version is {}", command.version.value);
  if (record.command_id != run_.command_id || !run_.whole || record.aggregate_id.empty() ||
      CategoryOf(run_.stream).starts_with(kClaimCategoryPrefix)) {
    return "";
  }
  if (record.aggregate_id != AggregateIdOf(run_.stream))
    return fmt::format("its aggregate is {}, but its events are in {}", record.aggregate_id,
                       run_.stream);
  if (command.version != run_.version)
    return fmt::format("its version is {}, but its last event in {} has version {}",
                       command.version.value, run_.stream, run_.version.value);
  return "";
}

absl::Status CommandChecker::Add(std::int64_t number, const LoggedCommand& command) {
  if (number != number_ + 1)
    return FaultAt(at_, fmt::format("the record of command number {} is missing", number_ + 1));
  if (const std::string misfit = Misfit(command); !misfit.empty()) {
    return FaultAt(command.position > at_ ? at_.Next() : at_,
                   fmt::format("the record of command {} (number {}): {}",
                               command.record.command_id, number, misfit));
  }
  number_ = number;
  if (command.record.command_id == run_.command_id) run_.answered = true;
  return absl::OkStatus();
}

absl::Status CommandChecker::Finish() const {
  if (run_.command_id.empty() || run_.answered) return absl::OkStatus();
  return FaultAt(at_, fmt::format("the record of its command {} is missing", run_.command_id));
}

}  // namespace leftfold
