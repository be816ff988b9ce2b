// Consumers of a group: who gets what, and when it goes to somebody else.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/unit/consumer_fixture.h"

namespace leftfold::reacting {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ConsumersOfAGroup : public ::testing::Test {
 protected:
  ConsumersOfAGroup() {
    store::v1::ConsumerGroup group;
    group.set_name("g");
    group.mutable_filter()->add_categories("note");
    group.mutable_ack_timeout()->set_seconds(8);
    group.mutable_retry()->set_attempts(50);
    group.mutable_retry()->mutable_first_delay()->set_seconds(100);
    group.mutable_retry()->mutable_ceiling()->set_seconds(100);
    group.mutable_retry()->set_jitter(0);
    EXPECT_TRUE(w_.groups().Create(group).ok());
  }
  void Settle() { w_.scheduler().RunFor(kIntakeRestMin); }
  void RunFor(int seconds) { w_.scheduler().RunFor(absl::Seconds(seconds)); }
  static std::string Only(const Client& client) {
    EXPECT_THAT(client.held, SizeIs(1));
    return client.held.empty() ? "" : client.held.begin()->first;
  }
  store::v1::GroupStatus Status() { return w_.groups().List().front(); }

  ConsumerWorld w_{1};
};

TEST_F(ConsumersOfAGroup, AnExtendedDeliveryIsNotTakenAway) {
  const auto client = w_.Connect(1);
  w_.Append("note-a");
  Settle();
  const std::string id = Only(*client);
  ConsumeRequest extend;
  extend.mutable_extend()->add_delivery_ids(id);
  for (int i = 0; i < 5; ++i) {
    RunFor(7);
    client->Say(extend);
    Settle();
  }
  client->Ack(id);
  Settle();
  EXPECT_THAT(client->settled, ElementsAre(id));
  EXPECT_THAT(client->refused, IsEmpty());
  EXPECT_EQ(Status().retries(), 0);
  client->Say(extend);
  Settle();
  EXPECT_THAT(client->refused, ElementsAre(id));
}

TEST_F(ConsumersOfAGroup, AnAnswerThatIsNotDurableWhenTheGroupBeginsAnewIsRefused) {
  const auto client = w_.Connect(1);
  w_.Append("note-a");
  Settle();
  const std::string id = Only(*client);
  client->Ack(id);
  ASSERT_TRUE(w_.scheduler().RunOne());  // It is read.
  store::v1::ResetGroupRequest request;
  request.set_group("g");
  request.set_after_position(0);
  ASSERT_TRUE(w_.groups().Reset(request).ok());
  Settle();
  EXPECT_THAT(client->refused, ElementsAre(id));
  EXPECT_THAT(client->settled, IsEmpty());
}

TEST_F(ConsumersOfAGroup, WhatIsGivenBackComesAgainAfterTheDelayThatWasAskedForElseThePolicys) {
  const auto client = w_.Connect(1);
  w_.Append("note-a");
  Settle();
  const std::string id = Only(*client);
  ConsumeRequest nack;
  nack.mutable_nack()->add_delivery_ids(id);
  nack.mutable_nack()->mutable_delay()->set_seconds(5);
  client->Say(nack);
  client->held.clear();
  RunFor(4);
  EXPECT_THAT(client->held, IsEmpty());
  RunFor(2);
  EXPECT_EQ(client->held[id], 2);
  nack.mutable_nack()->clear_delay();
  client->Say(nack);
  client->held.clear();
  RunFor(99);
  EXPECT_THAT(client->held, IsEmpty());
  RunFor(2);
  EXPECT_EQ(client->held[id], 3);
}

TEST_F(ConsumersOfAGroup, WhatIsNotAnsweredGoesToAnotherOneAtOnceWhoeverTheKeyLikes) {
  for (int i = 0; i < 20; ++i) {
    SCOPED_TRACE(i);
    const auto silent = w_.Connect(1);
    w_.Append(fmt::format("note-{}", i));
    Settle();
    const std::string id = Only(*silent);
    const auto other = w_.Connect(1);
    RunFor(7);
    EXPECT_THAT(other->held, IsEmpty());
    RunFor(3);
    EXPECT_EQ(other->held[id], 2);
    other->Ack(id);
    silent->Ack(id);
    Settle();
    EXPECT_THAT(other->settled, ElementsAre(id));
    EXPECT_THAT(silent->refused, ElementsAre(id));
    silent->Vanish();
    other->Vanish();
    Settle();
  }
}

TEST_F(ConsumersOfAGroup, OneThatDoesNotReadCostsOneMessageAndGetsNothingMore) {
  const auto stalled = w_.Connect(10);
  Settle();
  stalled->stalled = true;
  for (int i = 0; i < 30; ++i) w_.Append(fmt::format("note-{}", i));
  Settle();
  const int messages = stalled->messages;
  const auto good = w_.Connect(100);
  std::set<std::string> seen;
  for (int i = 0; i < 20; ++i) {
    RunFor(3);
    while (!good->held.empty()) {
      seen.insert(good->held.begin()->first);
      good->Ack(good->held.begin()->first);
    }
  }
  EXPECT_EQ(seen.size(), 30U);
  EXPECT_EQ(stalled->messages, messages);
  EXPECT_EQ(Status().waiting(), 0);
  const std::int64_t retries = Status().retries();
  for (int i = 0; i < 30; ++i) w_.Append(fmt::format("note-{}", i));
  RunFor(60);
  while (!good->held.empty()) good->Ack(good->held.begin()->first);
  Settle();
  EXPECT_EQ(Status().consumers(0).in_flight(), 0);
  stalled->ReadOn();
  Settle();
  w_.Append("note-x");
  good->Vanish();
  Settle();
  EXPECT_THAT(stalled->keys, ::testing::Contains("note-x"));
  EXPECT_GE(Status().retries(), retries);
}

TEST_F(ConsumersOfAGroup, WhatWaitsForOneThatDoesNotReadIsNoFailedAttemptAndNothingMoreGoesThere) {
  const auto stalled = w_.Connect(10);
  stalled->stalled = true;  // From its first message on.
  Settle();
  for (int i = 0; i < 5; ++i) w_.Append(fmt::format("note-{}", i));
  Settle();
  EXPECT_EQ(Status().consumers(0).in_flight(), 5);
  const auto good = w_.Connect(100);
  RunFor(10);
  EXPECT_THAT(good->held, SizeIs(5));
  for (const auto& [id, attempt] : good->held) EXPECT_EQ(attempt, 1) << id;
  for (int i = 10; i < 15; ++i) w_.Append(fmt::format("note-{}", i));
  Settle();
  EXPECT_THAT(good->held, SizeIs(10));
  EXPECT_EQ(stalled->messages, 1);
}

TEST_F(ConsumersOfAGroup, KeysAreSpreadOverConsumersAndStayWithThem) {
  std::vector<std::shared_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(w_.Connect(100));
  std::map<std::string, std::map<std::size_t, int>> who;
  for (int round = 0; round < 6; ++round) {
    for (int key = 0; key < 30; ++key) {
      w_.Append(fmt::format("note-{}", key));
      Settle();
      for (std::size_t i = 0; i < clients.size(); ++i) {
        while (!clients[i]->held.empty()) {
          ++who[clients[i]->keys.back()][i];
          clients[i]->Ack(clients[i]->held.begin()->first);
        }
      }
      Settle();
    }
  }
  EXPECT_THAT(who, SizeIs(30));
  for (const auto& [key, consumers] : who) EXPECT_THAT(consumers, SizeIs(1)) << key;
  for (const auto& client : clients) EXPECT_GT(client->keys.size(), 30U);
}

TEST_F(ConsumersOfAGroup, NobodyIsMuchBusierThanTheOthers) {
  std::vector<std::shared_ptr<Client>> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(w_.Connect(100));
  for (int round = 0; round < 10; ++round) {
    for (int key = 0; key < 12; ++key) w_.Append(fmt::format("note-{}.{}", round, key));
    Settle();
    for (const auto& client : clients) {
      EXPECT_LE(client->held.size(), 5U);  // 5/4 of 4.
      while (!client->held.empty()) client->Ack(client->held.begin()->first);
    }
    Settle();
  }
}

TEST_F(ConsumersOfAGroup, OneThatAnswersButDoesNotReadIsNotReadForEver) {
  const auto client = w_.Connect(1);
  Settle();
  w_.Append("note-a");
  client->stalled = true;
  Settle();
  ConsumeRequest nonsense;
  for (int i = 0; i < 100; ++i) nonsense.mutable_ack()->add_delivery_ids("nonsense");
  for (int i = 0; i < 100; ++i) client->Say(nonsense);
  Settle();
  EXPECT_GT(client->unread(), 80U);
  client->ReadOn();
  Settle();
  EXPECT_EQ(client->refused.size(), 10'000U);
}

TEST_F(ConsumersOfAGroup, ClosingLetsWhatWasAnsweredBecomeDurableFirst) {
  const auto client = w_.Connect(2);
  w_.Append("note-a");
  w_.Append("note-b");
  Settle();
  ASSERT_THAT(client->held, SizeIs(2));
  const std::string id = client->held.begin()->first;
  client->Ack(id);
  client->Close();
  Settle();
  EXPECT_TRUE(client->finished);
  EXPECT_TRUE(client->end.ok()) << client->end;
  EXPECT_THAT(client->settled, ElementsAre(id));
  EXPECT_EQ(Status().waiting(), 1);
  EXPECT_EQ(Status().in_flight(), 0);
}

TEST_F(ConsumersOfAGroup, ThereIsALimitOfConsumers) {
  std::vector<std::shared_ptr<Client>> clients;
  for (std::size_t i = 0; i < kConsumersMax; ++i) clients.push_back(w_.Connect(1));
  const auto client = std::make_shared<Client>(w_.scheduler().Pool(), nullptr);
  EXPECT_EQ(ReasonOf(w_.consumers().Open(client).status()), "TOO_MANY_SESSIONS");
  clients.front()->Vanish();
  Settle();
  EXPECT_TRUE(w_.consumers().Open(client).ok());
  for (const auto& other : clients) other->Vanish();
  Settle();
}

}  // namespace
}  // namespace leftfold::reacting
