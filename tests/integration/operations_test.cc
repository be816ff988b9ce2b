// What an operator sees of a real process: metrics, health, log lines, and its end.
#include <absl/strings/ascii.h>
#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "leftfold/admin/v1/admin.pb.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "leftfold/admin/v1/webhooks.pb.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "leftfold/store/v1/consumers.grpc.pb.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "server/metrics.h"
#include "server/reactor_service.h"
#include "sql/connection.h"
#include "testing/byte_buffer.h"
#include "testing/child_process.h"
#include "testing/consumer_client.h"
#include "testing/grpc_error.h"
#include "testing/nap.h"
#include "testing/parse.h"
#include "testing/rooms_client.h"
#include "testing/scrape.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
namespace health = grpc::health::v1;
using rooms::v1::CreateRoomRequest;
using rooms::v1::CreateRoomResponse;
using rooms::v1::GetRoomRequest;
using rooms::v1::GetRoomResponse;
using testing::ChildProcess;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;
using ::testing::Not;
using testing::RoomsClient;

constexpr char kCommandService[] = "leftfold.rooms.v1.RoomCommandService";
constexpr char kQueryService[] = "leftfold.rooms.v1.RoomQueryService";
constexpr char kServing[] =
    "leftfold_service_serving{service=\"leftfold.rooms.v1.RoomQueryService\"}";
constexpr char kTraceId[] = "4bf92f3577b34da6a3ce929d0e0e4736";

std::string TextOf(const fs::path& file) {
  std::ifstream stream(file);
  EXPECT_TRUE(stream) << file;
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
}

// `leftfold serve` on free ports, with more flags, and a folder for what it prints on stderr.
class Operations : public ::testing::Test {
 protected:
  std::string data() const { return folder_.path() + "/data"; }
  std::string stderr_file() const { return folder_.path() + "/stderr"; }

  void Serve(const std::string& flags = "", const std::string& redirect = "") {
    server_ = std::make_unique<ChildProcess>(std::vector<std::string>{
        "/bin/bash", "-c",
        (redirect.empty() ? "exec 2>" + stderr_file() : redirect) +
            "; exec " LEFTFOLD_BINARY " serve --data " + data() +
            " --write-listen 127.0.0.1:0 --read-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"
            " --metrics-listen 127.0.0.1:0 " +
            flags});
    write_address_ = server_->ValueAfter("commands listening on ");
    read_address_ = server_->ValueAfter("queries listening on ");
    admin_address_ = server_->ValueAfter("admin listening on ");
    metrics_address_ = server_->ValueAfter("metrics listening on ");
    ASSERT_NE(metrics_address_, "");
    client_ = std::make_unique<RoomsClient>(write_address_, read_address_);
  }
  int Stop() {
    server_->Kill(SIGTERM);
    return server_->Wait();
  }

  grpc::Status Create(const std::string& id, CreateRoomResponse* response) const {
    CreateRoomRequest request;
    request.set_room_id(id);
    request.set_name("Oak");
    return client_->Call(request, response);
  }
  void CreateAndSee(const std::string& id) {
    CreateRoomResponse response;
    const grpc::Status status = Create(id, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    Get(id, response.receipt().position());
  }
  grpc::Status Get(const std::string& id, const std::string& min_position,
                   const std::string& traceparent = "") {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + RoomsClient::kDeadline));
    if (!traceparent.empty()) context.AddMetadata("traceparent", traceparent);
    GetRoomRequest request;
    request.set_room_id(id);
    request.set_min_position(min_position);
    GetRoomResponse response;
    return client_->queries().GetRoom(&context, request, &response);
  }
  // Takes the table from under a view that is served, so that its queries fail from the position
  // that is returned: there is an event that it does not take.
  std::string BreakRoomDirectory() const {
    const auto file = sql::Connection::Open(data() + "/views/room_directory/1-1.db",
                                            {.role = sql::Role::kWriter});
    EXPECT_TRUE(file.ok() && (*file)->Run("DROP TABLE room").ok());
    store::v1::AppendRequest append;
    append.add_records()->set_stream("note-1");
    append.mutable_records(0)->set_type("note.Written");
    append.mutable_records(0)->set_json("{}");
    grpc::ClientContext context;
    store::v1::AppendResponse response;
    const grpc::Status status = store::v1::EventStoreService::NewStub(ChannelTo(write_address_))
                                    ->Append(&context, append, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return fmt::to_string(response.receipt().position());
  }
  std::map<std::string, double> Scrape() const { return testing::Scrape(metrics_address_); }
  double Metric(const std::string& name) const {
    const auto values = Scrape();
    const auto it = values.find(name);
    EXPECT_NE(it, values.end()) << name;
    return it == values.end() ? -1 : it->second;
  }

  testing::TemporaryFolder folder_;
  std::unique_ptr<ChildProcess> server_;
  std::string write_address_, read_address_, admin_address_, metrics_address_;
  std::unique_ptr<RoomsClient> client_;
};

health::HealthCheckResponse::ServingStatus Health(const std::string& address,
                                                  const std::string& service) {
  grpc::ClientContext context;
  health::HealthCheckRequest request;
  request.set_service(service);
  health::HealthCheckResponse response;
  const grpc::Status status =
      health::Health::NewStub(ChannelTo(address))->Check(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.status();
}

// A newer tool's request, of which the server would understand only a part.
TEST_F(Operations, RequestsWithFieldsThatAreUnknownAreRefusedByEachRpcForOperators) {
  Serve();
  const auto channel = ChannelTo(admin_address_);
  google::protobuf::UnknownFieldSet unknown;
  unknown.AddVarint(1'000, 1);
  std::string bytes;
  ASSERT_TRUE(unknown.SerializeToString(&bytes));
  const grpc::ByteBuffer request = testing::BufferOf(bytes);
  int refused = 0;
  for (const auto* file :
       {admin::v1::GetLogRequest::descriptor()->file(),
        admin::v1::ReactorStatus::descriptor()->file(), admin::v1::Webhook::descriptor()->file()}) {
    const google::protobuf::ServiceDescriptor& service = *file->service(0);
    for (int i = 0; i < service.method_count(); ++i, ++refused) {
      const std::string path =
          fmt::format("/{}/{}", service.full_name(), service.method(i)->name());
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + RoomsClient::kDeadline));
      const grpc::internal::RpcMethod rpc(path.c_str(),
                                          grpc::internal::RpcMethod::SERVER_STREAMING);
      const std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> call(
          grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(channel.get(), rpc,
                                                                        &context, request));
      grpc::ByteBuffer answer;
      EXPECT_FALSE(call->Read(&answer)) << path;
      EXPECT_EQ(testing::ErrorOf(call->Finish()).reason, "UNKNOWN_FIELD") << path;
    }
  }
  EXPECT_EQ(refused, 22);
}

TEST_F(Operations, MetricsTellWhatHappened) {
  Serve();
  CreateAndSee("oak");
  CreateRoomResponse again;
  EXPECT_EQ(Create("oak", &again).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  grpc::ClientContext context;
  rooms::v1::WatchRoomRequest request;
  request.set_room_id("oak");
  const auto watch = client_->queries().WatchRoom(&context, request);
  rooms::v1::WatchRoomResponse state;
  ASSERT_TRUE(watch->Read(&state));

  const std::map<std::string, double> values = Scrape();
  const std::string rpc = std::string("{service=\"") + kCommandService + "\",method=\"CreateRoom\"";
  for (const auto& [name, value] : std::map<std::string, double>{
           {"leftfold_log_position", 1},
           {"leftfold_log_events_total", 1},
           {"leftfold_append_duration_seconds_count", 1},
           {"leftfold_append_duration_seconds_bucket{le=\"+Inf\"}", 1},
           {"leftfold_append_group_size_count", 1},
           {"leftfold_append_group_size_sum", 1},
           {"leftfold_append_queue_depth", 0},
           {"leftfold_state_cache_misses_total", 1},
           {"leftfold_state_cache_hits_total", 1},
           {"leftfold_view_position{view=\"room_directory\"}", 1},
           {"leftfold_view_lag_events{view=\"room_directory\"}", 0},
           {"leftfold_view_state{view=\"room_directory\",state=\"live\"}", 1},
           {"leftfold_view_state{view=\"room_directory\",state=\"stopped\"}", 0},
           {"leftfold_watchers", 1},
           {"leftfold_subscribers", 0},
           {"leftfold_sessions{kind=\"command\"}", 0},
           {"leftfold_service_serving{service=\"leftfold.rooms.v1.RoomQueryService\"}", 1},
           {"leftfold_rpcs_started_total" + rpc + "}", 2},
           {"leftfold_rpcs_finished_total" + rpc + ",code=\"OK\"}", 1},
           {"leftfold_rpcs_finished_total" + rpc + ",code=\"ALREADY_EXISTS\"}", 1},
           {"leftfold_rejections_total{domain=\"leftfold.rooms.v1\",reason=\"ROOM_EXISTS\"}", 1},
           {"leftfold_log_lines_dropped_total", 0}}) {
    ASSERT_TRUE(values.contains(name)) << name;
    EXPECT_EQ(values.at(name), value) << name;
  }
  for (const char* name :
       {"leftfold_log_file_bytes", "leftfold_log_wal_bytes{file=\"events\"}",
        "leftfold_disk_free_bytes", "leftfold_view_file_bytes{view=\"room_facts\"}",
        "leftfold_append_duration_seconds_sum", "process_resident_memory_bytes", "process_open_fds",
        "process_threads"}) {
    ASSERT_TRUE(values.contains(name)) << name;
    EXPECT_GT(values.at(name), 0) << name;
  }
  for (const std::string file : {"index", "snapshots"})
    EXPECT_TRUE(values.contains("leftfold_log_wal_bytes{file=\"" + file + "\"}")) << file;
  context.TryCancel();
}

// Brings orders on their way, by what reactors do.
class OperationsOfReactors : public Operations {
 protected:
  void ServeOrders() {
    Serve("", "unset LEFTFOLD_PAYMENTS_URL; exec 2>" + stderr_file());
    const auto write = ChannelTo(write_address_);
    orders_ = orders::v1::OrderCommandService::NewStub(write);
    reactors_ = admin::v1::ReactorService::NewStub(ChannelTo(admin_address_));
    const auto restaurants = orders::v1::RestaurantCommandService::NewStub(write);
    using Restaurants = orders::v1::RestaurantCommandService::Stub;
    Do(*restaurants, &Restaurants::RegisterRestaurant,
       "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' approval_mode: APPROVAL_MODE_AUTO");
    Do(*restaurants, &Restaurants::AddMenuItem,
       "restaurant_id: 'roma' item_id: 'pizza' name: 'Pizza' price_minor: 900");
    Do(*restaurants, &Restaurants::OpenRestaurant, "restaurant_id: 'roma'");
  }
  template <class Service, class Request, class Response>
  static void Do(Service& service,
                 grpc::Status (Service::*rpc)(grpc::ClientContext*, const Request&, Response*),
                 const std::string& text) {
    grpc::ClientContext context;
    Response response;
    const grpc::Status status = (service.*rpc)(&context, testing::Parse<Request>(text), &response);
    ASSERT_TRUE(status.ok()) << text << ": " << status.error_message();
  }
  void Place(const std::string& id) {
    Do(*orders_, &orders::v1::OrderCommandService::Stub::PlaceOrder,
       "order_id: '" + id +
           "' customer_id: 'ada' restaurant_id: 'roma' address: 'here' "
           "lines { item_id: 'pizza' qty: 1 }");
  }
  static std::string Of(const std::string& metric, const std::string& reactor,
                        const std::string& label = "") {
    return "leftfold_reactor_" + metric + "{reactor=\"" + reactor + "\"" +
           (label.empty() ? "" : "," + label) + "}";
  }
  void AwaitMetric(const std::string& name, double value) const {
    while (Metric(name) != value && !HasFailure()) {
      testing::Nap();
    }
  }

  std::unique_ptr<orders::v1::OrderCommandService::Stub> orders_;
  std::unique_ptr<admin::v1::ReactorService::Stub> reactors_;
};

TEST_F(OperationsOfReactors, MetricsTellWhatReactorsDo) {
  ServeOrders();
  using Reactors = admin::v1::ReactorService::Stub;
  using Orders = orders::v1::OrderCommandService::Stub;
  Do(*reactors_, &Reactors::PauseReactor, "reactor: 'validate_order' why: 'a test'");
  EXPECT_EQ(Metric(Of("state", "validate_order", "state=\"paused\"")), 1);
  Place("late");
  AwaitMetric(Of("outbox_rows", "validate_order", "state=\"queued\""), 1);
  Do(*orders_, &Orders::CancelOrder, "order_id: 'late' customer_id: 'ada'");
  Do(*reactors_, &Reactors::ResumeReactor, "reactor: 'validate_order'");
  AwaitMetric(Of("deliveries_total", "validate_order", "outcome=\"refused\""), 1);
  Place("o1");
  AwaitMetric(Of("deliveries_total", "validate_order", "outcome=\"done\""), 1);
  AwaitMetric(Of("timers", "deadlines"), 1);
  Do(*orders_, &Orders::PayForOrder,
     "order_id: 'o1' customer_id: 'ada' payment_id: 'p1' method_type: 'card' "
     "payment_token: 'tok_visa' amount_minor: 900");
  AwaitMetric(Of("outbox_rows", "charge_payment", "state=\"parked\""), 1);
  AwaitMetric(Of("lag_events", "charge_payment"), 0);
  EXPECT_GT(Metric(Of("file_bytes", "charge_payment")), 0);
  EXPECT_GT(Metric(Of("wal_bytes", "charge_payment")), 0);
  const std::map<std::string, double> values = Scrape();
  for (const auto& [name, value] : std::map<std::string, double>{
           {Of("state", "validate_order", "state=\"paused\""), 0},
           {Of("state", "validate_order", "state=\"stopped\""), 0},
           {Of("position", "charge_payment"), values.at("leftfold_log_position")},
           {Of("outbox_rows", "validate_order", "state=\"queued\""), 0},
           {Of("outbox_rows", "validate_order", "state=\"in_flight\""), 0},
           {Of("deliveries_total", "validate_order", "outcome=\"retried\""), 0},
           {Of("deliveries_total", "charge_payment", "outcome=\"done\""), 0},
           {Of("deliveries_total", "charge_payment", "outcome=\"parked\""), 1},
           {Of("attempt_duration_seconds_count", "charge_payment"), 1},
           {Of("attempt_duration_seconds_count", "validate_order"), 2},
           {Of("attempt_duration_seconds_bucket", "validate_order", "le=\"+Inf\""), 2},
           {Of("events_total", "charge_payment"), 1},
           {Of("timers", "validate_order"), 0}}) {
    ASSERT_TRUE(values.contains(name)) << name;
    EXPECT_EQ(values.at(name), value) << name;
  }
  EXPECT_GT(values.at(Of("attempt_duration_seconds_sum", "validate_order")), 0);
}

TEST_F(OperationsOfReactors, WatchesOfErrorsBeginInTheLogAndAreFew) {
  ServeOrders();
  struct Watch {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<admin::v1::WatchErrorsResponse>> reader;
  };
  const auto open = [this](std::optional<std::int64_t> after = std::nullopt) {
    auto watch = std::make_unique<Watch>();
    watch->context.set_deadline(absl::ToChronoTime(absl::Now() + RoomsClient::kDeadline));
    admin::v1::WatchErrorsRequest request;
    if (after) request.set_after_position(*after);
    watch->reader = reactors_->WatchErrors(&watch->context, request);
    watch->reader->WaitForInitialMetadata();
    return watch;
  };
  const auto reason_of = [](Watch& watch) {
    return testing::ErrorOf(watch.reader->Finish()).reason;
  };
  EXPECT_EQ(reason_of(*open(-1)), "INVALID_FIELDS");
  EXPECT_EQ(reason_of(*open(1'000)), "INVALID_FIELDS") << "beyond the log";
  std::vector<std::unique_ptr<Watch>> watches;
  while (std::ssize(watches) < kErrorWatchesMax) watches.push_back(open(0));
  EXPECT_EQ(reason_of(*open()), "QUEUE_FULL");
  watches.back()->context.TryCancel();
  watches.back()->reader->Finish();
  Place("o1");  // It looks whether its client is there when the log goes on.
  std::unique_ptr<Watch> next;
  do {
    next = open();
    next->context.TryCancel();
  } while (reason_of(*next) == "QUEUE_FULL" && !HasFailure());
  for (const auto& watch : watches) watch->context.TryCancel();
}

TEST_F(OperationsOfReactors, MetricsTellWhatConsumerGroupsDo) {
  ServeOrders();
  const auto consumers = store::v1::ConsumerService::NewStub(
      grpc::CreateChannel(write_address_, grpc::InsecureChannelCredentials()));
  Do(*consumers, &store::v1::ConsumerService::Stub::CreateGroup,
     "group { name: 'places' filter { types: 'leftfold.orders.v1.OrderPlaced' } }");
  const auto of = [](const std::string& metric) {
    return "leftfold_group_" + metric + "{group=\"places\"}";
  };
  testing::ConsumerClient consumer(*consumers, "places", 2);
  for (const std::string id : {"o1", "o2", "o3", "o4"}) Place(id);
  AwaitMetric(of("waiting"), 2);
  AwaitMetric(of("in_flight"), 2);
  EXPECT_EQ(Metric(of("consumers")), 1);
  consumer.Park(consumer.Next().delivery_id(), "ugly");
  AwaitMetric(of("parked_keys"), 1);
  for (int i = 0; i < 3; ++i) consumer.Ack(consumer.Next().delivery_id());
  AwaitMetric(of("in_flight"), 0);
  AwaitMetric(of("waiting"), 0);
  AwaitMetric(of("lag_events"), 0);
}

TEST_F(OperationsOfReactors, AStoppedReactorIsSeenInMetricsAndTurnsNoHealth) {
  ServeOrders();
  {
    const auto file =
        sql::Connection::Open(data() + "/reactors/validate_order.db", {.role = sql::Role::kWriter});
    ASSERT_TRUE(file.ok() &&
                (*file)->Run("DROP TABLE restaurant; DROP TABLE leftfold_outbox").ok());
  }
  Place("o1");
  AwaitMetric(Of("state", "validate_order", "state=\"stopped\""), 1);
  EXPECT_EQ(Metric(Of("state", "validate_order", "state=\"live\"")), 0);
  EXPECT_GT(Metric(Of("lag_events", "validate_order")), 0);
  AwaitMetric(Of("lag_events", "deadlines"), 0);
  for (const std::string service : {"", "write", "leftfold.orders.v1.OrderCommandService",
                                    "leftfold.orders.v1.OrderQueryService"}) {
    EXPECT_EQ(Health(admin_address_, service), health::HealthCheckResponse::SERVING) << service;
  }
}

TEST_F(Operations, MetricsTellWhatVerifyFound) {
  Serve();
  CreateAndSee("oak");
  EXPECT_FALSE(Scrape().contains("leftfold_verify_failed"));
  const std::string verify = LEFTFOLD_BINARY " verify --data " + data();
  EXPECT_EQ(testing::RunShell(verify).exit_code, 0);
  EXPECT_EQ(Metric("leftfold_verify_failed"), 0);
  EXPECT_GT(Metric("leftfold_verify_timestamp_seconds"), 0);
  sql::ConfigureLibrary();
  SQLite::Database(data() + "/log/events.db", SQLite::OPEN_READWRITE)
      .exec("UPDATE events SET payload = x'0f' WHERE position = 1");
  EXPECT_EQ(testing::RunShell(verify).exit_code, 1);
  EXPECT_EQ(Metric("leftfold_verify_failed"), 1);
}

TEST_F(Operations, OnlyMetricsAreServedOverHttp) {
  Serve();
  EXPECT_THAT(testing::HttpGet(metrics_address_, "/metrics"),
              ::testing::StartsWith("HTTP/1.1 200 "));
  for (const char* path : {"/", "/etc/passwd", "/../../etc/passwd"})
    EXPECT_THAT(testing::HttpGet(metrics_address_, path), Not(HasSubstr(" 200 "))) << path;
}

TEST_F(Operations, WhoBeginsARequestAndGoesSilentHoldsUpNeitherScrapesNorTheEnd) {
  Serve();
  std::vector<int> silent;
  for (int i = 0; i < kMetricsThreads - 1; ++i) {
    silent.push_back(testing::Connect(metrics_address_));
    constexpr std::string_view kBegun = "GET /metrics HTTP/1.1\r\n";
    EXPECT_EQ(send(silent.back(), kBegun.data(), kBegun.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(kBegun.size()));
  }
  EXPECT_THAT(testing::HttpGet(metrics_address_, "/metrics"),
              ::testing::StartsWith("HTTP/1.1 200 "));
  // They were still waited for: the answer did not come after them.
  for (const int connection : silent) {
    char byte = 0;
    EXPECT_EQ(recv(connection, &byte, 1, MSG_DONTWAIT), -1);
    EXPECT_EQ(errno, EAGAIN);
  }
  EXPECT_EQ(Stop(), 0);
  for (const int connection : silent) close(connection);
}

TEST_F(Operations, MetricsListenWhereTheyAreToldOnLoopbackOnly) {
  Serve();
  const std::string serve = LEFTFOLD_BINARY " serve --data " + folder_.path() +
                            "/other --write-listen 127.0.0.1:0 --read-listen 127.0.0.1:0"
                            " --admin-listen 127.0.0.1:0 --metrics-listen ";
  const auto refused = [&](const std::string& listen) {
    const testing::Ran ran = testing::RunShell(serve + listen);
    EXPECT_EQ(ran.exit_code, 1) << listen;
    return ran.output;
  };
  EXPECT_THAT(refused("0.0.0.0:0"), HasSubstr("listening beyond loopback needs TLS"));
  EXPECT_THAT(refused("127.0.0.1:0,0.0.0.0:0"), HasSubstr("listening beyond loopback needs TLS"));
  EXPECT_THAT(refused("nowhere"), HasSubstr("is no HOST:PORT"));
  EXPECT_THAT(refused(metrics_address_), HasSubstr("is another server running there?"));
  ChildProcess without({"/bin/bash", "-c", "exec " + serve + "''"});
  EXPECT_NE(without.ValueAfter("admin listening on "), "");
  without.Kill(SIGTERM);
  EXPECT_THAT(without.ReadAll(), Not(HasSubstr("metrics")));
  EXPECT_EQ(without.Wait(), 0);
}

// Names of metrics in a text, without what a histogram adds to its own.
std::set<std::string> NamesIn(const std::string& text) {
  static const std::regex kName("\\b(leftfold|process|exposer)_[a-z0-9_]+\\b");
  std::set<std::string> names;
  for (auto it = std::sregex_iterator(text.begin(), text.end(), kName);
       it != std::sregex_iterator(); ++it) {
    names.insert(std::regex_replace(it->str(), std::regex("_(bucket|sum|count)$"), ""));
  }
  return names;
}

// What a metric of the server is called, in its own words.
std::set<std::string> NamesOfFamilies(const std::string& scraped) {
  std::set<std::string> names;
  std::istringstream lines(scraped);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) names.insert(line.substr(7, line.find(' ', 7) - 7));
  }
  return names;
}

const google::protobuf::Value& At(const google::protobuf::Value& object, const char* name) {
  const auto& fields = object.struct_value().fields();
  EXPECT_TRUE(fields.contains(name)) << name;
  static const google::protobuf::Value kNone;
  return fields.contains(name) ? fields.at(name) : kNone;
}

TEST_F(Operations, TheGuideDescribesEveryMetricAndAlertsAndDashboardNameNoOther) {
  Serve();
  const std::set<std::string> exported =
      NamesOfFamilies(testing::HttpGet(metrics_address_, "/metrics"));
  EXPECT_GT(exported.size(), 30u);
  const fs::path guide = LEFTFOLD_SOURCE_DIR "/docs/guide";
  std::set<std::string> described;
  std::istringstream lines(TextOf(guide / "operate.md"));
  for (std::string line; std::getline(lines, line);) {
    const std::set<std::string> names = NamesIn(line);
    EXPECT_THAT(names, IsSubsetOf(exported));
    if (line.starts_with("| `")) described.insert(names.begin(), names.end());
  }
  EXPECT_THAT(described, ::testing::ContainerEq(exported));

  const std::set<std::string> watched = NamesIn(TextOf(guide / "alerts.yml"));
  EXPECT_GE(watched.size(), 8u);
  EXPECT_THAT(watched, IsSubsetOf(exported));

  EXPECT_THAT(NamesIn(TextOf(guide / "grafana-dashboard.json")), IsSubsetOf(exported));
}

// What Grafana asks of a dashboard that it imports; which data source it takes is a variable.
TEST_F(Operations, TheDashboardIsWholeAndTakesAnyDataSource) {
  google::protobuf::Struct file;
  const std::string json =
      TextOf(fs::path(LEFTFOLD_SOURCE_DIR "/docs/guide/grafana-dashboard.json"));
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &file).ok());
  google::protobuf::Value dashboard;
  *dashboard.mutable_struct_value() = file;
  EXPECT_NE(At(dashboard, "uid").string_value(), "");
  EXPECT_NE(At(dashboard, "title").string_value(), "");
  EXPECT_GE(At(dashboard, "schemaVersion").number_value(), 36);
  std::set<std::string> variables = {"__rate_interval"};
  bool asks_for_source = false;
  const auto expect_source = [](const google::protobuf::Value& value) {
    EXPECT_EQ(At(At(value, "datasource"), "type").string_value(), "prometheus");
    EXPECT_EQ(At(At(value, "datasource"), "uid").string_value(), "${datasource}");
  };
  for (const auto& variable : At(At(dashboard, "templating"), "list").list_value().values()) {
    variables.insert(At(variable, "name").string_value());
    asks_for_source = asks_for_source || (At(variable, "name").string_value() == "datasource" &&
                                          At(variable, "type").string_value() == "datasource" &&
                                          At(variable, "query").string_value() == "prometheus");
    if (At(variable, "type").string_value() == "query") expect_source(variable);
  }
  EXPECT_TRUE(asks_for_source);
  static const std::regex kVariable(R"re(\$\{?(\w+))re");
  std::set<double> ids;
  std::set<std::pair<double, double>> places;
  for (const auto& panel : At(dashboard, "panels").list_value().values()) {
    const std::string title = At(panel, "title").string_value();
    SCOPED_TRACE(title);
    EXPECT_NE(title, "");
    EXPECT_TRUE(ids.insert(At(panel, "id").number_value()).second);
    const auto& place = At(panel, "gridPos");
    EXPECT_TRUE(
        places.emplace(At(place, "x").number_value(), At(place, "y").number_value()).second);
    EXPECT_LE(At(place, "x").number_value() + At(place, "w").number_value(), 24);
    EXPECT_GT(At(place, "w").number_value() * At(place, "h").number_value(), 0);
    EXPECT_THAT(At(panel, "type").string_value(), ::testing::AnyOf("stat", "timeseries"));
    expect_source(panel);
    EXPECT_GE(At(panel, "targets").list_value().values_size(), 1);
    for (const auto& target : At(panel, "targets").list_value().values()) {
      expect_source(target);
      const std::string expression = At(target, "expr").string_value();
      EXPECT_THAT(NamesIn(expression), Not(::testing::IsEmpty()));
      for (auto it = std::sregex_iterator(expression.begin(), expression.end(), kVariable);
           it != std::sregex_iterator(); ++it) {
        EXPECT_THAT(variables, ::testing::Contains((*it)[1].str()));
      }
    }
  }
  EXPECT_GE(ids.size(), 8u);
}

TEST_F(Operations, AViewIsInOneOfTheStatesOfTheApiWhichTheGuideLists) {
  std::set<std::string> states;
  const auto* type = admin::v1::ViewStatus::State_descriptor();
  for (int i = 1; i < type->value_count(); ++i) {  // 0 is unspecified.
    states.insert(absl::AsciiStrToLower(type->value(i)->name().substr(sizeof("STATE_") - 1)));
  }
  Serve();
  CreateAndSee("oak");
  double in_one = 0;
  for (const std::string& state : states) {
    in_one +=
        Metric(fmt::format(R"(leftfold_view_state{{view="room_directory",state="{}"}})", state));
  }
  EXPECT_EQ(in_one, 1);
  std::istringstream lines(TextOf(fs::path(LEFTFOLD_SOURCE_DIR "/docs/guide/operate.md")));
  std::set<std::string> listed;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `leftfold_view_state`")) continue;
    static const std::regex kWord("`([a-z_]+)`");
    const std::string meaning = line.substr(line.find("1 for the one of"));
    for (auto it = std::sregex_iterator(meaning.begin(), meaning.end(), kWord);
         it != std::sregex_iterator(); ++it)
      listed.insert((*it)[1].str());
  }
  EXPECT_THAT(listed, ::testing::ContainerEq(states));
}

TEST_F(Operations, EveryAlertHasItsRemedyInTheGuide) {
  const fs::path guide = LEFTFOLD_SOURCE_DIR "/docs/guide";
  const std::string alerts = TextOf(guide / "alerts.yml");
  const std::string text = TextOf(guide / "operate.md");
  static const std::regex kAlert("- alert: (\\w+)");
  int count = 0;
  for (auto it = std::sregex_iterator(alerts.begin(), alerts.end(), kAlert);
       it != std::sregex_iterator(); ++it, ++count) {
    EXPECT_THAT(text, HasSubstr("| " + (*it)[1].str() + " |"));
  }
  EXPECT_GE(count, 8);
  // And each invariant has its alerts.
  std::set<std::string> watched;
  std::istringstream lines(text);
  static const std::regex kInvariant("\\bI\\d+\\b");
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| Leftfold")) continue;
    const std::string name = line.substr(2, line.find(' ', 2) - 2);
    EXPECT_THAT(alerts, HasSubstr("- alert: " + name + "\n"));
    const std::size_t column = line.find('|', 2);
    const std::string invariants = line.substr(column, line.find('|', column + 1) - column);
    for (auto it = std::sregex_iterator(invariants.begin(), invariants.end(), kInvariant);
         it != std::sregex_iterator(); ++it)
      watched.insert(it->str());
  }
  constexpr int kInvariants = 14;
  for (int n = 1; n <= kInvariants; ++n)
    EXPECT_THAT(watched, ::testing::Contains(fmt::format("I{}", n)));
}

TEST_F(Operations, APausedViewGoesOnServing) {
  Serve();
  CreateAndSee("oak");
  const testing::Ran paused =
      testing::RunShell(LEFTFOLD_BINARY " call " + admin_address_ +
                        " leftfold.admin.v1.AdminService/PauseView '{\"view\": \"room_directory\", "
                        "\"why\": \"to look\"}'");
  ASSERT_EQ(paused.exit_code, 0) << paused.output;
  EXPECT_EQ(Metric("leftfold_view_state{view=\"room_directory\",state=\"paused\"}"), 1);
  EXPECT_EQ(Metric("leftfold_view_parked_events{view=\"room_directory\"}"), 0);
  EXPECT_EQ(Health(read_address_, kQueryService), health::HealthCheckResponse::SERVING);
  EXPECT_EQ(Metric(kServing), 1);
}

TEST_F(Operations, HealthIsToldForEachServiceAndWatchersHearOfChanges) {
  Serve();
  CreateAndSee("oak");
  grpc::ClientContext context;
  health::HealthCheckRequest request;
  request.set_service(kQueryService);
  const auto stub = health::Health::NewStub(ChannelTo(admin_address_));  // Is told last.
  const auto watch = stub->Watch(&context, request);
  health::HealthCheckResponse status;
  const auto next = [&] { return watch->Read(&status) ? status.status() : -1; };
  EXPECT_EQ(next(), health::HealthCheckResponse::SERVING);

  BreakRoomDirectory();
  CreateRoomResponse response;
  EXPECT_TRUE(Create("elm", &response).ok());
  EXPECT_EQ(next(), health::HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health(read_address_, kQueryService), health::HealthCheckResponse::NOT_SERVING);
  for (const std::string& address : {read_address_, write_address_, admin_address_})
    EXPECT_EQ(Health(address, ""), health::HealthCheckResponse::SERVING);
  for (const std::string& address : {write_address_, admin_address_})
    EXPECT_EQ(Health(address, kCommandService), health::HealthCheckResponse::SERVING);
  EXPECT_EQ(Metric(kServing), 0);
  EXPECT_EQ(Metric("leftfold_view_state{view=\"room_directory\",state=\"stopped\"}"), 1);
  EXPECT_EQ(Metric("leftfold_view_state{view=\"room_facts\",state=\"stopped\"}"), 0);

  const testing::Ran replayed =
      testing::RunShell(LEFTFOLD_BINARY " replay room_directory --data " + data());
  EXPECT_EQ(replayed.exit_code, 0) << replayed.output;
  EXPECT_EQ(next(), health::HealthCheckResponse::SERVING);
  EXPECT_EQ(Metric(kServing), 1);

  server_->Kill(SIGTERM);
  EXPECT_EQ(next(), health::HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(server_->Wait(), 0);
  EXPECT_THAT(TextOf(stderr_file()),
              AllOf(HasSubstr(" error view stopped view=room_directory reason=\""),
                    HasSubstr(" warning service is not serving service="),
                    HasSubstr(" info service is serving service=")));
}

TEST_F(Operations, AJsonLogHasALevelAndTheTraceOfTheRequest) {
  Serve("--log-format json");
  CreateAndSee("oak");
  const std::string broken_at = BreakRoomDirectory();
  const std::string traceparent = std::string("00-") + kTraceId + "-00f067aa0ba902b7-01";
  EXPECT_EQ(Get("oak", broken_at, traceparent).error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Get("oak", broken_at, "no trace").error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(Stop(), 0);
  std::vector<std::string> traces;
  std::istringstream lines(TextOf(stderr_file()));
  for (std::string line; std::getline(lines, line);) {
    google::protobuf::Struct parsed;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(line, &parsed).ok()) << line;
    const auto& fields = parsed.fields();
    ASSERT_TRUE(fields.contains("time") && fields.contains("level") && fields.contains("message"));
    if (fields.at("message").string_value() != "an RPC failed") continue;
    EXPECT_EQ(fields.at("level").string_value(), "error");
    EXPECT_EQ(fields.at("rpc").string_value(), std::string("/") + kQueryService + "/GetRoom");
    traces.push_back(fields.contains("trace_id") ? fields.at("trace_id").string_value() : "");
  }
  EXPECT_THAT(traces, ::testing::ElementsAre(kTraceId, ""));
}

TEST_F(Operations, AStandardErrorThatIsClosedOrThatNobodyReadsStopsNothing) {
  const std::string pipe = folder_.path() + "/pipe";
  // Open for reading and writing by the server itself, so that it has a reader, and full.
  const std::string full = "mkfifo " + pipe + "; exec 7<>" + pipe + "; dd if=/dev/zero of=" + pipe +
                           " oflag=nonblock bs=4096 count=1000 2>/dev/null; exec 2>&7";
  for (const std::string& redirect : {full, std::string("exec 2>&-")}) {
    fs::remove_all(data());
    Serve("", redirect);
    CreateAndSee("oak");
    const std::string broken_at = BreakRoomDirectory();
    for (int i = 0; i < 50; ++i)
      EXPECT_EQ(Get("oak", broken_at).error_code(), grpc::StatusCode::INTERNAL) << redirect;
    CreateRoomResponse response;
    EXPECT_TRUE(Create("elm", &response).ok());
    const double dropped = Metric("leftfold_log_lines_dropped_total");
    EXPECT_EQ(dropped >= 50, redirect == full) << dropped;
    // Where it was closed, no other file has its number.
    const auto file = fs::read_symlink(fmt::format("/proc/{}/fd/2", server_->pid()));
    EXPECT_EQ(file, redirect == full ? pipe : "/dev/null");
    EXPECT_EQ(Stop(), 0) << redirect;
    EXPECT_EQ(testing::RunShell(LEFTFOLD_BINARY " tail --data " + data()).exit_code, 0);
  }
}

// Has a read of a log of 8 MiB open, and does not read it: the server's write is never through.
class StuckReader {
 public:
  explicit StuckReader(const std::string& write_address)
      : store_(store::v1::EventStoreService::NewStub(SmallChannelTo(write_address))) {
    for (int i = 0; i < 8; ++i) {
      store::v1::AppendRequest append;
      auto* record = append.add_records();
      record->set_stream("heap-1");
      record->set_type("heap.Added");
      record->set_json("\"" + std::string(1 << 19, 'x') + "\"");
      grpc::ClientContext context;
      store::v1::AppendResponse response;
      const grpc::Status status = store_->Append(&context, append, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
    }
    reader_ = store_->ReadAll(&context_, {});
  }
  void LetGo() {
    context_.TryCancel();
    reader_->Finish();
  }

 private:
  // One that does not ask for more the faster the data come.
  static std::shared_ptr<grpc::Channel> SmallChannelTo(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  }

  std::unique_ptr<store::v1::EventStoreService::Stub> store_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<store::v1::ReadAllResponse>> reader_;
};

TEST_F(Operations, ADrainAnswersWhatIsInFlightAndRefusesTheRest) {
  Serve("--drain-limit 600");
  CreateAndSee("oak");
  StuckReader stuck(write_address_);  // Keeps the server from ending: until LetGo it only drains.
  while (Metric("leftfold_reader_messages_total") < 1) {
    testing::Nap();
  }
  grpc::ClientContext context;
  rooms::v1::WatchRoomRequest request;
  request.set_room_id("oak");
  const auto watch = client_->queries().WatchRoom(&context, request);
  rooms::v1::WatchRoomResponse state;
  ASSERT_TRUE(watch->Read(&state));

  std::vector<std::jthread> clients;
  std::array<std::vector<std::string>, 4> accepted;
  for (std::size_t n = 0; n < accepted.size(); ++n) {
    clients.emplace_back([&, n] {
      for (int i = 0;; ++i) {
        CreateRoomResponse response;
        const std::string id = fmt::format("room-{}-{}", n, i);
        const grpc::Status status = Create(id, &response);
        if (!status.ok()) {
          const testing::GrpcError error = testing::ErrorOf(status);
          EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE) << error.message;
          EXPECT_EQ(error.reason, "STOPPING");
          EXPECT_TRUE(error.has_retry_info);
          return;
        }
        accepted[n].push_back(id);
      }
    });
  }
  server_->Kill(SIGTERM);
  clients.clear();
  while (watch->Read(&state)) {
  }
  const testing::GrpcError ended = testing::ErrorOf(watch->Finish());
  EXPECT_EQ(ended.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ended.reason, "STOPPING");
  EXPECT_TRUE(ended.has_retry_info);
  for (const std::string& address : {write_address_, read_address_, admin_address_})
    EXPECT_EQ(Health(address, ""), health::HealthCheckResponse::NOT_SERVING);
  stuck.LetGo();
  EXPECT_EQ(server_->Wait(), 0);

  Serve();
  for (const auto& ids : accepted) {
    for (const std::string& id : ids) {
      CreateRoomResponse response;
      EXPECT_EQ(Create(id, &response).error_code(), grpc::StatusCode::ALREADY_EXISTS) << id;
    }
  }
}

TEST_F(Operations, AClientThatDoesNotLetGoDelaysTheEndNoLongerThanTheLimit) {
  Serve("--drain-limit 1");
  const StuckReader stuck(write_address_);
  while (Metric("leftfold_reader_messages_total") < 1) {
    testing::Nap();
  }
  EXPECT_EQ(Stop(), 0);
}

}  // namespace
}  // namespace leftfold
