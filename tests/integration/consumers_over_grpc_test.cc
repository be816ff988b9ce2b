// Consumer groups over real gRPC on real files: what a client sees of every RPC, and its errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "reactor/consumer_group.h"
#include "reactor/consumers.h"
#include "server/app.h"
#include "testing/consumer_client.h"
#include "testing/grpc_error.h"
#include "testing/store_client.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"

namespace leftfold {
namespace {

using testing::ConsumerClient;
using ::testing::ElementsAre;
using testing::ErrorOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::NewContext;
using ::testing::UnorderedElementsAre;

class ConsumersOverGrpc : public ::testing::Test {
 protected:
  ConsumersOverGrpc() {
    RegisterAllDomains(registry_);
    Start();
  }
  void Start() {
    app_ = testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
    const auto channel =
        grpc::CreateChannel(app_->write_address(), grpc::InsecureChannelCredentials());
    stub_ = store::v1::ConsumerService::NewStub(channel);
    log_ = store::v1::EventStoreService::NewStub(channel);
  }
  void Restart() {
    app_->Stop();
    app_.reset();
    Start();
  }

  // Returns the position of the last event.
  std::int64_t Append(const std::string& stream, int events = 1) {
    store::v1::AppendResponse response;
    const auto context = NewContext();
    const grpc::Status status =
        log_->Append(context.get(), testing::AppendTo(stream, events), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.receipt().position();
  }
  // Of notes, with short delays.
  static store::v1::ConsumerGroup Notes(const std::string& name = "notes") {
    store::v1::ConsumerGroup group;
    group.set_name(name);
    group.mutable_filter()->add_categories("note");
    group.mutable_retry()->mutable_first_delay()->set_nanos(1'000'000);
    group.mutable_retry()->set_attempts(2);
    return group;
  }
  grpc::Status Create(const store::v1::ConsumerGroup& group) {
    store::v1::CreateGroupRequest request;
    *request.mutable_group() = group;
    store::v1::CreateGroupResponse response;
    return stub_->CreateGroup(NewContext().get(), request, &response);
  }
  grpc::Status Delete(const std::string& group) {
    store::v1::DeleteGroupRequest request;
    request.set_group(group);
    store::v1::DeleteGroupResponse response;
    return stub_->DeleteGroup(NewContext().get(), request, &response);
  }
  grpc::Status Reset(const store::v1::ResetGroupRequest& request) {
    store::v1::ResetGroupResponse response;
    return stub_->ResetGroup(NewContext().get(), request, &response);
  }
  std::vector<store::v1::GroupStatus> List() {
    store::v1::ListGroupsResponse response;
    const grpc::Status status = stub_->ListGroups(NewContext().get(), {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.groups().begin(), response.groups().end()};
  }
  std::vector<store::v1::ListParkedResponse::Parked> Parked() {
    store::v1::ListParkedRequest request;
    request.set_group("notes");
    store::v1::ListParkedResponse response;
    const grpc::Status status = stub_->ListParked(NewContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.deliveries().begin(), response.deliveries().end()};
  }
  grpc::Status Open(const std::string& group, int window, const std::string& name = "c") {
    return ConsumerClient(*stub_, group, window, name).Rest();
  }
  static std::string What(const ConsumerClient::Delivery& delivery) {
    return fmt::format("{} {}", delivery.event().stream(), delivery.event().json());
  }

  testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<store::v1::ConsumerService::Stub> stub_;
  std::unique_ptr<store::v1::EventStoreService::Stub> log_;
};

TEST_F(ConsumersOverGrpc, AGroupGoesOnBehindWhatWasAcknowledgedAlsoAfterARestart) {
  ASSERT_TRUE(Create(Notes()).ok());
  Append("note-a", 3);
  {
    ConsumerClient consumer(*stub_, "notes", 10);
    const auto first = consumer.Next();
    EXPECT_EQ(What(first), "note-a 0");
    EXPECT_EQ(first.attempt(), 1);
    EXPECT_EQ(first.key(), "note-a");
    consumer.Ack(first.delivery_id());
    EXPECT_TRUE(consumer.AwaitSettled(1));
    EXPECT_THAT(consumer.settled(), ElementsAre(first.delivery_id()));
    EXPECT_EQ(What(consumer.Next()), "note-a 1");
  }
  Restart();
  ConsumerClient consumer(*stub_, "notes", 10);
  for (const char* json : {"1", "2"}) {
    const auto next = consumer.Next();
    EXPECT_EQ(What(next), fmt::format("note-a {}", json));
    EXPECT_EQ(next.attempt(), 1);
    consumer.Ack(next.delivery_id());
  }
  EXPECT_TRUE(consumer.CloseAndFinish().ok());
  EXPECT_EQ(consumer.settled().size(), 2U);
  ASSERT_EQ(List().size(), 1U);
  while (List()[0].waiting() > 0) {  // Told a moment after the answer is settled.
  }
}

TEST_F(ConsumersOverGrpc, OneEventOfAStreamIsUnderWayAndStreamsGoSideBySideOverAllConsumers) {
  ASSERT_TRUE(Create(Notes()).ok());
  ConsumerClient one(*stub_, "notes", 1, "one");
  ConsumerClient two(*stub_, "notes", 1, "two");
  Append("note-a", 2);
  Append("note-b", 2);
  ConsumerClient::Delivery of_one = one.Next();
  ConsumerClient::Delivery of_two = two.Next();
  EXPECT_THAT((std::set<std::string>{What(of_one), What(of_two)}),
              UnorderedElementsAre("note-a 0", "note-b 0"));
  const store::v1::GroupStatus status = List().front();
  EXPECT_EQ(status.in_flight(), 2);
  EXPECT_EQ(status.waiting(), 4);
  ASSERT_EQ(status.consumers_size(), 2);
  EXPECT_EQ(status.consumers(0).name(), "one");
  EXPECT_EQ(status.consumers(1).in_flight(), 1);
  // What one holds goes to the other when it vanishes, as the attempt that it was.
  two.End();
  one.Ack(of_one.delivery_id());
  std::vector<std::string> seen = {What(of_one)};
  for (int i = 0; i < 3; ++i) {
    const auto next = one.Next();
    EXPECT_EQ(next.attempt(), 1);
    seen.push_back(What(next));
    one.Ack(next.delivery_id());
  }
  EXPECT_THAT(seen, UnorderedElementsAre("note-a 0", "note-a 1", "note-b 0", "note-b 1"));
}

TEST_F(ConsumersOverGrpc, WhatFailsIsDeliveredAgainThenParkedWithWhatComesAfterUntilItIsReplayed) {
  ASSERT_TRUE(Create(Notes()).ok());
  Append("note-a", 2);
  ConsumerClient consumer(*stub_, "notes", 10);
  auto delivery = consumer.Next();
  consumer.Nack(delivery.delivery_id(), "not now");
  delivery = consumer.Next();
  EXPECT_EQ(What(delivery), "note-a 0");
  EXPECT_EQ(delivery.attempt(), 2);
  consumer.Nack(delivery.delivery_id(), "never");
  EXPECT_TRUE(consumer.AwaitSettled(2));
  Append("note-b");
  delivery = consumer.Next();
  EXPECT_EQ(What(delivery), "note-b 0");
  consumer.Park(delivery.delivery_id(), "ugly");
  EXPECT_TRUE(consumer.AwaitSettled(3));

  auto parked = Parked();
  ASSERT_EQ(parked.size(), 2U);
  EXPECT_EQ(parked[0].delivery().key(), "note-a");
  EXPECT_EQ(parked[0].delivery().error(), "never");
  EXPECT_EQ(parked[0].delivery().attempts(), 2);
  EXPECT_EQ(parked[1].delivery().error(), "ugly");
  EXPECT_EQ(List()[0].parked_keys(), 2);

  store::v1::SkipParkedRequest skip;
  skip.set_group("notes");
  skip.set_delivery_id(parked[1].delivery().delivery_id());
  skip.set_why("ugly it is");
  store::v1::SkipParkedResponse skipped;
  EXPECT_TRUE(stub_->SkipParked(NewContext().get(), skip, &skipped).ok());
  EXPECT_GT(skipped.position(), 0);
  store::v1::ReplayParkedRequest replay;
  replay.set_group("notes");
  replay.set_key("note-a");
  store::v1::ReplayParkedResponse replayed;
  EXPECT_TRUE(stub_->ReplayParked(NewContext().get(), replay, &replayed).ok());
  EXPECT_EQ(replayed.keys(), 1);
  for (const char* what : {"note-a 0", "note-a 1"}) {
    delivery = consumer.Next();
    EXPECT_EQ(What(delivery), what);
    EXPECT_EQ(delivery.attempt(), 1);
    consumer.Ack(delivery.delivery_id());
  }
  EXPECT_TRUE(consumer.AwaitSettled(5));
  EXPECT_THAT(Parked(), IsEmpty());
  replay.set_key("note-b");
  EXPECT_EQ(ErrorOf(stub_->ReplayParked(NewContext().get(), replay, &replayed)).reason,
            "NOT_PARKED");
}

TEST_F(ConsumersOverGrpc, AnOperatorWhoNamesNoKeyOfAReactorTriesAllAgain) {
  ASSERT_TRUE(Create(Notes()).ok());
  Append("note-a");
  Append("note-b");
  ConsumerClient consumer(*stub_, "notes", 10);
  for (int i = 0; i < 2; ++i) consumer.Park(consumer.Next().delivery_id(), "ugly");
  EXPECT_TRUE(consumer.AwaitSettled(2));
  const auto reactors = admin::v1::ReactorService::NewStub(
      grpc::CreateChannel(app_->admin_address(), grpc::InsecureChannelCredentials()));
  admin::v1::RetryParkedDeliveriesRequest retry;
  retry.set_reactor(List()[0].reactor());
  retry.set_by("ada");
  admin::v1::RetryParkedDeliveriesResponse retried;
  ASSERT_TRUE(reactors->RetryParkedDeliveries(NewContext().get(), retry, &retried).ok());
  EXPECT_EQ(retried.keys(), 2);
  EXPECT_GT(retried.position(), 0);
  std::vector<std::string> again;
  for (int i = 0; i < 2; ++i) {
    const auto delivery = consumer.Next();
    again.push_back(What(delivery));
    consumer.Ack(delivery.delivery_id());
  }
  EXPECT_THAT(again, UnorderedElementsAre("note-a 0", "note-b 0"));
  EXPECT_TRUE(consumer.AwaitSettled(4));
  EXPECT_THAT(Parked(), IsEmpty());
  ASSERT_TRUE(reactors->RetryParkedDeliveries(NewContext().get(), retry, &retried).ok());
  EXPECT_EQ(retried.keys(), 0);
  EXPECT_EQ(retried.position(), 0);
}

TEST_F(ConsumersOverGrpc, WhatIsNotAnsweredInTimeGoesToAnotherConsumer) {
  store::v1::ConsumerGroup group = Notes();
  group.mutable_ack_timeout()->set_nanos(100'000'000);
  group.mutable_retry()->set_attempts(100);
  ASSERT_TRUE(Create(group).ok());
  Append("note-a");
  ConsumerClient silent(*stub_, "notes", 1, "silent");
  const auto first = silent.Next();
  ConsumerClient other(*stub_, "notes", 1, "other");
  for (std::size_t tries = 1; other.settled().empty(); ++tries) {  // It may be too slow itself.
    const auto again = other.Next();
    ASSERT_EQ(again.delivery_id(), first.delivery_id());
    EXPECT_GE(again.attempt(), 2);
    other.Ack(again.delivery_id());
    ASSERT_TRUE(other.AwaitAnswers(tries));
  }
  silent.Ack(first.delivery_id());
  ASSERT_TRUE(silent.AwaitRefused());
  EXPECT_THAT(silent.refused()[0].error().message(), HasSubstr("was too late"));
}

TEST_F(ConsumersOverGrpc, AResetDeliversAgainAndAConsumerStays) {
  ASSERT_TRUE(Create(Notes()).ok());
  const std::int64_t first = Append("note-a");
  Append("note-a");
  ConsumerClient consumer(*stub_, "notes", 10);
  auto delivery = consumer.Next();
  consumer.Ack(delivery.delivery_id());
  delivery = consumer.Next();
  EXPECT_EQ(What(delivery), "note-a 0");  // Each append of one event is "0".

  store::v1::ResetGroupRequest request;
  request.set_group("notes");
  request.set_after_position(first);
  ASSERT_TRUE(Reset(request).ok());
  consumer.Ack(delivery.delivery_id());
  EXPECT_TRUE(consumer.AwaitRefused());
  const auto again = consumer.Next();
  EXPECT_EQ(again.event().position(), first + 1);
  EXPECT_NE(again.delivery_id(), delivery.delivery_id());
  consumer.Ack(again.delivery_id());
  EXPECT_TRUE(consumer.AwaitSettled(2));

  request.clear_start();
  ASSERT_TRUE(Reset(request).ok());
  EXPECT_EQ(consumer.Next().event().position(), first);
  Restart();
  ConsumerClient later(*stub_, "notes", 10);
  EXPECT_EQ(later.Next().event().position(), first);
}

TEST_F(ConsumersOverGrpc, AGroupBeginsWhereItIsToldAndKeepsTheWholeLogInOrder) {
  const std::int64_t before = Append("note-a");
  store::v1::ConsumerGroup group = Notes("after");
  group.set_after_position(before);
  group.set_key(store::v1::ConsumerGroup::KEY_LOG);
  ASSERT_TRUE(Create(group).ok());
  group = Notes("end");
  group.mutable_end();
  group.set_key(store::v1::ConsumerGroup::KEY_EVENT);
  ASSERT_TRUE(Create(group).ok());
  Append("note-b", 2);
  Append("list-1");
  Append("note-c");
  {
    ConsumerClient consumer(*stub_, "after", 10);
    for (const char* what : {"note-b 0", "note-b 1", "note-c 0"}) {
      const auto delivery = consumer.Next();
      EXPECT_EQ(What(delivery), what);
      EXPECT_EQ(List()[0].in_flight(), 1);
      consumer.Ack(delivery.delivery_id());
    }
  }
  ConsumerClient consumer(*stub_, "end", 10);
  EXPECT_THAT((std::vector<std::string>{What(consumer.Next()), What(consumer.Next()),
                                        What(consumer.Next())}),
              UnorderedElementsAre("note-b 0", "note-b 1", "note-c 0"));
}

TEST_F(ConsumersOverGrpc, CreatingIsRepeatableWithTheSameSettingsOnly) {
  ASSERT_TRUE(Create(Notes()).ok());
  EXPECT_TRUE(Create(Notes()).ok());
  store::v1::ConsumerGroup other = Notes();
  other.set_max_in_flight(7);
  EXPECT_EQ(ErrorOf(Create(other)).reason, "GROUP_EXISTS");
  EXPECT_EQ(ErrorOf(Create(other)).code, grpc::StatusCode::ALREADY_EXISTS);
  Restart();
  EXPECT_TRUE(Create(Notes()).ok());
  ASSERT_TRUE(Delete("notes").ok());
  EXPECT_TRUE(Create(other).ok());
  EXPECT_EQ(List().size(), 1U);
  EXPECT_EQ(List()[0].group().max_in_flight(), 7);
}

TEST_F(ConsumersOverGrpc, AllThatIsWrongWithAGroupIsNamedAtOnce) {
  store::v1::ConsumerGroup group;
  group.set_name("No");
  group.mutable_filter()->add_categories("A");
  group.set_after_position(9);
  group.set_key(static_cast<store::v1::ConsumerGroup::Key>(9));
  group.mutable_retry()->set_attempts(0);
  group.mutable_retry()->mutable_first_delay()->set_nanos(2'147'483'647);
  group.mutable_ack_timeout()->set_seconds(0);
  group.set_max_in_flight(kConsumerWindowMax + 1);
  const auto error = ErrorOf(Create(group));
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_EQ(error.field_violations, 8) << error.message;
  EXPECT_THAT(error.message, HasSubstr("group.filter.categories"));
  EXPECT_THAT(List(), IsEmpty());
}

TEST_F(ConsumersOverGrpc, ThereIsALimitOfGroups) {
  for (int i = 0; i < kGroupsMax; ++i) ASSERT_TRUE(Create(Notes(fmt::format("n{}", i))).ok());
  EXPECT_EQ(ErrorOf(Create(Notes("more"))).metadata["limit"], "kGroupsMax");
}

TEST_F(ConsumersOverGrpc, EveryRpcOfAGroupThatIsNotThereSaysSo) {
  EXPECT_EQ(ErrorOf(Delete("x")).reason, "GROUP_NOT_FOUND");
  store::v1::ResetGroupRequest reset;
  reset.set_group("x");
  EXPECT_EQ(ErrorOf(Reset(reset)).reason, "GROUP_NOT_FOUND");
  reset.set_after_position(5);
  EXPECT_EQ(ErrorOf(Reset(reset)).reason, "INVALID_FIELDS");
  store::v1::ListParkedRequest list;
  store::v1::ListParkedResponse listed;
  EXPECT_EQ(ErrorOf(stub_->ListParked(NewContext().get(), list, &listed)).reason,
            "GROUP_NOT_FOUND");
  store::v1::ReplayParkedRequest replay;
  store::v1::ReplayParkedResponse replayed;
  EXPECT_EQ(ErrorOf(stub_->ReplayParked(NewContext().get(), replay, &replayed)).reason,
            "GROUP_NOT_FOUND");
  store::v1::SkipParkedRequest skip;
  store::v1::SkipParkedResponse skipped;
  EXPECT_EQ(ErrorOf(stub_->SkipParked(NewContext().get(), skip, &skipped)).reason,
            "INVALID_FIELDS");
  skip.set_why("because");
  EXPECT_EQ(ErrorOf(stub_->SkipParked(NewContext().get(), skip, &skipped)).reason,
            "GROUP_NOT_FOUND");
  EXPECT_EQ(ErrorOf(Open("x", 1)).reason, "GROUP_NOT_FOUND");
}

TEST_F(ConsumersOverGrpc, AConsumerThatSaysWhatMakesNoSenseEndsWithWhy) {
  ASSERT_TRUE(Create(Notes()).ok());
  EXPECT_THAT(ErrorOf(Open("notes", 0)).message, HasSubstr("open.window"));
  EXPECT_THAT(ErrorOf(Open("notes", kConsumerWindow + 1)).message, HasSubstr("open.window"));
  EXPECT_THAT(ErrorOf(Open("notes", 1, "")).message, HasSubstr("open.consumer"));
  EXPECT_THAT(ErrorOf(Open("notes", 1, std::string(65, 'c'))).message, HasSubstr("open.consumer"));
  {
    ConsumerClient consumer(*stub_);
    consumer.Ack("a");
    EXPECT_THAT(ErrorOf(consumer.Rest()).message, HasSubstr("open"));
  }
  const auto end_of = [this](const store::v1::ConsumeRequest& request) {
    ConsumerClient consumer(*stub_, "notes", 1);
    EXPECT_TRUE(consumer.opened());
    consumer.Send(request);
    const auto error = ErrorOf(consumer.Rest());
    EXPECT_EQ(error.reason, "INVALID_FIELDS");
    return error.message;
  };
  store::v1::ConsumeRequest request;
  EXPECT_THAT(end_of(request), HasSubstr("content"));
  request.mutable_open()->set_group("notes");
  EXPECT_THAT(end_of(request), HasSubstr("must be the first message only"));
  request.mutable_nack()->mutable_delay()->set_seconds(-1);
  EXPECT_THAT(end_of(request), HasSubstr("nack.delay"));
  request.mutable_park()->set_reason(std::string(kConsumeReasonBytesMax + 1, 'r'));
  EXPECT_THAT(end_of(request), HasSubstr("park.reason"));
  for (int i = 0; i <= kConsumeIdsMax; ++i) request.mutable_extend()->add_delivery_ids("a");
  EXPECT_THAT(end_of(request), HasSubstr("extend.delivery_ids"));
  EXPECT_THAT(List()[0].consumers(), IsEmpty());
}

TEST_F(ConsumersOverGrpc, AnAnswerForWhatIsNotHeldIsRefusedAndTheRestGoesOn) {
  ASSERT_TRUE(Create(Notes()).ok());
  Append("note-a");
  ConsumerClient consumer(*stub_, "notes", 1);
  const auto delivery = consumer.Next();
  consumer.Ack("nonsense");
  ASSERT_TRUE(consumer.AwaitRefused());
  EXPECT_EQ(consumer.refused()[0].delivery_id(), "nonsense");
  EXPECT_EQ(consumer.refused()[0].error().code(),
            static_cast<int>(grpc::StatusCode::FAILED_PRECONDITION));
  consumer.Ack(delivery.delivery_id());
  EXPECT_TRUE(consumer.AwaitSettled(1));
}

TEST_F(ConsumersOverGrpc, ADeletedGroupAndAServerThatStopsEndTheirConsumers) {
  ASSERT_TRUE(Create(Notes()).ok());
  ASSERT_TRUE(Create(Notes("others")).ok());
  ConsumerClient consumer(*stub_, "notes", 1);
  ConsumerClient other(*stub_, "others", 1);
  ASSERT_TRUE(Delete("notes").ok());
  EXPECT_EQ(ErrorOf(consumer.Rest()).reason, "GROUP_NOT_FOUND");
  app_->Stop();
  EXPECT_EQ(ErrorOf(other.Rest()).reason, "STOPPING");
}

}  // namespace
}  // namespace leftfold
