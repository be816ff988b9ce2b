// Rooms over real gRPC on real files: the whole path in one process, as a client sees it.
#include <absl/time/clock.h>
#include <gmock/gmock.h>

#include <set>
#include <thread>

#include "core/registry.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "server/app.h"
#include "testing/grpc_error.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"

namespace leftfold {
namespace {

using rooms::v1::CreateRoomRequest;
using rooms::v1::CreateRoomResponse;
using rooms::v1::GetRoomRequest;
using rooms::v1::GetRoomResponse;
using rooms::v1::RenameRoomRequest;
using rooms::v1::RenameRoomResponse;
using testing::ErrorOf;
using testing::GrpcError;
using testing::RoomsClient;

class RoomsOverGrpc : public ::testing::Test {
 protected:
  RoomsOverGrpc() {
    RegisterAllDomains(registry_);
    StartServer();
  }

  void StartServer() {
    app_.reset();
    app_ = testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
    client_ = std::make_unique<RoomsClient>(app_->write_address(), app_->read_address());
  }

  core::v1::CommandReceipt Create(const std::string& id, const std::string& name,
                                  const std::string& command_id = "") {
    CreateRoomRequest request;
    request.set_room_id(id);
    request.set_name(name);
    request.set_command_id(command_id);
    CreateRoomResponse response;
    const grpc::Status status = client_->Call(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.receipt();
  }

  grpc::Status CreateWith(const std::vector<std::pair<std::string, std::string>>& headers,
                          const std::string& id, CreateRoomResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + RoomsClient::kDeadline));
    for (const auto& [name, value] : headers) context.AddMetadata(name, value);
    CreateRoomRequest request;
    request.set_room_id(id);
    request.set_name("Oak");
    return client_->commands().CreateRoom(&context, request, response);
  }

  grpc::Status Rename(const std::string& id, const std::string& name, RenameRoomResponse* response,
                      const std::string& command_id = "",
                      std::optional<std::int64_t> expected = {}) {
    RenameRoomRequest request;
    request.set_room_id(id);
    request.set_name(name);
    request.set_command_id(command_id);
    if (expected) request.set_expected_version(*expected);
    return client_->Call(request, response);
  }

  GetRoomResponse Get(const std::string& id, const std::string& min_position) {
    GetRoomRequest request;
    request.set_room_id(id);
    request.set_min_position(min_position);
    GetRoomResponse response;
    const grpc::Status status = client_->Call(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<RoomsClient> client_;
};

TEST_F(RoomsOverGrpc, ACommandIsReadBackAtItsPosition) {
  const auto created = Create("oak", "Oak");
  EXPECT_EQ(created.aggregate_id(), "oak");
  EXPECT_EQ(created.version(), 0);
  RenameRoomResponse renamed;
  ASSERT_TRUE(Rename("oak", "Big Oak", &renamed).ok());
  EXPECT_EQ(renamed.receipt().version(), 1);
  const GetRoomResponse got = Get("oak", renamed.receipt().position());
  EXPECT_EQ(got.room().name(), "Big Oak");
  EXPECT_EQ(got.room().version(), 1);
  EXPECT_GE(std::stoll(got.applied_position()), std::stoll(renamed.receipt().position()));
}

TEST_F(RoomsOverGrpc, EachAnswerCanBeAskedForAgainByItsPosition) {
  const auto get = [&](const std::string& as_of, GetRoomResponse* response) {
    GetRoomRequest request;
    request.set_room_id("oak");
    request.set_as_of_position(as_of);
    return client_->Call(request, response);
  };
  std::vector<GetRoomResponse> answers = {Get("oak", Create("oak", "Oak").position())};
  for (int i = 0; i < 20; ++i) {
    Create(fmt::format("other-{}", i), "Elm");
    RenameRoomResponse renamed;
    ASSERT_TRUE(Rename("oak", fmt::format("Oak {}", i), &renamed).ok());
    answers.push_back(Get("oak", renamed.receipt().position()));
  }
  for (const GetRoomResponse& answer : answers) {
    GetRoomResponse again;
    ASSERT_TRUE(get(answer.applied_position(), &again).ok());
    EXPECT_EQ(again.ShortDebugString(), answer.ShortDebugString());
  }
  GetRoomResponse none;
  EXPECT_EQ(ErrorOf(get("0", &none)).reason, "ROOM_NOT_FOUND");
  EXPECT_EQ(ErrorOf(get("1000", &none)).reason, "READ_MODEL_BEHIND");
  EXPECT_EQ(ErrorOf(get("-1", &none)).reason, "INVALID_FIELDS");
  GetRoomRequest both;
  both.set_room_id("oak");
  both.set_as_of_position("1");
  both.set_min_position("1");
  EXPECT_EQ(ErrorOf(client_->Call(both, &none)).metadata.at("fields"), "as_of_position");
}

TEST_F(RoomsOverGrpc, ACreatingCommandMayLeaveTheIdToTheServer) {
  const auto first = Create("", "Oak");
  const auto second = Create("", "Oak");
  EXPECT_EQ(first.aggregate_id().size(), 36u);
  EXPECT_NE(first.aggregate_id(), second.aggregate_id());
}

TEST_F(RoomsOverGrpc, ARetryGetsTheSameReceiptAlsoAfterARestart) {
  const auto first = Create("oak", "Oak", "command-1");
  EXPECT_FALSE(first.duplicate());
  RenameRoomResponse moved_on;
  ASSERT_TRUE(Rename("oak", "Elm", &moved_on).ok());
  for (int round = 0; round < 2; ++round) {
    const auto again = Create("oak", "Oak", "command-1");
    EXPECT_TRUE(again.duplicate());
    EXPECT_EQ(again.version(), first.version());
    EXPECT_EQ(again.position(), first.position());
    EXPECT_EQ(again.aggregate_id(), first.aggregate_id());
    StartServer();
  }
}

TEST_F(RoomsOverGrpc, ARetriedNoOpIsRememberedToo) {
  Create("oak", "Oak");
  RenameRoomResponse no_op, later, again;
  ASSERT_TRUE(Rename("oak", "Oak", &no_op, "command-2").ok());
  EXPECT_EQ(no_op.receipt().version(), 0);
  ASSERT_TRUE(Rename("oak", "Elm", &later).ok());
  ASSERT_TRUE(Rename("oak", "Oak", &again, "command-2").ok());
  EXPECT_TRUE(again.receipt().duplicate());
  EXPECT_EQ(again.receipt().version(), 0);
  EXPECT_EQ(Get("oak", later.receipt().position()).room().name(), "Elm");
}

TEST_F(RoomsOverGrpc, AnotherPayloadUnderAUsedCommandIdIsRefused) {
  Create("oak", "Oak", "command-1");
  RenameRoomResponse response;
  const GrpcError error = ErrorOf(Rename("oak", "Elm", &response, "command-1"));
  EXPECT_EQ(error.code, grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(error.reason, "COMMAND_ID_REUSED");
  EXPECT_EQ(error.domain, "leftfold.core.v1");
}

TEST_F(RoomsOverGrpc, OfTwoWritersWithTheSameExpectedVersionOneWins) {
  Create("oak", "Oak");
  RenameRoomResponse first, second;
  EXPECT_TRUE(Rename("oak", "Elm", &first, "", 0).ok());
  const GrpcError error = ErrorOf(Rename("oak", "Ash", &second, "", 0));
  EXPECT_EQ(error.code, grpc::StatusCode::ABORTED);
  EXPECT_EQ(error.reason, "VERSION_CONFLICT");
  EXPECT_EQ(error.metadata.at("stream"), "room-oak");
  EXPECT_EQ(error.metadata.at("expected"), "0");
  EXPECT_EQ(error.metadata.at("actual"), "1");
}

TEST_F(RoomsOverGrpc, RacingWritersGetVersionsWithoutHoleOrRepeat) {
  Create("oak", "Oak");
  constexpr int kWriters = 16, kEach = 25;
  std::mutex mu;
  std::multiset<std::int64_t> versions;
  {
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; i < kEach; ++i) {
          RenameRoomResponse response;
          const grpc::Status status =
              Rename("oak", "Oak " + std::to_string(writer * kEach + i), &response);
          const std::lock_guard lock(mu);
          EXPECT_TRUE(status.ok()) << status.error_message();
          versions.insert(response.receipt().version());
        }
      });
    }
  }
  std::int64_t expected = 0;
  for (const std::int64_t version : versions) EXPECT_EQ(version, ++expected);
  EXPECT_EQ(expected, kWriters * kEach);
}

TEST_F(RoomsOverGrpc, ConcurrentDuplicatesOfACommandAreDecidedOnce) {
  constexpr int kSenders = 16;
  std::atomic<int> first = 0;
  std::mutex mu;
  std::set<std::string> positions;
  {
    std::vector<std::jthread> senders;
    for (int i = 0; i < kSenders; ++i) {
      senders.emplace_back([&] {
        const auto receipt = Create("oak", "Oak", "command-1");
        first += receipt.duplicate() ? 0 : 1;
        const std::lock_guard lock(mu);
        positions.insert(receipt.position());
      });
    }
  }
  EXPECT_EQ(first, 1);
  EXPECT_EQ(positions.size(), 1u);
}

TEST_F(RoomsOverGrpc, MalformedFieldsAreNamedAllAtOnce) {
  RenameRoomRequest request;
  request.set_room_id("no spaces please");
  request.set_command_id("lf:mine");
  request.set_expected_version(-7);
  RenameRoomResponse response;
  const GrpcError error = ErrorOf(client_->Call(request, &response));
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(error.reason.empty());
  EXPECT_GE(error.field_violations, 4)
      << "room_id, command_id, expected_version and the empty name";
}

TEST_F(RoomsOverGrpc, BadInputGetsATypedErrorAndLosesNothing) {
  Create("oak", "Oak");
  RenameRoomResponse response;
  const GrpcError huge = ErrorOf(Rename("oak", std::string(5'000'000, 'x'), &response));
  EXPECT_EQ(huge.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(huge.reason, "REQUEST_TOO_LARGE");
  const GrpcError long_name = ErrorOf(Rename("oak", std::string(100'000, 'x'), &response));
  EXPECT_EQ(long_name.reason, "NAME_TOO_LONG");
  const GrpcError nul = ErrorOf(Rename("oak", std::string("a\0b", 3), &response));
  EXPECT_EQ(nul.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_FALSE(nul.reason.empty());
  rooms::v1::ListRoomsRequest list;
  rooms::v1::ListRoomsResponse listed;
  list.set_page_size(-1);
  EXPECT_EQ(ErrorOf(client_->Call(list, &listed)).reason, "INVALID_FIELDS");
  list.set_page_size(1);
  list.set_page_token("forged");
  EXPECT_EQ(ErrorOf(client_->Call(list, &listed)).reason, "INVALID_PAGE_TOKEN");
  GetRoomRequest get;
  GetRoomResponse got;
  get.set_room_id("oak");
  get.set_min_position("soon");
  EXPECT_EQ(ErrorOf(client_->Call(get, &got)).code, grpc::StatusCode::INVALID_ARGUMENT);
  get.set_min_position("999999999");
  const GrpcError behind = ErrorOf(client_->Call(get, &got));
  EXPECT_EQ(behind.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(behind.reason, "READ_MODEL_BEHIND");
  EXPECT_TRUE(behind.has_retry_info);
  EXPECT_EQ(Get("oak", "1").room().name(), "Oak");
}

TEST_F(RoomsOverGrpc, AMalformedIdOrVersionIsAMalformedQuery) {
  Create("oak", "Oak");
  const auto expect_refused = [&](const auto& request, auto response, const std::string& field) {
    SCOPED_TRACE(request.GetDescriptor()->name() + " " + request.ShortDebugString());
    const GrpcError error = ErrorOf(client_->Call(request, &response));
    EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(error.reason, "INVALID_FIELDS");
    EXPECT_THAT(error.metadata, ::testing::Contains(::testing::Pair("fields", field)));
  };
  for (const char* id : {"", "a b", "\u00E9"}) {
    GetRoomRequest get;
    get.set_room_id(id);
    expect_refused(get, GetRoomResponse(), "room_id");
    rooms::v1::ListRoomEventsRequest events;
    events.set_room_id(id);
    expect_refused(events, rooms::v1::ListRoomEventsResponse(), "room_id");
  }
  grpc::ClientContext context;
  rooms::v1::WatchRoomResponse state;
  const auto watch = client_->queries().WatchRoom(&context, rooms::v1::WatchRoomRequest());
  EXPECT_FALSE(watch->Read(&state));
  EXPECT_EQ(ErrorOf(watch->Finish()).reason, "INVALID_FIELDS");
  rooms::v1::GetRoomAtRequest at;
  at.set_version(-1);
  expect_refused(at, rooms::v1::GetRoomAtResponse(), "room_id, version");
}

TEST_F(RoomsOverGrpc, HeadersAreKeptWithTheEventsAndFindThem) {
  const std::string traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  CreateRoomResponse created;
  const grpc::Status made = CreateWith({{"x-correlation-id", "order-17"},
                                        {"x-causation-id", "cart-3"},
                                        {"traceparent", traceparent},
                                        {"lf-meta-tenant", "acme"},
                                        {"lf-meta-locale", "de-CH"}},
                                       "oak", &created);
  ASSERT_TRUE(made.ok()) << made.error_message();
  RenameRoomResponse renamed;
  ASSERT_TRUE(Rename("oak", "Elm", &renamed).ok());

  rooms::v1::ListRoomEventsRequest request;
  request.set_room_id("oak");
  request.set_min_position(renamed.receipt().position());
  rooms::v1::ListRoomEventsResponse listed;
  ASSERT_TRUE(client_->Call(request, &listed).ok());
  ASSERT_EQ(listed.events_size(), 2);
  const core::v1::RecordedEvent& first = listed.events(0);
  EXPECT_EQ(first.correlation_id(), "order-17");
  EXPECT_EQ(first.causation_id(), "cart-3");
  EXPECT_EQ(first.traceparent(), traceparent);
  EXPECT_EQ(first.actor(), "anonymous");
  EXPECT_EQ(first.headers_size(), 2);
  EXPECT_EQ(first.headers().at("tenant"), "acme");
  EXPECT_EQ(first.headers().at("locale"), "de-CH");
  EXPECT_EQ(listed.events(1).correlation_id(), "");
  EXPECT_EQ(listed.events(1).headers_size(), 0);

  const auto log = OpenSqliteEventStoreReadOnly(folder_.path() + "/log");
  ASSERT_TRUE(log.ok()) << log.status();
  const auto found =
      (*log)->ReadAll({.from = kBeforeFirst, .filter = {.correlation_id = "order-17"}});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->events.size(), 1u);
  EXPECT_EQ(found->events.front().position, Position{1});
}

TEST_F(RoomsOverGrpc, HeadersThatCannotBeKeptAreRefusedAndNothingIsStored) {
  CreateRoomResponse response;
  const GrpcError error =
      ErrorOf(CreateWith({{"x-correlation-id", std::string(129, 'x')}}, "oak", &response));
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_EQ(error.metadata.at("fields"), "x-correlation-id");
  const GrpcError binary =
      ErrorOf(CreateWith({{"lf-meta-photo-bin", std::string("\0\xff", 2)}}, "oak", &response));
  EXPECT_EQ(binary.reason, "INVALID_FIELDS");
  EXPECT_EQ(binary.metadata.at("fields"), "lf-meta-photo-bin");
  const GrpcError large =
      ErrorOf(CreateWith({{"lf-meta-large", std::string(4'097, 'x')}}, "oak", &response));
  EXPECT_EQ(large.reason, "LIMIT_EXCEEDED");
  EXPECT_EQ(large.metadata.at("limit"), "kHeadersBytesMax");
  EXPECT_EQ(Create("oak", "Oak").position(), "1");
}

TEST_F(RoomsOverGrpc, ASystemCommandNeedsTheToken) {
  rooms::v1::StartSessionRequest request;
  request.set_room_id("oak");
  rooms::v1::StartSessionResponse response;
  const GrpcError error = ErrorOf(client_->Call(request, &response));
  EXPECT_EQ(error.code, grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(error.reason, "TOKEN_REQUIRED");
}

TEST_F(RoomsOverGrpc, WithTheReadSideStoppedCommandsGoOn) {
  Create("oak", "Oak");
  app_->StopReadSide();
  RenameRoomResponse response;
  EXPECT_TRUE(Rename("oak", "Elm", &response).ok());
  GetRoomRequest get;
  get.set_room_id("oak");
  GetRoomResponse got;
  EXPECT_EQ(client_->Call(get, &got).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RoomsOverGrpc, WithTheWriteSideStoppedQueriesGoOn) {
  const auto created = Create("oak", "Oak");
  Get("oak", created.position());
  app_->StopWriteSide();
  EXPECT_EQ(Get("oak", created.position()).room().name(), "Oak");
  RenameRoomResponse response;
  EXPECT_EQ(Rename("oak", "Elm", &response).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RoomsOverGrpc, ASecondServerOnTheSameDataIsRefusedAndToldWhoHoldsIt) {
  ServeOptions options = testing::OptionsOn(folder_.path());
  const auto second = App::Start(registry_, options);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find(std::to_string(getpid())), std::string::npos)
      << second.status();
}

TEST_F(RoomsOverGrpc, ListeningBeyondLoopbackIsRefused) {
  const testing::TemporaryFolder other;
  ServeOptions options;
  options.data = other.path();
  options.write_listen = "0.0.0.0:0";
  options.read_listen = options.admin_listen = "127.0.0.1:0";
  const auto refused = App::Start(registry_, options);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("loopback"), std::string::npos) << refused.status();
}

TEST_F(RoomsOverGrpc, AWatchBeginsWithTheStateAndHearsOfEveryLaterOneInOrder) {
  const auto created = Create("oak", "Oak");
  Get("oak", created.position());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + RoomsClient::kDeadline));
  rooms::v1::WatchRoomRequest request;
  request.set_room_id("oak");
  const auto reader = client_->queries().WatchRoom(&context, request);
  rooms::v1::WatchRoomResponse state;
  ASSERT_TRUE(reader->Read(&state));
  EXPECT_EQ(state.room().name(), "Oak");
  std::int64_t last = std::stoll(state.position());
  for (int i = 0; i < 20; ++i) {
    RenameRoomResponse renamed;
    ASSERT_TRUE(Rename("oak", "Oak " + std::to_string(i), &renamed).ok());
  }
  while (state.room().name() != "Oak 19") {
    ASSERT_TRUE(reader->Read(&state));
    EXPECT_GT(std::stoll(state.position()), last);
    last = std::stoll(state.position());
  }
  rooms::v1::DeleteRoomRequest remove;
  remove.set_room_id("oak");
  rooms::v1::DeleteRoomResponse removed;
  ASSERT_TRUE(client_->Call(remove, &removed).ok());
  ASSERT_TRUE(reader->Read(&state));
  EXPECT_TRUE(state.deleted());
  EXPECT_FALSE(reader->Read(&state));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(RoomsOverGrpc, AListWatchHearsOfNewChangedAndRemovedRooms) {
  const auto created = Create("oak", "Oak");
  Get("oak", created.position());
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + RoomsClient::kDeadline));
  const auto reader = client_->queries().WatchRooms(&context, rooms::v1::WatchRoomsRequest());
  rooms::v1::WatchRoomsResponse change;
  do {
    ASSERT_TRUE(reader->Read(&change));
    if (change.has_room()) {
      EXPECT_EQ(change.room().room_id(), "oak");
    }
  } while (!change.snapshot_complete());
  Create("elm", "Elm");
  do {
    ASSERT_TRUE(reader->Read(&change));
  } while (!change.has_room() || change.room().room_id() != "elm");
  rooms::v1::DeleteRoomRequest remove;
  remove.set_room_id("oak");
  rooms::v1::DeleteRoomResponse removed;
  ASSERT_TRUE(client_->Call(remove, &removed).ok());
  do {
    ASSERT_TRUE(reader->Read(&change));
  } while (change.removed_key() != "oak");
  context.TryCancel();
}

TEST_F(RoomsOverGrpc, PagesListEveryRoomOnce) {
  std::string position;
  for (int i = 0; i < 25; ++i) position = Create("room" + std::to_string(i), "Oak").position();
  std::set<std::string> seen;
  rooms::v1::ListRoomsRequest request;
  request.set_min_position(position);
  request.set_page_size(10);
  int pages = 0;
  do {
    rooms::v1::ListRoomsResponse response;
    ASSERT_TRUE(client_->Call(request, &response).ok());
    for (const auto& room : response.rooms()) EXPECT_TRUE(seen.insert(room.room_id()).second);
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_EQ(pages, 3);
}

}  // namespace
}  // namespace leftfold
