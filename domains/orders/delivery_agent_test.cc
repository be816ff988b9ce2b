#include "domains/orders/delivery_agent.h"

#include <gtest/gtest.h>

#include <string>

#include "domains/orders/checks.h"
#include "testing/given.h"
#include "testing/parse.h"

namespace leftfold::orders {
namespace {

using testing::Given;
using testing::GoldenFold;
using testing::Parse;
using testing::Past;

v1::AgentRegistered AnnRegistered() { return Parse<v1::AgentRegistered>("name: 'Ann'"); }

template <class Message>
Message OfOrder(const std::string& order_id) {
  Message message;
  message.set_order_id(order_id);
  return message;
}

v1::ReleaseAgentRequest Release(const std::string& order_id) {
  auto command = OfOrder<v1::ReleaseAgentRequest>(order_id);
  command.set_reason(v1::RELEASE_REASON_DELIVERED);
  return command;
}

Past<DeliveryAgent> Offline() { return Given<DeliveryAgent>(AnnRegistered()); }
Past<DeliveryAgent> Online() {
  return Given<DeliveryAgent>(AnnRegistered(), v1::AgentWentOnline());
}
Past<DeliveryAgent> Reserved() {
  return Given<DeliveryAgent>(AnnRegistered(), v1::AgentWentOnline(),
                              OfOrder<v1::AgentReserved>("o1"));
}

TEST(DeliveryAgent, IsRegisteredOnce) {
  auto command = Parse<v1::RegisterAgentRequest>("name: 'Ann'");
  Given<DeliveryAgent>().When(command).Then(AnnRegistered());
  const auto refusal = Offline().When(command).ThenRejected("AGENT_EXISTS");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refusal.metadata("agent_id"), "id-1");
  command.set_name("  ");
  Given<DeliveryAgent>().When(command).ThenInvalid("INVALID_NAME");
  command.set_name("a\tb");
  Given<DeliveryAgent>().When(command).ThenInvalid("INVALID_NAME");
  command.set_name(std::string(kNameBytesMax + 1, 'x'));
  Given<DeliveryAgent>().When(command).ThenInvalid("INVALID_NAME");
}

template <class Command>
void ExpectNeedsAgent(const Command& command) {
  const auto refusal = Given<DeliveryAgent>().When(command).ThenRejected("AGENT_NOT_FOUND");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(refusal.metadata("agent_id"), "id-1");
}

TEST(DeliveryAgent, CommandsNeedAnAgent) {
  ExpectNeedsAgent(v1::AgentGoOnlineRequest());
  ExpectNeedsAgent(v1::AgentGoOfflineRequest());
  ExpectNeedsAgent(OfOrder<v1::ReserveAgentRequest>("o1"));
  ExpectNeedsAgent(Release("o1"));
}

TEST(DeliveryAgent, GoesOnlineAndOfflineUnlessOnTheWay) {
  Offline().When(v1::AgentGoOnlineRequest()).Then(v1::AgentWentOnline());
  Online().When(v1::AgentGoOnlineRequest()).ThenNothing();
  Reserved().When(v1::AgentGoOnlineRequest()).ThenNothing();
  Offline().When(v1::AgentGoOfflineRequest()).ThenNothing();
  Online().When(v1::AgentGoOfflineRequest()).Then(v1::AgentWentOffline());
  const auto refusal =
      Reserved().When(v1::AgentGoOfflineRequest()).ThenRejected("AGENT_HAS_ACTIVE_DELIVERY");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(refusal.metadata("order_id"), "o1");
}

TEST(DeliveryAgent, IsKeptForOneOrderAtATime) {
  const auto reserve = OfOrder<v1::ReserveAgentRequest>("o1");
  Offline().When(reserve).ThenRejected("AGENT_OFFLINE");
  Online().When(reserve).Then(OfOrder<v1::AgentReserved>("o1"));
  Reserved().When(reserve).ThenNothing();
  const auto busy =
      Reserved().When(OfOrder<v1::ReserveAgentRequest>("o2")).ThenRejected("AGENT_BUSY");
  EXPECT_EQ(busy.metadata("order_id"), "o1");
  Given<DeliveryAgent>().When(OfOrder<v1::ReserveAgentRequest>("")).ThenInvalid("INVALID_ID");
}

TEST(DeliveryAgent, IsReleasedFromTheOrderAndFreeForTheNext) {
  const auto released = Parse<v1::AgentReleased>("order_id: 'o1' reason: RELEASE_REASON_DELIVERED");
  Online().When(Release("o1")).ThenRejected("NOT_RESERVED_FOR_ORDER");
  Reserved().When(Release("o2")).ThenRejected("NOT_RESERVED_FOR_ORDER");
  Reserved().When(Release("o1")).Then(released);
  auto free = Reserved();
  free.Add(released);
  free.When(Release("o1")).ThenRejected("NOT_RESERVED_FOR_ORDER");
  free.When(OfOrder<v1::ReserveAgentRequest>("o2")).Then(OfOrder<v1::AgentReserved>("o2"));
  free.When(v1::AgentGoOfflineRequest()).Then(v1::AgentWentOffline());
  Reserved().When(OfOrder<v1::ReleaseAgentRequest>("o1")).ThenInvalid("INVALID_RELEASE_REASON");
  Reserved().When(Release("")).ThenInvalid("INVALID_ID");
}

TEST(DeliveryAgent, ItsStatesMeanWhatTheyMeantInSnapshots) {
  GoldenFold<DeliveryAgent> fold;
  fold.Add(AnnRegistered())
      .Add(v1::AgentWentOnline())
      .Add(OfOrder<v1::AgentReserved>("o1"))
      .Add(OfOrder<v1::AgentReleased>("o1"))
      .Add(v1::AgentWentOffline());
  EXPECT_EQ(fold.Value(), "b3979bf4e2dde543")
      << "Evolve or the state has changed: bump kStateVersion, then put the new value here";
  EXPECT_EQ(DeliveryAgent::kStateVersion, 1) << "bumped: put the number and the new value here";
}

}  // namespace
}  // namespace leftfold::orders
