#ifndef TESTING_LOG_ON_DISK_H_
#define TESTING_LOG_ON_DISK_H_

#include <SQLiteCpp/Database.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/ids.h"
#include "core/status.h"
#include "event_store/sqlite/log_file.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "leftfold/core/v1/event.pb.h"
#include "testing/event_store_contract.h"

namespace leftfold::testing {

// A command as the command handler appends it: its id in the metadata too.
inline AppendRequest DecidedCommand(const std::string& stream,
                                    const std::vector<std::string>& payloads,
                                    const std::string& command_id) {
  AppendRequest request = AppendOf(stream, payloads);
  core::v1::EventMetadata metadata;
  metadata.set_actor("ada");
  metadata.set_command_id(command_id);
  request.metadata = metadata.SerializeAsString();
  request.command =
      CommandRecord{command_id, Digest{7}, std::string(AggregateIdOf(stream)), "created"};
  return request;
}

// A data folder with a log that is written through the store; the clock goes on by a second with
// each append.
class LogOnDisk {
 public:
  LogOnDisk()
      : store_({"sqlite", [](const StoreParts& parts) {
                  auto opened = OpenSqliteEventStore(
                      parts.folder + "/log", {&parts.writer, &parts.completions, &parts.clock});
                  if (!opened.ok()) Die(opened.status().ToString());
                  return *std::move(opened);
                }}) {}

  void Append(AppendRequest request) {
    store_.clock().Advance(absl::Seconds(1));
    const auto receipt = store_.Append(std::move(request));
    if (!receipt.ok()) Die(receipt.status().ToString());
  }
  // Eight events in four streams of two categories; six commands, one of them without events.
  //   1 2 room-a   c1     3 room-b c2     no event: c3     4 room-a, no command
  //   5 6 room-a, claim_name-v.x   c4     7 order-1 c5     8 room-a c6
  void Fill() {
    Append(DecidedCommand("room-a", {"one", "two"}, "c1"));
    Append(DecidedCommand("room-b", {"three"}, "c2"));
    Append(DecidedCommand("room-b", {}, "c3"));
    Append(AppendOf("room-a", {"four"}));
    AppendRequest claim = DecidedCommand("room-a", {"five"}, "c4");
    claim.streams.push_back({"claim_name-v.x", NoStream{}, {EventOf("six")}});
    Append(std::move(claim));
    Append(DecidedCommand("order-1", {"seven"}, "c5"));
    AppendRequest tagged = DecidedCommand("room-a", {"eight"}, "c6");
    tagged.streams.front().events.front().tags = {{"course", "ä1"}};
    Append(std::move(tagged));
  }
  void Close() { store_.Close(); }
  void Reopen() { store_.Reopen(); }
  EventStore& store() { return store_.store(); }
  FakeClock& clock() { return store_.clock(); }
  const std::string& data() const { return store_.folder(); }
  std::string log() const { return data() + "/log"; }

 private:
  StoreOnScheduler store_;
};

// Runs SQL on a log's file behind everybody's back; checksums of pages fit what it leaves.
inline int Tamper(const std::string& folder, const std::string& sql) {
  auto file = sql::Connection::Open(folder + "/events.db", {.role = sql::Role::kWriter});
  if (!file.ok()) Die(file.status().ToString());
  return (*file)->database().exec(sql);
}

// Everything that a log holds, a line for each event and command; the store's id first.
inline std::vector<std::string> ContentOf(const std::string& folder) {
  auto reader = LogFileReader::Open(folder);
  if (!reader.ok()) return {reader.status().ToString()};
  const auto extent = (*reader)->ReadExtent();
  if (!extent.ok()) return {extent.status().ToString()};
  std::vector<std::string> content = {extent->store_id};
  const absl::Status walked = WalkLog(
      **reader, {.through = extent->head.position, .commands_through = extent->command_number},
      {.event =
           [&](const RecordedEvent& event) {
             content.push_back(Describe(event) + " chain=" + ToHex(AsBytes(event.chain)));
             return absl::OkStatus();
           },
       .command =
           [&](const NumberedCommand& command) {
             const CommandRecord& record = command.command.record;
             content.push_back(fmt::format(
                 "command {}: {} {} {} {} {} {}", command.number, record.command_id,
                 ToHex(AsBytes(record.request_hash)), record.aggregate_id, record.created_id,
                 command.command.version.value, command.command.position.value));
             return absl::OkStatus();
           },
       .page = [](Position) { return absl::OkStatus(); }});
  if (!walked.ok()) content.push_back(walked.ToString());
  return content;
}

}  // namespace leftfold::testing
#endif  // TESTING_LOG_ON_DISK_H_
