// `leftfold call` and a server that goes while it is asked what it has.
#include <gmock/gmock.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_interceptor.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "testing/child_process.h"

namespace leftfold {
namespace {

using ::testing::HasSubstr;
using Factory = grpc::experimental::ServerInterceptorFactoryInterface;

// Ends each call with its second message.
class OneMessage final : public grpc::experimental::Interceptor {
 public:
  explicit OneMessage(grpc::experimental::ServerRpcInfo* call) : call_(*call) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    const bool message = methods->QueryInterceptionHookPoint(
        grpc::experimental::InterceptionHookPoints::POST_RECV_MESSAGE);
    if (message && std::exchange(second_, true)) call_.server_context()->TryCancel();
    methods->Proceed();
  }

 private:
  grpc::experimental::ServerRpcInfo& call_;
  bool second_ = false;
};

class OneMessageEach final : public Factory {
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* call) override {
    return new OneMessage(call);
  }
};

TEST(CallOfAServerThatGoes, SaysThatAndNotThatTheServiceIsMissing) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  std::vector<std::unique_ptr<Factory>> factories;
  factories.push_back(std::make_unique<OneMessageEach>());
  grpc::ServerBuilder builder;
  builder.experimental().SetInterceptorCreators(std::move(factories));
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  const auto server = builder.BuildAndStart();
  const std::string service = "grpc.reflection.v1alpha.ServerReflection";
  const std::string call = LEFTFOLD_BINARY " call 127.0.0.1:" + std::to_string(port) + " ";
  for (const std::string& what : {service + "/Do", "describe " + service}) {
    const testing::Ran ran = testing::RunShell(call + what);
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_THAT(ran.output, HasSubstr("no server that describes itself answers there"));
  }
}

}  // namespace
}  // namespace leftfold
