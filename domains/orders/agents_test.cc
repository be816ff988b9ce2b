#include "domains/orders/agents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "domains/orders/test_events.h"
#include "testing/given.h"

namespace leftfold::orders {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AgentsTest : public ::testing::Test {
 protected:
  template <class Event>
  void Of(const std::string& agent_id, const std::string& text = "") {
    view_.Fold(agent_id, Parse<Event>(text));
  }
  template <class Event>
  void OfOrder(const Event& event) {
    view_.FoldOf("order", "o1", event);
  }
  void Register(const std::string& agent_id) {
    Of<v1::AgentRegistered>(agent_id, R"(name: "Ann")");
  }
  void Reserve(const std::string& agent_id) {
    Of<v1::AgentReserved>(agent_id, R"(order_id: "o1")");
  }
  v1::Agent Shown(const std::string& agent_id = "ann") {
    return view_.With(
        [&](ReadTx& tx) { return Agents::Answer(all_, agent_id, tx).value().agent(); });
  }
  absl::StatusOr<v1::GetAgentJobResponse> Job() { return view_.Ask(get_job_); }
  v1::JobState JobState() { return Job()->job().state(); }
  std::vector<std::string> List(const v1::ListAgentsRequest& query) {
    std::vector<std::string> ids;
    const auto answer = view_.Ask(query);
    for (const v1::Agent& agent : answer->agents()) ids.push_back(agent.agent_id());
    next_ = answer->next_page_token();
    return ids;
  }

  testing::ViewFixture<Agents> view_{"agent"};
  const v1::WatchAgentsRequest all_;
  const v1::WatchAgentsRequest free_ = Parse<v1::WatchAgentsRequest>("status: AGENT_STATUS_FREE");
  const v1::GetAgentJobRequest get_job_ = Parse<v1::GetAgentJobRequest>(R"(agent_id: "ann")");
  const v1::WatchAgentJobRequest watch_job_ = Parse<v1::WatchAgentJobRequest>(R"(agent_id: "ann")");
  std::string next_;
};

TEST_F(AgentsTest, AnAgentIsShownWithTotals) {
  Register("ann");
  EXPECT_EQ(Shown().status(), v1::AGENT_STATUS_OFFLINE);
  Of<v1::AgentWentOnline>("ann");
  EXPECT_EQ(Shown().status(), v1::AGENT_STATUS_FREE);
  for (const char* reason : {"DELIVERED", "DELIVERED", "DELIVERY_FAILED", "NOT_NEEDED"}) {
    Reserve("ann");
    EXPECT_EQ(Shown().status(), v1::AGENT_STATUS_BUSY);
    EXPECT_EQ(Shown().order_id(), "o1");
    Of<v1::AgentReleased>("ann", std::string("reason: RELEASE_REASON_") + reason);
  }
  const auto expected = Parse<v1::Agent>(R"(
    agent_id: "ann" version: 9 name: "Ann" status: AGENT_STATUS_FREE orders: 4 delivered: 2
    failed: 1)");
  EXPECT_EQ(Shown().DebugString(), expected.DebugString());
  Of<v1::AgentWentOffline>("ann");
  EXPECT_EQ(Shown().status(), v1::AGENT_STATUS_OFFLINE);
}

TEST_F(AgentsTest, EveryEventOfAnAgentTouchesItAndRaisesTheVersion) {
  Register("ann");
  std::int64_t version = 0;
  Types<v1::AgentWentOnline, v1::AgentWentOffline, v1::AgentReserved, v1::AgentReleased>::ForEach(
      [&]<class Event>() {
        view_.TakeTouched();
        Of<Event>("ann");
        EXPECT_THAT(view_.TakeTouched(), ElementsAre("ann")) << Event::descriptor()->name();
        EXPECT_EQ(Shown().version(), ++version);
      });
}

TEST_F(AgentsTest, AJobGoesFromReservedToDelivered) {
  Register("ann");
  OfOrder(Placed());
  EXPECT_FALSE(Job()->has_job());
  OfOrder(Parse<v1::OrderApproved>("ready_at { seconds: 1767229200 }"));
  Reserve("ann");
  auto expected = Parse<v1::AgentJob>(R"(
    order_id: "o1" state: JOB_STATE_RESERVED restaurant_id: "roma" customer_id: "ada"
    address: "1 Mill Lane" lines { item_id: "pizza" qty: 2 } lines { item_id: "cola" qty: 1 }
    ready_at { seconds: 1767229200 })");
  EXPECT_EQ(Job()->job().DebugString(), expected.DebugString());
  view_.TakeTouched();
  OfOrder(OfAgent<v1::AgentAssigned>("ann"));
  EXPECT_EQ(JobState(), v1::JOB_STATE_TO_PICK_UP);
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("ann"));
  OfOrder(OfAgent<v1::FoodPickedUp>("ann"));
  EXPECT_EQ(JobState(), v1::JOB_STATE_TO_DELIVER);
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("ann"));
  OfOrder(OfAgent<v1::OrderDelivered>("ann"));
  EXPECT_FALSE(Job()->has_job());
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("ann"));
}

TEST_F(AgentsTest, AnAgentWhoLostTheOrderHasNoJobAndAnotherHas) {
  Register("ann");
  Register("bob");
  OfOrder(Placed());
  Reserve("bob");
  OfOrder(OfAgent<v1::AgentAssigned>("bob"));
  view_.TakeTouched();
  OfOrder(OfAgent<v1::AgentUnassigned>("bob"));
  EXPECT_THAT(view_.TakeTouched(), ElementsAre("bob"));
  Of<v1::AgentReleased>("bob", "reason: RELEASE_REASON_UNASSIGNED");
  Reserve("ann");
  EXPECT_EQ(JobState(), v1::JOB_STATE_RESERVED);
  EXPECT_FALSE(view_.Ask(Parse<v1::GetAgentJobRequest>(R"(agent_id: "bob")"))->has_job());
}

TEST_F(AgentsTest, WhateverEndsTheOrderEndsTheJob) {
  Register("ann");
  Reserve("ann");
  Types<v1::OrderInvalidated, v1::OrderPaymentFailed, v1::OrderRejected, v1::ApprovalTimedOut,
        v1::NoAgentAvailable, v1::OrderDelivered, v1::DeliveryFailed, v1::OrderCancelled,
        v1::OrderExpired>::ForEach([&]<class Event>() {
    OfOrder(Placed());
    OfOrder(OfAgent<v1::AgentAssigned>("ann"));
    EXPECT_TRUE(Job()->has_job());
    view_.TakeTouched();
    OfOrder(Event());
    EXPECT_FALSE(Job()->has_job()) << Event::descriptor()->name();
    EXPECT_THAT(view_.TakeTouched(), ElementsAre("ann"));
    OfOrder(Event());
    EXPECT_THAT(view_.TakeTouched(), IsEmpty());
  });
}

TEST_F(AgentsTest, AgentsAreListedInOrderByStatusAndPaged) {
  for (const char* id : {"c", "a", "b"}) Register(id);
  v1::ListAgentsRequest query;
  query.set_page_size(2);
  EXPECT_THAT(List(query), ElementsAre("a", "b"));
  query.set_page_token(next_);
  EXPECT_THAT(List(query), ElementsAre("c"));
  EXPECT_EQ(next_, "");
  Of<v1::AgentWentOnline>("b");
  Of<v1::AgentWentOnline>("c");
  Reserve("c");
  EXPECT_THAT(List(Parse<v1::ListAgentsRequest>("status: AGENT_STATUS_OFFLINE")), ElementsAre("a"));
  EXPECT_THAT(List(Parse<v1::ListAgentsRequest>("status: AGENT_STATUS_FREE")), ElementsAre("b"));
  EXPECT_THAT(List(Parse<v1::ListAgentsRequest>("status: AGENT_STATUS_BUSY")), ElementsAre("c"));
}

TEST_F(AgentsTest, AWatchHasTheAgentsOfTheStatus) {
  for (const char* id : {"c", "a", "b"}) Register(id);
  Of<v1::AgentWentOnline>("b");
  view_.With([&](ReadTx& tx) {
    EXPECT_THAT(Agents::Keys(all_, "a", 2, tx), ElementsAre("b", "c"));
    EXPECT_THAT(Agents::Keys(free_, "", 2, tx), ElementsAre("b"));
    EXPECT_TRUE(Agents::Matches(all_, "a", tx));
    EXPECT_FALSE(Agents::Matches(all_, "z", tx));
    EXPECT_TRUE(Agents::Matches(free_, "b", tx));
    EXPECT_FALSE(Agents::Matches(free_, "a", tx));
    EXPECT_TRUE(absl::IsNotFound(Agents::Answer(all_, "z", tx).status()));
  });
}

TEST_F(AgentsTest, AMissingAgentIsNotFound) {
  EXPECT_EQ(Agents::Key(watch_job_), "ann");
  for (const absl::Status& status : {Job().status(), view_.Ask(watch_job_).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ReasonOf(status), "AGENT_NOT_FOUND");
    EXPECT_EQ(MetadataOf(status, "agent_id"), "ann");
  }
}

TEST_F(AgentsTest, NothingServedWalksAWholeTable) {
  Register("ann");
  List({});
  List(Parse<v1::ListAgentsRequest>("status: AGENT_STATUS_FREE"));
  EXPECT_TRUE(Job().ok());
  EXPECT_TRUE(view_.Ask(watch_job_).ok());
  view_.With([&](ReadTx& tx) {
    Agents::Matches(free_, "ann", tx);
    EXPECT_TRUE(Agents::Answer(all_, "ann", tx).ok());
  });
  EXPECT_THAT(view_.Scans(), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
