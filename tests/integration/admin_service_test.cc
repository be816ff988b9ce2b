// What the admin API tells an operator, and what it does for one.
#include "server/admin_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include "rpc/server.h"
#include "server/operator.h"
#include "testing/fake_clock.h"
#include "testing/grpc_error.h"
#include "tests/integration/projector_views_fixture.h"
#include "tests/unit/projector_parking_fixture.h"

namespace leftfold::projecting {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Admin : public ProjectorViews {
 protected:
  Admin() {
    registry_.Add<Trails>();
    Rename(store_, {"a:poison", "a:1", "b:1"});
    StartAndRun();
    projecting_ = projector_.get();
    service_ = std::make_unique<AdminService>(AdminParts{
        .data = folder_.path(), .clock = clock_, .log = &store_, .projector = &projecting_});
    server_ =
        *rpc::RpcServer::Start({.listen = "127.0.0.1:0",
                                .services = nullptr,
                                .generated = {{std::string(AdminService::kName), service_.get()}}});
    stub_ = admin::v1::AdminService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }

  template <class Request, class Response>
  testing::GrpcError Call(grpc::Status (admin::v1::AdminService::Stub::*rpc)(grpc::ClientContext*,
                                                                             const Request&,
                                                                             Response*),
                          const Request& request, Response& response) {
    grpc::ClientContext context;
    response.Clear();
    return testing::ErrorOf((stub_.get()->*rpc)(&context, request, &response));
  }
  // Reads a stream to its end; the outcome is that of the last message.
  template <class Response, class Request>
  testing::GrpcError Stream(std::unique_ptr<grpc::ClientReader<Response>> (
                                admin::v1::AdminService::Stub::*rpc)(grpc::ClientContext*,
                                                                     const Request&),
                            const Request& request) {
    grpc::ClientContext context;
    const auto reader = (stub_.get()->*rpc)(&context, request);
    Response response;
    outcome_.Clear();
    progress_.clear();
    while (reader->Read(&response)) {
      outcome_ = response.outcome();
      progress_.push_back(Progress(response));
    }
    return testing::ErrorOf(reader->Finish());
  }
  // "FOLDING 2/3, 0/0": of events, then of rows.
  template <class Response>
  static std::string Progress(const Response& response) {
    const std::string events = fmt::format("{}/{}", response.done(), response.total());
    if constexpr (requires { response.phase(); }) {
      return fmt::format("{} {}, {}/{}",
                         admin::v1::RebuildPhase_Name(response.phase())
                             .substr(std::string_view("REBUILD_PHASE_").size()),
                         events, response.compared_rows(), response.rows_to_compare());
    }
    return events;
  }
  testing::GrpcError Rebuild(admin::v1::RebuildViewRequest::Action action) {
    admin::v1::RebuildViewRequest request;
    request.set_view("trails");
    request.set_action(action);
    return Stream<admin::v1::RebuildViewResponse>(&Stub::RebuildView, request);
  }
  admin::v1::ViewStatus TrailsStatus() {
    admin::v1::ListViewsResponse response;
    EXPECT_EQ(Call(&Stub::ListViews, admin::v1::ListViewsRequest(), response).code,
              grpc::StatusCode::OK);
    return response.views(2);  // By name: count, names, trails.
  }

  using Stub = admin::v1::AdminService::Stub;
  std::atomic<Projector*> projecting_ = nullptr;
  std::unique_ptr<AdminService> service_;
  std::unique_ptr<rpc::RpcServer> server_;
  std::unique_ptr<Stub> stub_;
  admin::v1::RebuildOutcome outcome_;
  std::vector<std::string> progress_;  // Of the messages.
};

TEST_F(Admin, AFullDiskIsNamed) {
  store_.failure = absl::ResourceExhaustedError("disk full: database or disk is full");
  const testing::GrpcError error = Rebuild(admin::v1::RebuildViewRequest::ACTION_SWITCH);
  EXPECT_EQ(error.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error.reason, "DISK_FULL");
  EXPECT_THAT(error.message, HasSubstr("the disk with the data folder is full"));
}

TEST_F(Admin, APausedViewIsListedWithItsLagAndGoesOnWhenItIsResumed) {
  admin::v1::PauseViewRequest pause;
  admin::v1::PauseViewResponse paused;
  pause.set_view("trails");
  testing::GrpcError error = Call(&Stub::PauseView, pause, paused);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_THAT(error.message, HasSubstr("why"));
  pause.set_why("an inquiry");
  EXPECT_EQ(Call(&Stub::PauseView, pause, paused).code, grpc::StatusCode::OK);
  Rename(store_, {"b:2", "b:3"});
  store_.Wake();
  Run();
  clock_.Set(store_.events[3].recorded_at + absl::Milliseconds(1'500));
  admin::v1::ViewStatus view = TrailsStatus();
  EXPECT_EQ(view.state(), admin::v1::ViewStatus::STATE_PAUSED);
  EXPECT_EQ(view.lag_events(), 2);
  EXPECT_EQ(view.lag_seconds(), 1.5);
  EXPECT_GT(view.bytes(), 0);
  EXPECT_THAT(view.reason(), HasSubstr("an inquiry"));
  admin::v1::ResumeViewRequest resume;
  admin::v1::ResumeViewResponse resumed;
  resume.set_view("trails");
  EXPECT_EQ(Call(&Stub::ResumeView, resume, resumed).code, grpc::StatusCode::OK);
  Run();
  view = TrailsStatus();
  EXPECT_EQ(view.state(), admin::v1::ViewStatus::STATE_LIVE);
  EXPECT_EQ(view.lag_seconds(), 0);
  resume.set_view("nothing");
  error = Call(&Stub::ResumeView, resume, resumed);
  EXPECT_EQ(error.reason, "VIEW_NOT_FOUND");
  EXPECT_THAT(error.message, HasSubstr("trails"));
}

TEST_F(Admin, ParkedEventsArePagedSkippedAndRetried) {
  admin::v1::ListParkedRequest list;
  admin::v1::ListParkedResponse listed;
  list.set_view("trails");
  list.set_page_size(1);
  ASSERT_EQ(Call(&Stub::ListParked, list, listed).code, grpc::StatusCode::OK);
  ASSERT_EQ(listed.events_size(), 1);
  EXPECT_EQ(listed.events(0).position(), 1);
  EXPECT_EQ(listed.events(0).stream(), "room-a");
  EXPECT_EQ(listed.events(0).type(), "leftfold.rooms.v1.RoomRenamed");
  EXPECT_THAT(listed.events(0).reason(), HasSubstr("SQLite error"));
  list.set_page_token(listed.next_page_token());
  ASSERT_EQ(Call(&Stub::ListParked, list, listed).code, grpc::StatusCode::OK);
  EXPECT_EQ(listed.events(0).position(), 2);
  EXPECT_EQ(listed.next_page_token(), "");
  list.set_page_token("no token");
  EXPECT_EQ(Call(&Stub::ListParked, list, listed).reason, "INVALID_PAGE_TOKEN");
  EXPECT_EQ(TrailsStatus().parked_events(), 2);

  admin::v1::SkipParkedRequest skip;
  admin::v1::SkipParkedResponse skipped;
  skip.set_view("trails");
  skip.set_position(2);
  EXPECT_THAT(Call(&Stub::SkipParked, skip, skipped).message, HasSubstr("by"));
  skip.set_by("ann");
  skip.set_why(std::string(kRemarkBytesMax + 1, 'x'));
  EXPECT_EQ(Call(&Stub::SkipParked, skip, skipped).reason, "INVALID_FIELDS");
  skip.set_why("it is a test");
  EXPECT_EQ(Call(&Stub::SkipParked, skip, skipped).reason, "NOT_FIRST_PARKED");
  skip.set_position(1);
  EXPECT_EQ(Call(&Stub::SkipParked, skip, skipped).code, grpc::StatusCode::OK);
  EXPECT_EQ(Call(&Stub::SkipParked, skip, skipped).reason, "NOT_PARKED");

  admin::v1::RetryParkedRequest retry;
  admin::v1::RetryParkedResponse retried;
  retry.set_view("trails");
  EXPECT_EQ(Call(&Stub::RetryParked, retry, retried).reason, "INVALID_FIELDS");
  retry.set_stream("room-a");
  ASSERT_EQ(Call(&Stub::RetryParked, retry, retried).code, grpc::StatusCode::OK);
  EXPECT_EQ(retried.folded(), 1);
  EXPECT_EQ(retried.parked(), 0);
  EXPECT_EQ(Call(&Stub::RetryParked, retry, retried).reason, "NOT_PARKED");
  list.Clear();
  list.set_view("trails");
  ASSERT_EQ(Call(&Stub::ListParked, list, listed).code, grpc::StatusCode::OK);
  ASSERT_EQ(listed.events_size(), 1);
  EXPECT_EQ(listed.events(0).skip().by(), "ann");
  EXPECT_EQ(listed.events(0).skip().why(), "it is a test");
  EXPECT_EQ(listed.events(0).skip().at().seconds(), testing::FakeClock::kStartSeconds);
}

TEST_F(Admin, AViewIsVerifiedAndNothingIsSaidOfWhatWasNotCompared) {
  admin::v1::VerifyViewRequest verify;
  verify.set_view("trails");
  ASSERT_EQ(Stream<admin::v1::VerifyViewResponse>(&Stub::VerifyView, verify).code,
            grpc::StatusCode::OK);
  EXPECT_TRUE(outcome_.has_compared_position());
  EXPECT_TRUE(outcome_.equal()) << outcome_.difference();
  EXPECT_EQ(outcome_.compared_position(), 3);
  EXPECT_EQ(outcome_.content_hash().size(), 64U);
  EXPECT_THAT(progress_,
              ElementsAre("FOLDING 3/3, 0/0", "COMPARING 3/3, 0/1", "UNSPECIFIED 3/3, 1/1"));
  {
    auto raw = sql::Connection::Open(listener_.files["trails"], {.role = sql::Role::kWriter});
    ASSERT_TRUE((*raw)->Run("DELETE FROM trail").ok()) << (*raw)->status();
  }
  ASSERT_EQ(Rebuild(admin::v1::RebuildViewRequest::ACTION_SWITCH).code, grpc::StatusCode::OK);
  EXPECT_TRUE(outcome_.has_compared_position());
  EXPECT_FALSE(outcome_.equal());
  EXPECT_THAT(outcome_.difference(), HasSubstr("is only in the rebuilt view"));
  admin::v1::RollbackViewRequest rollback;
  rollback.set_view("trails");
  ASSERT_EQ(Stream<admin::v1::RollbackViewResponse>(&Stub::RollbackView, rollback).code,
            grpc::StatusCode::OK);
  EXPECT_FALSE(outcome_.has_compared_position()) << "nothing was compared";
  EXPECT_FALSE(outcome_.equal());
}

TEST_F(Admin, AGenerationIsServedAndRolledBack) {
  ASSERT_EQ(Rebuild(admin::v1::RebuildViewRequest::ACTION_SWITCH).code, grpc::StatusCode::OK);
  EXPECT_EQ(TrailsStatus().previous_generation(), 1);
  EXPECT_THAT(TrailsStatus().other_generations(), ElementsAre(1));
  admin::v1::RollbackViewRequest rollback;
  rollback.set_view("trails");
  ASSERT_EQ(Stream<admin::v1::RollbackViewResponse>(&Stub::RollbackView, rollback).code,
            grpc::StatusCode::OK);
  EXPECT_EQ(outcome_.generation(), 1);
  EXPECT_EQ(outcome_.position(), 3);
  EXPECT_EQ(TrailsStatus().generation(), 1);
  admin::v1::SwitchViewRequest switch_to;
  switch_to.set_view("trails");
  switch_to.set_generation(2);
  ASSERT_EQ(Stream<admin::v1::SwitchViewResponse>(&Stub::SwitchView, switch_to).code,
            grpc::StatusCode::OK);
  EXPECT_EQ(TrailsStatus().generation(), 2);
  switch_to.set_generation(9);
  EXPECT_EQ(Stream<admin::v1::SwitchViewResponse>(&Stub::SwitchView, switch_to).reason,
            "GENERATION_NOT_FOUND");
  rollback.set_view("names");
  EXPECT_EQ(Stream<admin::v1::RollbackViewResponse>(&Stub::RollbackView, rollback).reason,
            "GENERATION_NOT_FOUND");
}

TEST_F(Admin, WhatFailsForNoReasonOfAClientsIsToldToTheOperator) {
  store_.AddNames({"poison"});
  admin::v1::RebuildViewRequest request;
  request.set_view("names");
  request.set_action(admin::v1::RebuildViewRequest::ACTION_SWITCH);
  const auto error = Stream<admin::v1::RebuildViewResponse>(&Stub::RebuildView, request);
  EXPECT_EQ(error.reason, "INTERNAL");
  EXPECT_THAT(error.message, HasSubstr("stopped at position 4"));
}

}  // namespace
}  // namespace leftfold::projecting
