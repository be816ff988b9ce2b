#ifndef TESTS_PROPERTY_ORDER_WORLD_H_
#define TESTS_PROPERTY_ORDER_WORLD_H_

#include <absl/time/time.h>
#include <fmt/format.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "core/webhook_signature.h"
#include "domains/orders/deadlines.h"
#include "domains/orders/delivery_agent.h"
#include "domains/orders/order.h"
#include "domains/orders/pay_all_orders.h"
#include "domains/orders/payment_ledger.h"
#include "domains/payments/webhook.h"
#include "event_store/memory/memory_event_store.h"
#include "leftfold/payments/v1/commands.pb.h"
#include "reactor/reactors.h"
#include "server/reactor_deliverer.h"
#include "server/state_loader.h"
#include "testing/forwarding_store.h"
#include "testing/given.h"
#include "testing/parse.h"
#include "testing/scheduler_clock.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"
#include "tools/payment_simulator.h"
#include "write_api/command_handler.h"

namespace leftfold {
namespace orders {
void Register(Registry& registry);
}
namespace payments {
void Register(Registry& registry);
}

// A town with restaurants, agents, customers and a payment provider, on one thread: all aggregates
// and reactors of the domains orders and payments, where whatever can fail does, as a seed decides.
namespace ordering {

using orders::v1::OrderState;
using testing::Parse;

// What a test breaks on purpose, to see that it is found.
enum class Bug { kNone, kNoIdempotencyKey, kNoCompensation, kDoubleAssignment };

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  // 0 to n - 1.
  int Below(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
  bool Percent(int percent) { return Below(100) < percent; }
  template <class T, std::size_t n>
  const T& Of(const T (&all)[n]) {
    return all[Below(n)];
  }

 private:
  std::mt19937_64 engine_;
};

// Gives every event twice to who reads on.
class TwiceStore final : public testing::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    auto read = store_.ReadAll(options);
    if (!read.ok() || options.events_max == 1) return read;
    std::vector<RecordedEvent> twice;
    for (const RecordedEvent& event : read->events) twice.insert(twice.end(), 2, event);
    read->events = std::move(twice);
    return read;
  }
};

// The store's writer: what is posted runs on the scheduler, and after a crash all the same, as what
// was on its way to the disk then.
class Writer final : public Executor {
 public:
  explicit Writer(testing::VirtualScheduler& scheduler) : scheduler_(scheduler) {}
  void Post(std::function<void()> task) override {
    tasks_.push_back(std::move(task));
    scheduler_.Serial().Post([this] { RunOne(); });
  }
  void PostAfter(absl::Duration, std::function<void()> task) override { Post(std::move(task)); }
  bool RunOne() {
    if (tasks_.empty()) return false;
    const std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }

 private:
  testing::VirtualScheduler& scheduler_;
  std::deque<std::function<void()>> tasks_;
};

// Deliveries that get lost, come late or twice, and whose answers get lost; HTTP calls go to the
// simulated provider.
class ShakyDeliverer final : public Deliverer, public HttpClient {
 public:
  ShakyDeliverer(const Registry& registry, CommandHandler& commands,
                 testing::VirtualScheduler& scheduler, tools::PaymentSimulator& provider,
                 const Clock& clock, Random& random, Bug bug)
      : real_(registry, commands, *this, clock, /*mail_folder=*/"",
              {{"payments", {.url = "http://provider", .api_key = "sk_test"}}}),
        scheduler_(scheduler),
        provider_(provider),
        clock_(clock),
        random_(random),
        bug_(bug) {}

  void Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) override {
    if (bug_ == Bug::kNoCompensation && delivery.type == "leftfold.orders.v1.RequestRefundRequest")
      return done({});
    if (bug_ == Bug::kDoubleAssignment && delivery.type == "leftfold.orders.v1.ReserveAgentRequest")
      return done({});
    const int fate = calm ? 99 : random_.Below(100);
    if (fate < 5) return FailLater(std::move(done));
    if (fate < 12) {
      return real_.Deliver(reactor, delivery,
                           [this, done = std::move(done)](DeliveryOutcome) { FailLater(done); });
    }
    if (fate < 20) real_.Deliver(reactor, delivery, [](DeliveryOutcome) {});
    if (fate < 30) {
      return After(absl::Milliseconds(random_.Below(3'000)),
                   [this, &reactor, delivery, done] { real_.Deliver(reactor, delivery, done); });
    }
    real_.Deliver(reactor, delivery, std::move(done));
  }

  void Send(HttpRequest request, std::function<void(absl::StatusOr<HttpReply>)> done) override {
    tools::PaymentSimulator::Request asked{
        .method = request.method,
        .path = request.url.substr(sizeof("http://provider") - 1),
        .authorization = {},
        .idempotency_key = {},
        .body = request.body};
    for (const auto& [name, value] : request.headers) {
      if (name == "Authorization") asked.authorization = value;
      if (name == "Idempotency-Key") asked.idempotency_key = value;
    }
    if (bug_ == Bug::kNoIdempotencyKey) asked.idempotency_key = fmt::format("call-{}", ++calls_);
    const tools::PaymentSimulator::Answer answer = provider_.Handle(asked, clock_.Now());
    const bool lost = answer.silent || (!calm && (outage || random_.Percent(5)));
    After(lost ? request.timeout : absl::Milliseconds(random_.Below(200)),
          [done = std::move(done), answer, lost] {
            if (lost) return done(absl::DeadlineExceededError("no answer"));
            done(HttpReply{.status = answer.status, .headers = {}, .body = answer.body});
          });
  }

  bool calm = false;    // Nothing fails but what the provider's cards are for.
  bool outage = false;  // The provider does what it is asked for, but nobody hears of it.

 private:
  void After(absl::Duration delay, std::function<void()> task) {
    scheduler_.Pool().PostAfter(delay, std::move(task));
  }
  void FailLater(Done done) {
    After(absl::Milliseconds(random_.Below(100)),
          [done = std::move(done)] { done({.failure = absl::UnavailableError("lost")}); });
  }

  ReactorDeliverer real_;
  testing::VirtualScheduler& scheduler_;
  tools::PaymentSimulator& provider_;
  const Clock& clock_;
  Random& random_;
  const Bug bug_;
  int calls_ = 0;
};

class Town {
 public:
  static constexpr const char* kRestaurants[] = {"auto", "manual", "small", "closed"};
  static constexpr const char* kChosen[] = {"auto",   "auto",  "auto",  "auto",  "manual", "manual",
                                            "manual", "small", "small", "small", "closed"};
  static constexpr const char* kAgents[] = {"bo", "cy"};
  static constexpr const char* kCards[] = {"tok_visa",
                                           "tok_visa",
                                           "tok_visa",
                                           "tok_declined_insufficient_funds",
                                           "tok_declined_fraud",
                                           "tok_charged_no_answer",
                                           "tok_never_answers",
                                           "tok_twice",
                                           "tok_late",
                                           "tok_late_declined",
                                           "tok_error_2",
                                           "tok_error_9",
                                           "tok_refund_fails_2",
                                           "tok_refund_fails_7",
                                           "tok_refund_fails",
                                           "tok_refund_error_9",
                                           "tok_refund_never_answers",
                                           "tok_refund_no_answer",
                                           "tok_refund_late",
                                           "tok_unknown"};

  explicit Town(std::uint64_t seed, Bug bug = Bug::kNone)
      : bug_(bug), random_(seed), scheduler_(seed), provider_({.webhooks = true}) {
    orders::Register(registry_);
    payments::Register(registry_);
    store_ = NewMemoryEventStore(writer_, scheduler_.Pool(), clock_);
    twice_ = std::make_unique<TwiceStore>(*store_);
    loader_ = std::make_unique<LogStateLoader>(registry_, *store_, nullptr);
    Start();
    for (const std::string id : kRestaurants) {
      Do<orders::v1::RegisterRestaurantRequest>(fmt::format(
          "restaurant_id: '{0}' name: '{0}' currency: 'EUR' approval_mode: APPROVAL_MODE_{1} "
          "max_open_orders: {2}",
          id, id == "manual" ? "MANUAL" : "AUTO", id == "small" ? 1 : 0));
      for (const std::string item : {"pizza", "cola", "gone"}) {
        Do<orders::v1::AddMenuItemRequest>(fmt::format(
            "restaurant_id: '{}' item_id: '{}' name: '{}' price_minor: 900", id, item, item));
      }
      Do<orders::v1::MarkItemSoldOutRequest>(
          fmt::format("restaurant_id: '{}' item_id: 'gone'", id));
      if (id != "closed")
        Do<orders::v1::OpenRestaurantRequest>(fmt::format("restaurant_id: '{}'", id));
    }
    for (const std::string id : kAgents)
      Do<orders::v1::RegisterAgentRequest>(fmt::format("agent_id: '{0}' name: '{0}'", id));
    scheduler_.RunReady();
  }
  ~Town() { End(); }

  // What the provider tells by its webhook: lost, late, or twice.
  void HearProvider() {
    for (const tools::PaymentSimulator::Delivery& told : provider_.TakeDue(10, clock_.Now())) {
      const bool heard = random_.Percent(80);
      const auto command =
          payments::TakeWebhook({.secret = "whsec",
                                 .signature = WebhookSignature("whsec", clock_.Now(), told.body),
                                 .body = told.body,
                                 .now = clock_.Now()});
      if (!command.ok())
        Wrong("a webhook was refused: {}", std::string(command.status().message()));
      if (heard && command.ok() && *command != nullptr) Send(**command);
      provider_.Delivered(told.number, heard && random_.Percent(80), clock_.Now());
    }
  }

  // Some orders from beginning to end.
  void RunSchedule() {
    deliverer_->calm = false;
    const int count = 1 + random_.Below(3);
    open_.clear();
    for (int i = 0; i < count; ++i) Place();
    const int pokes = 10 + random_.Below(30);
    for (int i = 0; i < pokes; ++i) {
      for (int steps = random_.Below(25); steps > 0 && scheduler_.RunOne(); --steps) {
      }
      Poke(open_[static_cast<std::size_t>(random_.Below(count))]);
      if (random_.Percent(20)) PokeAgent();
      if (random_.Percent(50)) HearProvider();
      if (random_.Percent(3)) clock_.jump += absl::Minutes(random_.Below(20));
      if (random_.Percent(2)) deliverer_->outage = !deliverer_->outage;
      if (random_.Percent(2)) Crash();
    }
    if (random_.Percent(10)) Crash();
    Finish();
  }

  // What is wrong, in words.
  std::vector<std::string> Check() {
    CheckLog();
    std::int64_t net = 0, elsewhere = 0;
    for (const std::string& id : open_) CheckOrder(id);
    for (const auto& [id, kept] : kept_) net += kept;
    for (const std::string& payment_id : elsewhere_) elsewhere += LeftOf(ChargeOf(payment_id));
    net += elsewhere;
    const tools::v1::SimulatorStats stats = provider_.stats();
    CheckLedger(stats, elsewhere);
    if (stats.captured_minor() - stats.refunded_minor() != net) {
      Wrong("the provider took {} and gave {} back, but the orders keep {}", stats.captured_minor(),
            stats.refunded_minor(), net);
    }
    if (stats.references_charged_twice() > charged_twice_) Wrong("an order was charged twice");
    if (stats.conflicts() > 0) Wrong("an idempotency key was used for something else");
    for (const std::string id : kAgents) {
      const auto state = Load<orders::DeliveryAgent>(id);
      if (!state.order_id().empty()) Wrong("agent {} is kept for order {}", id, state.order_id());
    }
    for (const ReactorStatus& status : reactors_->List()) {
      if (status.state == ReactorState::kStopped)
        Wrong("reactor {} is stopped: {}", status.name, status.reason);
    }
    return std::exchange(wrong_, {});
  }

  // How often an order ended how, or had its money back for which cause, over all towns of a test.
  static std::map<std::string, int>& Ends() {
    static std::map<std::string, int> ends;
    return ends;
  }
  // The events of an order and its payments, for people.
  std::string Story(const std::string& order_id) {
    std::string story;
    std::set<std::string> streams = {"order-" + order_id};
    const OrderState order = Load<orders::Order>(order_id);
    for (const auto& attempt : order.attempts()) streams.insert("payment-" + attempt.payment_id());
    for (const std::string& stream : streams) {
      const auto events = store_->ReadStream(stream, {});
      for (const RecordedEvent& event : *events) {
        story += fmt::format("  {} {} {}\n", event.position.value, stream,
                             event.type.substr(event.type.rfind('.') + 1));
      }
    }
    for (const ReactorStatus& status : reactors_->List()) {
      const auto parked = reactors_->ListParked(status.name, 0, 100);
      for (const ParkedDelivery& p : *parked)
        story += fmt::format("  parked {}\n", p.parked.ShortDebugString());
    }
    return story;
  }
  const std::vector<std::string>& open() const { return open_; }

 private:
  template <class... Args>
  void Wrong(const char* text, const Args&... args) {
    wrong_.push_back(fmt::format(fmt::runtime(text), args...));
  }
  template <class A>
  typename A::State Load(const std::string& id) {
    typename A::State state;
    const auto bytes = loader_->LoadState(A::kCategory, id);
    if (bytes.ok()) state.ParseFromString(*bytes);
    return state;
  }

  void Start() {
    commands_ = std::make_unique<CommandHandler>(registry_, *store_, clock_, scheduler_.Pool());
    deliverer_ = std::make_unique<ShakyDeliverer>(registry_, *commands_, scheduler_, provider_,
                                                  clock_, random_, bug_);
    reactors_ = Reactors::Open(registry_.reactors(),
                               {.store = *twice_,
                                .loader = *loader_,
                                .deliverer = *deliverer_,
                                .clock = clock_,
                                .executor = scheduler_.Pool()},
                               folder_.path());
    reactors_->Start();
  }
  void End() {
    reactors_->Stop();
    scheduler_.DropAll();
    while (writer_.RunOne()) {
    }
    scheduler_.DropAll();
    reactors_.reset();
    commands_.reset();
  }
  void Crash() {
    End();
    Start();
  }

  void Send(const google::protobuf::Message& command) {
    std::unique_ptr<google::protobuf::Message> copy(command.New());
    copy->CopyFrom(command);
    Caller caller;
    caller.trusted = true;
    commands_->Handle(*registry_.FindCommand(command.GetDescriptor()->full_name()), std::move(copy),
                      std::move(caller), [](const absl::StatusOr<core::v1::CommandReceipt>&) {});
  }
  template <class Command>
  void Do(const std::string& text) {
    Send(Parse<Command>(text));
  }

  void Place() {
    const std::string id = fmt::format("o{}", ++orders_);
    open_.push_back(id);
    const char* item = random_.Percent(95) ? "pizza" : random_.Percent(50) ? "gone" : "none";
    const std::string restaurant =
        random_.Percent(3) ? "nowhere" : std::string(random_.Of(kChosen));
    Do<orders::v1::PlaceOrderRequest>(
        fmt::format("order_id: '{}' customer_id: 'ada' restaurant_id: '{}' address: 'here' "
                    "lines {{ item_id: 'cola' qty: 2 }} lines {{ item_id: '{}' qty: {} }}",
                    id, restaurant, item, 1 + random_.Below(99)));
  }

  void Cancel(const std::string& id) {
    Do<orders::v1::CancelOrderRequest>(fmt::format("order_id: '{}' customer_id: 'ada'", id));
  }
  void Pay(const std::string& id, const OrderState& order) {
    // Some clients take an id that there is already.
    if (last_payment_id_.empty() || !random_.Percent(3)) {
      last_payment_id_ = fmt::format("{}-p{}", id, ++payments_);
      cards_[last_payment_id_] = random_.Of(kCards);
    }
    Do<orders::v1::PayForOrderRequest>(
        fmt::format("order_id: '{}' customer_id: 'ada' payment_id: '{}' method_type: 'card' "
                    "payment_token: '{}' amount_minor: {}",
                    id, last_payment_id_, cards_[last_payment_id_], order.total_minor()));
  }
  // Pays for all that is to be paid, whoever pays for one of them at the same time.
  void PayAll() {
    const std::string bulk_payment_id = fmt::format("b{}", ++payments_);
    const std::string card = random_.Of(kCards);
    for (const std::string& id : open_) cards_[orders::BulkPaymentIdOf(bulk_payment_id, id)] = card;
    Do<orders::v1::PayAllOrdersRequest>(
        fmt::format("bulk_payment_id: '{}' customer_id: 'ada' method_type: 'card' "
                    "payment_token: '{}'",
                    bulk_payment_id, card));
  }
  // Nobody waits for the payment any longer; it may succeed all the same, and be given back.
  void GiveUp(const std::string& payment_id) {
    given_up_.insert(payment_id);
    Do<payments::v1::RecordProviderResultRequest>(
        fmt::format("payment_id: '{}' provider_event_id: 'gave_up' "
                    "status: PROVIDER_STATUS_CANCELLED",
                    payment_id));
  }
  template <class Command>
  void ByAgent(const std::string& id, const OrderState& order, const std::string& more = "") {
    Do<Command>(fmt::format("order_id: '{}' agent_id: '{}' {}", id, order.agent_id(), more));
  }

  // Somebody does something to an order that is likely to be taken.
  void Poke(const std::string& id) {
    const OrderState order = Load<orders::Order>(id);
    const std::string by_restaurant =
        fmt::format("order_id: '{}' restaurant_id: '{}' ", id, order.restaurant_id());
    if (random_.Percent(4)) return Cancel(id);
    switch (order.status()) {
      case orders::v1::ORDER_STATUS_AWAITING_PAYMENT:
        if (random_.Percent(20)) PayAll();
        if (random_.Percent(20)) return;
        return Pay(id, order);
      case orders::v1::ORDER_STATUS_PAYMENT_PROCESSING:
        if (random_.Percent(5)) GiveUp(order.attempts().rbegin()->payment_id());
        return;
      case orders::v1::ORDER_STATUS_AWAITING_APPROVAL:
        if (random_.Percent(10)) Cancel(id);
        if (random_.Percent(20))
          return Do<orders::v1::RejectOrderRequest>(by_restaurant + "reason: 'no oven'");
        if (random_.Percent(60)) Do<orders::v1::ApproveOrderRequest>(by_restaurant);
        return;
      case orders::v1::ORDER_STATUS_AGENT_ASSIGNED:
        if (random_.Percent(30))
          return ByAgent<orders::v1::UnassignAgentRequest>(id, order, "reason: 'flat tyre'");
        return ByAgent<orders::v1::ConfirmPickupRequest>(id, order);
      case orders::v1::ORDER_STATUS_PICKED_UP:
        if (random_.Percent(20))
          return ByAgent<orders::v1::ReportDeliveryFailedRequest>(id, order, "reason: 'eaten'");
        return ByAgent<orders::v1::ConfirmDeliveryRequest>(id, order);
      case orders::v1::ORDER_STATUS_REFUND_STUCK:
        if (random_.Percent(30))
          Do<orders::v1::RetryRefundRequest>(fmt::format("order_id: '{}'", id));
        return;
      default:
        return;
    }
  }
  void PokeAgent() {
    const std::string agent = fmt::format("agent_id: '{}'", random_.Of(kAgents));
    if (random_.Percent(70)) return Do<orders::v1::AgentGoOnlineRequest>(agent);
    Do<orders::v1::AgentGoOfflineRequest>(agent);
  }

  // The provider gives no money back that was paid with this card.
  bool IsNeverRefunded(const OrderState& order) {
    return std::any_of(order.attempts().begin(), order.attempts().end(),
                       [this](const auto& attempt) {
                         const std::string& card = cards_[attempt.payment_id()];
                         return attempt.outcome() == orders::v1::PAYMENT_OUTCOME_SUCCEEDED &&
                                (card == "tok_refund_fails" || card == "tok_refund_never_answers");
                       });
  }
  bool IsFinal(const OrderState& order) {
    switch (order.status()) {
      case orders::v1::ORDER_STATUS_UNSPECIFIED:  // The wish was lost in a crash.
      case orders::v1::ORDER_STATUS_INVALID:
      case orders::v1::ORDER_STATUS_PAYMENT_FAILED:
      case orders::v1::ORDER_STATUS_DELIVERED:
      case orders::v1::ORDER_STATUS_REFUNDED:
        return true;
      case orders::v1::ORDER_STATUS_REFUND_STUCK:  // An operator's retry finishes the others.
        return IsNeverRefunded(order);
      case orders::v1::ORDER_STATUS_CANCELLED:
      case orders::v1::ORDER_STATUS_EXPIRED:  // A payment that nobody has heard of may still come.
        return std::all_of(order.attempts().begin(), order.attempts().end(), [](const auto& a) {
          return a.outcome() == orders::v1::PAYMENT_OUTCOME_DECLINED;
        });
      default:
        return false;
    }
  }

  // Nothing fails any more: agents bring what they have, operators retry, time passes.
  void Finish() {
    constexpr int kRounds = 24;
    deliverer_->calm = true;
    for (int round = 0; round < kRounds; ++round) {
      scheduler_.RunReady();
      bool all = true;
      for (const std::string& id : open_) {
        const OrderState order = Load<orders::Order>(id);
        if (order.status() == orders::v1::ORDER_STATUS_AGENT_ASSIGNED)
          ByAgent<orders::v1::ConfirmPickupRequest>(id, order);
        if (order.status() == orders::v1::ORDER_STATUS_PICKED_UP)
          ByAgent<orders::v1::ConfirmDeliveryRequest>(id, order);
        if (order.status() == orders::v1::ORDER_STATUS_REFUND_STUCK && !IsNeverRefunded(order))
          Do<orders::v1::RetryRefundRequest>(fmt::format("order_id: '{}'", id));
        all = all && IsFinal(order);
      }
      if (all && round > 2) break;
      if (round < 8) RetryParked();
      clock_.jump += absl::Minutes(16);
      scheduler_.RunFor(absl::Seconds(100));
    }
    scheduler_.RunReady();
  }
  void RetryParked() {
    for (const ReactorStatus& status : reactors_->List()) {
      const auto parked = reactors_->ListParked(status.name, 0, 100);
      for (const ParkedDelivery& p : *parked) {
        // A refund's key goes on after its payment's.
        std::string payment_id(AggregateIdOf(p.parked.key()));
        payment_id = payment_id.substr(0, payment_id.find('/'));
        if (cards_.contains(payment_id) && cards_[payment_id].ends_with("never_answers")) continue;
        reactors_->Retry(status.name, p.parked.key(), "ann", [](const auto&) {});
      }
    }
    scheduler_.RunReady();
  }

  // Each order is with at most one agent, who is kept for it as long as it is.
  void CheckLog() {
    const auto read = store_->ReadAll({.from = checked_, .events_max = 100'000});
    for (const RecordedEvent& event : read->events) {
      checked_ = event.position;
      const std::string id(AggregateIdOf(event.stream));
      const std::string type = event.type.substr(event.type.rfind('.') + 1);
      if (type == "AgentReserved") {
        reserved_[id] = Payload<orders::v1::AgentReserved>(event).order_id();
      }
      if (type == "AgentReleased") {
        const auto released = Payload<orders::v1::AgentReleased>(event);
        if (with_[released.order_id()] == id)
          Wrong("{} was released but still has order {}", id, released.order_id());
        reserved_[id].clear();
      }
      if (type == "AgentAssigned") {
        const std::string agent = Payload<orders::v1::AgentAssigned>(event).agent_id();
        if (!with_[id].empty()) Wrong("order {} got a second agent", id);
        if (reserved_[agent] != id) Wrong("order {} got {}, who was not kept for it", id, agent);
        with_[id] = agent;
      }
      if (type == "AgentUnassigned" || type == "OrderDelivered" || type == "DeliveryFailed")
        with_[id].clear();
      if (type == "RefundStuck") stuck_.insert(id);
      if (type == "OrderRefunded" && stuck_.contains(id)) ++Ends()["REFUNDED after RefundStuck"];
      orders::PaymentLedger::Handles::ForEach([&]<class Event>() {
        if (event.type == Event::descriptor()->full_name())
          ledger_.FoldOf(CategoryOf(event.stream), id, Payload<Event>(event));
      });
      if (type == "OrderPaid" && !paid_.insert(id).second) Wrong("order {} was paid twice", id);
    }
  }
  template <class Event>
  static Event Payload(const RecordedEvent& event) {
    Event parsed;
    parsed.ParseFromString(event.payload);
    return parsed;
  }

  // The books of the orders agree with those of the provider.
  void CheckLedger(const tools::v1::SimulatorStats& stats, std::int64_t elsewhere) {
    const auto books =
        ledger_.Ask(Parse<orders::v1::GetLedgerRequest>("group: LEDGER_GROUP_RESTAURANT"));
    std::int64_t captured = 0, refunded = 0, difference = 0;
    for (const orders::v1::LedgerCheck& check : books->checks()) {
      captured += check.captured_minor();
      refunded += check.refunded_minor();
      difference += check.difference_minor();
    }
    if (captured != stats.captured_minor() || refunded != stats.refunded_minor()) {
      Wrong("the provider took {} and gave {} back, the ledger has {} and {}",
            stats.captured_minor(), stats.refunded_minor(), captured, refunded);
    }
    if (difference != elsewhere)
      Wrong("the ledger has {} that no order took, but it is {}", difference, elsewhere);
  }

  void CheckOrder(const std::string& id) {
    const OrderState order = Load<orders::Order>(id);
    const std::string status = orders::v1::OrderStatus_Name(order.status());
    ++Ends()[status];
    if (!order.refund_id().empty()) ++Ends()[orders::v1::RefundCause_Name(order.refund_cause())];
    std::int64_t net = 0, stuck_elsewhere = 0;
    int charges = 0, charges_max = 1;
    bool unanswered = false;
    for (const auto& attempt : order.attempts()) {
      const auto& payer = payers_.try_emplace(attempt.payment_id(), id).first->second;
      if (payer != id) Wrong("orders {} and {} have payment {}", payer, id, attempt.payment_id());
      const std::string& card = cards_[attempt.payment_id()];
      unanswered = unanswered || card == "tok_never_answers";
      const tools::v1::Charge charge = ChargeOf(attempt.payment_id());
      const std::int64_t left = LeftOf(charge);
      charges += charge.status() == "succeeded";
      charges_max += given_up_.contains(attempt.payment_id());
      net += left;
      if (left == 0 || attempt.outcome() == orders::v1::PAYMENT_OUTCOME_SUCCEEDED) continue;
      const bool refunds_fail =
          card.starts_with("tok_refund_fails") || card == "tok_refund_never_answers";
      if (refunds_fail && given_up_.contains(attempt.payment_id())) {
        stuck_elsewhere += left;
        elsewhere_.insert(attempt.payment_id());
      } else {
        Wrong("order {} does not know of the success of {} ({})", id, attempt.payment_id(), card);
      }
    }
    if (!IsFinal(order) && !(unanswered && (order.cancelled() || order.expired_stage() != 0)))
      Wrong("order {} is still {}", id, status);
    const bool stuck = order.status() == orders::v1::ORDER_STATUS_REFUND_STUCK;
    if (charges > charges_max) Wrong("order {} was charged {} times", id, charges);
    charged_twice_ += charges > 1;
    if (stuck && !IsNeverRefunded(order)) Wrong("the refund of order {} is stuck", id);
    const bool keeps = stuck || order.status() == orders::v1::ORDER_STATUS_DELIVERED;
    kept_[id] = keeps ? order.total_minor() : 0;
    if (net != kept_[id] + stuck_elsewhere)
      Wrong("order {} is {} and keeps {} of {}", id, status, net, order.total_minor());
  }
  // What the provider keeps of a charge.
  static std::int64_t LeftOf(const tools::v1::Charge& charge) {
    return (charge.status() == "succeeded" ? charge.amount_minor() : 0) - charge.refunded_minor();
  }
  tools::v1::Charge ChargeOf(const std::string& payment_id) {
    const auto answer = provider_.Handle({.method = "GET",
                                          .path = "/v1/charges/" + payment_id,
                                          .authorization = "Bearer sk_test",
                                          .idempotency_key = {},
                                          .body = {}},
                                         clock_.Now());
    tools::v1::Charge charge;
    if (answer.status == 200 &&
        !google::protobuf::util::JsonStringToMessage(answer.body, &charge).ok())
      charge.Clear();
    return charge;
  }

  const Bug bug_;
  Random random_;
  testing::TemporaryFolder folder_{testing::FolderInMemory()};
  testing::VirtualScheduler scheduler_;
  testing::SchedulerClock clock_{scheduler_};
  Writer writer_{scheduler_};
  tools::PaymentSimulator provider_;
  Registry registry_;
  std::unique_ptr<EventStore> store_;
  std::unique_ptr<TwiceStore> twice_;
  std::unique_ptr<LogStateLoader> loader_;
  std::unique_ptr<CommandHandler> commands_;
  std::unique_ptr<ShakyDeliverer> deliverer_;
  std::unique_ptr<Reactors> reactors_;

  int orders_ = 0, payments_ = 0;
  std::vector<std::string> open_;             // Orders of this schedule.
  std::set<std::string> given_up_;            // Payments.
  std::map<std::string, std::string> cards_;  // By payment.
  std::string last_payment_id_;
  std::map<std::string, std::string> payers_;  // Orders by payment.
  std::map<std::string, std::int64_t> kept_;   // What is to be left of an order's money.
  std::set<std::string> elsewhere_;  // Payments that no order took and that are hard to pay back.
  int charged_twice_ = 0;            // Orders.
  std::set<std::string> stuck_;      // Orders that were.
  testing::ViewFixture<orders::PaymentLedger> ledger_{"order"};
  Position checked_ = kBeforeFirst;
  std::map<std::string, std::string> reserved_;  // Order by agent,
  std::map<std::string, std::string> with_;      // and agent by order.
  std::set<std::string> paid_;
  std::vector<std::string> wrong_;
};

}  // namespace ordering
}  // namespace leftfold
#endif  // TESTS_PROPERTY_ORDER_WORLD_H_
