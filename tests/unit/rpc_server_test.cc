// Where a server listens, and what it says of itself.
#include <absl/time/clock.h>
#include <grpcpp/impl/client_unary_call.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/status.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "rpc/server.h"
#include "testing/byte_buffer.h"
#include "testing/grpc_error.h"

namespace leftfold::rpc {
namespace {

// grpc.health.v1 and the reflection service by their wire format, for their C++ code is not
// everywhere installed.
std::string Field(int number, const std::string& text) {
  return std::string(1, static_cast<char>(number << 3 | 2)) +
         std::string(1, static_cast<char>(text.size())) + text;
}
std::string Text(const grpc::ByteBuffer& bytes) {
  grpc::Slice slice;
  EXPECT_TRUE(bytes.DumpToSingleSlice(&slice).ok());
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

class RpcServerTest : public ::testing::Test {
 protected:
  RpcServerTest() {
    EXPECT_TRUE(
        services_
            .HandleUnary(*admin::v1::ListViewsRequest::descriptor(),
                         [](UnaryCall call) { call.Finish(admin::v1::ListViewsResponse()); })
            .ok());
  }
  absl::StatusOr<std::unique_ptr<RpcServer>> Start(const std::string& listen) {
    return RpcServer::Start({.listen = listen, .services = &services_, .generated = {}});
  }
  static std::shared_ptr<grpc::Channel> ChannelTo(const RpcServer& server) {
    return grpc::CreateChannel(server.address(), grpc::InsecureChannelCredentials());
  }
  // 1 SERVING, 2 NOT_SERVING, -1 an error.
  static int Health(const RpcServer& server, const std::string& service) {
    const auto channel = ChannelTo(server);
    const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                           grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ClientContext context;
    grpc::ByteBuffer answer;
    const grpc::Status status =
        grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
            channel.get(), method, &context,
            testing::BufferOf(service.empty() ? "" : Field(1, service)), &answer);
    const std::string bytes = status.ok() ? Text(answer) : "";
    return bytes.size() == 2 ? bytes[1] : -1;
  }
  // The reflection service's answer to list_services, as bytes that hold the names.
  static std::string Listed(const RpcServer& server) {
    const auto channel = ChannelTo(server);
    const grpc::internal::RpcMethod method(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        grpc::internal::RpcMethod::BIDI_STREAMING);
    grpc::ClientContext context;
    const std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream(
        grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
            channel.get(), method, &context));
    grpc::ByteBuffer answer;
    EXPECT_TRUE(stream->Write(testing::BufferOf(Field(7, "*"))));
    EXPECT_TRUE(stream->Read(&answer));
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
    return Text(answer);
  }

  Services services_;
};

TEST_F(RpcServerTest, BytesThatAreNoRequestOfAGeneratedServiceAreRefusedWithAReason) {
  admin::v1::ReactorService::Service generated;
  const auto server =
      RpcServer::Start({.listen = "127.0.0.1:0",
                        .services = &services_,
                        .generated = {{"leftfold.admin.v1.ReactorService", &generated}}});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel = ChannelTo(**server);
  for (const std::string name : {"PauseReactor", "RetryParkedDeliveries"}) {
    const std::string path = "/leftfold.admin.v1.ReactorService/" + name;
    const grpc::internal::RpcMethod method(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ClientContext context;
    grpc::ByteBuffer answer;
    const auto error =
        testing::ErrorOf(grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
            channel.get(), method, &context, testing::BufferOf("\xff"), &answer));
    EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT) << name;
    EXPECT_EQ(error.reason, "MALFORMED_REQUEST") << name;
    EXPECT_EQ(error.metadata.at("message"), "leftfold.admin.v1." + name + "Request");
  }
}

TEST_F(RpcServerTest, PortZeroPicksAPortAndSaysWhich) {
  const auto server = Start("127.0.0.1:0");
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_GT((*server)->port(), 0);
  EXPECT_EQ((*server)->address(), fmt::format("127.0.0.1:{}", (*server)->port()));
}

TEST_F(RpcServerTest, HostsBeyondLoopbackAreRefusedWithTheReason) {
  for (const char* listen :
       {"0.0.0.0:0", "192.168.1.4:50051", "[::]:0", ":0", "example.org:0", "128.0.0.1:0"}) {
    const auto server = Start(listen);
    EXPECT_EQ(server.status().code(), absl::StatusCode::kFailedPrecondition) << listen;
    EXPECT_NE(
        server.status().message().find("listening beyond loopback needs TLS and authentication"),
        absl::string_view::npos)
        << listen;
  }
}

TEST_F(RpcServerTest, AMalformedAddressIsRefused) {
  for (const char* listen :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1:65536", "127.0.0.1:-1"}) {
    EXPECT_EQ(Start(listen).status().code(), absl::StatusCode::kInvalidArgument) << listen;
  }
}

TEST_F(RpcServerTest, ASecondServerOnAPortFails) {
  const auto first = Start("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const auto second =
      RpcServer::Start({.listen = (*first)->address(), .services = nullptr, .generated = {}});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

TEST_F(RpcServerTest, HealthKnowsEveryServiceAndTheWhole) {
  const auto server = Start("127.0.0.1:0");
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(Health(**server, ""), 1);
  EXPECT_EQ(Health(**server, "leftfold.admin.v1.AdminService"), 1);
  EXPECT_EQ(Health(**server, "leftfold.nothing.v1.NoService"), -1);
  (*server)->SetServing("leftfold.admin.v1.AdminService", false);
  EXPECT_EQ(Health(**server, "leftfold.admin.v1.AdminService"), 2);
  EXPECT_EQ(Health(**server, ""), 1);
}

TEST_F(RpcServerTest, ReflectionListsTheServices) {
  const auto server = Start("127.0.0.1:0");
  ASSERT_TRUE(server.ok());
  const std::string listed = Listed(**server);
  EXPECT_NE(listed.find("leftfold.admin.v1.AdminService"), std::string::npos);
  EXPECT_NE(listed.find("grpc.health.v1.Health"), std::string::npos);
}

TEST_F(RpcServerTest, AGeneratedServiceIsHostedBesideWithHealth) {
  class Admin final : public admin::v1::AdminService::Service {
    grpc::Status ListViews(grpc::ServerContext*, const admin::v1::ListViewsRequest*,
                           admin::v1::ListViewsResponse* response) override {
      response->add_views()->set_name("generated");
      return grpc::Status::OK;
    }
  } generated;
  const auto server =
      RpcServer::Start({.listen = "127.0.0.1:0",
                        .services = nullptr,
                        .generated = {{"leftfold.admin.v1.AdminService", &generated}}});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto stub = admin::v1::AdminService::NewStub(ChannelTo(**server));
  grpc::ClientContext context;
  admin::v1::ListViewsResponse response;
  ASSERT_TRUE(stub->ListViews(&context, {}, &response).ok());
  EXPECT_EQ(response.views(0).name(), "generated");
  EXPECT_EQ(Health(**server, "leftfold.admin.v1.AdminService"), 1);
}

TEST_F(RpcServerTest, AnUnknownRpcIsNamedInTheError) {
  admin::v1::AdminService::Service generated;
  const auto assembled = Start("127.0.0.1:0");
  const auto beside =
      RpcServer::Start({.listen = "127.0.0.1:0",
                        .services = nullptr,
                        .generated = {{"leftfold.admin.v1.AdminService", &generated}}});
  ASSERT_TRUE(assembled.ok() && beside.ok());
  for (const RpcServer* server : {assembled->get(), beside->get()}) {
    for (const char* rpc :
         {"/leftfold.admin.v1.AdminService/Nothing", "/leftfold.nothing.v1.NoService/Do"}) {
      const auto channel = ChannelTo(*server);
      const grpc::internal::RpcMethod method(rpc, grpc::internal::RpcMethod::NORMAL_RPC);
      grpc::ClientContext context;
      grpc::ByteBuffer answer;
      const testing::GrpcError error =
          testing::ErrorOf(grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
              channel.get(), method, &context, testing::BufferOf("x"), &answer));
      EXPECT_EQ(error.code, grpc::StatusCode::UNIMPLEMENTED);
      EXPECT_EQ(error.domain + "/" + error.reason, "leftfold.core.v1/UNKNOWN_RPC");
      EXPECT_EQ(error.metadata, (std::map<std::string, std::string>{{"rpc", rpc}}));
      EXPECT_NE(error.message.find(rpc), std::string::npos) << error.message;
      EXPECT_NE(error.message.find("grpcurl -plaintext"), std::string::npos) << error.message;
    }
    EXPECT_EQ(Health(*server, ""), 1);
    EXPECT_NE(Listed(*server).find("leftfold.admin.v1.AdminService"), std::string::npos);
  }
}

TEST_F(RpcServerTest, DrainIsIdempotentAndFreesThePort) {
  auto first = Start("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const std::string address = (*first)->address();
  (*first)->Drain(After(absl::Seconds(1)));
  (*first)->Drain(After(absl::Seconds(1)));
  first->reset();
  const auto second = RpcServer::Start({.listen = address, .services = nullptr, .generated = {}});
  EXPECT_TRUE(second.ok()) << second.status();
}

}  // namespace
}  // namespace leftfold::rpc
