#include "testing/log_history.h"

#include <fmt/format.h>

#include <utility>

#include "core/status.h"
#include "event_store/verify.h"
#include "leftfold/core/v1/event.pb.h"

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
  asks_.try_emplace(request.command->command_id, Ask{request, {}, false, false});
}

void LogHistory::AskedToDecide(const std::string& command_id) {
  AppendRequest request;
  request.command = CommandRecord{command_id, {}, "", ""};
  asks_.try_emplace(command_id, Ask{std::move(request), {}, false, true});
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
  auto read = ReadWhole(store);
  if (!read.ok()) return std::string(read.status().message());
  Content log{*std::move(read), {}, {}};
  for (std::size_t i = 0; i < log.events.size(); ++i) {
    if (!log.places.emplace(log.events[i].event_id, i).second)
      return fmt::format("position {}: the event is there twice", log.events[i].position.value);
    core::v1::EventMetadata metadata;
    if (metadata.ParseFromString(log.events[i].metadata) && !metadata.command_id().empty())
      log.of_command[metadata.command_id()].push_back(i);
  }
  std::size_t known = 0;
  for (const auto& [id, ask] : asks_) {
    const std::string wrong = CheckOne(ask, log, store);
    if (!wrong.empty()) return fmt::format("command {}: {}", id, wrong);
    known += FindEvents(ask, log).places.size();
  }
  if (!others_ && known != log.events.size())
    return fmt::format("{} events are there that nobody asked for", log.events.size() - known);
  return "";
}

LogHistory::Found LogHistory::FindEvents(const Ask& ask, const Content& log) {
  Found found;
  if (ask.decided_there) {
    const auto places = log.of_command.find(ask.request.command->command_id);
    if (places != log.of_command.end()) found.places = places->second;
    found.asked = found.places.size();
  }
  for (const StreamAppend& stream : ask.request.streams) {
    for (const NewEvent& event : stream.events) {
      ++found.asked;
      const auto place = log.places.find(event.event_id);
      if (place == log.places.end()) continue;
      found.places.push_back(place->second);
      if (!IsAsAsked(log.events[place->second], stream, event, ask.request)) {
        found.wrong = fmt::format("its event at position {} has other bytes",
                                  log.events[place->second].position.value);
        return found;
      }
    }
  }
  for (std::size_t i = 1; i < found.places.size(); ++i) {
    if (found.places[i] != found.places[i - 1] + 1)
      found.wrong = "its events do not stand together";
  }
  return found;
}

std::string LogHistory::CheckOne(const Ask& ask, const Content& log, EventStore& store) const {
  const Found found = FindEvents(ask, log);
  if (!found.wrong.empty()) return found.wrong;
  const std::size_t asked = found.asked;
  const std::size_t there = found.places.size();
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
  if (!ask.decided_there && (*command)->request_hash != ask.request.command->request_hash)
    return "it has another request hash";
  const Receipt& receipt = (*command)->receipt;
  for (const Receipt& answered : ask.receipts) {
    if (!SameAnswer(answered, receipt)) return "it was answered another receipt";
  }
  if (there == 0) return "";
  const RecordedEvent& last = log.events[found.places.back()];
  if (last.position != receipt.position)
    return "its receipt has another position than its last event";
  if (ask.request.streams.size() == 1 && last.version != receipt.version)
    return "its receipt has another version than its last event";
  return "";
}

}  // namespace leftfold::testing
