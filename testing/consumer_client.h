#ifndef TESTING_CONSUMER_CLIENT_H_
#define TESTING_CONSUMER_CLIENT_H_

#include <absl/time/time.h>
#include <google/protobuf/duration.pb.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "leftfold/store/v1/consumers.grpc.pb.h"
#include "testing/store_client.h"

namespace leftfold::testing {

// A consumer of a group over a real socket, on its caller's own time. What does not come in time
// ends the call.
class ConsumerClient {
 public:
  using Stub = store::v1::ConsumerService::Stub;
  using Delivery = store::v1::ConsumeResponse::Delivery;

  explicit ConsumerClient(Stub& stub)
      : context_(NewContext()), call_(stub.Consume(context_.get())) {}
  ConsumerClient(Stub& stub, const std::string& group, int window, const std::string& name = "c")
      : ConsumerClient(stub) {
    store::v1::ConsumeRequest request;
    request.mutable_open()->set_group(group);
    request.mutable_open()->set_consumer(name);
    request.mutable_open()->set_window(window);
    Send(request);
    while (!opened_ && ReadOne()) {
    }
  }
  ~ConsumerClient() { End(); }
  ConsumerClient(const ConsumerClient&) = delete;
  ConsumerClient& operator=(const ConsumerClient&) = delete;

  bool opened() const { return opened_; }
  void Send(const store::v1::ConsumeRequest& request) { call_->Write(request); }
  // The next one; empty when the call ends.
  Delivery Next() {
    while (deliveries_.empty() && ReadOne()) {
    }
    if (deliveries_.empty()) return {};
    Delivery next = std::move(deliveries_.front());
    deliveries_.pop_front();
    return next;
  }
  void Ack(const std::string& id) {
    store::v1::ConsumeRequest request;
    request.mutable_ack()->add_delivery_ids(id);
    Send(request);
  }
  void Nack(const std::string& id, const std::string& reason, int delay_ms = -1) {
    store::v1::ConsumeRequest request;
    request.mutable_nack()->add_delivery_ids(id);
    request.mutable_nack()->set_reason(reason);
    if (delay_ms >= 0) request.mutable_nack()->mutable_delay()->set_nanos(delay_ms * 1'000'000);
    Send(request);
  }
  void Park(const std::string& id, const std::string& reason) {
    store::v1::ConsumeRequest request;
    request.mutable_park()->add_delivery_ids(id);
    request.mutable_park()->set_reason(reason);
    Send(request);
  }
  // Returns when so many answers are settled in all; false when the call ends before.
  bool AwaitSettled(std::size_t count) {
    while (settled_.size() < count) {
      if (!ReadOne()) return false;
    }
    return true;
  }
  // The same of answers that are settled or refused.
  bool AwaitAnswers(std::size_t count) {
    while (settled_.size() + refused_.size() < count) {
      if (!ReadOne()) return false;
    }
    return true;
  }
  bool AwaitRefused() {
    while (refused_.empty()) {
      if (!ReadOne()) return false;
    }
    return true;
  }
  const std::vector<std::string>& settled() const { return settled_; }
  const std::vector<store::v1::ConsumeResponse::Refused>& refused() const { return refused_; }

  // Closes the sending side, and reads the rest.
  grpc::Status CloseAndFinish() {
    call_->WritesDone();
    return Rest();
  }
  // Reads the rest.
  grpc::Status Rest() {
    while (ReadOne()) {
    }
    if (std::exchange(ended_, true)) return grpc::Status::OK;
    return call_->Finish();
  }
  // Vanishes.
  void End() {
    context_->TryCancel();
    Rest();
  }

 private:
  bool ReadOne() {
    store::v1::ConsumeResponse message;
    if (ended_ || !call_->Read(&message)) return false;
    opened_ = opened_ || message.has_opened();
    for (const Delivery& delivery : message.deliveries().deliveries())
      deliveries_.push_back(delivery);
    for (const std::string& id : message.settled().delivery_ids()) settled_.push_back(id);
    for (const auto& refused : message.settled().refused()) refused_.push_back(refused);
    return true;
  }

  bool opened_ = false;
  bool ended_ = false;
  std::deque<Delivery> deliveries_;
  std::vector<std::string> settled_;
  std::vector<store::v1::ConsumeResponse::Refused> refused_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<store::v1::ConsumeRequest, store::v1::ConsumeResponse>>
      call_;
};

}  // namespace leftfold::testing
#endif  // TESTING_CONSUMER_CLIENT_H_
