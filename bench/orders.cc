#include <absl/container/flat_hash_map.h>
#include <absl/time/clock.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <mutex>

#include "bench/rooms.h"
#include "bench/start_call.h"
#include "core/status.h"
#include "core/timestamp.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"

namespace leftfold::bench {
namespace {

constexpr int kOrders = 1'000;
constexpr int kAgents = 1'100;
constexpr absl::Duration kOrderPatience = absl::Seconds(120);

// What is recorded of an order, or of its payment, which has the order's id, and how it came there.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kStages = {
    {{"leftfold.orders.v1.OrderPlaced", "placed"},
     {"leftfold.orders.v1.OrderValidated", "validated"},
     {"leftfold.orders.v1.PaymentRequested", "paid by command"},
     {"leftfold.payments.v1.PaymentInitiated", "charge begun"},
     {"leftfold.payments.v1.PaymentSucceeded", "charged by the provider"},
     {"leftfold.orders.v1.OrderPaid", "paid"},
     {"leftfold.orders.v1.ApprovalRequested", "approval asked"},
     {"leftfold.orders.v1.OrderApproved", "approved"},
     {"leftfold.orders.v1.AgentAssigned", "agent assigned"}}};
using Times = std::array<absl::Time, kStages.size()>;

std::string OrderId(int order) { return fmt::format("o{}", order); }

// Calls that are started at once, and how long each took.
class Calls {
 public:
  template <class Async, class Request, class Response>
  void Start(Async* async,
             void (Async::*rpc)(grpc::ClientContext*, const Request*, Response*,
                                std::function<void(grpc::Status)>),
             std::type_identity_t<Request> request) {
    ++waiting_;
    StartCall(async, rpc, std::move(request),
              [this, start = absl::Now()](const grpc::Status& status, const Response&) {
                if (!status.ok()) Die(status.error_message());
                {
                  const std::lock_guard lock(mu_);
                  taken_ms_.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
                }
                --waiting_;
              });
  }
  std::vector<double> Finish() {
    while (waiting_ > 0) absl::SleepFor(absl::Milliseconds(1));
    const std::lock_guard lock(mu_);
    return std::exchange(taken_ms_, {});
  }

 private:
  std::atomic<int> waiting_ = 0;
  std::mutex mu_;
  std::vector<double> taken_ms_;
};

using Orders = orders::v1::OrderCommandService;
using Restaurants = orders::v1::RestaurantCommandService;
using Agents = orders::v1::AgentCommandService;

// One restaurant that approves by itself, and agents who are free.
void Open(const std::shared_ptr<grpc::Channel>& channel) {
  const auto restaurants = Restaurants::NewStub(channel);
  const auto agents = Agents::NewStub(channel);
  Calls calls;
  orders::v1::RegisterRestaurantRequest restaurant;
  restaurant.set_restaurant_id("roma");
  restaurant.set_name("Roma");
  restaurant.set_currency("EUR");
  restaurant.set_approval_mode(orders::v1::APPROVAL_MODE_AUTO);
  calls.Start(restaurants->async(), &Restaurants::Stub::async::RegisterRestaurant, restaurant);
  calls.Finish();
  orders::v1::AddMenuItemRequest item;
  item.set_restaurant_id("roma");
  item.set_item_id("pizza");
  item.set_name("Pizza");
  item.set_price_minor(900);
  calls.Start(restaurants->async(), &Restaurants::Stub::async::AddMenuItem, item);
  calls.Finish();
  orders::v1::OpenRestaurantRequest open;
  open.set_restaurant_id("roma");
  calls.Start(restaurants->async(), &Restaurants::Stub::async::OpenRestaurant, open);
  for (int agent = 0; agent < kAgents; ++agent) {
    orders::v1::RegisterAgentRequest request;
    request.set_agent_id(fmt::format("a{}", agent));
    request.set_name("Bo");
    calls.Start(agents->async(), &Agents::Stub::async::RegisterAgent, request);
  }
  calls.Finish();
  for (int agent = 0; agent < kAgents; ++agent) {
    orders::v1::AgentGoOnlineRequest request;
    request.set_agent_id(fmt::format("a{}", agent));
    calls.Start(agents->async(), &Agents::Stub::async::AgentGoOnline, request);
  }
  calls.Finish();
}

struct Burst {
  std::vector<double> place_ms;
  std::vector<Times> times;  // Of each order.
};

// Places all orders at once, pays for each when it hears that it is valid, and listens until all
// have an agent.
Burst Run(const std::string& address) {
  const auto channels = Connect(address, kConnections);
  Open(channels.front());
  std::vector<std::unique_ptr<Orders::Stub>> stubs;
  for (const auto& channel : channels) stubs.push_back(Orders::NewStub(channel));
  const auto stub = [&](int order) {
    return stubs[static_cast<std::size_t>(order) % stubs.size()]->async();
  };
  const auto store = store::v1::EventStoreService::NewStub(grpc::CreateCustomChannel(
      address, grpc::InsecureChannelCredentials(), grpc::ChannelArguments()));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kOrderPatience));
  store::v1::SubscribeRequest request;
  request.mutable_end();
  const auto feed = store->Subscribe(&context, request);
  store::v1::SubscribeResponse heard;
  if (!feed->Read(&heard)) Die("no subscription");

  Burst burst;
  Calls placing, paying;
  absl::flat_hash_map<std::string, Times> times;
  for (int order = 0; order < kOrders; ++order) {
    orders::v1::PlaceOrderRequest place;
    place.set_order_id(OrderId(order));
    place.set_customer_id(fmt::format("c{}", order));
    place.set_restaurant_id("roma");
    place.set_address("here");
    auto& line = *place.add_lines();
    line.set_item_id("pizza");
    line.set_qty(1);
    placing.Start(stub(order), &Orders::Stub::async::PlaceOrder, std::move(place));
  }
  for (int assigned = 0; assigned < kOrders;) {
    if (!feed->Read(&heard)) Die(fmt::format("{} of {} orders have an agent", assigned, kOrders));
    for (const auto& event : heard.events().events()) {
      const auto stage = std::find_if(kStages.begin(), kStages.end(), [&](const auto& known) {
        return known.first == event.type();
      });
      if (event.type() == "leftfold.orders.v1.OrderPaymentDeclined") Die("a payment was declined");
      if (stage == kStages.end()) continue;
      const std::string id = event.stream().substr(event.stream().find('-') + 1);
      times[id][static_cast<std::size_t>(stage - kStages.begin())] = FromProto(event.recorded_at());
      assigned += stage == kStages.end() - 1 ? 1 : 0;
      if (stage->second != "validated") continue;
      orders::v1::PayForOrderRequest pay;
      pay.set_order_id(id);
      pay.set_customer_id("c" + id.substr(1));
      pay.set_payment_id(id);
      pay.set_method_type("card");
      pay.set_payment_token("tok_visa");
      pay.set_amount_minor(900);
      paying.Start(stub(std::atoi(id.c_str() + 1)), &Orders::Stub::async::PayForOrder,
                   std::move(pay));
    }
  }
  context.TryCancel();
  feed->Finish();
  burst.place_ms = placing.Finish();
  paying.Finish();
  for (const auto& [id, of_one] : times) burst.times.push_back(of_one);
  return burst;
}

// As many empty RPCs at once.
double P99OfEmptyBurst(const std::string& address) {
  std::vector<std::unique_ptr<rooms::v1::RoomCommandService::Stub>> stubs;
  for (const auto& channel : Connect(address, kConnections))
    stubs.push_back(rooms::v1::RoomCommandService::NewStub(channel));
  Calls calls;
  for (int order = 0; order < kOrders; ++order) {
    rooms::v1::RenameRoomRequest request;
    request.set_room_id(OrderId(order));
    request.set_name("Oak");
    calls.Start(stubs[static_cast<std::size_t>(order) % stubs.size()]->async(),
                &rooms::v1::RoomCommandService::Stub::async::RenameRoom, std::move(request));
  }
  return Percentile(calls.Finish(), 0.99);
}

}  // namespace

void MeasureOrders(const Options& options, Report& report) {
  fmt::print("orders: {} placed at once, {} repeats …\n", kOrders, options.repeats);
  testing::ChildProcess provider(
      {options.leftfold, "simulate-payments", "--listen", "127.0.0.1:0", "--api-key", "sk_bench"});
  setenv("LEFTFOLD_PAYMENTS_URL",
         ("http://" + provider.ValueAfter("payments listening on ")).c_str(), 1);
  setenv("LEFTFOLD_PAYMENTS_API_KEY", "sk_bench", 1);
  // By the stage: until the last order has come there, and what the middle one has waited for it.
  std::array<std::vector<double>, kStages.size()> last_ms, each_ms;
  std::vector<double> p99_ms, empty_p99_ms, cpu_us;
  testing::ChildProcess empty({options.self, "--empty-server"});
  const std::string empty_address = empty.ValueAfter("commands listening on ");
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    testing::ServerProcess server(options.leftfold,
                                  fmt::format("{}/orders-{}", options.data, repeat));
    empty_p99_ms.push_back(P99OfEmptyBurst(empty_address));
    const double cpu = server.process.CpuSeconds();
    const Burst burst = Run(server.write_address);
    cpu_us.push_back((server.process.CpuSeconds() - cpu) * 1e6 / (kOrders * kStages.size()));
    p99_ms.push_back(Percentile(burst.place_ms, 0.99));
    absl::Time begin = absl::InfiniteFuture();
    for (const Times& times : burst.times) begin = std::min(begin, times.front());
    for (std::size_t stage = 0; stage < kStages.size(); ++stage) {
      absl::Time last = begin;
      std::vector<double> waited;
      for (const Times& times : burst.times) {
        last = std::max(last, times[stage]);
        waited.push_back(stage == 0 ? 0
                                    : absl::ToDoubleMilliseconds(times[stage] - times[stage - 1]));
      }
      last_ms[stage].push_back(absl::ToDoubleMilliseconds(last - begin));
      each_ms[stage].push_back(Median(waited));
    }
  }
  unsetenv("LEFTFOLD_PAYMENTS_URL");
  unsetenv("LEFTFOLD_PAYMENTS_API_KEY");
  report.rows.push_back(RowOf(fmt::format("burst of {} orders, PlaceOrder p99", kOrders), "ms",
                              p99_ms, empty_p99_ms, Below(100, "ms"), {cpu_us, {}}));
  report.rows.push_back(RowOf("burst, until all have an agent", "ms", last_ms.back(), {},
                              Below(2'000, "ms"), {cpu_us, {}}));
  std::size_t slowest = 1;
  for (std::size_t stage = 1; stage < kStages.size(); ++stage) {
    if (Median(each_ms[stage]) > Median(each_ms[slowest])) slowest = stage;
  }
  for (std::size_t stage = 1; stage < kStages.size(); ++stage) {
    report.rows.push_back(RowOf(fmt::format("burst, {}, p50 of an order{}", kStages[stage].second,
                                            stage == slowest ? " (slowest)" : ""),
                                "ms", each_ms[stage], {}));
    report.rows.push_back(RowOf(fmt::format("burst, {}, until all are", kStages[stage].second),
                                "ms", last_ms[stage], {}));
  }
}

}  // namespace leftfold::bench
