// The raw log over real gRPC on real files: every RPC as a client sees it, and its errors.
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "event_store/continuity.h"
#include "event_store/feed.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "rpc/status.h"
#include "server/app.h"
#include "testing/grpc_error.h"
#include "testing/store_client.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"
#include "write_api/append_session.h"

namespace leftfold {
namespace {

using testing::AppendTo;
using ::testing::ElementsAre;
using testing::ErrorOf;
using testing::GrpcError;
using testing::JsonRecord;
using testing::NewContext;
using testing::Subscriber;

using Stub = store::v1::EventStoreService::Stub;

class StoreOverGrpc : public ::testing::Test {
 protected:
  StoreOverGrpc() {
    RegisterAllDomains(registry_);
    app_ = testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
    stub_ = store::v1::EventStoreService::NewStub(
        grpc::CreateChannel(app_->write_address(), grpc::InsecureChannelCredentials()));
  }

  std::string Token() const {
    std::string token;
    std::ifstream(folder_.path() + "/token") >> token;
    return token;
  }

  grpc::Status Append(const store::v1::AppendRequest& request, store::v1::AppendReceipt* receipt,
                      bool trusted = false) {
    const auto context = NewContext();
    if (trusted) context->AddMetadata("authorization", "Bearer " + Token());
    context->AddMetadata("x-correlation-id", "journey-1");
    store::v1::AppendResponse response;
    const grpc::Status status = stub_->Append(context.get(), request, &response);
    *receipt = response.receipt();
    return status;
  }
  store::v1::AppendReceipt Appended(const store::v1::AppendRequest& request, bool trusted = false) {
    store::v1::AppendReceipt receipt;
    const grpc::Status status = Append(request, &receipt, trusted);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return receipt;
  }
  GrpcError Refused(const store::v1::AppendRequest& request, bool trusted = false) {
    store::v1::AppendReceipt receipt;
    return ErrorOf(Append(request, &receipt, trusted));
  }

  std::vector<store::v1::ReadAllResponse> ReadAll(const store::v1::ReadAllRequest& request,
                                                  GrpcError* error = nullptr) {
    const auto context = NewContext();
    auto reader = stub_->ReadAll(context.get(), request);
    std::vector<store::v1::ReadAllResponse> responses;
    for (store::v1::ReadAllResponse response; reader->Read(&response);)
      responses.push_back(response);
    Ended(reader->Finish(), error);
    return responses;
  }
  std::vector<std::int64_t> PositionsOf(const store::v1::ReadAllRequest& request) {
    std::vector<std::int64_t> positions;
    for (const auto& response : ReadAll(request)) {
      for (const auto& event : response.events()) positions.push_back(event.position());
    }
    return positions;
  }
  std::vector<store::v1::ReadStreamResponse> ReadStream(const store::v1::ReadStreamRequest& request,
                                                        GrpcError* error = nullptr) {
    const auto context = NewContext();
    auto reader = stub_->ReadStream(context.get(), request);
    std::vector<store::v1::ReadStreamResponse> responses;
    for (store::v1::ReadStreamResponse response; reader->Read(&response);)
      responses.push_back(response);
    Ended(reader->Finish(), error);
    return responses;
  }
  std::vector<std::int64_t> VersionsOf(const store::v1::ReadStreamRequest& request) {
    std::vector<std::int64_t> versions;
    for (const auto& response : ReadStream(request)) {
      for (const auto& event : response.events()) versions.push_back(event.version());
    }
    return versions;
  }
  static void Ended(const grpc::Status& status, GrpcError* error) {
    if (error != nullptr) {
      *error = ErrorOf(status);
    } else {
      EXPECT_TRUE(status.ok()) << status.error_message();
    }
  }

  testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<Stub> stub_;
};

TEST_F(StoreOverGrpc, RecordsOfSeveralStreamsStandInTheOrderGiven) {
  store::v1::AppendRequest request;
  *request.add_records() = JsonRecord("note-1", R"({"text": "a"})");
  *request.add_records() = JsonRecord("list-9", "[]");
  *request.add_records() = JsonRecord("note-1", "null");
  request.mutable_records(0)->set_event_id("01a1fd58-cf2c-78cb-b6e5-b6129a2ddbd7");
  auto* tag = request.mutable_records(1)->add_tags();
  tag->set_key("course");
  tag->set_value("c1");
  (*request.mutable_metadata()->mutable_headers())["tenant"] = "blue";
  const store::v1::AppendReceipt receipt = Appended(request);
  EXPECT_EQ(receipt.position(), 3);
  ASSERT_EQ(receipt.streams_size(), 2);
  EXPECT_EQ(receipt.streams(0).stream(), "note-1");
  EXPECT_EQ(receipt.streams(0).version(), 1);
  EXPECT_EQ(receipt.streams(1).stream(), "list-9");
  EXPECT_EQ(receipt.streams(1).version(), 0);
  const auto read = ReadAll({});
  ASSERT_EQ(read.size(), 1u);
  ASSERT_EQ(read[0].events_size(), 3);
  const auto& first = read[0].events(0);
  EXPECT_EQ(first.stream(), "note-1");
  EXPECT_EQ(first.json(), R"({"text": "a"})") << "byte for byte";
  EXPECT_EQ(first.event_id(), "01a1fd58-cf2c-78cb-b6e5-b6129a2ddbd7");
  EXPECT_EQ(first.actor(), "anonymous");
  EXPECT_EQ(first.correlation_id(), "journey-1");
  EXPECT_EQ(first.headers().at("tenant"), "blue");
  EXPECT_EQ(read[0].events(1).stream(), "list-9");
  EXPECT_EQ(read[0].events(1).tags(0).value(), "c1");
  EXPECT_EQ(read[0].events(2).stream(), "note-1");
  EXPECT_EQ(read[0].position(), 3);
  EXPECT_EQ(read[0].head_position(), 3);
}

TEST_F(StoreOverGrpc, ChecksAreApartFromWritesAndAllViolationsAreTold) {
  Appended(AppendTo("note-1", 2));
  store::v1::AppendRequest request = AppendTo("note-3");
  const auto check = [&](const std::string& stream) {
    auto* added = request.add_checks();
    added->set_stream(stream);
    return added;
  };
  check("note-1")->set_exact(1);
  check("note-2")->mutable_no_stream();
  Appended(request);
  request.clear_checks();
  check("note-1")->set_exact(7);
  check("note-2")->mutable_stream_exists();
  check("note-3")->mutable_no_stream();
  check("note-4")->mutable_any();
  const GrpcError error = Refused(request);
  EXPECT_EQ(error.code, grpc::StatusCode::ABORTED);
  EXPECT_EQ(error.reason, "VERSION_CONFLICT");
  for (const char* stream : {"note-1", "note-2", "note-3"})
    EXPECT_NE(error.message.find(stream), std::string::npos) << error.message;
  EXPECT_EQ(error.message.find("note-4"), std::string::npos);
}

TEST_F(StoreOverGrpc, AConditionFailsOnAnEventThatCameBetween) {
  store::v1::AppendRequest request = AppendTo("course-1");
  auto* tag = request.mutable_records(0)->add_tags();
  tag->set_key("student");
  tag->set_value("s1");
  *request.mutable_condition()->add_fail_if_events_match()->add_tags() = *tag;
  Appended(request);
  const GrpcError error = Refused(request);
  EXPECT_EQ(error.code, grpc::StatusCode::ABORTED);
  EXPECT_EQ(error.reason, "CONDITION_FAILED");
  EXPECT_EQ(error.metadata.at("position"), "1");
  request.mutable_condition()->set_after_position(1);
  Appended(request);
}

TEST_F(StoreOverGrpc, ARetryGetsTheSameReceiptAndOtherContentIsRefused) {
  store::v1::AppendRequest request = AppendTo("note-1", 2);
  *request.add_records() = JsonRecord("list-1", "1");
  *request.add_records() = JsonRecord("note-1", "2");
  request.set_command_id("append-1");
  store::v1::AppendReceipt first = Appended(request);
  EXPECT_FALSE(first.duplicate());
  Appended(AppendTo("note-1"));
  const store::v1::AppendReceipt again = Appended(request);
  EXPECT_TRUE(again.duplicate());
  first.set_duplicate(true);
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(PositionsOf({}).size(), 5u);
  request.mutable_records(0)->set_json("\"other\"");
  const GrpcError error = Refused(request);
  EXPECT_EQ(error.code, grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(error.reason, "COMMAND_ID_REUSED");

  store::v1::GetCommandRequest get;
  get.set_command_id("append-1");
  store::v1::GetCommandResponse command;
  ASSERT_TRUE(stub_->GetCommand(NewContext().get(), get, &command).ok());
  EXPECT_EQ(command.position(), first.position());
  EXPECT_EQ(command.request_hash().size(), 32u);
  get.set_command_id("append-2");
  const GrpcError unknown = ErrorOf(stub_->GetCommand(NewContext().get(), get, &command));
  EXPECT_EQ(unknown.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(unknown.reason, "COMMAND_NOT_FOUND");
  EXPECT_EQ(unknown.domain, "leftfold.store.v1");
}

TEST_F(StoreOverGrpc, OnlyTheTokenWritesWhatDomainsOwn) {
  rooms::v1::RoomRenamed renamed;
  renamed.set_name("Elm");
  store::v1::AppendRequest owned_type;
  owned_type.add_records()->set_stream("note-1");
  owned_type.mutable_records(0)->mutable_message()->PackFrom(renamed);
  store::v1::AppendRequest engines_type;
  engines_type.add_records()->set_stream("note-1");
  engines_type.mutable_records(0)->mutable_message()->PackFrom(core::v1::SkipRequested());
  store::v1::AppendRequest engine = AppendTo("note-1");
  engine.mutable_engine()->set_aggregate_id("1");
  for (const auto& request : {AppendTo("room-oak"), AppendTo("claim_room-v.oak"),
                              AppendTo("reaction-mailer"), owned_type, engines_type, engine}) {
    SCOPED_TRACE(request.DebugString());
    const GrpcError error = Refused(request);
    EXPECT_EQ(error.code, grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(error.reason, "TOKEN_REQUIRED");
  }
  EXPECT_TRUE(PositionsOf({}).empty());
  Appended(owned_type, true);
  const auto read = ReadAll({});
  rooms::v1::RoomRenamed back;
  ASSERT_TRUE(read[0].events(0).message().UnpackTo(&back));
  EXPECT_EQ(back.name(), "Elm");
  // To check a stream is not to write it.
  store::v1::AppendRequest checks = AppendTo("note-2");
  auto* check = checks.add_checks();
  check->set_stream("room-oak");
  check->mutable_no_stream();
  Appended(checks);
}

TEST_F(StoreOverGrpc, PayloadsThatAreNotWhatTheySayAreRefusedAllAtOnce) {
  store::v1::AppendRequest request;
  const auto typed = [&](const std::string& type, const std::string& bytes) {
    auto* record = request.add_records();
    record->set_stream("note-1");
    record->mutable_message()->set_type_url("type.googleapis.com/" + type);
    record->mutable_message()->set_value(bytes);
  };
  typed("leftfold.rooms.v1.RoomRenamed", "\x0a\x05zz");
  typed("leftfold.rooms.v1.RoomRenamed", "\x0a\x02\xc3\x28");
  typed("another.company.v1.Happened", "\xff");
  *request.add_records() = JsonRecord("note-1", "{a: 1}");
  *request.add_records() = JsonRecord("note-1", "{}", "leftfold.rooms.v1.RoomRenamed");
  const GrpcError error = Refused(request, true);
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_PAYLOAD");
  EXPECT_EQ(error.domain, "leftfold.store.v1");
  EXPECT_EQ(error.field_violations, 5);
  EXPECT_TRUE(PositionsOf({}).empty());
  request.Clear();
  *request.add_records() = JsonRecord("note-1", "1");
  *request.add_records() = JsonRecord("note-1", "1 2");
  EXPECT_EQ(Refused(request).metadata.at("record"), "1");
  EXPECT_EQ(Refused(request).metadata.at("type"), "NoteTaken");
  request.Clear();
  typed("another.company.v1.Happened", "\x0a\x01z");
  Appended(request);
  EXPECT_EQ(ReadAll({})[0].events(0).type(), "another.company.v1.Happened");
}

TEST_F(StoreOverGrpc, MalformedFieldsAreNamedAllAtOnce) {
  store::v1::AppendRequest request;
  request.add_records()->set_stream("nonsense");  // And no data.
  *request.add_records() = JsonRecord("note-1", "1", "");
  request.mutable_records(1)->set_event_id("x");
  request.add_checks()->set_stream("note-1");  // Nothing expected.
  request.add_checks()->set_stream("note-1");  // Twice, and again nothing expected.
  request.mutable_metadata()->set_actor("root");
  const GrpcError error = Refused(request);
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_EQ(error.field_violations, 8);
  request = AppendTo("note-1");
  request.set_command_id("lf:mine");
  EXPECT_EQ(Refused(request).reason, "COMMAND_ID_RESERVED");
  EXPECT_EQ(Refused({}).reason, "INVALID_FIELDS");
  EXPECT_EQ(Refused(AppendTo("note-1", static_cast<int>(kAppendEventsMax) + 1)).reason,
            "LIMIT_EXCEEDED");
}

TEST_F(StoreOverGrpc, AnotherProcessOfTheSystemAppendsAsTheEngineItself) {
  store::v1::AppendRequest request = AppendTo("note-2", 3);
  *request.add_records() = JsonRecord("note-1", "not json");
  auto* check = request.add_checks();
  check->set_stream("note-1");
  check->mutable_any();
  request.set_command_id("lf:reactor/1");
  request.mutable_engine()->set_raw_metadata("\x0a\x01z");
  request.mutable_engine()->set_request_hash(std::string(32, 'h'));
  request.mutable_engine()->set_aggregate_id("oak");
  request.mutable_engine()->set_created_id("created");
  const store::v1::AppendReceipt receipt = Appended(request, true);
  EXPECT_EQ(receipt.engine().version(), 0);
  EXPECT_THAT(receipt.engine().versions(), ElementsAre(0, 2)) << "the streams of checks first";
  EXPECT_EQ(receipt.engine().aggregate_id(), "oak");
  store::v1::ReadAllRequest read;
  read.set_raw_metadata(true);
  const auto events = ReadAll(read)[0].events();
  EXPECT_EQ(events[0].stream(), "note-2") << "records keep their order";
  EXPECT_EQ(events[0].raw_metadata(), "\x0a\x01z");
  store::v1::GetCommandRequest get;
  get.set_command_id("lf:reactor/1");
  store::v1::GetCommandResponse command;
  ASSERT_TRUE(stub_->GetCommand(NewContext().get(), get, &command).ok());
  EXPECT_EQ(command.request_hash(), std::string(32, 'h'));
  EXPECT_EQ(command.created_id(), "created");
}

class ReadsOverGrpc : public StoreOverGrpc {
 protected:
  // note-1 and list-1 take turns: positions 1 to 10; "NoteRead" is every fifth type.
  ReadsOverGrpc() {
    for (int i = 1; i <= 10; ++i) {
      store::v1::AppendRequest request;
      *request.add_records() = JsonRecord(i % 2 == 1 ? "note-1" : "list-1", std::to_string(i),
                                          i % 5 == 0 ? "NoteRead" : "NoteTaken");
      auto* tag = request.mutable_records(0)->add_tags();
      tag->set_key("third");
      tag->set_value(std::to_string(i % 3));
      request.mutable_metadata()->set_correlation_id(i <= 4 ? "early" : "late");
      Appended(request);
      if (i == 5) between_ = TimeAfterNow();
    }
  }
  // A time that no event before has, and all later have passed.
  static google::protobuf::Timestamp TimeAfterNow() {
    const std::int64_t micros = absl::ToUnixMicros(absl::Now()) + 1;
    while (absl::ToUnixMicros(absl::Now()) <= micros) std::this_thread::yield();
    google::protobuf::Timestamp time;
    time.set_seconds(micros / 1'000'000);
    time.set_nanos(static_cast<int>(micros % 1'000'000) * 1'000);
    return time;
  }
  google::protobuf::Timestamp between_;
};

TEST_F(ReadsOverGrpc, AllIsReadBothWaysFromAPositionOrATimeWithACount) {
  store::v1::ReadAllRequest request;
  request.set_position(7);
  EXPECT_THAT(PositionsOf(request), ElementsAre(8, 9, 10));
  request.set_direction(store::v1::DIRECTION_BACKWARD);
  EXPECT_THAT(PositionsOf(request), ElementsAre(6, 5, 4, 3, 2, 1));
  request.set_max_count(2);
  EXPECT_THAT(PositionsOf(request), ElementsAre(6, 5));
  EXPECT_EQ(ReadAll(request).back().position(), 5);
  request.clear_position();
  EXPECT_THAT(PositionsOf(request), ElementsAre(10, 9));
  *request.mutable_time() = between_;
  EXPECT_THAT(PositionsOf(request), ElementsAre(5, 4));
  request.set_direction(store::v1::DIRECTION_FORWARD);
  EXPECT_THAT(PositionsOf(request), ElementsAre(6, 7));
  request.set_position(10);
  ASSERT_EQ(ReadAll(request).size(), 1u) << "one message also when there is nothing";
  EXPECT_EQ(ReadAll(request)[0].position(), 10);
}

TEST_F(ReadsOverGrpc, EachPartOfAFilterSelects) {
  const auto with = [&](auto set) {
    store::v1::ReadAllRequest request;
    set(*request.mutable_filter());
    return PositionsOf(request);
  };
  EXPECT_THAT(with([](auto& f) { f.add_categories("list"); }), ElementsAre(2, 4, 6, 8, 10));
  EXPECT_THAT(with([](auto& f) { f.add_types("NoteRead"); }), ElementsAre(5, 10));
  EXPECT_THAT(with([](auto& f) { f.set_stream_prefix("note-"); }), ElementsAre(1, 3, 5, 7, 9));
  EXPECT_THAT(with([](auto& f) { f.set_stream("list-1"); }), ElementsAre(2, 4, 6, 8, 10));
  EXPECT_THAT(with([](auto& f) { f.set_correlation_id("early"); }), ElementsAre(1, 2, 3, 4));
  const auto third = [](auto* tag, const char* value) {
    tag->set_key("third");
    tag->set_value(value);
  };
  EXPECT_THAT(with([&](auto& f) { third(f.add_tags(), "0"); }), ElementsAre(3, 6, 9));
  EXPECT_THAT(with([&](auto& f) {
                third(f.add_items()->add_tags(), "0");
                f.add_items()->add_types("NoteRead");
              }),
              ElementsAre(3, 5, 6, 9, 10));
  EXPECT_THAT(with([&](auto& f) {
                third(f.add_items()->add_tags(), "0");
                third(f.add_items()->add_tags(), "1");
                f.add_types("NoteRead");
              }),
              ElementsAre(10));
}

TEST_F(ReadsOverGrpc, AStreamIsReadBothWaysFromAVersionOrATimeWithACount) {
  store::v1::ReadStreamRequest request;
  request.set_stream("note-1");
  EXPECT_THAT(VersionsOf(request), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(ReadStream(request)[0].stream_version(), 4);
  request.set_version(3);
  EXPECT_THAT(VersionsOf(request), ElementsAre(3, 4));
  request.set_direction(store::v1::DIRECTION_BACKWARD);
  EXPECT_THAT(VersionsOf(request), ElementsAre(3, 2, 1, 0));
  request.set_version(99);
  request.set_max_count(2);
  EXPECT_THAT(VersionsOf(request), ElementsAre(4, 3));
  *request.mutable_time() = between_;
  EXPECT_THAT(VersionsOf(request), ElementsAre(2, 1));
  request.set_direction(store::v1::DIRECTION_FORWARD);
  EXPECT_THAT(VersionsOf(request), ElementsAre(3, 4));
  request.clear_from();
  request.add_types("NoteRead");
  EXPECT_THAT(VersionsOf(request), ElementsAre(2));
  request.set_stream("note-none");
  ASSERT_EQ(ReadStream(request).size(), 1u);
  EXPECT_EQ(ReadStream(request)[0].stream_version(), -1);
}

TEST_F(ReadsOverGrpc, ReadsRefuseWhatIsMalformedAndWhatIsNotThisLog) {
  GrpcError error;
  store::v1::ReadAllRequest all;
  all.set_partition(1);
  all.set_position(-1);
  all.set_max_count(-1);
  all.mutable_filter()->add_categories("No");
  all.mutable_filter()->set_stream("note");
  all.mutable_filter()->add_tags()->set_value("no key");
  ReadAll(all, &error);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_EQ(error.field_violations, 6) << error.message;
  all.Clear();
  all.set_position(11);
  ReadAll(all, &error);
  EXPECT_EQ(error.code, grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(error.reason, "LOG_DIVERGED");
  EXPECT_EQ(error.metadata.at("head"), "10");
  all.Clear();
  all.mutable_filter()->add_types("A");
  all.mutable_filter()->add_items()->add_types("B");
  ReadAll(all, &error);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  store::v1::ReadStreamRequest stream;
  stream.set_stream("nonsense");
  stream.set_version(-1);
  ReadStream(stream, &error);
  EXPECT_EQ(error.field_violations, 2);
}

TEST_F(ReadsOverGrpc, HeadAndStreamsAreToldAndStreamsListedByPage) {
  store::v1::GetHeadResponse head;
  ASSERT_TRUE(stub_->GetHead(NewContext().get(), {}, &head).ok());
  EXPECT_EQ(head.position(), 10);
  EXPECT_EQ(head.chain(), ReadAll({})[0].events(9).chain());
  EXPECT_EQ(head.store_id().size(), 36u);
  store::v1::GetStreamRequest get;
  get.set_stream("note-1");
  store::v1::GetStreamResponse stream;
  ASSERT_TRUE(stub_->GetStream(NewContext().get(), get, &stream).ok());
  EXPECT_TRUE(stream.exists());
  EXPECT_EQ(stream.version(), 4);
  get.set_stream("note-none");
  ASSERT_TRUE(stub_->GetStream(NewContext().get(), get, &stream).ok());
  EXPECT_FALSE(stream.exists());
  EXPECT_EQ(stream.version(), -1);
  for (int i = 2; i <= 5; ++i) Appended(AppendTo("note-" + std::to_string(i)));
  store::v1::ListStreamsRequest list;
  list.set_category("note");
  list.set_page_size(2);
  std::vector<std::string> names;
  do {
    store::v1::ListStreamsResponse page;
    ASSERT_TRUE(stub_->ListStreams(NewContext().get(), list, &page).ok());
    for (const auto& listed : page.streams()) names.push_back(listed.stream());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_THAT(names, ElementsAre("note-1", "note-2", "note-3", "note-4", "note-5"));
  list.set_page_token("nonsense");
  store::v1::ListStreamsResponse page;
  EXPECT_EQ(ErrorOf(stub_->ListStreams(NewContext().get(), list, &page)).reason,
            "INVALID_PAGE_TOKEN");
  list.set_category("No");
  EXPECT_EQ(ErrorOf(stub_->ListStreams(NewContext().get(), list, &page)).reason, "INVALID_FIELDS");
  get.set_stream("nonsense");
  EXPECT_EQ(ErrorOf(stub_->GetStream(NewContext().get(), get, &stream)).reason, "INVALID_FIELDS");
}

TEST_F(StoreOverGrpc, SubscribersUnderLoadGetEveryEventOnce) {
  constexpr int kWriters = 4, kAppends = 100, kEvents = 5;
  constexpr int kAll = kWriters * kAppends * kEvents;
  store::v1::SubscribeRequest whole, category;
  category.mutable_filter()->add_categories("note");
  {
    std::vector<std::jthread> threads;
    for (int writer = 0; writer < kWriters; ++writer) {
      threads.emplace_back([this, writer] {
        for (int i = 0; i < kAppends; ++i)
          Appended(
              AppendTo((writer % 2 == 0 ? "note-" : "list-") + std::to_string(writer), kEvents));
      });
    }
    for (const store::v1::SubscribeRequest& request : {whole, category, whole}) {
      threads.emplace_back([this, request] {
        Subscriber subscriber(*stub_, request);
        EXPECT_TRUE(subscriber.ReadEvents(request.has_filter() ? kAll / 2 : kAll));
      });
    }
  }
}

TEST_F(StoreOverGrpc, ASubscriptionIsRefusedOrEndedWithReasons) {
  const auto refusal = [&](const store::v1::SubscribeRequest& request) {
    const auto context = NewContext();
    auto reader = stub_->Subscribe(context.get(), request);
    store::v1::SubscribeResponse message;
    while (reader->Read(&message)) {
    }
    return ErrorOf(reader->Finish());
  };
  store::v1::SubscribeRequest beyond;
  beyond.set_after_position(1);
  EXPECT_EQ(refusal(beyond).reason, "LOG_DIVERGED");
  store::v1::SubscribeRequest malformed;
  malformed.set_partition(2);
  malformed.set_after_chain("short");
  const GrpcError error = refusal(malformed);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_EQ(error.field_violations, 3);
  store::v1::SubscribeRequest unknown;
  unknown.GetReflection()->MutableUnknownFields(&unknown)->AddVarint(99, 1);
  EXPECT_EQ(refusal(unknown).reason, "UNKNOWN_FIELD");

  Appended(AppendTo("note-1"));
  Subscriber open(*stub_, {});
  ASSERT_TRUE(open.ReadEvents(1));
  std::jthread stop([this] { app_->StopWriteSide(); });
  const GrpcError stopped = ErrorOf(open.End());
  EXPECT_EQ(stopped.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(stopped.reason, "STOPPING");
  EXPECT_TRUE(stopped.has_retry_info);
}

using SessionStub =
    grpc::ClientReaderWriter<store::v1::AppendSessionRequest, store::v1::AppendSessionResponse>;

TEST_F(StoreOverGrpc, ASessionPipelinesAppendsAndAnswersEachByItsId) {
  constexpr int kMessages = 200, kEach = 50;
  const auto context = NewContext(absl::Seconds(60));
  const std::unique_ptr<SessionStub> session = stub_->AppendSession(context.get());
  std::set<std::uint64_t> answered;
  int refused = 0, messages = 0;
  std::jthread reading([&] {
    store::v1::AppendSessionResponse response;
    for (; session->Read(&response); ++messages) {
      for (const store::v1::SessionResult& result : response.results()) {
        EXPECT_TRUE(answered.insert(result.id()).second) << "answered twice";
        if (!result.has_error()) continue;
        ++refused;
        EXPECT_EQ(
            ErrorOf(grpc::Status(static_cast<grpc::StatusCode>(result.error().code()),
                                 result.error().message(), result.error().SerializeAsString()))
                .reason,
            "VERSION_CONFLICT");
      }
    }
  });
  std::uint64_t id = 0;
  for (int m = 0; m < kMessages; ++m) {
    store::v1::AppendSessionRequest request;
    for (int i = 0; i < kEach; ++i) {
      store::v1::SessionAppend& append = *request.add_appends();
      append.set_id(++id);
      *append.mutable_append() = AppendTo("note-" + std::to_string(i));
      auto* check = append.mutable_append()->add_checks();
      check->set_stream("note-" + std::to_string(i));
      // Each stands on the one before, which is in flight; the last of each message is stale.
      check->set_exact(i + 1 < kEach ? m - 1 : m);
      if (m == 0) check->mutable_no_stream();
    }
    ASSERT_TRUE(session->Write(request));
  }
  session->WritesDone();
  reading.join();
  EXPECT_TRUE(session->Finish().ok());
  EXPECT_EQ(answered.size(), static_cast<std::size_t>(kMessages) * kEach);
  EXPECT_EQ(refused, kMessages - 1);
  EXPECT_LT(messages, kMessages * kEach / 2) << "answers are coalesced";
}

TEST_F(StoreOverGrpc, ASessionThatSendsNonsenseEndsWithItsReason) {
  const auto context = NewContext();
  const std::unique_ptr<SessionStub> session = stub_->AppendSession(context.get());
  store::v1::AppendSessionRequest request;
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(99, 1);
  session->Write(request);
  store::v1::AppendSessionResponse response;
  EXPECT_FALSE(session->Read(&response));
  EXPECT_EQ(ErrorOf(session->Finish()).reason, "UNKNOWN_FIELD");
}

TEST_F(StoreOverGrpc, AStoppingServerAnswersASessionsAppendsAndEndsIt) {
  const auto context = NewContext();
  const std::unique_ptr<SessionStub> session = stub_->AppendSession(context.get());
  store::v1::AppendSessionRequest request;
  request.add_appends()->set_id(7);
  *request.mutable_appends(0)->mutable_append() = AppendTo("note-1");
  ASSERT_TRUE(session->Write(request));
  store::v1::AppendSessionResponse response;
  ASSERT_TRUE(session->Read(&response));
  EXPECT_EQ(response.results(0).id(), 7u);
  std::jthread stop([this] { app_->StopWriteSide(); });
  EXPECT_FALSE(session->Read(&response));
  EXPECT_EQ(ErrorOf(session->Finish()).reason, "STOPPING");
}

}  // namespace
}  // namespace leftfold
