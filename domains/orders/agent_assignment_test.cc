// Who gets an order: candidates are only suggestions, and agents decide.

#include "domains/orders/agent_assignment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domains/orders/delivery_agent.h"
#include "domains/orders/test_events.h"
#include "testing/given_reactor.h"

namespace leftfold::orders {
namespace {

using testing::Doings;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class AgentAssignmentTest : public ::testing::Test {
 protected:
  Doings GoOnline(const std::string& agent) {
    return reactor.React("delivery_agent-" + agent, v1::AgentWentOnline());
  }
  template <class Event>
  Doings OfAgentAndOrder(const std::string& agent, const std::string& order) {
    Event event;
    event.set_order_id(order);
    return reactor.React("delivery_agent-" + agent, event);
  }
  // What an approval leads to, but for the begin of the search and its deadline.
  Doings Approve(const std::string& order) {
    return Rest(reactor.React("order-" + order, v1::OrderApproved()));
  }
  static Doings Rest(Doings doings) {
    EXPECT_GE(doings.size(), 2U);
    if (doings.size() >= 2) doings.erase(doings.begin(), doings.begin() + 2);
    return doings;
  }
  static v1::ReserveAgentRequest Reserve(const std::string& agent, const std::string& order) {
    return Parse<v1::ReserveAgentRequest>("agent_id: '" + agent + "' order_id: '" + order + "'");
  }
  static std::string Reserves(const std::string& agent, const std::string& order) {
    return "ReserveAgentRequest {agent_id: \"" + agent + "\" order_id: \"" + order + "\"}";
  }
  // The agent is with another order, as the log has it.
  void HoldsBusy(const std::string& agent) {
    reactor.Holds<DeliveryAgent>(agent, v1::AgentRegistered(), v1::AgentWentOnline(),
                                 Parse<v1::AgentReserved>("order_id: 'other'"));
  }
  testing::ReactorFixture<AgentAssignment> reactor;
};

TEST_F(AgentAssignmentTest, SearchesUntilTheDeadline) {
  EXPECT_THAT(reactor.React("order-o1", v1::OrderApproved()),
              ElementsAre("StartAgentSearchRequest {order_id: \"o1\" "
                          "deadline { seconds: 1767226501 }}",
                          "at +900s o1: wake"));
  EXPECT_THAT(reactor.Wake("o1"), ElementsAre("MarkNoAgentAvailableRequest {order_id: \"o1\"}"));
  EXPECT_THAT(GoOnline("bo"), IsEmpty()) << "the search is over";
}

TEST_F(AgentAssignmentTest, ReservesWhoWasFreeFirstThenAssigns) {
  GoOnline("bo");
  GoOnline("cy");
  EXPECT_THAT(Approve("o1"), ElementsAre(Reserves("bo", "o1")));
  EXPECT_THAT(reactor.Accepted(Reserve("bo", "o1")),
              ElementsAre("AssignAgentRequest {order_id: \"o1\" agent_id: \"bo\"}"));
  EXPECT_THAT(reactor.React("order-o1", OfAgent<v1::AgentAssigned>("bo")),
              ElementsAre("cancel o1"));
  EXPECT_THAT(reactor.Wake("o1"), IsEmpty());
}

TEST_F(AgentAssignmentTest, TriesTheNextOneWhenTheAgentRefuses) {
  GoOnline("bo");
  GoOnline("cy");
  Approve("o1");
  HoldsBusy("bo");
  EXPECT_THAT(reactor.Refused(Reserve("bo", "o1"), v1::ERROR_REASON_AGENT_BUSY),
              ElementsAre(Reserves("cy", "o1")));
  HoldsBusy("cy");
  EXPECT_THAT(reactor.Refused(Reserve("cy", "o1"), v1::ERROR_REASON_AGENT_BUSY), IsEmpty());
  EXPECT_THAT(reactor.Wake("o1"), ElementsAre("MarkNoAgentAvailableRequest {order_id: \"o1\" "
                                              "tried: \"bo\" tried: \"cy\"}"));
}

TEST_F(AgentAssignmentTest, TriesTheNextOneWhenAReservationIsSkippedUnlessItWasMade) {
  GoOnline("bo");
  GoOnline("cy");
  Approve("o1");
  reactor.HoldsState("delivery_agent-bo", Parse<v1::DeliveryAgentState>("online: true"));
  EXPECT_THAT(reactor.Skipped(Reserve("bo", "o1")), ElementsAre(Reserves("cy", "o1")));
  reactor.HoldsState("delivery_agent-cy",
                     Parse<v1::DeliveryAgentState>("online: true order_id: 'o1'"));
  EXPECT_THAT(reactor.Skipped(Reserve("cy", "o1")),
              ElementsAre("AssignAgentRequest {order_id: \"o1\" agent_id: \"cy\"}"));
}

TEST_F(AgentAssignmentTest, ReleasesTheAgentOfASkippedAssignmentUnlessItWasMade) {
  const auto sent = Parse<v1::AssignAgentRequest>("order_id: 'o1' agent_id: 'bo'");
  EXPECT_THAT(reactor.Skipped(sent),
              ElementsAre("ReleaseAgentRequest {agent_id: \"bo\" order_id: \"o1\" "
                          "reason: RELEASE_REASON_NOT_NEEDED}"));
  reactor.HoldsState("order-o1", Parse<v1::OrderState>("agent_id: 'bo'"));
  EXPECT_THAT(reactor.Skipped(sent), IsEmpty());
}

TEST_F(AgentAssignmentTest, GoesOnWhenSomebodyComesOnlineOrIsFreed) {
  EXPECT_THAT(Approve("o1"), IsEmpty());
  EXPECT_THAT(Approve("o2"), IsEmpty());
  EXPECT_THAT(GoOnline("bo"), ElementsAre(Reserves("bo", "o1"))) << "who searched longest";
  reactor.Accepted(Reserve("bo", "o1"));
  OfAgentAndOrder<v1::AgentReserved>("bo", "o1");
  EXPECT_THAT(OfAgentAndOrder<v1::AgentReleased>("bo", "o1"), ElementsAre(Reserves("bo", "o2")));
}

TEST_F(AgentAssignmentTest, OffersTheLastAgentToOneOfTwoOrders) {
  GoOnline("bo");
  EXPECT_THAT(Approve("o1"), ElementsAre(Reserves("bo", "o1")));
  EXPECT_THAT(Approve("o2"), IsEmpty());
}

TEST_F(AgentAssignmentTest, TriesAgainAtOnceWhenTheAgentIsFreeByNow) {
  GoOnline("bo");
  Approve("o1");
  reactor.Holds<DeliveryAgent>("bo", v1::AgentRegistered(), v1::AgentWentOnline());
  EXPECT_THAT(reactor.Refused(Reserve("bo", "o1"), v1::ERROR_REASON_AGENT_BUSY),
              ElementsAre(Reserves("bo", "o1")));
}

TEST_F(AgentAssignmentTest, FreesWhoIsNotNeeded) {
  const auto sent = Parse<v1::AssignAgentRequest>("order_id: 'o1' agent_id: 'bo'");
  EXPECT_THAT(reactor.Accepted(sent), IsEmpty());
  EXPECT_THAT(reactor.Refused(sent, v1::ERROR_REASON_NOT_AWAITING_AGENT),
              ElementsAre("ReleaseAgentRequest {agent_id: \"bo\" order_id: \"o1\" "
                          "reason: RELEASE_REASON_NOT_NEEDED}"));
}

TEST_F(AgentAssignmentTest, FindsAnotherOneWhenTheAgentDropsOut) {
  GoOnline("bo");
  Approve("o1");
  reactor.Accepted(Reserve("bo", "o1"));
  OfAgentAndOrder<v1::AgentReserved>("bo", "o1");
  reactor.React("order-o1", OfAgent<v1::AgentAssigned>("bo"));
  EXPECT_THAT(Rest(reactor.React("order-o1", OfAgent<v1::AgentUnassigned>("bo"))), IsEmpty());
  EXPECT_THAT(OfAgentAndOrder<v1::AgentReleased>("bo", "o1"), IsEmpty()) << "not the same again";
  EXPECT_THAT(Approve("o2"), ElementsAre(Reserves("bo", "o2"))) << "but for another order";
  EXPECT_THAT(GoOnline("cy"), ElementsAre(Reserves("cy", "o1")));
}

TEST_F(AgentAssignmentTest, AsksNobodyWhoIsOffline) {
  GoOnline("bo");
  reactor.React("delivery_agent-bo", v1::AgentWentOffline());
  EXPECT_THAT(Approve("o1"), IsEmpty());
  EXPECT_THAT(GoOnline("bo"), ElementsAre(Reserves("bo", "o1")));
}

// The command to reserve was parked, and an operator skipped it: no result of it comes.
TEST_F(AgentAssignmentTest, LosesNobodyWhoseReservationWasGivenUp) {
  GoOnline("bo");
  EXPECT_THAT(Approve("o1"), ElementsAre(Reserves("bo", "o1")));
  Approve("o2");
  EXPECT_THAT(reactor.Wake("o1"),
              ElementsAre("MarkNoAgentAvailableRequest {order_id: \"o1\"}", Reserves("bo", "o2")));
  EXPECT_THAT(reactor.React("order-o2", v1::NoAgentAvailable()), ElementsAre("cancel o2"));
  EXPECT_THAT(Approve("o3"), ElementsAre(Reserves("bo", "o3")));
  reactor.React("delivery_agent-bo", v1::AgentWentOffline());
  Approve("o4");
  EXPECT_THAT(GoOnline("bo"), ElementsAre(Reserves("bo", "o4")));
}

TEST_F(AgentAssignmentTest, StopsSearchingForAnOrderThatIsClosed) {
  Approve("o1");
  EXPECT_THAT(reactor.React("order-o1", v1::NoAgentAvailable()), ElementsAre("cancel o1"));
  EXPECT_THAT(GoOnline("bo"), IsEmpty());
}

}  // namespace
}  // namespace leftfold::orders
