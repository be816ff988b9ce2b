// The views of orders after random commands to many orders, restaurants and agents: they agree with
// the aggregates and with a model that counts by hand, and a view that is built anew has the same
// rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <tuple>

#include "core/reject.h"
#include "domains/orders/delivery_agent.h"
#include "domains/orders/order.h"
#include "domains/orders/restaurant.h"
#include "leftfold/orders/v1/queries.pb.h"
#include "leftfold/payments/v1/events.pb.h"
#include "sql/compare.h"
#include "testing/environment.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {
namespace {

namespace v1 = orders::v1;
using orders::DeliveryAgent;
using orders::Order;
using orders::Restaurant;

constexpr int kOrders = 200;
constexpr int kCommands = 90'000;
constexpr int kComparisons = 3;
constexpr std::int64_t kIntervals[] = {60, 3'600, 86'400};

// What the views must say, kept in the simplest way.
struct Model {
  using Ids = std::set<std::string>;
  struct Money {
    std::int64_t captured = 0;
    std::int64_t refunded = 0;
    std::int64_t delivered = 0;
  };

  std::map<std::string, Order::State> orders;
  std::map<std::string, Restaurant::State> restaurants;
  std::map<std::string, DeliveryAgent::State> agents;
  std::map<std::string, Ids> series;  // Fields of OrderCounts.
  std::map<std::tuple<std::int64_t, std::int64_t, std::string>, int> points;
  std::map<std::string, Money> money;                                 // By order.
  std::map<std::pair<std::string, std::string>, Money> money_of_day;  // By restaurant and day.
  std::map<std::string, int> entries;                                 // Events of an order.

  void Count(const std::string& field, const std::string& id, absl::Time at) {
    if (!series["number_orders" + field].insert(id).second) return;
    for (const std::int64_t interval : kIntervals) {
      const std::int64_t start = absl::ToUnixSeconds(at) / interval * interval;
      ++points[{interval, start, "number_orders" + field}];
    }
  }

  template <class Event>
  void See(const Event& event, const std::string& id, absl::Time at) {
    static const std::map<std::string, std::string> kFields = {
        {"OrderPlaced", ""},
        {"OrderValidated", "_validated"},
        {"OrderInvalidated", "_invalid"},
        {"OrderPaid", "_payment_valid"},
        {"OrderPaymentDeclined", "_declined"},
        {"OrderPaymentFailed", "_payment_failed"},
        {"OrderApproved", "_approved"},
        {"OrderRejected", "_rejected"},
        {"ApprovalTimedOut", "_rejected"},
        {"AgentAssigned", "_driver_assigned"},
        {"NoAgentAvailable", "_no_agent"},
        {"FoodPickedUp", "_picked"},
        {"OrderDelivered", "_delivered"},
        {"DeliveryFailed", "_delivery_failed"},
        {"OrderCancelled", "_cancelled"},
        {"OrderExpired", "_expired"},
        {"OrderRefunded", "_refunded"},
        {"RefundStuck", "_refund_stuck"}};
    const auto field = kFields.find(Event::descriptor()->name());
    if (field != kFields.end()) Count(field->second, id, at);
    if constexpr (Order::Events::kContains<Event>) {
      ++entries[id];
      const std::string day = absl::FormatTime("%Y-%m-%d", at, absl::UTCTimeZone());
      Book(event, money[id], money_of_day[{orders[id].restaurant_id(), day}]);
    }
  }
  template <class Event>
  void Book(const Event&, Money&, Money&) {}
  void Book(const v1::OrderPaid& event, Money& of_order, Money& of_day) {
    of_order.captured += event.amount_minor();
    of_day.captured += event.amount_minor();
  }
  void Book(const v1::OrderDelivered&, Money& of_order, Money& of_day) {
    of_order.delivered += of_order.captured;
    of_day.delivered += of_order.captured;
  }
  void Book(const v1::OrderRefunded&, Money& of_order, Money& of_day) {
    of_order.refunded += of_order.captured;
    of_day.refunded += of_order.captured;
  }
};

class OrdersViews : public ::testing::Test {
 protected:
  OrdersViews() { RegisterAllDomains(registry_); }

  int Below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }
  bool Rarely() { return Below(10) == 0; }
  std::string Agent() { return fmt::format("agent{}", Below(5)); }
  std::string Item() { return fmt::format("item{}", Below(8)); }

  // What the payment says before the order does, at the same time.
  template <class Event>
  void SayOfMoney(const Event&, const std::string&) {}
  void SayOfMoney(const v1::OrderPaid& event, const std::string& order_id) {
    AddMoney<payments::v1::PaymentSucceeded>(event.amount_minor(), order_id);
  }
  void SayOfMoney(const v1::OrderRefunded&, const std::string& order_id) {
    AddMoney<payments::v1::RefundSucceeded>(model_.money[order_id].captured, order_id);
  }
  template <class Event>
  void AddMoney(std::int64_t amount_minor, const std::string& order_id) {
    Event event;
    event.mutable_purpose()->set_kind("order");
    event.mutable_purpose()->set_ref_id(order_id);
    event.set_amount_minor(amount_minor);
    event.set_currency(model_.orders[order_id].currency());
    store_.Add("payment-of-" + order_id, event);
    store_.waited -= absl::Seconds(1);
  }

  template <Aggregate A, class Command>
  void Send(typename A::State& state, const std::string& id, const std::string& text) {
    const auto command = testing::Parse<Command>(text);
    Violations violations;
    A::Validate(command, violations);
    if (!violations.empty()) return;
    const CommandContext context{absl::FromUnixSeconds(1'767'225'600), "tester", id,
                                 fmt::format("command-{}", ++commands_)};
    const auto decision = A::Decide(command, state, context);
    if (!decision.ok()) return;
    for (const auto& decided : decision->events) {
      std::visit(
          [&](const auto& event) {
            A::Evolve(state, event);
            SayOfMoney(event, id);
            const RecordedEvent& recorded = store_.Add(StreamName(A::kCategory, id), event);
            model_.See(event, id, recorded.recorded_at);
          },
          decided);
    }
  }

  void CommandToRestaurant() {
    const std::string id = fmt::format("r{}", Below(3));
    Restaurant::State& state = model_.restaurants[id];
    const std::string item = fmt::format(R"(item_id: "{}" )", Item());
    switch (Below(8)) {
      case 0:
        return Send<Restaurant, v1::RegisterRestaurantRequest>(
            state, id, R"(name: "R" currency: "EUR" approval_mode: APPROVAL_MODE_MANUAL)");
      case 1:
        return Send<Restaurant, v1::OpenRestaurantRequest>(state, id, "");
      case 2:
        return Send<Restaurant, v1::CloseRestaurantRequest>(state, id, "");
      case 3:
        return Send<Restaurant, v1::AddMenuItemRequest>(
            state, id, item + fmt::format(R"(name: "{}" price_minor: 5)", "AbCdEfGh"[Below(8)]));
      case 4:
        return Send<Restaurant, v1::ChangeMenuItemPriceRequest>(
            state, id, item + fmt::format("price_minor: {}", 1 + Below(9)));
      case 5:
        return Send<Restaurant, v1::MarkItemSoldOutRequest>(state, id, item);
      case 6:
        return Send<Restaurant, v1::MarkItemAvailableRequest>(state, id, item);
      default:
        return Send<Restaurant, v1::RemoveMenuItemRequest>(state, id, item);
    }
  }

  void CommandToAgent() {
    const std::string id = Agent();
    DeliveryAgent::State& state = model_.agents[id];
    switch (Below(5)) {
      case 0:
        return Send<DeliveryAgent, v1::RegisterAgentRequest>(state, id, R"(name: "A")");
      case 1:
        return Send<DeliveryAgent, v1::AgentGoOnlineRequest>(state, id, "");
      case 2:
        return Send<DeliveryAgent, v1::AgentGoOfflineRequest>(state, id, "");
      case 3:
        return Send<DeliveryAgent, v1::ReserveAgentRequest>(
            state, id, fmt::format(R"(order_id: "o{}")", Below(kOrders)));
      default:
        return Send<DeliveryAgent, v1::ReleaseAgentRequest>(
            state, id, fmt::format(R"(order_id: "{}" reason: {})", state.order_id(), 1 + Below(4)));
    }
  }

  void CommandToOrder() {
    const int number = Below(kOrders);
    const std::string id = fmt::format("o{}", number);
    Order::State& state = model_.orders[id];
    // Of order n always the same; those of restaurant r2 cost another currency.
    const std::string customer = fmt::format(R"(customer_id: "c{}" )", number % 7);
    const std::string restaurant = fmt::format(R"(restaurant_id: "r{}" )", number % 3);
    const std::string agent = fmt::format(R"(agent_id: "{}" )", Agent());
    const std::string refund = fmt::format(R"(refund_id: "{}" )", state.refund_id());
    // The next attempt or the last one; most are declined, so that some orders of every seed come
    // to the end of their attempts.
    const std::string payment =
        fmt::format(R"(payment_id: "p{}" )", std::max(0, state.attempts_size() - Below(2)));
    switch (Below(22)) {
      case 0:
        return Send<Order, v1::PlaceOrderRequest>(
            state, id,
            customer + restaurant + R"(address: "1 Mill Lane" lines { item_id: "item1" qty: 2 })");
      case 1:
        return Send<Order, v1::ConfirmOrderValidRequest>(
            state, id,
            fmt::format(R"(priced_lines {{ item_id: "item1" name: "P" qty: 2 unit_price_minor: {} }}
                           total_minor: {} currency: "{}")",
                        100 + number, 2 * (100 + number), number % 3 == 2 ? "CHF" : "EUR"));
      case 2:
        if (!Rarely()) return;
        return Send<Order, v1::MarkOrderInvalidRequest>(
            state, id, "reasons { code: INVALID_REASON_RESTAURANT_CLOSED }");
      case 3:
        return Send<Order, v1::PayForOrderRequest>(
            state, id,
            customer + payment +
                fmt::format(R"(method_type: "card" payment_token: "tok_1" amount_minor: {})",
                            state.total_minor()));
      case 4:
        return Send<Order, v1::RecordPaymentOutcomeRequest>(
            state, id,
            payment + (Below(3) != 0
                           ? R"(outcome: PAYMENT_OUTCOME_DECLINED decline_code: "declined")"
                           : "outcome: PAYMENT_OUTCOME_SUCCEEDED"));
      case 5:
        return Send<Order, v1::RequestApprovalRequest>(
            state, id, fmt::format("respond_by {{ seconds: {} }}", 1'767'225'600 + Below(100)));
      case 6:
        return Send<Order, v1::ApproveOrderRequest>(state, id, restaurant);
      case 7:
        if (Below(4) != 0) return;
        return Send<Order, v1::RejectOrderRequest>(state, id, restaurant + R"(reason: "no oven")");
      case 8:
        if (Below(4) != 0) return;
        return Send<Order, v1::TimeOutApprovalRequest>(state, id, "");
      case 9:
        return Send<Order, v1::StartAgentSearchRequest>(state, id, "deadline { seconds: 1 }");
      case 10:
        return Send<Order, v1::AssignAgentRequest>(state, id, agent);
      case 11:
        if (Below(3) != 0) return;
        return Send<Order, v1::MarkNoAgentAvailableRequest>(state, id, "");
      case 12:
        return Send<Order, v1::UnassignAgentRequest>(state, id, agent + R"(reason: "tyre")");
      case 13:
        return Send<Order, v1::ConfirmPickupRequest>(state, id, agent);
      case 14:
        return Send<Order, v1::ConfirmDeliveryRequest>(state, id, agent);
      case 15:
        return Send<Order, v1::ReportDeliveryFailedRequest>(state, id, agent + R"(reason: "rain")");
      case 16:
        if (Below(20) != 0) return;
        return Send<Order, v1::CancelOrderRequest>(state, id, customer);
      case 17:
        if (Below(20) != 0) return;
        return Send<Order, v1::ExpireOrderRequest>(state, id,
                                                   fmt::format("stage: {}", 1 + Below(3)));
      case 18:
        return Send<Order, v1::RequestRefundRequest>(state, id, "");
      case 19:
        if (!Rarely()) return;
        return Send<Order, v1::ConfirmRefundRequest>(state, id, refund);
      case 20:
        return Send<Order, v1::MarkRefundStuckRequest>(state, id, refund + R"(error: "timeout")");
      default:
        return Send<Order, v1::RetryRefundRequest>(state, id, "");
    }
  }

  std::unique_ptr<ViewRunner> Open(const ViewEntry& view, const std::string& file,
                                   ViewRunner::Mode mode) {
    auto runner = ViewRunner::Open(view, store_, folder_.path() + "/" + file, mode);
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }

  // Folds what is new in every view, in one batch or, with a restart, in two.
  void FoldAll() {
    for (const ViewEntry& view : registry_.views()) {
      std::unique_ptr<ViewRunner>& runner = runners_[view.name];
      const std::string file = fmt::format("{}.db", view.name);
      if (runner == nullptr) runner = Open(view, file, ViewRunner::Mode::kServing);
      if (Below(4) == 0) {
        runner->Step(Position{store_.GetHead().position.value - Below(20)});
        runner.reset();
        runner = Open(view, file, ViewRunner::Mode::kServing);
      }
      while (runner->Step() == ViewRunner::Progress::kFolded) {
      }
      ASSERT_TRUE(runner->stopped().ok()) << view.name << ": " << runner->stopped();
      ASSERT_EQ(runner->checkpoint(), store_.GetHead().position) << view.name;
    }
  }

  void ExpectRebuiltTheSame() {
    for (const ViewEntry& view : registry_.views()) {
      const std::string file = fmt::format("{}.rebuilt.db", view.name);
      const auto rebuilt = Open(view, file, ViewRunner::Mode::kBuilding);
      while (rebuilt->Step() == ViewRunner::Progress::kFolded) {
      }
      const auto difference =
          sql::FirstDifference(runners_[view.name]->connection(), rebuilt->connection());
      ASSERT_TRUE(difference.ok()) << difference.status();
      EXPECT_EQ(*difference, "") << view.name;
      std::filesystem::remove(folder_.path() + "/" + file);
    }
  }

  template <class Response, class Query>
  Response Ask(std::string_view name, const Query& query) {
    for (const QueryEntry& entry : registry_.FindView(name)->queries) {
      if (entry.request != Query::descriptor()) continue;
      sql::ConnectionReadTx tx(runners_[name]->connection());
      const absl::StatusOr<Answer> answer = entry.answer(query, tx);
      EXPECT_TRUE(answer.ok()) << answer.status() << " " << query.ShortDebugString();
      return answer.ok() ? static_cast<const Response&>(**answer) : Response();
    }
    ADD_FAILURE() << name << " does not answer " << Query::descriptor()->name();
    return {};
  }

  void ExpectOrders() {
    std::map<std::string, int> of_customer;
    for (const auto& [id, state] : model_.orders) {
      if (state.status() == v1::ORDER_STATUS_UNSPECIFIED) continue;
      v1::GetOrderRequest query;
      query.set_order_id(id);
      const v1::Order order = Ask<v1::GetOrderResponse>("order_directory", query).order();
      EXPECT_EQ(order.status(), state.status()) << id;
      EXPECT_EQ(order.total_minor(), state.total_minor()) << id;
      EXPECT_EQ(order.attempts(), state.attempts_size()) << id;
      EXPECT_EQ(order.agent_id(), state.agent_id()) << id;
      EXPECT_EQ(order.version() + 1, model_.entries[id]) << id;
      EXPECT_EQ(order.flags().payment_valid(), model_.money[id].captured > 0) << id;
      EXPECT_EQ(order.flags().delivered(), state.status() == v1::ORDER_STATUS_DELIVERED) << id;
      ++of_customer[state.customer_id()];
      v1::GetTimelineRequest timeline;
      timeline.set_order_id(id);
      timeline.set_page_size(1'000);
      EXPECT_EQ(Ask<v1::GetTimelineResponse>("order_timeline", timeline).entries_size(),
                model_.entries[id]);
    }
    for (const auto& [customer_id, orders] : of_customer) {
      v1::ListOrdersRequest query;
      query.set_customer_id(customer_id);
      query.set_page_size(1'000);
      EXPECT_EQ(Ask<v1::ListOrdersResponse>("order_directory", query).orders_size(), orders);
    }
  }

  void ExpectPendingApprovals() {
    for (const char* restaurant_id : {"r0", "r1", "r2"}) {
      Model::Ids expected;
      for (const auto& [id, state] : model_.orders) {
        if (state.restaurant_id() == restaurant_id &&
            state.status() == v1::ORDER_STATUS_AWAITING_APPROVAL &&
            state.approval() == v1::APPROVAL_STATE_REQUESTED) {
          expected.insert(id);
        }
      }
      v1::ListPendingApprovalsRequest query;
      query.set_restaurant_id(restaurant_id);
      query.set_page_size(1'000);
      Model::Ids listed;
      const auto answer = Ask<v1::ListPendingApprovalsResponse>("restaurant_queue", query);
      for (const auto& approval : answer.approvals()) listed.insert(approval.order_id());
      EXPECT_EQ(listed, expected) << restaurant_id;
    }
  }

  void ExpectMenus() {
    for (const auto& [id, state] : model_.restaurants) {
      if (!state.exists()) continue;
      v1::GetRestaurantRequest query;
      query.set_restaurant_id(id);
      EXPECT_EQ(Ask<v1::GetRestaurantResponse>("restaurants", query).restaurant().open(),
                state.open());
      std::set<std::tuple<std::string, std::string, std::int64_t, bool>> expected;
      for (const auto& item : state.items()) {
        expected.emplace(item.item_id(), item.name(), item.price_minor(), !item.sold_out());
      }
      v1::ListMenuRequest menu;
      menu.set_restaurant_id(id);
      decltype(expected) listed;
      const auto answer = Ask<v1::ListMenuResponse>("restaurants", menu);
      for (const auto& item : answer.items()) {
        listed.emplace(item.item_id(), item.name(), item.price_minor(), item.available());
      }
      EXPECT_EQ(listed, expected) << id;
    }
  }

  void ExpectAgents() {
    std::map<std::string, std::pair<v1::AgentStatus, std::string>> expected;
    for (const auto& [id, state] : model_.agents) {
      if (!state.exists()) continue;
      const v1::AgentStatus status = !state.order_id().empty() ? v1::AGENT_STATUS_BUSY
                                     : state.online()          ? v1::AGENT_STATUS_FREE
                                                               : v1::AGENT_STATUS_OFFLINE;
      expected[id] = {status, state.order_id()};
    }
    decltype(expected) listed;
    const auto answer = Ask<v1::ListAgentsResponse>("agents", v1::ListAgentsRequest());
    for (const auto& agent : answer.agents()) {
      listed[agent.agent_id()] = {agent.status(), agent.order_id()};
    }
    EXPECT_EQ(listed, expected);
  }

  void ExpectCounts() {
    const auto funnel = Ask<v1::GetFunnelResponse>("order_funnel", v1::GetFunnelRequest());
    const auto count = [](const v1::OrderCounts& counts, const std::string& field) {
      return counts.GetReflection()->GetInt64(counts,
                                              counts.GetDescriptor()->FindFieldByName(field));
    };
    for (const auto& [field, ids] : model_.series) {
      EXPECT_EQ(count(funnel.counts(), field), std::ssize(ids)) << field;
    }
    // Minutes are asked for in stretches: one answer has a limit.
    std::map<std::tuple<std::int64_t, std::int64_t, std::string>, int> listed;
    const std::int64_t begin = 1'767'225'600;
    const std::int64_t end = absl::ToUnixSeconds(store_.events.back().recorded_at) + 1;
    for (int n = 0; n < 3; ++n) {
      for (std::int64_t from = begin; from < end; from += 1'000 * kIntervals[n]) {
        v1::GetSeriesRequest query;
        query.set_interval(static_cast<v1::SeriesInterval>(n + 1));
        query.mutable_from()->set_seconds(from);
        query.mutable_to()->set_seconds(from + 1'000 * kIntervals[n]);
        const auto answer = Ask<v1::GetSeriesResponse>("order_funnel", query);
        for (const auto& point : answer.points()) {
          for (const auto& [field, ids] : model_.series) {
            const auto orders = static_cast<int>(count(point.counts(), field));
            if (orders > 0) listed[{kIntervals[n], point.start().seconds(), field}] = orders;
          }
        }
      }
    }
    EXPECT_EQ(listed, model_.points);
  }

  static std::string Words(const std::string& key, const Model::Money& money) {
    return fmt::format("{} {} {} {} {}", key, money.captured, money.refunded, money.delivered,
                       money.captured - money.refunded - money.delivered);
  }
  std::set<std::string> Ledger(v1::LedgerGroup group, const std::string& restaurant_id) {
    v1::GetLedgerRequest query;
    query.set_group(group);
    query.set_restaurant_id(restaurant_id);
    query.set_page_size(1'000);
    std::set<std::string> rows;
    const auto answer = Ask<v1::GetLedgerResponse>("payment_ledger", query);
    for (const v1::LedgerRow& row : answer.rows()) {
      rows.insert(fmt::format("{} {} {} {} {}", row.key(), row.captured_minor(),
                              row.refunded_minor(), row.delivered_minor(), row.open_minor()));
      EXPECT_EQ(row.net_minor(), row.delivered_minor() + row.open_minor());
    }
    for (const v1::LedgerCheck& check : answer.checks()) EXPECT_EQ(check.difference_minor(), 0);
    return rows;
  }

  void ExpectLedger() {
    std::set<std::string> orders;
    for (const auto& [id, money] : model_.money) {
      if (money.captured > 0) orders.insert(Words(id, money));
    }
    EXPECT_EQ(Ledger(v1::LEDGER_GROUP_ORDER, ""), orders);
    std::map<std::string, Model::Money> of_restaurant;
    std::map<std::string, std::set<std::string>> days;
    for (const auto& [key, money] : model_.money_of_day) {
      if (money.captured + money.refunded + money.delivered == 0) continue;
      Model::Money& sum = of_restaurant[key.first];
      sum.captured += money.captured;
      sum.refunded += money.refunded;
      sum.delivered += money.delivered;
      days[key.first].insert(Words(key.second, money));
    }
    std::set<std::string> restaurants;
    for (const auto& [id, money] : of_restaurant) {
      restaurants.insert(Words(id, money));
      EXPECT_EQ(Ledger(v1::LEDGER_GROUP_DAY, id), days[id]) << id;
    }
    EXPECT_EQ(Ledger(v1::LEDGER_GROUP_RESTAURANT, ""), restaurants);
  }

  const testing::TemporaryFolder folder_;
  Registry registry_;
  FakeStore store_;
  Model model_;
  std::mt19937_64 random_;
  int commands_ = 0;
  std::map<std::string_view, std::unique_ptr<ViewRunner>> runners_;
};

TEST_F(OrdersViews, AgreeWithTheAggregatesAndWithWhatIsCountedByHand) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  random_.seed(seed);
  for (int n = 1; n <= kCommands && !HasFatalFailure(); ++n) {
    const int whom = Below(20);
    if (whom == 0) {
      CommandToRestaurant();
    } else if (whom == 1) {
      CommandToAgent();
    } else {
      CommandToOrder();
    }
    if (Below(50) == 0) store_.waited += absl::Seconds(Below(3'000));
    if (n % 6'000 == 0) FoldAll();
    if (n % (kCommands / kComparisons) != 0) continue;
    ExpectOrders();
    ExpectPendingApprovals();
    ExpectMenus();
    ExpectAgents();
    ExpectCounts();
    ExpectLedger();
    ExpectRebuiltTheSame();
  }
  std::set<v1::OrderStatus> statuses;
  for (const auto& [id, state] : model_.orders) statuses.insert(state.status());
  EXPECT_GE(statuses.size(), 6u) << "the orders of this test do not differ much";
  std::string missing;
  for (int i = 0; i < v1::OrderCounts::descriptor()->field_count(); ++i) {
    const std::string& field = v1::OrderCounts::descriptor()->field(i)->name();
    if (!model_.series.contains(field)) missing += field + " ";
  }
  EXPECT_EQ(missing, "") << "no order of this test came to these series";
}

}  // namespace
}  // namespace leftfold::projecting
