#include "testing/store_client.h"

#include <absl/time/clock.h>
#include <gtest/gtest.h>

namespace leftfold::testing {

using store::v1::EventStoreService;

std::unique_ptr<grpc::ClientContext> NewContext(absl::Duration deadline) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + deadline));
  return context;
}

std::unique_ptr<EventStoreService::Stub> ConnectToStore(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return EventStoreService::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

store::v1::AppendRecord JsonRecord(const std::string& stream, const std::string& json,
                                   const std::string& type) {
  store::v1::AppendRecord record;
  record.set_stream(stream);
  record.set_type(type);
  record.set_json(json);
  return record;
}

store::v1::AppendRequest AppendTo(const std::string& stream, int events) {
  store::v1::AppendRequest request;
  for (int i = 0; i < events; ++i) *request.add_records() = JsonRecord(stream, std::to_string(i));
  return request;
}

Subscriber::Subscriber(Stub& stub, const store::v1::SubscribeRequest& request,
                       absl::Duration deadline)
    : context_(NewContext(deadline)),
      checker_(request.filter()),
      reader_(stub.Subscribe(context_.get(), request)) {}

Subscriber::~Subscriber() {
  context_->TryCancel();
  if (!ended_) End().error_code();
}

bool Subscriber::ReadOne() {
  store::v1::SubscribeResponse message;
  if (!reader_->Read(&message)) return false;
  const absl::Status status = checker_.Check(message);
  EXPECT_TRUE(status.ok()) << status;
  events_ += message.events().events_size();
  return true;
}

bool Subscriber::ReadStarted() { return ReadOne(); }

bool Subscriber::ReadEvents(int count) {
  while (events_ < count) {
    if (!ReadOne()) return false;
  }
  return true;
}

grpc::Status Subscriber::End() {
  ended_ = true;
  store::v1::SubscribeResponse rest;
  while (reader_->Read(&rest)) {
  }
  return reader_->Finish();
}

}  // namespace leftfold::testing
