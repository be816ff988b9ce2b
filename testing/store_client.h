#ifndef TESTING_STORE_CLIENT_H_
#define TESTING_STORE_CLIENT_H_

#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "event_store/continuity.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"

// A client of leftfold.store.v1 over real sockets.
namespace leftfold::testing {

std::unique_ptr<grpc::ClientContext> NewContext(absl::Duration deadline = absl::Seconds(30));

// On a connection of its own, whose streams have small windows: else the client would take in many
// MB for a stream that nobody reads.
std::unique_ptr<store::v1::EventStoreService::Stub> ConnectToStore(const std::string& address);

store::v1::AppendRecord JsonRecord(const std::string& stream, const std::string& json,
                                   const std::string& type = "NoteTaken");
// Events "0", "1" … for one stream.
store::v1::AppendRequest AppendTo(const std::string& stream, int events = 1);

// A subscriber on its caller's own time; checks continuity of all that it reads.
class Subscriber {
 public:
  using Stub = store::v1::EventStoreService::Stub;
  Subscriber(Stub& stub, const store::v1::SubscribeRequest& request,
             absl::Duration deadline = absl::Seconds(60));
  ~Subscriber();
  // Reads the first message; false when the subscription was refused.
  bool ReadStarted();
  // Reads so many events in all; false when the stream ends before.
  bool ReadEvents(int count);
  // Reads the rest.
  grpc::Status End();

 private:
  bool ReadOne();

  bool ended_ = false;
  int events_ = 0;
  std::unique_ptr<grpc::ClientContext> context_;
  ContinuityChecker checker_;
  std::unique_ptr<grpc::ClientReader<store::v1::SubscribeResponse>> reader_;
};

}  // namespace leftfold::testing
#endif  // TESTING_STORE_CLIENT_H_
