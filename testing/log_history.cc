#include "testing/log_history.h"

#include <fmt/format.h>

#include <iterator>
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

absl::StatusOr<LogContent> LogContent::Of(EventStore& store) {
  auto read = ReadWhole(store);
  if (!read.ok()) return read.status();
  LogContent log{*std::move(read), {}, {}};
  for (std::size_t i = 0; i < log.events.size(); ++i) {
    log.places.emplace(log.events[i].event_id, i);
    core::v1::EventMetadata metadata;
    if (metadata.ParseFromString(log.events[i].metadata) && !metadata.command_id().empty())
      log.of_command[metadata.command_id()].push_back(i);
  }
  return log;
}

std::optional<Violation> LogContent::Find(EventStore& store) const {
  Position position = kBeforeFirst;
  std::map<std::string, Version> versions;
  for (const RecordedEvent& event : events) {
    position = position.Next();
    if (event.position != position)
      return Violation{4, fmt::format("position {}: the event is missing", position.value)};
    Version& version = versions.try_emplace(event.stream, kNoEventYet).first->second;
    version = version.Next();
    if (event.version != version) {
      return Violation{3, fmt::format("position {}: version {} of {} is {}", position.value,
                                      version.value, event.stream, event.version.value)};
    }
  }
  const absl::Status sound = VerifyLog(store, [](std::int64_t, std::int64_t) {});
  if (!sound.ok()) return Violation{11, std::string(sound.message())};
  for (const auto& [id, place] : places) {
    if (places.count(id) > 1) {
      return Violation{
          6, fmt::format("position {}: the event is there twice",
                         events[std::prev(places.upper_bound(id))->second].position.value)};
    }
  }
  return std::nullopt;
}

std::string LogHistory::Check(EventStore& store) const {
  const auto log = LogContent::Of(store);
  if (!log.ok()) return std::string(log.status().message());
  std::optional<Violation> first = log->Find(store);
  const auto keep_first = [&](Violation wrong) {
    if (!first) first = std::move(wrong);
  };
  if (!first) Check(*log, store, keep_first);
  return first ? first->text : "";
}

void LogHistory::Check(const LogContent& log, EventStore& store, const Report& report) const {
  std::vector<bool> known(log.events.size(), others_);
  for (const auto& [id, ask] : asks_) {
    if (const auto wrong = FindOf(ask, log, store))
      report({wrong->guarantee, fmt::format("command {}: {}", id, wrong->text)});
    for (const std::size_t place : FindEvents(ask, log).places) known[place] = true;
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (!known[i]) report({6, fmt::format("position {}: nobody asked for the event", i + 1)});
  }
}

LogHistory::Found LogHistory::FindEvents(const Ask& ask, const LogContent& log) {
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
        found.wrong = {1, fmt::format("its event at position {} has other bytes",
                                      log.events[place->second].position.value)};
        return found;
      }
    }
  }
  for (std::size_t i = 1; i < found.places.size(); ++i) {
    if (found.places[i] != found.places[i - 1] + 1)
      found.wrong = {2, "its events do not stand together"};
  }
  return found;
}

std::optional<Violation> LogHistory::FindOf(const Ask& ask, const LogContent& log,
                                            EventStore& store) const {
  const Found found = FindEvents(ask, log);
  if (found.wrong) return found.wrong;
  const std::size_t asked = found.asked;
  const std::size_t there = found.places.size();
  if (there != 0 && there != asked)
    return Violation{2, fmt::format("{} of its {} events are there", there, asked)};
  const auto command = store.FindCommand(ask.request.command->command_id);
  if (!command.ok()) return Violation{1, std::string(command.status().message())};
  const bool stored = command->has_value();
  if (!ask.receipts.empty() && !stored) return Violation{1, "it was answered and is not there"};
  if (ask.refused && stored) return Violation{2, "it was refused and is there"};
  if (asked > 0 && stored != (there > 0)) {
    return Violation{
        2, stored ? "its receipt is there without its events" : "its events are there without it"};
  }
  if (!stored) return std::nullopt;
  if (!ask.decided_there && (*command)->request_hash != ask.request.command->request_hash)
    return Violation{6, "it has another request hash"};
  const Receipt& receipt = (*command)->receipt;
  for (const Receipt& answered : ask.receipts) {
    if (!SameAnswer(answered, receipt)) return Violation{6, "it was answered another receipt"};
  }
  if (there == 0) return std::nullopt;
  const RecordedEvent& last = log.events[found.places.back()];
  if (last.position != receipt.position)
    return Violation{1, "its receipt has another position than its last event"};
  if (ask.request.streams.size() == 1 && last.version != receipt.version)
    return Violation{3, "its receipt has another version than its last event"};
  return std::nullopt;
}

}  // namespace leftfold::testing
