// kill -9 of the whole server at random moments, also while it starts, beneath 16 clients of all
// its surfaces: commands, appends to the raw log, orders that reactors bring on, queries, a watch,
// a subscription, rebuilds. What all of them were told is given to the checkers. LEFTFOLD_SEED
// gives the moments back, LEFTFOLD_KILLS says how many.
#include <absl/strings/str_split.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "event_store/continuity.h"
#include "event_store/remote/codec.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/orders/v1/queries.grpc.pb.h"
#include "leftfold/payments/v1/events.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "server/token.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/grpc_error.h"
#include "testing/guarantee_checker.h"
#include "testing/parse.h"
#include "testing/store_client.h"
#include "tests/crash/deployment.h"
#include "tools/simulate_payments.h"

namespace leftfold {
namespace {

using testing::AppendAttempt;
using testing::Deployment;
using testing::ErrorOf;
using testing::kPatience;
namespace seen = testing::seen;

constexpr std::uint64_t kWholeKills = 50;
constexpr std::uint64_t kSomeWholeKills = 2;
constexpr int kWholeParts = 2;  // That run side by side, where there are many.
// With a watch, two subscriptions and two who rebuild: 16.
constexpr int kRenamers = 5, kAppenders = 4, kCustomers = 2;
constexpr int kWatchedRooms = 3;
constexpr int kContendedStreams = 2;
constexpr int kPriceMinor = 900;

class WholeKill : public ::testing::TestWithParam<int> {
 protected:
  WholeKill() {
    checker_.AllowOthers();
    tools::SimulatePaymentsOptions options;
    options.listen = "127.0.0.1:0";
    auto provider = tools::PaymentsServer::Start(options);
    if (!provider.ok()) Die(provider.status().ToString());
    provider_ = *std::move(provider);
    setenv("LEFTFOLD_PAYMENTS_URL", ("http://" + provider_->address()).c_str(), 1);
    setenv("LEFTFOLD_PAYMENTS_API_KEY", "sk_test", 1);
  }
  ~WholeKill() override {
    closed_ = true;
    End();
    unsetenv("LEFTFOLD_PAYMENTS_URL");
    unsetenv("LEFTFOLD_PAYMENTS_API_KEY");
  }
  void End() {
    over_ = true;
    deployment_.End();
    {
      const std::lock_guard lock(mu_);
      for (grpc::ClientContext* context : streams_) context->TryCancel();
    }
    clients_.clear();
    customers_.clear();
  }
  static std::int64_t Now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

  // Sends it until it is answered; false at the end. Its id is in the history from before it is
  // sent.
  template <class Stub, class Request, class Response>
  bool Decide(Deployment::Connector<Stub> connect,
              grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
              Request request, const std::string& command_id, std::string* position = nullptr) {
    request.set_command_id(command_id);
    Saw(seen::AskedToDecide{command_id});
    Response response;
    const grpc::Status status = deployment_.Do("write", connect, rpc, request, response);
    if (status.error_code() == grpc::StatusCode::CANCELLED) return false;
    Saw(seen::AskedToTheEnd{command_id});
    EXPECT_TRUE(status.ok()) << command_id << ": " << status.error_message();
    if (!status.ok()) return false;
    if (position != nullptr) *position = response.receipt().position();
    Receipt receipt;
    receipt.version = Version{response.receipt().version()};
    receipt.position = Position{std::stoll(response.receipt().position())};
    receipt.aggregate_id = response.receipt().aggregate_id();
    receipt.created_id = response.receipt().created_id();
    Saw(seen::Answered{command_id, receipt});
    CountAnswer();
    return true;
  }
  template <class Stub, class Request, class Response>
  bool Decide(Deployment::Connector<Stub> connect,
              grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
              const std::string& text, const std::string& command_id,
              std::string* position = nullptr) {
    return Decide(connect, rpc, testing::Parse<Request>(text), command_id, position);
  }

  // Renames rooms that others rename too, and reads what it wrote.
  void Rename(int client) {
    using Commands = rooms::v1::RoomCommandService;
    using Queries = rooms::v1::RoomQueryService;
    for (int n = 0; !over_; ++n) {
      const std::string name = fmt::format("rename-{}-{}", client, n);
      const std::string room = fmt::format("room{}", (client + n) % kWatchedRooms);
      std::string position;
      if (!Decide(&Commands::NewStub, &Commands::Stub::RenameRoom,
                  fmt::format("room_id: '{}' name: '{}'", room, name), name, &position)) {
        return;
      }
      rooms::v1::GetRoomRequest get;
      get.set_room_id(room);
      get.set_min_position(position);
      rooms::v1::GetRoomResponse response;
      // UNAVAILABLE is also a view that is behind.
      const grpc::Status status =
          deployment_.Do("read", &Queries::NewStub, &Queries::Stub::GetRoom, get, response);
      if (status.error_code() == grpc::StatusCode::CANCELLED) return;
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_GE(std::stoll(response.applied_position()), std::stoll(position));
      Saw(seen::Shown{"room_directory", room, Position{std::stoll(response.applied_position())},
                      response.room().name()});
    }
  }

  // Appends to streams that others append to at the version that it expects, and now and then to
  // several streams at once.
  void Append(int client) {
    std::mt19937_64 random(static_cast<std::uint64_t>(client));
    std::map<std::string, std::int64_t> versions;
    for (int n = 0; !over_; ++n) {
      const std::string id = fmt::format("append-{}-{}", client, n);
      const std::string stream = fmt::format("note-{}", random() % kContendedStreams);
      const std::int64_t expected = versions.try_emplace(stream, -1).first->second;
      AppendRequest request = testing::AppendOf(stream, {fmt::format("\"{}\"", id)});
      if (expected < 0) {
        request.streams[0].check = NoStream{};
      } else {
        request.streams[0].check = Exactly{Version{expected}};
      }
      if (n % 4 == 0) {
        request = testing::AppendOf(fmt::format("heap-{}", client), {"1", "2", "3"});
        request.streams.push_back(
            testing::AppendOf(fmt::format("pile-{}", n), {"4", "5"}).streams[0]);
      }
      request = testing::CommandOf(std::move(request), id);
      int events = 0;
      for (StreamAppend& append : request.streams) {
        for (NewEvent& event : append.events) {
          event.encoding = Encoding::kJson;
          event.event_id = DerivedUuid(id, events++);
        }
      }
      if (!Append(id, stream, expected, request, versions[stream])) return;
    }
  }
  // false at the end. `version`: of the stream, as far as the answer tells.
  bool Append(const std::string& id, const std::string& stream, std::int64_t expected,
              const AppendRequest& request, std::int64_t& version) {
    using Store = store::v1::EventStoreService;
    Saw(seen::Asked{request});
    const auto wire = remote::ToWire(request);
    if (!wire.ok()) Die(wire.status().ToString());
    store::v1::AppendResponse response;
    AppendAttempt attempt;
    attempt.expected = expected;
    attempt.called = Now();
    const std::string bearer = "Bearer " + ReadToken(deployment_.FolderOf(0));
    const grpc::Status status = deployment_.Do("write", &Store::NewStub, &Store::Stub::Append,
                                               *wire, response, {{"authorization", bearer}});
    attempt.returned = Now();
    if (status.error_code() == grpc::StatusCode::CANCELLED) return false;
    Saw(seen::AskedToTheEnd{id});
    const testing::GrpcError error = ErrorOf(status);
    EXPECT_TRUE(status.ok() || error.reason == "VERSION_CONFLICT") << status.error_message();
    if (!status.ok() && error.reason != "VERSION_CONFLICT") return false;
    const bool contended = request.streams[0].stream == stream;
    attempt.accepted = status.ok();
    if (!status.ok()) attempt.actual = std::stoll(error.metadata.at("actual"));
    if (contended) version = status.ok() ? expected + 1 : attempt.actual;
    if (contended) Saw(seen::Attempted{stream, attempt});
    if (status.ok()) {
      Saw(seen::Answered{id, remote::FromWire(response.receipt())});
    } else {
      Saw(seen::Refused{id});
    }
    CountAnswer();
    return true;
  }

  // Orders one after the other, each with an agent of its own, paid as soon as it is valid.
  void Order(int customer) {
    using Agents = orders::v1::AgentCommandService;
    using Orders = orders::v1::OrderCommandService;
    for (int n = 0; !closed_; ++n) {
      const std::string id = fmt::format("{}-{}", customer, n);
      std::string position;
      if (!Decide(&Agents::NewStub, &Agents::Stub::RegisterAgent,
                  fmt::format("agent_id: 'a{}' name: 'Bo'", id), "register-" + id) ||
          !Decide(&Agents::NewStub, &Agents::Stub::AgentGoOnline,
                  fmt::format("agent_id: 'a{}'", id), "online-" + id) ||
          !Decide(&Orders::NewStub, &Orders::Stub::PlaceOrder,
                  fmt::format("order_id: 'o{}' customer_id: 'ada' restaurant_id: 'roma' "
                              "address: 'here' lines {{ item_id: 'pizza' qty: 1 }}",
                              id),
                  "place-" + id, &position)) {
        return;
      }
      {
        const std::lock_guard lock(mu_);
        placed_[id] = position;
      }
      if (!AwaitOrder(id, position, orders::v1::ORDER_STATUS_AWAITING_PAYMENT) || !Pay(id)) return;
    }
  }
  bool Pay(const std::string& id) {
    using Orders = orders::v1::OrderCommandService;
    return Decide(&Orders::NewStub, &Orders::Stub::PayForOrder,
                  fmt::format("order_id: 'o{0}' customer_id: 'ada' payment_id: 'p{0}' method_type: "
                              "'card' payment_token: 'tok_visa' amount_minor: {1}",
                              id, kPriceMinor),
                  "pay-" + id);
  }
  // false at the end, or when it does not come.
  bool AwaitOrder(const std::string& id, const std::string& position,
                  orders::v1::OrderStatus least) {
    using Queries = orders::v1::OrderQueryService;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    orders::v1::GetOrderRequest get;
    get.set_order_id("o" + id);
    get.set_min_position(position);
    while (std::chrono::steady_clock::now() < end) {
      orders::v1::GetOrderResponse response;
      const grpc::Status status =
          deployment_.Do("read", &Queries::NewStub, &Queries::Stub::GetOrder, get, response);
      if (status.error_code() == grpc::StatusCode::CANCELLED) return false;
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (!status.ok()) return false;
      if (response.order().status() >= least) return true;
      // The next change of the view, whatever it is of.
      get.set_min_position(std::to_string(std::stoll(response.applied_position()) + 1));
    }
    ADD_FAILURE() << "order " << id << " does not go on";
    return false;
  }

  // Runs one stream after the other: `open` reads one to its end.
  template <class Open>
  void Stream(const std::string& role, const Open& open) {
    while (!over_) {
      const auto channel = deployment_.ChannelTo(role);
      if (channel == nullptr) return;
      grpc::ClientContext context;
      {
        const std::lock_guard lock(mu_);
        if (over_) return;
        streams_.push_back(&context);
      }
      open(channel, context);
      const std::lock_guard lock(mu_);
      std::erase(streams_, &context);
    }
  }
  // Positions of the watch go up, over all servers.
  void Watch() {
    std::int64_t position = -1;
    Stream("read", [&](const auto& channel, grpc::ClientContext& context) {
      rooms::v1::WatchRoomsRequest request;
      if (position >= 0) request.set_resume_position(std::to_string(position));
      const auto reader =
          rooms::v1::RoomQueryService::NewStub(channel)->WatchRooms(&context, request);
      for (rooms::v1::WatchRoomsResponse message; reader->Read(&message);) {
        if (message.position().empty()) continue;
        const std::int64_t next = std::stoll(message.position());
        EXPECT_TRUE(next > position || (message.heartbeat() && next == position))
            << "a watch went back from " << position << " to " << next;
        position = next;
      }
      reader->Finish().IgnoreError();
    });
  }
  // Of the whole log, or of one category: each event once, in order, proved by the checker over all
  // servers.
  void Subscribe(const std::string& category, std::atomic<std::int64_t>& seen) {
    store::v1::SubscribeRequest request;
    if (!category.empty()) request.mutable_filter()->add_categories(category);
    request.set_raw_metadata(true);
    Position position;
    std::optional<Digest> chain;
    std::optional<Position> category_last;
    Position got;
    Stream("write", [&](const auto& channel, grpc::ClientContext& context) {
      ContinuityChecker checker(request.filter());
      if (category_last) {
        checker.ResumeCategoryAfter(*category_last);
      } else if (chain) {
        checker.ResumeAfter(position, *chain);
        request.set_after_chain(std::string(AsBytes(*chain)));
        Saw(seen::WentOn{"the subscriber", position, *chain});
      }
      request.set_after_position(position.value);
      const auto reader =
          store::v1::EventStoreService::NewStub(channel)->Subscribe(&context, request);
      for (store::v1::SubscribeResponse message; reader->Read(&message);) {
        const absl::Status status = checker.Check(message);
        EXPECT_TRUE(status.ok()) << status;
        for (const auto& event : message.events().events()) {
          const auto delivered = remote::FromWire(event);
          EXPECT_TRUE(delivered.ok()) << delivered.status();
          if (!delivered.ok()) return;
          Saw(seen::Delivered{"the subscriber of '" + category + "'", category, got, *delivered});
          got = delivered->position;
        }
        position = checker.position();
        if (category.empty()) chain = checker.chain();
        if (!category.empty()) category_last = checker.category_last();
        seen = position.value;
      }
      const grpc::Status end = reader->Finish();
      EXPECT_TRUE(end.error_code() == grpc::StatusCode::UNAVAILABLE ||
                  end.error_code() == grpc::StatusCode::CANCELLED)
          << end.error_message();
    });
  }
  void Rebuild(const std::vector<std::string>& views) {
    for (std::size_t n = 0; !over_; ++n) {
      const auto channel = deployment_.ChannelTo("project");
      if (channel == nullptr) return;
      const auto admin = admin::v1::AdminService::NewStub(channel);
      admin::v1::RebuildViewRequest request;
      request.set_view(views[n % views.size()]);
      request.set_action(admin::v1::RebuildViewRequest::ACTION_SWITCH);
      grpc::ClientContext context;
      const auto reader = admin->RebuildView(&context, request);
      admin::v1::RebuildViewResponse last;
      while (reader->Read(&last)) {
      }
      const grpc::Status status = reader->Finish();
      EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE)
          << status.error_message();
      if (!status.ok()) continue;
      EXPECT_TRUE(last.outcome().equal()) << request.view() << ": " << last.outcome().difference();
      ++rebuilds_;
    }
  }

  bool OpenShop() {
    using Commands = rooms::v1::RoomCommandService;
    using Restaurants = orders::v1::RestaurantCommandService;
    for (int room = 0; room < kWatchedRooms; ++room) {
      if (!Decide(&Commands::NewStub, &Commands::Stub::CreateRoom,
                  fmt::format("room_id: 'room{}' name: 'new'", room),
                  fmt::format("create-{}", room))) {
        return false;
      }
    }
    return Decide(&Restaurants::NewStub, &Restaurants::Stub::RegisterRestaurant,
                  "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' approval_mode: "
                  "APPROVAL_MODE_AUTO",
                  "roma") &&
           Decide(&Restaurants::NewStub, &Restaurants::Stub::AddMenuItem,
                  fmt::format("restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' "
                              "price_minor: {}",
                              kPriceMinor),
                  "pizza") &&
           Decide(&Restaurants::NewStub, &Restaurants::Stub::OpenRestaurant,
                  "restaurant_id: 'roma'", "open");
  }
  void LetClientsGo() {
    for (int i = 0; i < kRenamers; ++i) clients_.emplace_back([this, i] { Rename(i); });
    for (int i = 0; i < kAppenders; ++i) clients_.emplace_back([this, i] { Append(i); });
    for (int i = 0; i < kCustomers; ++i) customers_.emplace_back([this, i] { Order(i); });
    clients_.emplace_back([this] { Watch(); });
    clients_.emplace_back([this] { Subscribe("", seen_); });
    clients_.emplace_back([this] { Subscribe("note", seen_of_notes_); });
    clients_.emplace_back([this] { Rebuild({"room_directory"}); });
    clients_.emplace_back([this] { Rebuild({"order_directory", "payment_ledger", "room_facts"}); });
  }
  // Waits until clients were answered so many times more.
  void AwaitAnswers(std::int64_t more) {
    std::unique_lock lock(mu_);
    const std::int64_t enough = answered_ + more;
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return answered_ >= enough; }))
        << "clients do not go on";
  }
  void Saw(testing::Sight sight) {
    const std::lock_guard lock(mu_);
    checker_.Saw(std::move(sight));
  }
  void CountAnswer() {
    const std::lock_guard lock(mu_);
    ++answered_;
    changed_.notify_all();
  }
  int Count(const std::string& type) {
    const testing::Ran ran = testing::RunShell(LEFTFOLD_BINARY " tail --data " +
                                               deployment_.FolderOf(0) + " --type " + type);
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    return static_cast<int>(std::count(ran.output.begin(), ran.output.end(), '\n'));
  }
  // What each view's content is, folded with the clock and the words of this place.
  void SawFolded(const std::string& data, const std::string& where) {
    const testing::Ran ran =
        testing::RunShell(where + " " LEFTFOLD_BINARY " replay --all --verify --data " + data);
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
    const std::vector<std::string> lines = absl::StrSplit(ran.output, '\n');
    int views = 0;
    for (std::size_t i = 1; i < lines.size(); ++i) {
      if (!lines[i].starts_with("  content ")) continue;
      ++views;
      Saw(seen::Folded{lines[i - 1].substr(0, lines[i - 1].find(':')), kBeforeFirst, lines[i],
                       where});
    }
    EXPECT_GT(views, 3) << ran.output;
  }
  // Rooms' names, by room and the position from which they had them.
  using Names = std::map<std::string, std::map<Position, std::string>>;
  static Names NamesIn(std::span<const RecordedEvent> log) {
    Names names;
    const auto take = [&]<class Event>(const RecordedEvent& recorded, Event event) {
      if (recorded.type != Event::descriptor()->full_name()) return;
      EXPECT_TRUE(event.ParseFromString(recorded.payload));
      names[std::string(AggregateIdOf(recorded.stream))][recorded.position] = event.name();
    };
    for (const RecordedEvent& event : log) {
      take(event, rooms::v1::RoomCreated());
      take(event, rooms::v1::RoomRenamed());
    }
    return names;
  }
  std::int64_t WalBytes() const {
    std::error_code none;
    const auto bytes =
        std::filesystem::file_size(deployment_.FolderOf(0) + "/log/events.db-wal", none);
    return none ? 0 : static_cast<std::int64_t>(bytes);
  }
  // After the end of the server.
  void ExpectAllKept() {
    const std::string data = deployment_.FolderOf(0);
    const testing::Ran verified = testing::RunShell(LEFTFOLD_BINARY " verify --data " + data);
    EXPECT_EQ(verified.exit_code, 0) << verified.output;
    SawFolded(data, "TZ=UTC LC_ALL=C");
    SawFolded(data, "TZ=Pacific/Kiritimati LC_ALL=C.UTF-8");
    const auto log = OpenSqliteEventStoreReadOnly(data + "/log");
    ASSERT_TRUE(log.ok()) << log.status();
    const auto content = testing::LogContent::Of(**log);
    ASSERT_TRUE(content.ok()) << content.status();
    for (const RecordedEvent& event : content->events) {
      if (event.type == payments::v1::PaymentSucceeded::descriptor()->full_name())
        Saw(seen::Done{event.stream});
    }
    std::set<std::string> owed;
    for (const auto& [id, position] : placed_) owed.insert("payment-p" + id);
    const Names names = NamesIn(content->events);
    const auto fold = [&](const seen::Shown& shown, std::span<const RecordedEvent>) {
      const auto& of_room = names.at(shown.key);
      return std::prev(of_room.upper_bound(shown.applied))->second;
    };
    EXPECT_EQ(checker_.Check({**log, fold, owed}), "");
    const int orders = static_cast<int>(placed_.size());
    EXPECT_GT(orders, 0);
    for (const char* type : {"payments.v1.PaymentInitiated", "payments.v1.PaymentSucceeded",
                             "orders.v1.AgentReserved", "orders.v1.AgentAssigned"}) {
      EXPECT_EQ(Count(fmt::format("leftfold.{}", type)), orders) << type;
    }
    EXPECT_EQ(Count("leftfold.core.v1.DeliveryParked"), 0);
    EXPECT_EQ(provider_->stats().charges_succeeded(), orders);
    EXPECT_EQ(provider_->stats().captured_minor(), kPriceMinor * orders);
    EXPECT_EQ(provider_->stats().refunded_minor(), 0);
  }

  std::unique_ptr<tools::PaymentsServer> provider_;
  Deployment deployment_{{"", {{"project,write,read,react", "data"}}}};
  std::mutex mu_;
  std::condition_variable changed_;
  testing::GuaranteeChecker checker_;
  std::map<std::string, std::string> placed_;  // Orders, and the positions of their events.
  std::vector<grpc::ClientContext*> streams_;
  std::int64_t answered_ = 0;
  std::atomic<std::int64_t> rebuilds_ = 0, seen_ = 0, seen_of_notes_ = 0;
  std::atomic<bool> over_ = false, closed_ = false;
  std::vector<std::jthread> clients_, customers_;
};

TEST_P(WholeKill, NothingIsLostNothingTwiceAndAllViewsEqualTheirRebuild) {
  const std::uint64_t kills =
      testing::CasesOfPart(testing::CasesOrSome("LEFTFOLD_KILLS", kWholeKills, kSomeWholeKills),
                           GetParam(), kWholeKills / kWholeParts);
  if (kills == 0) GTEST_SKIP() << "another part does all";
  const std::uint64_t seed = testing::Seed();
  std::cout << kills << " kills" << std::endl;
  std::mt19937_64 random(seed + static_cast<std::uint64_t>(GetParam()));
  ASSERT_NO_FATAL_FAILURE(deployment_.Start(0));
  ASSERT_TRUE(OpenShop());
  LetClientsGo();
  for (std::uint64_t kill = 0; kill < kills && !HasFailure(); ++kill) {
    AwaitAnswers(std::uniform_int_distribution<int>(20, 800)(random));
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % 5'000));  // Any moment is right.
    deployment_.Stop(0, SIGKILL);
    Saw(seen::Measured{"bytes of the write-ahead log", WalBytes(), kLogWalRefuseBytes});
    while (random() % 3 == 0)
      deployment_.StartAndKill(0, std::chrono::microseconds(random() % 150'000));
    ASSERT_NO_FATAL_FAILURE(deployment_.Start(0));
  }
  AwaitAnswers(100);
  closed_ = true;
  customers_.clear();
  for (const auto& [id, position] : placed_)
    EXPECT_TRUE(AwaitOrder(id, position, orders::v1::ORDER_STATUS_AGENT_ASSIGNED));
  End();
  EXPECT_GT(rebuilds_, 0);
  EXPECT_GT(seen_, 0);
  EXPECT_GT(seen_of_notes_, 0);
  deployment_.Stop(0, SIGTERM);
  ExpectAllKept();
  std::cout << answered_ << " commands and appends answered, " << placed_.size() << " orders, "
            << rebuilds_ << " rebuilds" << std::endl;
}

INSTANTIATE_TEST_SUITE_P(Part, WholeKill, ::testing::Range(0, kWholeParts));

}  // namespace
}  // namespace leftfold
