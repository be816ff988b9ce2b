// What the admin API tells an operator.
#include "server/admin_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include "projector/projector.h"
#include "rpc/server.h"
#include "testing/grpc_error.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {
namespace {

TEST(AdminService, AFullDiskIsNamed) {
  const testing::TemporaryFolder folder;
  Registry registry;
  registry.Add<Names>();
  ManualExecutor executor;
  FakeStore store;
  store.AddNames({"a"});
  const auto projector = Projector::Open(registry, store, executor, nullptr, folder.path());
  ASSERT_TRUE(projector.ok()) << projector.status();
  AdminService service(store, **projector);
  const auto server =
      rpc::RpcServer::Start({.listen = "127.0.0.1:0",
                             .services = nullptr,
                             .generated = {{std::string(AdminService::kName), &service}}});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = admin::v1::AdminService::NewStub(
      grpc::CreateChannel((*server)->address(), grpc::InsecureChannelCredentials()));
  store.failure = absl::ResourceExhaustedError("disk full: database or disk is full");
  admin::v1::RebuildViewRequest request;
  request.set_view("names");
  request.set_action(admin::v1::RebuildViewRequest::ACTION_SWITCH);
  grpc::ClientContext context;
  const auto reader = stub->RebuildView(&context, request);
  admin::v1::RebuildViewResponse response;
  while (reader->Read(&response)) {
  }
  const testing::GrpcError error = testing::ErrorOf(reader->Finish());
  EXPECT_EQ(error.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error.reason, "DISK_FULL");
  EXPECT_THAT(error.message, ::testing::HasSubstr("the disk with the data folder is full"));
}

}  // namespace
}  // namespace leftfold::projecting
