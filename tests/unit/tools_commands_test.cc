// The subcommands on a store that is served and on one that is not, from outside.
#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>

#include "event_store/sqlite/sqlite_log.h"
#include "leftfold/core/v1/event.pb.h"
#include "sql/connection.h"
#include "sql/view_file.h"
#include "testing/child_process.h"
#include "testing/damage.h"
#include "testing/log_on_disk.h"
#include "testing/temporary_folder.h"
#include "tools/json.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using testing::ChildProcess;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Ran;
using testing::Tamper;

Ran Leftfold(const std::string& arguments, const std::string& input = "") {
  return testing::RunShell("printf '%s' '" + input + "' | " LEFTFOLD_BINARY " " + arguments);
}

constexpr const char* kCommands = " leftfold.rooms.v1.RoomCommandService/";
constexpr const char* kQueries = " leftfold.rooms.v1.RoomQueryService/";

// A server with one room, created at position 1 and renamed at 2.
class Subcommands : public ::testing::Test {
 protected:
  Subcommands() : server_(std::make_unique<testing::ServerProcess>(LEFTFOLD_BINARY, data())) {
    EXPECT_EQ(Command("CreateRoom", R"({"room_id": "oak", "name": "Oak"})").exit_code, 0);
    EXPECT_EQ(Command("RenameRoom", R"({"room_id": "oak", "name": "Elm"})").exit_code, 0);
    EXPECT_EQ(Query("GetRoom", R"({"room_id": "oak", "min_position": "2"})").exit_code, 0);
  }
  std::string data() const { return folder_.path() + "/data"; }
  std::string WithData(const std::string& arguments) const {
    return arguments + " --data " + data();
  }
  Ran Command(const std::string& rpc, const std::string& json) const {
    return Leftfold("call " + server_->write_address + kCommands + rpc + " -", json);
  }
  Ran Query(const std::string& rpc, const std::string& json) const {
    return Leftfold("call " + server_->read_address + kQueries + rpc + " -", json);
  }
  void StopServer() { server_.reset(); }

  testing::TemporaryFolder folder_;
  std::unique_ptr<testing::ServerProcess> server_;
};

std::string SessionCommand(int id, const std::string& type, const std::string& fields) {
  return "{\"commands\": [{\"id\": " + std::to_string(id) +
         ", \"command\": {\"@type\": \"type.googleapis.com/leftfold.rooms.v1." + type + "\", " +
         fields + "}}]}";
}

TEST_F(Subcommands, CallSendsAStreamObjectByObjectAndPrintsTheAnswersMeanwhile) {
  const std::string first =
      SessionCommand(1, "RenameRoomRequest", R"("room_id": "oak", "name": "A \\ } {\" [")");
  const std::string second =
      SessionCommand(2, "CreateRoomRequest", R"("room_id": "elm", "name": "Elm")") + " " +
      SessionCommand(3, "CreateRoomRequest", R"("room_id": "elm", "name": "Ash")");
  const Ran ran =
      testing::RunShell("coproc { exec " LEFTFOLD_BINARY " call " + server_->write_address +
                        " leftfold.commands.v1.CommandSessionService/CommandSession -; }\n"
                        "exec {in}>&${COPROC[1]}- {out}<&${COPROC[0]}-; pid=$!\n"
                        "printf '%s' '" +
                        first +
                        "' >&$in\n"
                        "read -r answer <&$out; echo \"$answer\"\n"
                        "printf '%s' '" +
                        second +
                        "' >&$in; exec {in}>&-\n"
                        "cat <&$out; wait $pid; echo ended with $?");
  EXPECT_THAT(ran.output, HasSubstr("{\"results\":[{\"id\":\"1\",\"receipt\""));
  EXPECT_THAT(ran.output, HasSubstr("{\"id\":\"2\",\"receipt\""));
  EXPECT_THAT(ran.output, HasSubstr("ROOM_EXISTS"));
  EXPECT_THAT(ran.output, HasSubstr("ended with 0"));
  EXPECT_THAT(Query("GetRoom", R"({"room_id": "oak", "min_position": "3"})").output,
              HasSubstr(R"("name": "A \\ } {\" [")"));
}

TEST_F(Subcommands, AMalformedObjectOfAStreamEndsTheCall) {
  const std::string session = "call " + server_->write_address +
                              " leftfold.commands.v1.CommandSessionService/CommandSession ";
  for (const char* input :
       {R"({"commands": []} {"komands": []})", R"({"commands": []} x)", R"({"commands": [)"}) {
    const Ran ran = Leftfold(session + "-", input);
    EXPECT_EQ(ran.exit_code, 1) << input;
    EXPECT_THAT(ran.output, HasSubstr("a request is no leftfold.commands.v1.")) << input;
  }
  EXPECT_EQ(Leftfold(session + "'{} {}'").exit_code, 0);
}

TEST_F(Subcommands, CallSpeaksJsonAndShowsPayloadsAndStreams) {
  EXPECT_THAT(Query("GetRoom", R"({"roomId": "oak"})").output, HasSubstr("\"name\": \"Elm\""));
  EXPECT_THAT(Query("ListRoomEvents", R"({"roomId": "oak", "minPosition": "2"})").output,
              HasSubstr("\"@type\": \"type.googleapis.com/leftfold.rooms.v1.RoomRenamed\""));
  const Ran watch = Leftfold("call " + server_->read_address + kQueries +
                             "WatchRoom '{\"room_id\": \"oak\"}' --timeout 1");
  EXPECT_EQ(watch.exit_code, 1);
  EXPECT_THAT(watch.output, HasSubstr("{\"room\":{\"roomId\":\"oak\""));
  EXPECT_THAT(watch.output, HasSubstr("error DEADLINE_EXCEEDED (4)"));
}

TEST_F(Subcommands, VerifyNamesAViewThatIsNotOnTheLogsChain) {
  StopServer();
  {
    auto view =
        sql::Connection::Open(data() + "/views/room_facts/1-1.db", {.role = sql::Role::kWriter});
    ASSERT_TRUE(view.ok()) << view.status();
    auto checkpoint = sql::ReadCheckpoint(**view);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    checkpoint->chain[0] ^= 1;
    sql::WriteCheckpoint(**view, *checkpoint);
    ASSERT_TRUE((*view)->status().ok());
  }
  const Ran verified = Leftfold(WithData("verify"));
  EXPECT_EQ(verified.exit_code, 1);
  EXPECT_THAT(verified.output, HasSubstr("FAULT: room_facts: its checkpoint 2 is not on the log's "
                                         "chain\nRebuild it: leftfold replay room_facts"));
  EXPECT_THAT(verified.output, Not(HasSubstr("no fault found")));
}

TEST_F(Subcommands, CallPrintsErrorsWithTheirDetails) {
  const Ran refused = Command("CreateRoom", R"({"room_id": "oak", "name": "Oak"})");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, HasSubstr("error ALREADY_EXISTS (6): "));
  EXPECT_THAT(refused.output, HasSubstr("\"reason\":\"ROOM_EXISTS\""));
  EXPECT_THAT(Command("CreateRoom", R"({"nam": 1})").output, HasSubstr("nam"));
  EXPECT_THAT(Command("CreateRoom", "{").output, HasSubstr("the request is no "));
  EXPECT_THAT(Command("MakeRoom", "{}").output, HasSubstr("its methods are CreateRoom, "));
  EXPECT_THAT(Leftfold("call " + server_->write_address + " a.B/C").output,
              HasSubstr("its services are "));
  EXPECT_THAT(
      Leftfold("call " + server_->write_address + kCommands + "CreateRoom {} -H 'a b: c'").output,
      HasSubstr("a header is"));
}

TEST_F(Subcommands, CallListsAndDescribes) {
  EXPECT_THAT(Leftfold("call " + server_->write_address + " list").output,
              HasSubstr("leftfold.rooms.v1.RoomCommandService\n"));
  const std::string describe = "call " + server_->read_address + " describe leftfold.rooms.v1.";
  EXPECT_THAT(Leftfold(describe + "GetRoomRequest").output, HasSubstr("string room_id = 1;"));
  EXPECT_THAT(Leftfold(describe + "RoomQueryService").output, HasSubstr("rpc GetRoom("));
  EXPECT_EQ(Leftfold(describe + "Nothing").exit_code, 1);
}

TEST_F(Subcommands, CallSendsHeaders) {
  const std::string call =
      "call " + server_->write_address + kCommands + R"(StartSession '{"room_id": "oak"}' )";
  EXPECT_THAT(Leftfold(call).output, HasSubstr("TOKEN_REQUIRED"));
  const std::string token = "-H \"Authorization: Bearer $(cat " + data() + "/token)\"";
  EXPECT_THAT(Leftfold(call + token).output, Not(HasSubstr("TOKEN_REQUIRED")));
}

TEST_F(Subcommands, TailReadsBesideTheServerAndWithoutIt) {
  for (const bool served : {true, false}) {
    if (!served) StopServer();
    const Ran all = Leftfold(WithData("tail"));
    EXPECT_EQ(all.exit_code, 0);
    EXPECT_THAT(all.output, HasSubstr("{\"position\":\"1\",\"stream\":\"room-oak\""));
    EXPECT_THAT(all.output, HasSubstr("\"name\":\"Elm\""));
    const Ran last = Leftfold(WithData("tail --from 2 --category room"));
    EXPECT_THAT(last.output, Not(HasSubstr("\"position\":\"1\"")));
    EXPECT_THAT(last.output, HasSubstr("\"position\":\"2\""));
    EXPECT_EQ(Leftfold(WithData("tail --category nothing")).output, "");
  }
}

TEST_F(Subcommands, TailPrintsWhatEveryFilterWants) {
  const std::string call = "call " + server_->write_address + kCommands;
  const std::string headers = " -H 'x-correlation-id: order-17' -H 'lf-meta-tenant: acme'";
  EXPECT_EQ(
      Leftfold(call + R"(RenameRoom '{"room_id": "oak", "name": "Ash"}')" + headers).exit_code, 0);
  EXPECT_EQ(
      Leftfold(call + R"(CreateRoom '{"room_id": "elm", "name": "Elm"}')" + headers).exit_code, 0);
  const auto positions = [&](const std::string& filters) {
    const Ran ran = Leftfold(WithData("tail " + filters));
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    std::string found;
    const std::string mark = "{\"position\":\"";
    for (std::size_t at = ran.output.find(mark); at != std::string::npos;
         at = ran.output.find(mark, at + 1)) {
      found += ran.output[at + mark.size()];
    }
    return found;
  };
  EXPECT_EQ(positions("--correlation order-17"), "34");
  EXPECT_EQ(positions("--correlation order-1"), "");
  EXPECT_EQ(positions("--stream-prefix room-o"), "123");
  EXPECT_EQ(positions("--type leftfold.rooms.v1.RoomCreated"), "14");
  EXPECT_EQ(positions("--type leftfold.rooms.v1.RoomCreated --type leftfold.rooms.v1.RoomRenamed"),
            "1234");
  EXPECT_EQ(positions("--correlation order-17 --stream-prefix room-o"), "3");
  EXPECT_EQ(positions("--correlation order-17 --type leftfold.rooms.v1.RoomCreated --from 4"), "4");
  EXPECT_THAT(Leftfold(WithData("tail --correlation order-17")).output,
              HasSubstr(R"("headers":{"tenant":"acme"})"));
}

TEST_F(Subcommands, TailFollows) {
  ChildProcess follower({LEFTFOLD_BINARY, "tail", "--from", "3", "--follow", "--data", data()});
  EXPECT_EQ(Command("RenameRoom", R"({"room_id": "oak", "name": "Ash"})").exit_code, 0);
  EXPECT_THAT(follower.ValueAfter("{\"position\":\"3\""), HasSubstr("Ash"));
}

TEST_F(Subcommands, ReplayIsAClientOfTheServerThatRunsAndWorksWithoutIt) {
  for (const bool served : {true, false}) {
    if (!served) StopServer();
    const Ran same = Leftfold(WithData("replay --all --verify"));
    EXPECT_EQ(same.exit_code, 0) << same.output;
    EXPECT_THAT(same.output, HasSubstr("room_search: equal at position 2"));
    EXPECT_THAT(same.output, ContainsRegex("room_facts, rows compared .* 2/2 "));
    const Ran switched = Leftfold(WithData("replay room_directory"));
    EXPECT_EQ(switched.exit_code, 0) << switched.output;
    EXPECT_THAT(switched.output,
                HasSubstr(" is served, folded up to position 2\n  equal at position 2\n"));
    const Ran kept = Leftfold(WithData("replay room_facts --until 1"));
    EXPECT_EQ(kept.exit_code, 0) << kept.output;
    const std::size_t path = kept.output.rfind(data());
    ASSERT_NE(path, std::string::npos) << kept.output;
    EXPECT_TRUE(fs::exists(kept.output.substr(path, kept.output.size() - path - 1)));
    const Ran unknown = Leftfold(WithData("replay nothing"));
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_THAT(unknown.output, HasSubstr("the views are "));
    EXPECT_THAT(unknown.output, HasSubstr("room_directory"));
    EXPECT_EQ(Leftfold(WithData("replay room_facts --until 3")).exit_code, 1);
  }
}

TEST_F(Subcommands, PrepareBuildsWhatTheStartWillServe) {
  const Ran running = Leftfold(WithData("replay --all --prepare"));
  EXPECT_EQ(running.exit_code, 0) << running.output;
  EXPECT_THAT(running.output, HasSubstr("room_directory: the running server has version"));
  StopServer();
  fs::remove_all(data() + "/views");  // As for a version that was never served here.
  const Ran prepared = Leftfold(WithData("replay --all --prepare"));
  EXPECT_EQ(prepared.exit_code, 0) << prepared.output;
  EXPECT_THAT(prepared.output,
              HasSubstr("room_directory: generation 1 is prepared up to position 2"));
  EXPECT_FALSE(fs::exists(data() + "/views/room_directory/CURRENT"));
  const testing::ServerProcess server(LEFTFOLD_BINARY, data());
  EXPECT_TRUE(fs::exists(data() + "/views/room_directory/CURRENT"));
  const Ran both = Leftfold(WithData("replay room_facts --prepare --verify"));
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.output, HasSubstr("exclude each other"));
}

TEST_F(Subcommands, VerifyPassesOnASoundStoreAndNamesTheFirstFault) {
  EXPECT_THAT(Leftfold(WithData("verify")).output, HasSubstr("no fault found"));
  StopServer();
  const Ran sound = Leftfold(WithData("verify"));
  EXPECT_EQ(sound.exit_code, 0) << sound.output;
  EXPECT_THAT(sound.output, HasSubstr("room_directory: checkpoint 2 is on the chain"));
  Tamper(data() + "/log", "UPDATE events SET payload = x'00' WHERE position = 1");
  const Ran spoiled = Leftfold(WithData("verify"));
  EXPECT_EQ(spoiled.exit_code, 1) << spoiled.output;
  EXPECT_THAT(spoiled.output, HasSubstr("FAULT: at position 1: "));
  EXPECT_THAT(spoiled.output, HasSubstr("leftfold restore --from BACKUP"));
}

TEST_F(Subcommands, VerifyNamesAFaultOfTheIndexAndTheNextStartMakesItAgain) {
  StopServer();
  server_ = std::make_unique<testing::ServerProcess>(LEFTFOLD_BINARY, data());
  StopServer();  // A start has brought the file to the end of the log.
  const std::string index = data() + "/log/index.db";
  ASSERT_EQ((*sql::Connection::Open(index, {.role = sql::Role::kWriter}))
                ->database()
                .exec("DELETE FROM stream_runs WHERE last_position = 2"),
            1);
  const Ran spoiled = Leftfold(WithData("verify"));
  EXPECT_EQ(spoiled.exit_code, 1) << spoiled.output;
  EXPECT_THAT(spoiled.output,
              HasSubstr("FAULT: the index: at position 1: its stream does not lead to it\n"
                        "The log itself has no fault. Stop the server and delete log/index.db"));
  EXPECT_THAT(spoiled.output, Not(HasSubstr("restore")));
  EXPECT_THAT(spoiled.output, HasSubstr("room_directory: checkpoint 2 is on the chain"));
  std::filesystem::remove(index);
  server_ = std::make_unique<testing::ServerProcess>(LEFTFOLD_BINARY, data());
  StopServer();
  EXPECT_TRUE(std::filesystem::exists(index));
  const Ran whole = Leftfold(WithData("verify"));
  EXPECT_EQ(whole.exit_code, 0);
  EXPECT_THAT(whole.output, HasSubstr("log/index.db compared up to position 2 of 2\n"));
  EXPECT_THAT(whole.output, HasSubstr("pages of the index …\n"));
  std::filesystem::remove(index);
  const Ran without = Leftfold(WithData("verify"));
  EXPECT_EQ(without.exit_code, 0);
  EXPECT_THAT(without.output, HasSubstr("there is no log/index.db: the next start"));
}

TEST_F(Subcommands, VerifyNamesTheFaultOfALogThatTheServerRefusesToOpen) {
  StopServer();
  Tamper(data() + "/log", "DELETE FROM events WHERE position = 2");
  const Ran refused =
      Leftfold(WithData("serve --write-listen 127.0.0.1:0 --read-listen 127.0.0.1:0 "
                        "--admin-listen 127.0.0.1:0 --metrics-listen ''"));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.output, HasSubstr("run `leftfold verify`, restore a backup"));
  const Ran verified = Leftfold(WithData("verify"));
  EXPECT_EQ(verified.exit_code, 1) << verified.output;
  EXPECT_THAT(verified.output, HasSubstr("FAULT: at position 2: "));
}

TEST_F(Subcommands, VerifyTellsOfALogWithoutPageChecksumsAndABackupHasThem) {
  EXPECT_THAT(Leftfold(WithData("verify")).output, Not(HasSubstr("checksums")));
  const std::string old = folder_.path() + "/old";
  const std::string copy = folder_.path() + "/copy";
  testing::MakeFileWithoutChecksums(old + "/log/events.db", kLogApplicationId);
  server_ = std::make_unique<testing::ServerProcess>(LEFTFOLD_BINARY, old);
  EXPECT_EQ(Command("CreateRoom", R"({"room_id": "oak", "name": "Elm"})").exit_code, 0);
  StopServer();
  const Ran verified = Leftfold("verify --data " + old);
  EXPECT_EQ(verified.exit_code, 0) << verified.output;
  EXPECT_THAT(verified.output, HasSubstr("pages carry no checksums: made by an earlier version"));
  EXPECT_EQ(Leftfold("backup --data " + old + " --to " + copy).exit_code, 0);
  EXPECT_THAT(Leftfold("verify --data " + copy).output, Not(HasSubstr("checksums")));
}

TEST_F(Subcommands, ABackupTakenBesideTheServerIsRestoredAndViewsThatWereAheadAreBuiltAnew) {
  const std::string backup = folder_.path() + "/backup";
  EXPECT_EQ(Command("RenameRoom", R"({"room_id": "oak", "name": "Ash"})").exit_code, 0);
  EXPECT_EQ(Query("GetRoom", R"({"room_id": "oak", "min_position": "3"})").exit_code, 0);
  const Ran taken = Leftfold(WithData("backup --to " + backup));
  EXPECT_EQ(taken.exit_code, 0) << taken.output;
  EXPECT_THAT(taken.output, HasSubstr("3 events and 0 commands of store "));
  EXPECT_THAT(taken.output, HasSubstr("chain at position 3: "));
  EXPECT_EQ(Leftfold("verify --data " + backup).exit_code, 0);
  EXPECT_EQ(Leftfold(WithData("backup --to " + backup)).exit_code, 1);
  EXPECT_EQ(Leftfold(WithData("backup --update --to " + backup)).exit_code, 0);
  const std::string restore = "restore --replace --from " + backup;
  EXPECT_THAT(Leftfold(WithData(restore)).output, HasSubstr("is held by process"));
  StopServer();
  EXPECT_EQ(Leftfold(WithData("restore --from " + backup)).exit_code, 1);
  EXPECT_EQ(Leftfold(WithData(restore + " --until then")).exit_code, 2);
  const Ran restored = Leftfold(WithData(restore + " --until 2"));
  EXPECT_EQ(restored.exit_code, 0) << restored.output;
  EXPECT_THAT(restored.output, HasSubstr("restored up to position 2"));
  EXPECT_THAT(restored.output, HasSubstr("log.replaced-"));
  EXPECT_THAT(restored.output, HasSubstr("view room_directory (1-1.db): its checkpoint 3 is "));
  server_ = std::make_unique<testing::ServerProcess>(LEFTFOLD_BINARY, data());
  EXPECT_EQ(Command("CreateRoom", R"({"room_id": "new", "name": "New"})").exit_code, 0);
  Ran room;
  do {
    room = Query("GetRoom", R"({"room_id": "oak", "min_position": "3"})");
  } while (room.output.find("VIEW_REBUILDING") != std::string::npos);
  EXPECT_THAT(room.output, HasSubstr("\"name\": \"Elm\""));
  StopServer();
  EXPECT_EQ(Leftfold(WithData("verify")).exit_code, 0);
  EXPECT_EQ(Leftfold(WithData("replay --all --verify")).exit_code, 0);
}

TEST_F(Subcommands, AnExportGoesThroughAPipeIntoAnotherLog) {
  const std::string copy = folder_.path() + "/copy";
  const Ran piped =
      Leftfold(WithData("export") + " | " LEFTFOLD_BINARY " import --from - --data " + copy);
  EXPECT_EQ(piped.exit_code, 0) << piped.output;
  EXPECT_THAT(piped.output, HasSubstr("2 events, up to position 2"));
  EXPECT_EQ(Leftfold("tail --data " + copy).output, Leftfold(WithData("tail")).output);
  EXPECT_EQ(Leftfold(WithData("export --from 3 --to " + copy + "/rest")).exit_code, 0);
  EXPECT_EQ(Leftfold(WithData("import --from " + copy + "/rest")).exit_code, 1);
}

TEST_F(Subcommands, ReplayFoldsNoLogThatWasChanged) {
  StopServer();
  const std::string log = data() + "/log/events.db";
  for (const char* change :
       {"UPDATE events SET payload = x'0A03456C6E' WHERE position = 2",
        "UPDATE types SET name = name || 'X' WHERE name = 'leftfold.rooms.v1.RoomRenamed'"}) {
    fs::copy_file(log, log + ".sound");
    Tamper(data() + "/log", change);
    const Ran ran = Leftfold(WithData("replay room_directory"));
    EXPECT_EQ(ran.exit_code, 1) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("the event at position 2 is not what was recorded"));
    fs::rename(log + ".sound", log);
  }
  EXPECT_EQ(Leftfold(WithData("replay room_directory")).exit_code, 0);
}

TEST_F(Subcommands, ViewsAreListedWhileAServerRuns) {
  const Ran listed = Leftfold(WithData("views"));
  EXPECT_EQ(listed.exit_code, 0);
  EXPECT_THAT(listed.output, HasSubstr("room_directory"));
  StopServer();
  EXPECT_EQ(Leftfold(WithData("views")).exit_code, 1);
}

TEST_F(Subcommands, OutputThatCannotBeWrittenIsAFailure) {
  StopServer();
  for (const char* command : {"tail", "verify", "replay --all", "tail --follow"}) {
    const Ran ran = Leftfold(WithData(command) + " >/dev/full");
    EXPECT_EQ(ran.exit_code, 1) << command;
    EXPECT_EQ(ran.output, "leftfold: cannot write to standard output\n") << command;
  }
}

TEST_F(Subcommands, AServerThatCannotWriteItsLogServes) {
  StopServer();
  fs::remove_all(data() + "/views");
  Tamper(data() + "/log", "UPDATE events SET payload = x'0f' WHERE position = 1");
  ChildProcess server({"/bin/bash", "-c",
                       "exec " LEFTFOLD_BINARY " serve --data " + data() +
                           " --write-listen 127.0.0.1:0 --read-listen 127.0.0.1:0"
                           " --admin-listen 127.0.0.1:0 --metrics-listen '' 2>/dev/full"});
  const std::string address = server.ValueAfter("queries listening on ");
  std::string answer = "VIEW_REBUILDING";
  while (answer.find("VIEW_REBUILDING") != std::string::npos) {
    answer = Leftfold("call " + address + kQueries + "GetRoom -",
                      R"({"room_id": "oak", "min_position": "1"})")
                 .output;
  }
  EXPECT_THAT(answer, HasSubstr("VIEW_STOPPED"));
  server.Kill(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);
}

TEST_F(Subcommands, AServerDrainsWhenItsTerminalGoesUnlessItWasToldToStay) {
  server_->process.Kill(SIGHUP);
  EXPECT_THAT(server_->process.ReadAll(), HasSubstr("stopping: "));
  EXPECT_EQ(server_->process.Wait(), 0);
  ChildProcess staying({"/bin/bash", "-c",
                        "trap '' HUP; exec " LEFTFOLD_BINARY " serve --data " + data() +
                            " --write-listen 127.0.0.1:0 --read-listen 127.0.0.1:0"
                            " --admin-listen 127.0.0.1:0 --metrics-listen ''"});
  const std::string address = staying.ValueAfter("commands listening on ");
  staying.Kill(SIGHUP);
  EXPECT_EQ(Leftfold("call " + address + " list").exit_code, 0);
  staying.Kill(SIGTERM);
  EXPECT_EQ(staying.Wait(), 0);
}

TEST_F(Subcommands, APortInUseIsOneLine) {
  const Ran ran =
      Leftfold("serve --data " + folder_.path() + "/other --write-listen " +
               server_->write_address + " --read-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.output, ::testing::StartsWith("leftfold: cannot listen on "));
  EXPECT_EQ(std::count(ran.output.begin(), ran.output.end(), '\n'), 1) << ran.output;
}

TEST(CommandsWithoutData, AFolderThatCannotBeMadeIsNamed) {
  const Ran ran = Leftfold("serve --data /dev/null/data");
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.output, HasSubstr("cannot create the folder /dev/null: Not a directory"));
}

TEST(CommandsWithoutData, AMistypedFolderIsNamedAndNotMade) {
  const testing::TemporaryFolder folder;
  const std::string data = folder.path() + "/typo";
  for (const char* command :
       {"tail", "verify", "replay --all", "views", "export", "backup --to x"}) {
    const Ran ran = Leftfold(std::string(command) + " --data " + data);
    EXPECT_EQ(ran.exit_code, 1) << command;
    EXPECT_THAT(ran.output, HasSubstr(data)) << command;
    EXPECT_FALSE(fs::exists(data)) << command;
  }
}

TEST(CommandsJson, AnUnknownPayloadIsShownAsBase64) {
  core::v1::RecordedEvent event;
  event.set_type("some.other.Event");
  event.mutable_message()->set_type_url("type.googleapis.com/some.other.Event");
  event.mutable_message()->set_value("abc");
  EXPECT_EQ(tools::ToJson(event, {}),
            R"({"type":"some.other.Event","message":{"@type":)"
            R"("type.googleapis.com/google.protobuf.BytesValue","value":"YWJj"}})");
}

TEST(CommandsJson, BytesThatAreNotOfTheirTypeAreShownAsBase64) {
  google::protobuf::Any any;
  any.set_type_url("type.googleapis.com/leftfold.core.v1.Tag");
  any.set_value("\x0f");
  EXPECT_THAT(tools::ToJson(any, {}), HasSubstr("BytesValue\",\"value\":\"Dw==\""));
}

}  // namespace
}  // namespace leftfold
