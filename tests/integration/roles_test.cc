// Roles in processes of their own, from outside: what each has, what it refuses, and what goes on
// while another one is away.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "leftfold/orders/v1/commands.grpc.pb.h"
#include "testing/child_process.h"
#include "testing/grpc_error.h"
#include "testing/nap.h"
#include "testing/parse.h"
#include "testing/reserved_port.h"
#include "testing/rooms_client.h"
#include "testing/scrape.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

namespace v1 = admin::v1;
using ::testing::AllOf;
using testing::GrpcError;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Ran;
using testing::RoomsClient;
using testing::ServerProcess;

Ran Leftfold(const std::string& arguments) {
  return testing::RunShell("unset ${!LEFTFOLD_*}; " LEFTFOLD_BINARY " " + arguments);
}

TEST(RolesCommandLine, WhatMakesNoSenseIsRefusedInWords) {
  for (const auto& [arguments, words] : std::map<std::string, std::string>{
           {"--roles=wrote", "'wrote' is no role; name some of project,write,read"},
           {"--roles=read,read", "the role read is named twice"},
           {"--roles=read,", "'' is no role"},
           {"--roles=read --write-listen 127.0.0.1:0", "--write-listen is for the role write"},
           {"--roles=write,project --read-listen 127.0.0.1:0",
            "--read-listen is for the role read"},
           {"--roles=read --log 127.0.0.1:1", "--log is for the role project"},
           {"--roles=react", "name its write address by --log HOST:PORT"},
           {"--log 127.0.0.1:1", "has the log itself: leave --log out"},
           {"--roles=project --log example.org:1", "no HOST:PORT of this machine"}}) {
    const Ran ran = Leftfold("serve --data /nowhere " + arguments);
    EXPECT_EQ(ran.exit_code, 2) << arguments;
    EXPECT_THAT(ran.output, HasSubstr(words)) << arguments;
  }
  const Ran environment =
      testing::RunShell("LEFTFOLD_ROLES=read LEFTFOLD_WRITE_LISTEN=127.0.0.1:0 " LEFTFOLD_BINARY
                        " serve --data /nowhere");
  EXPECT_EQ(environment.exit_code, 2);
}

TEST(RolesCommandLine, HelpShowsThatPortsOfRolesDoNotCollide) {
  EXPECT_THAT(
      Leftfold("serve --help").output,
      AllOf(
          HasSubstr("project  --admin-listen 127.0.0.1:50053  --metrics-listen 127.0.0.1:50054"),
          HasSubstr("write    --admin-listen 127.0.0.1:50055  --metrics-listen 127.0.0.1:50056"),
          HasSubstr("read     --admin-listen 127.0.0.1:50057  --metrics-listen 127.0.0.1:50058"),
          HasSubstr("react    --admin-listen 127.0.0.1:50063  --metrics-listen 127.0.0.1:50064")));
}

class RolesTest : public ::testing::Test {
 protected:
  using Process = std::unique_ptr<ServerProcess>;

  std::string data() const { return folder_.path() + "/data"; }
  Process Start(const std::string& roles, const std::vector<std::string>& more = {}) const {
    return StartOn("data", roles, more);
  }
  Process StartOn(const std::string& folder, const std::string& roles,
                  const std::vector<std::string>& more = {}) const {
    auto command = ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path() + "/" + folder, roles);
    command.insert(command.end(), more.begin(), more.end());
    return std::make_unique<ServerProcess>(command);
  }
  // What writes, at an address that it has each time.
  Process StartLog(const std::string& folder) const {
    return std::make_unique<ServerProcess>(ServerProcess::CommandOf(
        LEFTFOLD_BINARY, folder_.path() + "/" + folder, "write", log_port_.address()));
  }
  static void Kill(Process& process) {
    process->process.Kill(SIGKILL);
    process->process.Wait();
    process.reset();
  }

  // The position of the command.
  static std::string Create(const ServerProcess& writing, const std::string& room) {
    RoomsClient client(writing.write_address, writing.write_address);
    rooms::v1::CreateRoomRequest request;
    request.set_room_id(room);
    request.set_name("Name of " + room);
    rooms::v1::CreateRoomResponse response;
    const grpc::Status status = client.Call(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.receipt().position();
  }
  static GrpcError Get(const ServerProcess& reading, const std::string& room,
                       const std::string& min_position = "", const std::string& as_of = "") {
    RoomsClient client(reading.read_address, reading.read_address);
    rooms::v1::GetRoomRequest request;
    request.set_room_id(room);
    request.set_min_position(min_position);
    request.set_as_of_position(as_of);
    rooms::v1::GetRoomResponse response;
    return testing::ErrorOf(client.Call(request, &response));
  }
  // Asks again while the answer is such an error.
  static GrpcError GetAfter(const std::string& reason, const ServerProcess& reading,
                            const std::string& room, const std::string& min_position = "") {
    for (;; testing::Nap()) {
      GrpcError error = Get(reading, room, min_position);
      if (error.reason != reason) return error;
    }
  }
  static std::unique_ptr<v1::AdminService::Stub> AdminOf(const ServerProcess& process) {
    return v1::AdminService::NewStub(
        grpc::CreateChannel(process.admin_address, grpc::InsecureChannelCredentials()));
  }
  static v1::ListViewsResponse ListViews(const ServerProcess& process) {
    grpc::ClientContext context;
    v1::ListViewsResponse views;
    const grpc::Status status = AdminOf(process)->ListViews(&context, {}, &views);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return views;
  }
  static v1::ViewStatus DirectoryOf(const ServerProcess& process) {
    const v1::ListViewsResponse all = ListViews(process);
    for (const v1::ViewStatus& view : all.views()) {
      if (view.name() == "room_directory") return view;
    }
    ADD_FAILURE() << "no room_directory";
    return {};
  }
  template <class Request, class Response>
  static GrpcError Ask(const ServerProcess& process,
                       grpc::Status (v1::AdminService::Stub::*rpc)(grpc::ClientContext*,
                                                                   const Request&, Response*),
                       const Request& request = Request()) {
    grpc::ClientContext context;
    Response response;
    return testing::ErrorOf((AdminOf(process).get()->*rpc)(&context, request, &response));
  }
  static std::string Health(const std::string& address, const std::string& service) {
    return Leftfold("call " + address + " grpc.health.v1.Health/Check '{\"service\": \"" + service +
                    "\"}'")
        .output;
  }
  static void AwaitServing(const std::string& address, const std::string& service) {
    while (Health(address, service).find("NOT_SERVING") != std::string::npos) {
      testing::Nap();
    }
  }
  Ran WithData(const std::string& line) const { return Leftfold(line + " --data " + data()); }

  const testing::TemporaryFolder folder_;
  const testing::ReservedPort log_port_;
};

TEST_F(RolesTest, EachRoleHasItsLockAndAProcessOfItsOwnOnly) {
  const Process write = Start("write"), project = Start("project"), read = Start("read");
  for (const auto& [role, process] : std::map<std::string, const ServerProcess*>{
           {"write", write.get()}, {"project", project.get()}, {"read", read.get()}}) {
    std::ifstream lock(data() + "/" + role + ".lock");
    int pid = 0;
    std::string address;
    lock >> pid >> address;
    EXPECT_EQ(pid, process->process.pid());
    EXPECT_EQ(address, process->admin_address);
    const Ran second = WithData("serve --roles " + role);
    EXPECT_EQ(second.exit_code, 1);
    EXPECT_THAT(second.output, HasSubstr(role + ".lock is held by process " + std::to_string(pid) +
                                         " at " + address));
  }
  EXPECT_EQ(
      write->read_address + project->read_address + project->write_address + read->write_address,
      "");
  const Ran restore = Leftfold("restore --from " + data() + " --replace --data " + data());
  EXPECT_EQ(restore.exit_code, 1);
  EXPECT_THAT(restore.output, HasSubstr("is held by process"));
}

TEST_F(RolesTest, ReadingBeginsBeforeThereIsAnyFileAndProjectingBeforeThereIsALog) {
  const Process read = Start("read");
  const GrpcError building = Get(*read, "oak");
  EXPECT_EQ(building.reason, "VIEW_REBUILDING");
  EXPECT_TRUE(building.has_retry_info);
  EXPECT_THAT(building.message, HasSubstr("is being built, by another process; try again soon"));
  EXPECT_EQ(DirectoryOf(*read).state(), v1::ViewStatus::STATE_CATCHING_UP);
  EXPECT_THAT(Health(read->read_address, "leftfold.rooms.v1.RoomQueryService"),
              HasSubstr("NOT_SERVING"));
  const Process project = Start("project");
  EXPECT_EQ(Ask(*project, &v1::AdminService::Stub::ListViews).reason, "LOG_UNREACHABLE");
  EXPECT_THAT(Health(project->admin_address, "project"), HasSubstr("NOT_SERVING"));
  const Process write = Start("write");
  const std::string position = Create(*write, "oak");
  EXPECT_EQ(GetAfter("VIEW_REBUILDING", *read, "oak", position).code, grpc::StatusCode::OK);
  AwaitServing(read->read_address, "leftfold.rooms.v1.RoomQueryService");
  AwaitServing(project->admin_address, "project");
}

TEST_F(RolesTest, EachRoleAnswersItsOwnAdministrationAndNamesWhoHasTheOther) {
  const Process write = Start("write"), project = Start("project"), read = Start("read");
  const std::string position = Create(*write, "oak");
  EXPECT_EQ(GetAfter("VIEW_REBUILDING", *read, "oak", position).code, grpc::StatusCode::OK);
  using Stub = v1::AdminService::Stub;
  EXPECT_EQ(Ask(*write, &Stub::GetLog).code, grpc::StatusCode::OK);
  for (const ServerProcess* other : {project.get(), read.get()}) {
    const GrpcError error = Ask(*other, &Stub::GetLog);
    EXPECT_EQ(error.code, grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(error.reason, "ROLE_NOT_HERE");
    EXPECT_EQ(error.metadata.at("role"), "write");
    EXPECT_EQ(error.metadata.at("address"), write->admin_address);
  }
  v1::PauseViewRequest pause;
  pause.set_view("room_directory");
  pause.set_why("an inquiry");
  for (const ServerProcess* other : {write.get(), read.get()}) {
    const GrpcError error = Ask(*other, &Stub::PauseView, pause);
    EXPECT_EQ(error.reason, "ROLE_NOT_HERE");
    EXPECT_EQ(error.metadata.at("address"), project->admin_address);
    grpc::ClientContext context;
    v1::RebuildViewResponse response;
    const auto rebuild = AdminOf(*other)->RebuildView(&context, {});
    while (rebuild->Read(&response)) {
    }
    EXPECT_EQ(testing::ErrorOf(rebuild->Finish()).reason, "ROLE_NOT_HERE");
  }
  EXPECT_EQ(Ask(*write, &Stub::ListViews).reason, "ROLE_NOT_HERE");
  EXPECT_EQ(Get(*read, "oak", "", "1").reason, "LOG_NOT_HERE");

  // What the process that reads serves is what the other one has built.
  ASSERT_EQ(WithData("replay room_directory").exit_code, 0);
  EXPECT_EQ(DirectoryOf(*project).generation(), 2);
  const v1::ViewStatus served = DirectoryOf(*read);
  EXPECT_EQ(served.name(), "room_directory");
  EXPECT_EQ(served.generation(), 2);
  EXPECT_EQ(served.state(), v1::ViewStatus::STATE_SERVED) << "it cannot know whether it is live";
  EXPECT_TRUE(served.lag_unknown());
  EXPECT_FALSE(DirectoryOf(*project).lag_unknown());
  EXPECT_EQ(served.previous_generation(), 1);
  EXPECT_EQ(std::to_string(served.checkpoint()), position);
  EXPECT_GT(served.bytes(), 0);
  const std::string next = Create(*write, "elm");
  EXPECT_EQ(Get(*read, "elm", next).code, grpc::StatusCode::OK) << "of the new generation";

  // A pause of the one is a pause of the other.
  EXPECT_EQ(Ask(*project, &Stub::PauseView, pause).code, grpc::StatusCode::OK);
  const std::string beyond = Create(*write, "ash");
  const GrpcError paused = GetAfter("READ_MODEL_BEHIND", *read, "ash", beyond);
  EXPECT_EQ(paused.reason, "VIEW_STOPPED");
  EXPECT_THAT(paused.metadata.at("reason"), HasSubstr("an inquiry"));
  EXPECT_EQ(DirectoryOf(*read).state(), v1::ViewStatus::STATE_PAUSED);
  v1::ResumeViewRequest resume;
  resume.set_view("room_directory");
  EXPECT_EQ(Ask(*project, &Stub::ResumeView, resume).code, grpc::StatusCode::OK);
  EXPECT_EQ(GetAfter("VIEW_STOPPED", *read, "ash", beyond).code, grpc::StatusCode::OK);

  for (const std::string line : {"replay --all --verify", "verify", "views"}) {
    const Ran ran = WithData(line);
    EXPECT_EQ(ran.exit_code, 0) << ran.output;
  }
}

TEST_F(RolesTest, MetricsAndHealthAreThoseOfTheRole) {
  const Process write = Start("write"), project = Start("project"), read = Start("read");
  EXPECT_EQ(GetAfter("VIEW_REBUILDING", *read, "oak", Create(*write, "oak")).code,
            grpc::StatusCode::OK);
  const auto of_write = testing::Scrape(write->metrics_address);
  const auto of_project = testing::Scrape(project->metrics_address);
  const auto of_read = testing::Scrape(read->metrics_address);
  EXPECT_EQ(of_write.at("leftfold_role{role=\"write\"}"), 1);
  EXPECT_EQ(of_write.at("leftfold_role{role=\"read\"}"), 0);
  EXPECT_EQ(of_project.at("leftfold_role{role=\"project\"}"), 1);
  EXPECT_EQ(of_read.at("leftfold_role{role=\"read\"}"), 1);
  const std::string view = "{view=\"room_directory\"}";
  EXPECT_EQ(of_write.at("leftfold_log_position"), 1);
  EXPECT_FALSE(of_write.contains("leftfold_view_position" + view));
  EXPECT_FALSE(of_project.contains("leftfold_log_position"));
  EXPECT_EQ(of_project.at("leftfold_view_position" + view), 1);
  EXPECT_EQ(of_project.at("leftfold_view_lag_events" + view), 0);
  EXPECT_FALSE(of_project.contains("leftfold_watchers"));
  EXPECT_EQ(of_read.at("leftfold_view_position" + view), 1);
  EXPECT_EQ(of_read.at("leftfold_watchers"), 0);
  EXPECT_FALSE(of_read.contains("leftfold_view_lag_events" + view)) << "it cannot know";
  for (const auto& [process, role] : std::map<const ServerProcess*, std::string>{
           {write.get(), "write"}, {project.get(), "project"}, {read.get(), "read"}}) {
    for (const std::string name : {"write", "project", "read"}) {
      EXPECT_THAT(Health(process->admin_address, name),
                  HasSubstr(name == role ? "\"SERVING\"" : "NOT_FOUND"));
    }
  }
}

TEST_F(RolesTest, ReactorsRunInAProcessOfTheirOwnAndSendCommandsToTheOneThatWrites) {
  Process write = StartLog("data");
  const std::string log = log_port_.address();
  const auto channel = grpc::CreateChannel(log, grpc::InsecureChannelCredentials());
  const auto call = [&](auto* stub, auto rpc, auto request, auto response) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    return testing::ErrorOf((stub->*rpc)(&context, request, &response));
  };
  const auto restaurants = orders::v1::RestaurantCommandService::NewStub(channel);
  using Restaurants = orders::v1::RestaurantCommandService::Stub;
  using Orders = orders::v1::OrderCommandService::Stub;
  const auto orders = orders::v1::OrderCommandService::NewStub(channel);
  EXPECT_EQ(call(restaurants.get(), &Restaurants::RegisterRestaurant,
                 testing::Parse<orders::v1::RegisterRestaurantRequest>(
                     "restaurant_id: 'roma' name: 'Roma' currency: 'EUR' "
                     "approval_mode: APPROVAL_MODE_MANUAL"),
                 orders::v1::RegisterRestaurantResponse())
                .message,
            "");
  EXPECT_EQ(call(restaurants.get(), &Restaurants::OpenRestaurant,
                 testing::Parse<orders::v1::OpenRestaurantRequest>("restaurant_id: 'roma'"),
                 orders::v1::OpenRestaurantResponse())
                .message,
            "");
  const auto place = [&](const std::string& id) {
    EXPECT_EQ(call(orders.get(), &Orders::PlaceOrder,
                   testing::Parse<orders::v1::PlaceOrderRequest>(
                       "order_id: '" + id +
                       "' customer_id: 'ada' restaurant_id: 'roma' "
                       "address: 'here' lines { item_id: 'no' qty: 1 }"),
                   orders::v1::PlaceOrderResponse())
                  .message,
              "");
  };
  const auto reactors_of = [](const ServerProcess& process) {
    return v1::ReactorService::NewStub(
        grpc::CreateChannel(process.admin_address, grpc::InsecureChannelCredentials()));
  };
  const auto list = [&](const ServerProcess& process) {
    return call(reactors_of(process).get(), &v1::ReactorService::Stub::ListReactors,
                v1::ListReactorsRequest(), v1::ListReactorsResponse());
  };
  const auto outcome = [](const ServerProcess& process, const std::string& name) {
    return testing::Scrape(process.metrics_address)
        ["leftfold_reactor_deliveries_total{reactor=\"validate_order\",outcome=\"" + name + "\"}"];
  };
  place("o1");
  EXPECT_EQ(list(*write).reason, "ROLE_NOT_HERE");
  EXPECT_FALSE(std::filesystem::exists(data() + "/reactors")) << "no reactor runs there";
  Kill(write);

  const Process react = Start("react", {"--log", log});
  EXPECT_EQ(list(*react).reason, "LOG_UNREACHABLE");
  EXPECT_THAT(Health(react->admin_address, "react"), HasSubstr("NOT_SERVING"));
  write = StartLog("data");
  while (outcome(*react, "done") < 1) {
    testing::Nap();
  }
  EXPECT_EQ(list(*react).code, grpc::StatusCode::OK);
  AwaitServing(react->admin_address, "react");
  EXPECT_EQ(list(*write).metadata.at("address"), react->admin_address);
  const Ran tail = WithData("tail --type leftfold.orders.v1.OrderInvalidated");
  EXPECT_THAT(tail.output, HasSubstr("\"reactor:validate_order\""));

  // A refusal comes back as one.
  v1::PauseReactorRequest pause;
  pause.set_reactor("validate_order");
  pause.set_why("a test");
  const auto steer = reactors_of(*react);
  EXPECT_EQ(
      call(steer.get(), &v1::ReactorService::Stub::PauseReactor, pause, v1::PauseReactorResponse())
          .message,
      "");
  place("o2");
  EXPECT_EQ(
      call(orders.get(), &Orders::CancelOrder,
           testing::Parse<orders::v1::CancelOrderRequest>("order_id: 'o2' customer_id: 'ada'"),
           orders::v1::CancelOrderResponse())
          .message,
      "");
  v1::ResumeReactorRequest resume;
  resume.set_reactor("validate_order");
  EXPECT_EQ(call(steer.get(), &v1::ReactorService::Stub::ResumeReactor, resume,
                 v1::ResumeReactorResponse())
                .message,
            "");
  while (outcome(*react, "refused") < 1 && outcome(*react, "done") < 2 &&
         outcome(*react, "parked") < 1) {
    testing::Nap();
  }
  EXPECT_EQ(outcome(*react, "refused"), 1);
}

TEST_F(RolesTest, WhileTheLogIsAwayWhatWasFoldedIsReadAndThenItGoesOn) {
  Process write = StartLog("log");
  const std::string log = log_port_.address();
  Process views = StartOn("views", "project,read", {"--log", log});
  const std::string position = Create(*write, "oak");
  EXPECT_EQ(GetAfter("VIEW_REBUILDING", *views, "oak", position).code, grpc::StatusCode::OK);
  EXPECT_EQ(Get(*views, "oak", "", position).code, grpc::StatusCode::OK);
  EXPECT_EQ(Get(*views, "oak", "", "0").reason, "ROOM_NOT_FOUND");
  AwaitServing(views->read_address, "leftfold.rooms.v1.RoomQueryService");
  Kill(write);
  EXPECT_EQ(Get(*views, "oak").code, grpc::StatusCode::OK);
  EXPECT_EQ(Get(*views, "oak", "2").reason, "READ_MODEL_BEHIND") << "not stopped";
  EXPECT_THAT(Health(views->read_address, "leftfold.rooms.v1.RoomQueryService"),
              Not(HasSubstr("NOT_SERVING")));
  // How far it is behind it does not know.
  EXPECT_EQ(DirectoryOf(*views).state(), v1::ViewStatus::STATE_SERVED);
  EXPECT_TRUE(DirectoryOf(*views).lag_unknown());
  // Restarted without its log it serves the files that it has.
  Kill(views);
  views = StartOn("views", "project,read", {"--log", log});
  EXPECT_EQ(Get(*views, "oak", position).code, grpc::StatusCode::OK);
  EXPECT_EQ(DirectoryOf(*views).state(), v1::ViewStatus::STATE_SERVED);
  v1::ResumeViewRequest resume;
  resume.set_view("room_directory");
  EXPECT_EQ(Ask(*views, &v1::AdminService::Stub::ResumeView, resume).reason, "LOG_UNREACHABLE");
  write = StartLog("log");
  const std::string next = Create(*write, "elm");
  EXPECT_EQ(GetAfter("READ_MODEL_BEHIND", *views, "elm", next).code, grpc::StatusCode::OK);
}

}  // namespace
}  // namespace leftfold
