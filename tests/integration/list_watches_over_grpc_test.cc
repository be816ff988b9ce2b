// Lists with a filter, watched over real gRPC on real files: what comes into the list, changes in
// it, leaves it and comes back.
#include <absl/strings/str_join.h>
#include <absl/time/clock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "core/registry.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/orders/v1/queries.grpc.pb.h"
#include "server/app.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using namespace orders::v1;  // NOLINT(google-build-using-namespace)
using testing::Parse;

constexpr absl::Duration kCallDeadline = absl::Seconds(60);

std::string Told(const WatchAgentsResponse& message) {
  if (!message.has_agent()) return "";
  return message.agent().agent_id() + (message.agent().status() == AGENT_STATUS_FREE ? "+" : "!");
}
std::string Told(const WatchCustomerOrdersResponse& message) {
  if (!message.has_order()) return "";
  return message.order().order_id() +
         (message.order().status() == ORDER_STATUS_CANCELLED ? "x" : "+");
}

// A client of a list, round by round.
template <class Request, class Response>
class ListClient {
 public:
  template <class Stub, class Watch>
  ListClient(Stub& stub, Watch watch, Request request, const std::string& resume) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + kCallDeadline));
    request.set_resume_position(resume);
    reader_ = (stub.*watch)(&context_, request);
    if (!resume.empty()) position_ = std::stoll(resume);
  }
  ~ListClient() { context_.TryCancel(); }

  // The next round: "all: a b", or the changes: "-b a". Sorted: their order is not promised.
  std::string Round() {
    std::set<std::string> parts;
    for (Response message; reader_->Read(&message);) {
      if (message.heartbeat()) continue;
      for (const std::string& part :
           {Told(message), message.removed_key().empty() ? "" : "-" + message.removed_key()})
        if (!part.empty()) parts.insert(part);
      if (message.position().empty()) continue;
      EXPECT_GT(std::stoll(message.position()), position_);
      position_ = std::stoll(message.position());
      return (message.snapshot_complete() ? "all: " : "") + absl::StrJoin(parts, " ");
    }
    return "it has ended: " + reader_->Finish().error_message();
  }
  std::string position() const { return std::to_string(position_); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Response>> reader_;
  std::int64_t position_ = -1;
};

class ListWatches : public ::testing::Test {
 protected:
  using Agents = ListClient<WatchAgentsRequest, WatchAgentsResponse>;
  using Orders = ListClient<WatchCustomerOrdersRequest, WatchCustomerOrdersResponse>;
  ListWatches() {
    RegisterAllDomains(registry_);
    ServeOptions options;
    options.data = folder_.path();
    options.roles = {Role::kWrite, Role::kProject, Role::kRead};
    options.write_listen = options.read_listen = options.admin_listen = "127.0.0.1:0";
    auto app = App::Start(registry_, options);
    EXPECT_TRUE(app.ok()) << app.status();
    app_ = *std::move(app);
    const auto credentials = grpc::InsecureChannelCredentials();
    const auto write = grpc::CreateChannel(app_->write_address(), credentials);
    const auto read = grpc::CreateChannel(app_->read_address(), credentials);
    agents_ = AgentCommandService::NewStub(write);
    orders_ = OrderCommandService::NewStub(write);
    agent_queries_ = AgentQueryService::NewStub(read);
    order_queries_ = OrderQueryService::NewStub(read);
    heard_agents_ = std::make_unique<Agents>(*agent_queries_, &AgentQueryService::Stub::WatchAgents,
                                             WatchAgentsRequest(), "");
    heard_orders_ =
        std::make_unique<Orders>(*order_queries_, &OrderQueryService::Stub::WatchCustomerOrders,
                                 Parse<WatchCustomerOrdersRequest>("customer_id: 'nobody'"), "");
    EXPECT_EQ(heard_agents_->Round(), "all: ");
    EXPECT_EQ(heard_orders_->Round(), "all: ");
  }

  template <class Stub, class Request, class Response>
  void Do(Stub& stub, grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
          const std::string& text) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kCallDeadline));
    Response response;
    const grpc::Status status = (stub.*rpc)(&context, Parse<Request>(text), &response);
    ASSERT_TRUE(status.ok()) << text << ": " << status.error_message();
    position_ = response.receipt().position();
  }
  void Register(const std::string& id) {
    Do(*agents_, &AgentCommandService::Stub::RegisterAgent, "agent_id: '" + id + "' name: 'Bo'");
  }
  void GoOnline(const std::string& id) {
    Do(*agents_, &AgentCommandService::Stub::AgentGoOnline, "agent_id: '" + id + "'");
  }
  void GoOffline(const std::string& id) {
    Do(*agents_, &AgentCommandService::Stub::AgentGoOffline, "agent_id: '" + id + "'");
  }
  void Place(const std::string& order, const std::string& customer) {
    Do(*orders_, &OrderCommandService::Stub::PlaceOrder,
       "order_id: '" + order + "' customer_id: '" + customer +
           "' restaurant_id: 'roma' address: 'here' lines { item_id: 'pizza' qty: 1 }");
  }
  void Cancel(const std::string& order, const std::string& customer) {
    Do(*orders_, &OrderCommandService::Stub::CancelOrder,
       "order_id: '" + order + "' customer_id: '" + customer + "'");
  }

  // Begins with all that was done so far, and is told of nothing again: who was there before has
  // heard of it.
  Agents WatchAgents(const std::string& filter, const std::string& resume = "") {
    AwaitHeard(heard_agents_);
    return Agents(*agent_queries_, &AgentQueryService::Stub::WatchAgents,
                  Parse<WatchAgentsRequest>(filter + " min_position: '" + position_ + "'"), resume);
  }
  Orders WatchOrders(const std::string& filter) {
    AwaitHeard(heard_orders_);
    return Orders(*order_queries_, &OrderQueryService::Stub::WatchCustomerOrders,
                  Parse<WatchCustomerOrdersRequest>(filter + " min_position: '" + position_ + "'"),
                  "");
  }

  template <class List>
  void AwaitHeard(List& list) {
    while (std::stoll(list->position()) < std::stoll(position_) && !HasFailure()) list->Round();
  }

  const testing::TemporaryFolder folder_;
  Registry registry_;
  std::unique_ptr<App> app_;
  std::unique_ptr<AgentCommandService::Stub> agents_;
  std::unique_ptr<OrderCommandService::Stub> orders_;
  std::unique_ptr<AgentQueryService::Stub> agent_queries_;
  std::unique_ptr<OrderQueryService::Stub> order_queries_;
  std::string position_ = "0";  // Of the last command.
  std::unique_ptr<Agents> heard_agents_;
  std::unique_ptr<Orders> heard_orders_;
};

TEST_F(ListWatches, WhatLeavesTheFilterIsRemovedAndWhatComesBackIsThereAgain) {
  for (const char* id : {"a1", "a2", "a3"}) Register(id);
  GoOnline("a1");
  Agents free = WatchAgents("status: AGENT_STATUS_FREE");
  Agents all = WatchAgents("");
  EXPECT_EQ(free.Round(), "all: a1+");
  EXPECT_EQ(all.Round(), "all: a1+ a2! a3!");
  GoOnline("a2");
  EXPECT_EQ(free.Round(), "a2+");
  EXPECT_EQ(all.Round(), "a2+");
  GoOffline("a1");
  EXPECT_EQ(free.Round(), "-a1");
  EXPECT_EQ(all.Round(), "a1!");
  GoOnline("a1");
  EXPECT_EQ(free.Round(), "a1+");
  EXPECT_EQ(all.Round(), "a1+");
  // One that was never in the list may be told of as a removal; nothing else comes of it.
  Register("a4");
  EXPECT_EQ(free.Round(), "-a4");
  EXPECT_EQ(all.Round(), "a4!");
}

TEST_F(ListWatches, AResumedOneIsToldWhatLeftCameAndCameBackMeanwhile) {
  for (const char* id : {"a1", "a2", "a3"}) Register(id);
  GoOnline("a1");
  GoOnline("a2");
  std::string resume;
  {
    Agents free = WatchAgents("status: AGENT_STATUS_FREE");
    EXPECT_EQ(free.Round(), "all: a1+ a2+");
    resume = free.position();
  }
  GoOffline("a1");
  GoOnline("a3");
  GoOffline("a2");
  GoOnline("a2");
  Agents free = WatchAgents("status: AGENT_STATUS_FREE", resume);
  EXPECT_EQ(free.Round(), "-a1 a2+ a3+");
  GoOnline("a1");
  EXPECT_EQ(free.Round(), "a1+");
}

TEST_F(ListWatches, ACustomerHearsOfOrdersThatComeAndChangeAndOfThoseThatLeaveAStatus) {
  Place("o1", "ada");
  Place("o2", "bob");
  Orders of_ada = WatchOrders("customer_id: 'ada'");
  Orders placed = WatchOrders("customer_id: 'ada' status: ORDER_STATUS_PLACED");
  EXPECT_EQ(of_ada.Round(), "all: o1+");
  EXPECT_EQ(placed.Round(), "all: o1+");
  Place("o3", "ada");
  EXPECT_EQ(of_ada.Round(), "o3+");
  EXPECT_EQ(placed.Round(), "o3+");
  Cancel("o1", "ada");
  EXPECT_EQ(of_ada.Round(), "o1x");
  EXPECT_EQ(placed.Round(), "-o1");
  Cancel("o2", "bob");
  EXPECT_EQ(of_ada.Round(), "-o2");
  EXPECT_EQ(placed.Round(), "-o2");
}

}  // namespace
}  // namespace leftfold
