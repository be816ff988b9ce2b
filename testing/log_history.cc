#include "testing/log_history.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "core/status.h"
#include "event_store/verify.h"

namespace leftfold::testing {
namespace {

absl::StatusOr<std::vector<RecordedEvent>> ReadWhole(EventStore& store) {
  std::vector<RecordedEvent> log;
  while (true) {
    auto read = store.ReadAll({.from = log.empty() ? kBeforeFirst : log.back().position});
    if (!read.ok()) return read.status();
    if (read->events.empty()) return log;
    for (RecordedEvent& event : read->events) log.push_back(std::move(event));
  }
}

bool IsAsAsked(const RecordedEvent& recorded, const StreamAppend& stream, const NewEvent& event,
               const AppendRequest& request) {
  return recorded.stream == stream.stream && recorded.type == event.type &&
         recorded.payload == event.payload && recorded.encoding == event.encoding &&
         recorded.tags == event.tags && recorded.metadata == request.metadata;
}

bool SameAnswer(const Receipt& a, const Receipt& b) {
  return a.position == b.position && a.version == b.version && a.aggregate_id == b.aggregate_id &&
         a.created_id == b.created_id;
}

}  // namespace

void LogHistory::Asked(const AppendRequest& request) {
  asks_.try_emplace(request.command->command_id, Ask{request, {}, false});
}

void LogHistory::Answered(const std::string& command_id, const Receipt& receipt) {
  asks_.at(command_id).receipts.push_back(receipt);
}

void LogHistory::Refused(const std::string& command_id) { asks_.at(command_id).refused = true; }

void LogHistory::ForgetRefusals() {
  for (auto& [id, ask] : asks_) ask.refused = false;
}

std::string LogHistory::Check(EventStore& store) const {
  const absl::Status sound = VerifyLog(store, [](std::int64_t, std::int64_t) {});
  if (!sound.ok()) return std::string(sound.message());
  const auto log = ReadWhole(store);
  if (!log.ok()) return std::string(log.status().message());
  std::map<Uuid, std::size_t> places;
  for (std::size_t i = 0; i < log->size(); ++i) {
    if (!places.emplace((*log)[i].event_id, i).second)
      return fmt::format("position {}: the event is there twice", (*log)[i].position.value);
  }
  std::size_t known = 0;
  for (const auto& [id, ask] : asks_) {
    const std::string wrong = CheckOne(ask, *log, places, store);
    if (!wrong.empty()) return fmt::format("command {}: {}", id, wrong);
    for (const StreamAppend& stream : ask.request.streams) {
      for (const NewEvent& event : stream.events) known += places.count(event.event_id);
    }
  }
  if (known != log->size())
    return fmt::format("{} events are there that nobody asked for", log->size() - known);
  return "";
}

std::string LogHistory::CheckOne(const Ask& ask, const std::vector<RecordedEvent>& log,
                                 const std::map<Uuid, std::size_t>& places,
                                 EventStore& store) const {
  std::size_t asked = 0;
  std::size_t there = 0;
  std::optional<std::size_t> expected;
  for (const StreamAppend& stream : ask.request.streams) {
    for (const NewEvent& event : stream.events) {
      ++asked;
      const auto place = places.find(event.event_id);
      if (place == places.end()) continue;
      ++there;
      if (expected && place->second != *expected) return "its events do not stand together";
      expected = place->second + 1;
      if (!IsAsAsked(log[place->second], stream, event, ask.request)) {
        return fmt::format("its event at position {} has other bytes",
                           log[place->second].position.value);
      }
    }
  }
  if (there != 0 && there != asked)
    return fmt::format("{} of its {} events are there", there, asked);
  const auto command = store.FindCommand(ask.request.command->command_id);
  if (!command.ok()) return std::string(command.status().message());
  const bool stored = command->has_value();
  if (!ask.receipts.empty() && !stored) return "it was answered and is not there";
  if (ask.refused && stored) return "it was refused and is there";
  if (asked > 0 && stored != (there > 0))
    return stored ? "its receipt is there without its events" : "its events are there without it";
  if (!stored) return "";
  if ((*command)->request_hash != ask.request.command->request_hash)
    return "it has another request hash";
  const Receipt& receipt = (*command)->receipt;
  for (const Receipt& answered : ask.receipts) {
    if (!SameAnswer(answered, receipt)) return "it was answered another receipt";
  }
  if (there > 0 && log[*expected - 1].position != receipt.position)
    return "its receipt has another position than its last event";
  if (there > 0 && ask.request.streams.size() == 1 && log[*expected - 1].version != receipt.version)
    return "its receipt has another version than its last event";
  return "";
}

}  // namespace leftfold::testing
