// The real grpcurl against a real server: what the documents and the server tell a reader to type
// prints what they show, and every RPC of the rooms can be used from a shell.
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "google/rpc/status.pb.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "testing/child_process.h"
#include "testing/grpc_error.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
namespace pb = google::protobuf;
namespace v1 = rooms::v1;
using testing::ChildProcess;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::GrpcError;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::Ran;
using testing::ServerProcess;
using ::testing::UnorderedElementsAre;

constexpr char kTools[] = LEFTFOLD_SOURCE_DIR "/build/tools";

struct Shown {
  std::string command;
  std::string output;  // "" where the document shows none.
};

std::string TextOf(const fs::path& file) {
  std::ifstream stream(file);
  EXPECT_TRUE(stream) << file;
  return {std::istreambuf_iterator<char>(stream), {}};
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

// The commands in a document's fenced blocks: what follows "$ ", with the lines up to the next one
// as its output, and in blocks without "$ " the lines that begin with grpcurl.
std::vector<Shown> CommandsIn(const std::string& document) {
  std::vector<Shown> commands;
  bool fenced = false, prompted = false;
  std::istringstream lines(document);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      fenced = !fenced;
      prompted = false;
    } else if (fenced && line.starts_with("$ ")) {
      prompted = true;
      commands.push_back({line.substr(2), ""});
    } else if (fenced && prompted) {
      commands.back().output += line + "\n";
    } else if (fenced && line.starts_with("grpcurl ")) {
      commands.push_back({line, ""});
    }
  }
  return commands;
}

// Without what differs from run to run.
std::string Normalised(const std::string& text) {
  static const std::regex kTime(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z)");
  static const std::regex kUuid("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}");
  return std::regex_replace(std::regex_replace(text, kTime, "TIME"), kUuid, "UUID");
}

class Grpcurl : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(fs::exists(fs::path(kTools) / "grpcurl"))
        << kTools << "/grpcurl is missing: run scripts/setup.sh";
    Serve();
  }

  // A server on fresh data, in the folder `data` of the folder in which commands run.
  void Serve() {
    server_.reset();
    folder_.emplace();
    fs::create_directory_symlink(LEFTFOLD_SOURCE_DIR "/docs", folder_->path() + "/docs");
    server_.emplace(LEFTFOLD_BINARY, data());
  }
  std::string data() const { return folder_->path() + "/data"; }

  // A started command, as a reader would type it; `timeout` is for a test that would hang.
  ChildProcess Start(const std::string& command) const {
    const std::string line =
        absl::StrReplaceAll(command, {{"127.0.0.1:50051", server_->write_address},
                                      {"127.0.0.1:50052", server_->read_address},
                                      {"127.0.0.1:50053", server_->admin_address}});
    const std::string path = kTools + (":" + fs::path(LEFTFOLD_BINARY).parent_path().string());
    return ChildProcess({"/bin/bash", "-c",
                         "exec 2>&1; export PATH=" + path + ":$PATH; cd " + folder_->path() +
                             " && exec timeout 60 " + line});
  }
  Ran Run(const std::string& command) const { return Start(command).Finish(); }
  // The next JSON object that a stream prints; what there is when the output ends before.
  static std::string NextMessage(ChildProcess& stream) {
    std::string message;
    for (std::string line = stream.ValueAfter(""); !line.empty(); line = stream.ValueAfter("")) {
      message += line + "\n";
      if (line == "}") break;
    }
    return message;
  }

  void ExpectAsShown(const Shown& shown) const {
    SCOPED_TRACE(shown.command);
    Ran ran;
    if (shown.command.find("/Watch") != std::string::npos ||
        shown.command.find("/Subscribe") != std::string::npos) {  // Has no end.
      ChildProcess stream = Start(shown.command);
      ran.output = NextMessage(stream);
      EXPECT_THAT(ran.output, HasSubstr("\n}\n"));
    } else {
      ran = Run(shown.command);
    }
    EXPECT_EQ(ran.exit_code != 0, shown.output.starts_with("ERROR:")) << ran.output;
    if (shown.output.empty()) return;
    if (shown.command.starts_with("leftfold ")) {
      ExpectLinesOf(shown.output, ran.output);
    } else {
      EXPECT_EQ(Normalised(ran.output), Normalised(shown.output));
    }
  }
  // The operator's tools: each line but progress bars; "…" is for lines left out.
  static void ExpectLinesOf(const std::string& shown, const std::string& output) {
    const std::vector<std::string> lines = LinesOf(output);
    auto next = lines.begin();
    bool left_out = false;
    for (const std::string& line : LinesOf(shown)) {
      left_out = left_out || line == "…";
      if (line == "…") continue;
      if (left_out) next = std::find(next, lines.end(), line);
      ASSERT_TRUE(next != lines.end() && *next == line) << line << " is not next in\n" << output;
      ++next;
      left_out = false;
    }
    EXPECT_TRUE(left_out || next == lines.end()) << *next << " is not shown";
  }
  static std::vector<std::string> LinesOf(const std::string& text) {
    std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
    std::erase_if(lines, [](const std::string& line) { return line.ends_with("s left"); });
    return lines;
  }

  std::optional<testing::TemporaryFolder> folder_;
  std::optional<ServerProcess> server_;
};

class GrpcurlInDocuments : public Grpcurl {
 protected:
  // Order o-1, for the line that has its refund tried again.
  void AppendAnOrderWhoseRefundIsStuck() const {
    std::string records;
    const auto record = [&](const std::string& type, const std::string& fields) {
      if (!records.empty()) records += ", ";
      records += R"({"stream": "order-o-1", "message": {"@type": "type.googleapis.com/)" +
                 ("leftfold.orders.v1." + type) + "\"" + fields + "}}";
    };
    record("OrderPlaced", R"(, "customer_id": "ada", "restaurant_id": "roma")");
    record("OrderValidated", R"(, "total_minor": 950, "currency": "EUR")");
    record("PaymentRequested", R"(, "payment_id": "p-1", "attempt_no": 1, "amount_minor": 950)");
    record("OrderPaid", R"(, "payment_id": "p-1", "amount_minor": 950)");
    record("OrderCancelled", R"(, "by": "ada")");
    record("RefundRequested", R"(, "payment_id": "p-1", "refund_id": "r-1", "amount_minor": 950)");
    record("RefundStuck", R"(, "refund_id": "r-1", "error": "account closed")");
    const Ran ran = Run(
        "grpcurl -plaintext -H \"authorization: Bearer $(cat data/token)\" -d '{\"records\": [" +
        records + "]}' 127.0.0.1:50051 leftfold.store.v1.EventStoreService/Append");
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
};

TEST_F(GrpcurlInDocuments, TheTourOfTheReadmePrintsWhatItShows) {
  const std::vector<Shown> tour = CommandsIn(TextOf(LEFTFOLD_SOURCE_DIR "/README.md"));
  EXPECT_GE(tour.size(), 9u);
  for (const Shown& shown : tour) ExpectAsShown(shown);
}

TEST_F(GrpcurlInDocuments, LinesInOtherDocumentsRun) {
  std::vector<fs::path> documents;
  for (const auto& entry : fs::directory_iterator(LEFTFOLD_SOURCE_DIR))
    documents.push_back(entry.path());
  for (const auto& entry : fs::recursive_directory_iterator(LEFTFOLD_SOURCE_DIR "/docs"))
    documents.push_back(entry.path());
  int lines = 0;
  for (const fs::path& document : documents) {
    if (document.extension() != ".md") continue;
    SCOPED_TRACE(document);
    const std::string text = TextOf(document);
    const std::vector<Shown> commands = CommandsIn(text);
    const auto run = std::count_if(commands.begin(), commands.end(), [](const Shown& shown) {
      return shown.command.starts_with("grpcurl ");
    });
    EXPECT_EQ(run, Count(text, "grpcurl -")) << "a line outside of fenced blocks is not run";
    if (document.filename() == "README.md" || commands.empty()) continue;
    Serve();
    if (document.filename() == "order-process.md") AppendAnOrderWhoseRefundIsStuck();
    for (const Shown& shown : commands) ExpectAsShown(shown);
    lines += static_cast<int>(run);
  }
  EXPECT_GE(lines, 1);
}

TEST_F(GrpcurlInDocuments, TheThreeLinesThatServePrintsRun) {
  // What each prints: both sides' services, and a command's fields to fill in.
  const std::vector<std::string> expected = {"RoomCommandService\n", "RoomQueryService\n",
                                             "Message template:\n{\n  \""};
  for (const std::string& part : expected) {
    const std::string rest = server_->process.ValueAfter("  grpcurl ");
    ASSERT_NE(rest, "") << part;
    const Ran ran = Run("grpcurl " + rest);
    EXPECT_EQ(ran.exit_code, 0) << rest << "\n" << ran.output;
    EXPECT_THAT(ran.output, HasSubstr(part)) << rest;
  }
}

// A reader of the raw log without any .proto file sees what is in a typed payload.
TEST_F(Grpcurl, TheRawLogShowsTypedPayloadsAsJson) {
  const std::string create =
      "grpcurl -plaintext -d '{\"room_id\": \"oak\", \"name\": \"Old oak\"}' 127.0.0.1:50051 "
      "leftfold.rooms.v1.RoomCommandService/CreateRoom";
  ASSERT_EQ(Run(create).exit_code, 0);
  const std::string store = " 127.0.0.1:50051 leftfold.store.v1.EventStoreService/";
  for (const std::string& line :
       {"-d '{\"stream\": \"room-oak\"}'" + store + "ReadStream", store + "ReadAll"}) {
    const Ran ran = Run("grpcurl -plaintext " + line);
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("\"type.googleapis.com/leftfold.rooms.v1.RoomCreated\""));
    EXPECT_THAT(ran.output, HasSubstr("\"name\": \"Old oak\""));
  }
  const Ran health =
      Run("grpcurl -plaintext -d '{\"service\": \"leftfold.store.v1.EventStoreService\"}' "
          "127.0.0.1:50051 grpc.health.v1.Health/Check");
  EXPECT_THAT(health.output, HasSubstr("SERVING"));
}

// grpcurl's exit code is this plus the gRPC code.
constexpr int kExitCodeBase = 64;

const pb::ServiceDescriptor& Commands() {
  return *v1::CreateRoomRequest::descriptor()->file()->service(0);
}
const pb::ServiceDescriptor& Queries() {
  return *v1::GetRoomRequest::descriptor()->file()->service(0);
}

// The RPC of the rooms that answers with this type.
const pb::MethodDescriptor& RpcThatAnswers(const pb::Descriptor& response) {
  std::string name = response.name();
  name.erase(name.size() - std::string("Response").size());
  const pb::MethodDescriptor* command = Commands().FindMethodByName(name);
  return *(command != nullptr ? command : Queries().FindMethodByName(name));
}

template <class Message>
Message FromJson(const std::string& json) {
  Message message;
  const auto parsed = pb::util::JsonStringToMessage(json, &message);
  EXPECT_TRUE(parsed.ok()) << parsed.ToString() << "\n" << json;
  return message;
}

class GrpcurlOnRooms : public Grpcurl {
 protected:
  // A line that calls the RPC that answers with Response.
  template <class Response>
  static std::string Line(const std::string& request, const std::string& flags = "") {
    const pb::MethodDescriptor& rpc = RpcThatAnswers(*Response::descriptor());
    const std::string address =
        rpc.service() == &Commands() ? "127.0.0.1:50051" : "127.0.0.1:50052";
    return "grpcurl -plaintext " + flags + " -d '" + request + "' " + address + " " +
           rpc.service()->full_name() + "/" + rpc.name();
  }

  template <class Response>
  Response Ask(const std::string& request, const std::string& flags = "") {
    const std::string line = Line<Response>(request, flags);
    const Ran ran = Run(line);
    EXPECT_EQ(ran.exit_code, 0) << line << "\n" << ran.output;
    asked_.insert(RpcThatAnswers(*Response::descriptor()).full_name());
    return FromJson<Response>(ran.output);
  }

  // A command to the room oak, which gets its next version by it.
  template <class Response>
  core::v1::CommandReceipt Do(const std::string& fields, const std::string& flags = "") {
    const auto receipt = Ask<Response>(R"({"room_id": "oak")" + fields + "}", flags).receipt();
    EXPECT_EQ(receipt.aggregate_id(), "oak") << Response::descriptor()->name();
    EXPECT_EQ(receipt.version(), ++version_) << Response::descriptor()->name();
    position_ = receipt.position();
    return receipt;
  }

  // A query that sees all commands so far.
  template <class Response>
  Response See(const std::string& fields) {
    const auto response = Ask<Response>(R"({"min_position": ")" + position_ + "\"" + fields + "}");
    EXPECT_EQ(response.applied_position(), position_) << Response::descriptor()->name();
    return response;
  }

  template <class Response>
  ChildProcess Watch(const std::string& request, const std::string& seconds) {
    asked_.insert(RpcThatAnswers(*Response::descriptor()).full_name());
    return Start(Line<Response>(request, "-max-time " + seconds));
  }
  // The next message that is no heartbeat.
  template <class Response>
  static Response Next(ChildProcess& stream) {
    while (true) {
      const auto message = FromJson<Response>(NextMessage(stream));
      if (!message.heartbeat()) return message;
    }
  }

  // What the line prints with -format-error.
  GrpcError RefusalOf(const std::string& line) const {
    const Ran ran = Run(line);
    const auto status = FromJson<google::rpc::Status>(ran.output);
    EXPECT_NE(status.code(), 0) << line;
    EXPECT_EQ(ran.exit_code, kExitCodeBase + status.code()) << line;
    return testing::ErrorOf(grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                                         status.message(), status.SerializeAsString()));
  }
  template <class Response>
  GrpcError Refused(const std::string& request) const {
    return RefusalOf(Line<Response>(request, "-format-error"));
  }

  void SendCommandsToALivingRoom();
  void AskEveryQuery();
  void WatchTheRoomEnd();

  std::set<std::string> asked_;  // Full names of RPCs.
  // Of a day's session, so that none runs now: the server would start it by itself.
  const int hour_ = (absl::ToCivilHour(absl::Now(), absl::UTCTimeZone()).hour() + 12) % 23;
  std::int64_t version_ = -1;
  std::string position_ = "0";
};

void GrpcurlOnRooms::SendCommandsToALivingRoom() {
  const std::string token = "-H \"authorization: Bearer $(cat data/token)\"";
  Do<v1::CreateRoomResponse>(R"(, "name": "Oak", "description": "By the window")");
  Do<v1::RenameRoomResponse>(R"(, "name": "Old oak")");
  Do<v1::ChangeDescriptionResponse>(R"(, "description": "By the door")");
  const auto scheduled = Do<v1::ScheduleSessionResponse>(fmt::format(
      R"(, "schedule_id": "daily", "cron": "0 {} * * *", "duration_minutes": 30)", hour_));
  EXPECT_EQ(scheduled.created_id(), "daily");
  Do<v1::RescheduleSessionResponse>(fmt::format(
      R"(, "schedule_id": "daily", "cron": "30 {} * * *", "duration_minutes": 45)", hour_));
  const std::string session =
      fmt::format(R"(, "schedule_id": "daily", "occurrence_at": "2024-01-07T{:02}:30:00Z")", hour_);
  Do<v1::StartSessionResponse>(session, token);
  Do<v1::EndSessionResponse>(session, token);
  Do<v1::InviteResponse>(R"(, "invitees": [{"type": "user", "id": "ada"},)"
                         R"( {"type": "user", "id": "bob"}, {"type": "user", "id": "eve"}])");
  Do<v1::AcceptInvitationResponse>(R"(, "type": "user", "id": "ada")");
  Do<v1::DeclineInvitationResponse>(R"(, "type": "user", "id": "bob")");
  Do<v1::RevokeInvitationResponse>(R"(, "type": "user", "id": "eve")");
  Do<v1::LinkExternalRoomResponse>(R"(, "provider": "meet", "external_id": "m-1")", token);
}

void GrpcurlOnRooms::AskEveryQuery() {
  const v1::Room room = See<v1::GetRoomResponse>(R"(, "room_id": "oak")").room();
  EXPECT_EQ(room.version(), version_);
  EXPECT_EQ(room.description(), "By the door");
  EXPECT_EQ(room.external_room_id(), "m-1");
  EXPECT_EQ(room.invitees_size(), 2);
  ASSERT_EQ(room.schedules_size(), 1);
  EXPECT_EQ(room.schedules(0).cron(), fmt::format("30 {} * * *", hour_));

  const auto rooms = See<v1::ListRoomsResponse>("");
  ASSERT_EQ(rooms.rooms_size(), 1);
  EXPECT_EQ(rooms.rooms(0).DebugString(), room.DebugString());

  const auto of_ada = See<v1::ListRoomsForResponse>(R"(, "type": "user", "id": "ada")");
  ASSERT_EQ(of_ada.invitations_size(), 1);
  EXPECT_EQ(of_ada.invitations(0).state(), v1::INVITATION_STATE_ACCEPTED);

  const auto upcoming = See<v1::ListUpcomingSessionsResponse>(
      R"(, "from": "2030-01-07T00:00:00Z", "to": "2030-01-09T00:00:00Z")");
  ASSERT_EQ(upcoming.sessions_size(), 2);
  EXPECT_EQ(pb::util::TimeUtil::ToString(upcoming.sessions(1).ends_at()),
            fmt::format("2030-01-08T{:02}:15:00Z", hour_ + 1));

  const auto found = See<v1::SearchRoomsResponse>(R"(, "text": "old")");
  ASSERT_EQ(found.matches_size(), 1);
  EXPECT_EQ(found.matches(0).snippet(), "[Old] oak");

  const auto facts = See<v1::ListRoomFactsResponse>("");
  ASSERT_EQ(facts.facts_size(), 1);
  EXPECT_EQ(facts.facts(0).declined(), 1);
  EXPECT_EQ(facts.facts(0).sessions_started(), 1);

  const v1::Room was = See<v1::GetRoomAtResponse>(R"(, "room_id": "oak", "version": "1")").room();
  EXPECT_EQ(was.name(), "Old oak");
  EXPECT_EQ(was.description(), "By the window");

  auto page = See<v1::ListRoomEventsResponse>(R"(, "room_id": "oak", "page_size": 8)");
  ASSERT_EQ(page.events_size(), 8);
  v1::RoomCreated created;
  ASSERT_TRUE(page.events(0).message().UnpackTo(&created));
  EXPECT_EQ(created.name(), "Oak");
  page = See<v1::ListRoomEventsResponse>(R"(, "room_id": "oak", "page_size": 8, "page_token": ")" +
                                         page.next_page_token() + "\"");
  EXPECT_EQ(page.events_size(), 4);
  EXPECT_EQ(page.next_page_token(), "");
}

void GrpcurlOnRooms::WatchTheRoomEnd() {
  ChildProcess all = Watch<v1::WatchRoomsResponse>("{}", "50");
  EXPECT_EQ(Next<v1::WatchRoomsResponse>(all).room().name(), "Old oak");
  ChildProcess one = Watch<v1::WatchRoomResponse>(R"({"room_id": "oak"})", "50");
  EXPECT_EQ(Next<v1::WatchRoomResponse>(one).room().version(), version_);
  Do<v1::CancelSessionResponse>(R"(, "schedule_id": "daily")");
  const auto changed = Next<v1::WatchRoomResponse>(one);
  EXPECT_EQ(changed.room().version(), version_);
  EXPECT_EQ(changed.room().schedules_size(), 0);
  EXPECT_EQ(changed.position(), position_);
  Do<v1::DeleteRoomResponse>("");
  EXPECT_TRUE(Next<v1::WatchRoomResponse>(one).deleted());
  EXPECT_EQ(one.ReadAll(), "");
  EXPECT_EQ(one.Wait(), 0);
  Do<v1::RestoreRoomResponse>("");
  EXPECT_EQ(See<v1::GetRoomResponse>(R"(, "room_id": "oak")").room().version(), version_);
}

TEST_F(GrpcurlOnRooms, HeadersGoIntoEventsThatAreFoundByThem) {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Do<v1::CreateRoomResponse>(R"(, "name": "Oak")");
  Do<v1::RenameRoomResponse>(
      R"(, "name": "Elm")",
      "-H 'x-correlation-id: order-17' -H 'traceparent: " + trace + "' -H 'lf-meta-tenant: acme'");
  const Ran found = Run("leftfold tail --correlation order-17");
  EXPECT_EQ(Count(found.output, "\n"), 1) << found.output;
  EXPECT_THAT(found.output, HasSubstr(R"({"position":"2")"));
  EXPECT_THAT(found.output, HasSubstr(R"("correlationId":"order-17")"));
  EXPECT_THAT(found.output, HasSubstr("\"traceparent\":\"" + trace + "\""));
  EXPECT_THAT(found.output, HasSubstr(R"("headers":{"tenant":"acme"})"));
  const GrpcError refused = RefusalOf(Line<v1::RenameRoomResponse>(
      R"({"room_id": "oak", "name": "Ash"})",
      "-format-error -H 'x-correlation-id: " + std::string(129, 'x') + "'"));
  EXPECT_EQ(refused.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused.metadata.at("fields"), "x-correlation-id");
}

TEST_F(GrpcurlOnRooms, EveryRpcAnswersWithJson) {
  SendCommandsToALivingRoom();
  AskEveryQuery();
  WatchTheRoomEnd();
  for (const pb::ServiceDescriptor* service : {&Commands(), &Queries()}) {
    for (int i = 0; i < service->method_count(); ++i) {
      EXPECT_TRUE(asked_.contains(service->method(i)->full_name()))
          << service->method(i)->full_name() << " is not in this tour";
    }
  }
}

TEST_F(GrpcurlOnRooms, ADeadlineEndsAWatchAfterItsFirstMessage) {
  Do<v1::CreateRoomResponse>(R"(, "name": "Oak")");
  See<v1::GetRoomResponse>(R"(, "room_id": "oak")");
  ChildProcess watch = Watch<v1::WatchRoomResponse>(R"({"room_id": "oak"})", "3");
  EXPECT_EQ(Next<v1::WatchRoomResponse>(watch).room().name(), "Oak");
  EXPECT_THAT(watch.ReadAll(), HasSubstr("Code: DeadlineExceeded"));
  EXPECT_EQ(watch.Wait(), kExitCodeBase + grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(GrpcurlOnRooms, FieldsMayBeSpeltInEitherCase) {
  const std::string camel = R"({"roomId": "oak", "name": "Oak", "commandId": "c-1"})";
  const std::string snake = R"({"room_id": "oak", "name": "Oak", "command_id": "c-1"})";
  EXPECT_EQ(Ask<v1::CreateRoomResponse>(camel).receipt().aggregate_id(), "oak");
  EXPECT_TRUE(Ask<v1::CreateRoomResponse>(snake).receipt().duplicate());
}

TEST_F(GrpcurlOnRooms, ReflectionListsAndDescribes) {
  const std::string common = "grpc.health.v1.Health\ngrpc.reflection.v1alpha.ServerReflection\n";
  const std::string writes = "grpcurl -plaintext 127.0.0.1:50051 ";
  const std::string reads = "grpcurl -plaintext 127.0.0.1:50052 ";
  Registry registry;
  RegisterAllDomains(registry);
  std::set<std::string> written = {"leftfold.commands.v1.CommandSessionService",
                                   "leftfold.store.v1.ConsumerService",
                                   "leftfold.store.v1.EventStoreService"};
  std::set<std::string> read;
  for (const CommandEntry& command : registry.commands())
    written.insert(internal::MethodTaking(*command.request)->service()->full_name());
  for (const BatchEntry& batch : registry.batches())
    written.insert(internal::MethodTaking(*batch.request)->service()->full_name());
  for (const ViewEntry& view : registry.views()) {
    for (const QueryEntry& query : view.queries)
      read.insert(internal::MethodTaking(*query.request)->service()->full_name());
  }
  EXPECT_EQ(Run(writes + "list").output, common + fmt::format("{}\n", fmt::join(written, "\n")));
  EXPECT_EQ(Run(reads + "list").output, common + fmt::format("{}\n", fmt::join(read, "\n")));
  EXPECT_EQ(Run("grpcurl -plaintext 127.0.0.1:50053 list").output,
            common +
                "leftfold.admin.v1.AdminService\nleftfold.admin.v1.ReactorService\n"
                "leftfold.admin.v1.WebhookService\n");
  for (const pb::ServiceDescriptor* service : {&Commands(), &Queries()}) {
    const std::string& ask = service == &Commands() ? writes : reads;
    const std::string listed = Run(ask + "list " + service->full_name()).output;
    const std::string described = Run(ask + "describe " + service->full_name()).output;
    EXPECT_EQ(Count(listed, "\n"), service->method_count());
    for (int i = 0; i < service->method_count(); ++i) {
      EXPECT_THAT(listed, HasSubstr(service->method(i)->full_name() + "\n"));
      EXPECT_THAT(described, HasSubstr("  rpc " + service->method(i)->name() + " ("));
    }
    // A type that no RPC names: it comes inside of a recorded event.
    EXPECT_THAT(Run(ask + "describe leftfold.rooms.v1.RoomRenamed").output,
                HasSubstr("string name = 1;"));
  }
}

TEST_F(GrpcurlOnRooms, HealthCanBeAsked) {
  const std::pair<std::string, std::string> served[] = {
      {"127.0.0.1:50051", Commands().full_name()},
      {"127.0.0.1:50052", Queries().full_name()},
      {"127.0.0.1:50053", "leftfold.admin.v1.AdminService"}};
  for (const auto& [address, service] : served) {
    const Ran ran = Run("grpcurl -plaintext -d '{\"service\": \"" + service + "\"}' " + address +
                        " grpc.health.v1.Health/Check");
    EXPECT_EQ(ran.output, "{\n  \"status\": \"SERVING\"\n}\n") << service;
  }
}

TEST_F(GrpcurlOnRooms, WhatIsMisspeltIsNotSent) {
  const Ran field = Run(Line<v1::CreateRoomResponse>(R"({"room_id": "oak", "nom": "Oak"})"));
  EXPECT_EQ(field.exit_code, 1);
  EXPECT_THAT(field.output, HasSubstr("has no known field named nom"));
  const Ran rpc = Run("grpcurl -plaintext 127.0.0.1:50051 " + Commands().full_name() + "/Paint");
  EXPECT_EQ(rpc.exit_code, 1);
  EXPECT_THAT(rpc.output, HasSubstr("does not include a method named \"Paint\""));
}

TEST_F(GrpcurlOnRooms, TheServerRefusesAnRpcAndAFieldThatItDoesNotKnow) {
  std::ofstream(folder_->path() + "/newer.proto") << R"(syntax = "proto3";
      package leftfold.rooms.v1;
      message Paint { string room_id = 1; string name = 2; string colour = 77; }
      service RoomCommandService {
        rpc PaintRoom(Paint) returns (Paint);
        rpc CreateRoom(Paint) returns (Paint);
      })";
  const std::string newer =
      "grpcurl -plaintext -format-error -import-path . -proto newer.proto"
      " -import-path " LEFTFOLD_SOURCE_DIR
      "/proto -proto google/rpc/error_details.proto"
      R"( -d '{"room_id": "oak", "name": "Oak", "colour": "red"}' 127.0.0.1:50051 )" +
      Commands().full_name();
  const GrpcError rpc = RefusalOf(newer + "/PaintRoom");
  EXPECT_EQ(rpc.code, grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(rpc.reason, "UNKNOWN_RPC");
  EXPECT_THAT(rpc.metadata, ElementsAre(Pair("rpc", "/" + Commands().full_name() + "/PaintRoom")));
  const GrpcError field = RefusalOf(newer + "/CreateRoom");
  EXPECT_EQ(field.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(field.reason, "UNKNOWN_FIELD");
  EXPECT_THAT(field.metadata, Contains(Pair("field_number", "77")));
}

TEST_F(GrpcurlOnRooms, RefusalsPrintCodeReasonAndMetadata) {
  Do<v1::CreateRoomResponse>(R"(, "name": "Oak", "command_id": "c-1")");

  const GrpcError stale = Refused<v1::RenameRoomResponse>(
      R"({"room_id": "oak", "name": "Elm", "expected_version": "7"})");
  EXPECT_EQ(stale.code, grpc::StatusCode::ABORTED);
  EXPECT_EQ(stale.domain + "/" + stale.reason, "leftfold.core.v1/VERSION_CONFLICT");
  EXPECT_THAT(stale.metadata, UnorderedElementsAre(Pair("stream", "room-oak"),
                                                   Pair("expected", "7"), Pair("actual", "0")));

  const GrpcError reused =
      Refused<v1::RenameRoomResponse>(R"({"room_id": "oak", "name": "Elm", "command_id": "c-1"})");
  EXPECT_EQ(reused.code, grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(reused.domain + "/" + reused.reason, "leftfold.core.v1/COMMAND_ID_REUSED");
  EXPECT_THAT(reused.metadata, ElementsAre(Pair("command_id", "c-1")));

  for (const GrpcError& missing :
       {Refused<v1::RenameRoomResponse>(R"({"room_id": "elm", "name": "Elm"})"),
        Refused<v1::GetRoomResponse>(R"({"room_id": "elm"})")}) {
    EXPECT_EQ(missing.code, grpc::StatusCode::NOT_FOUND);
    EXPECT_EQ(missing.domain + "/" + missing.reason, "leftfold.rooms.v1/ROOM_NOT_FOUND");
    EXPECT_THAT(missing.metadata, ElementsAre(Pair("room_id", "elm")));
  }

  const GrpcError malformed = Refused<v1::RenameRoomResponse>(R"({"room_id": "a b"})");
  EXPECT_EQ(malformed.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(malformed.reason, "INVALID_FIELDS");
  EXPECT_EQ(malformed.field_violations, 2) << malformed.message;

  const GrpcError rule = Refused<v1::RestoreRoomResponse>(R"({"room_id": "oak"})");
  EXPECT_EQ(rule.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(rule.reason, "ROOM_NOT_DELETED");
  EXPECT_TRUE(rule.has_precondition_failure);

  const GrpcError system = Refused<v1::StartSessionResponse>(R"({"room_id": "oak"})");
  EXPECT_EQ(system.code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(system.reason, "TOKEN_REQUIRED");
}

}  // namespace
}  // namespace leftfold
