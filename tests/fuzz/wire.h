#ifndef TESTS_FUZZ_WIRE_H_
#define TESTS_FUZZ_WIRE_H_

#include <absl/status/status.h>
#include <absl/time/time.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rpc/services.h"
#include "testing/virtual_scheduler.h"

// What targets do over gRPC: the bytes of a request go the whole way that a client's go, but for
// the transport, and what comes back is held against the contract.
namespace leftfold::fuzz {

// "/package.Service/Method"
std::string PathOf(const google::protobuf::MethodDescriptor& method);
// The RPC that takes it; dies when there is none.
const google::protobuf::MethodDescriptor& RpcTaking(const google::protobuf::Descriptor& request);

// Ends the process when a client may not get this: a refusal has a code of the contract, never
// UNKNOWN or INTERNAL, details that decode, and a reason that is named, with its code.
void ExpectRefusal(const std::string& path, const grpc::Status& status);
// The answer's message, which has no field that its type does not, and no refusal in it that is not
// as above.
std::unique_ptr<google::protobuf::Message> ExpectMessage(
    const google::protobuf::MethodDescriptor& method, const grpc::ByteBuffer& bytes);

// RPCs that a target has, and those that were called. With LEFTFOLD_FUZZ_EVERY_RPC the process
// fails at its end where one was not called: the corpus must call each.
void HasRpc(const google::protobuf::MethodDescriptor& method);
void WasCalled(const google::protobuf::MethodDescriptor& method);

// Calls of services as gRPC's transport makes them, without one: the bytes of a request go to the
// RPC of their path, and what a client would get comes back. One thread, which steps the scheduler.
class Wire {
 public:
  // The services may get their RPCs until the first call.
  Wire(rpc::Services& services, testing::VirtualScheduler& scheduler);
  ~Wire();

  struct Asks {
    std::string bytes;
    bool trusted = false;
    bool no_time_left = false;  // The client's deadline has passed.
    bool goes_away = false;     // The first message of a stream does not come through.
    bool cancels_soon = false;  // Before anything runs.
    std::vector<std::pair<std::string, std::string>> headers = {};
  };
  static constexpr char kToken[] = "token";
  using Messages = std::vector<std::unique_ptr<google::protobuf::Message>>;

  // Of an RPC that ends by itself: what it answered. Of a session each message is answered once, by
  // its id, unless the call is refused. An RPC that waits for time gets it.
  Messages Call(const google::protobuf::MethodDescriptor& method, const Asks& asks);
  // A stream that stays open; returns what comes, when nothing more does for now. The later
  // functions are about all of them.
  Messages Open(const google::protobuf::MethodDescriptor& method, const Asks& asks);
  // Takes what comes, first now and then in that time.
  void Pass(absl::Duration time);
  // The client goes away from all of them; returns when they have ended.
  void CloseAll();

 private:
  class Ongoing;
  class Unary;
  template <class End, class Reactor>
  class Writing;
  class Stream;
  class Session;
  std::unique_ptr<Ongoing> Begin(const google::protobuf::MethodDescriptor& method,
                                 const Asks& asks);
  void RunReady(const std::vector<Ongoing*>& calls);
  void AwaitEnd(Ongoing& call);

  rpc::Services& services_;
  testing::VirtualScheduler& scheduler_;
  std::vector<std::unique_ptr<Ongoing>> open_;
};

}  // namespace leftfold::fuzz
#endif  // TESTS_FUZZ_WIRE_H_
