#ifndef TESTING_WATCH_STREAM_H_
#define TESTING_WATCH_STREAM_H_

#include <absl/synchronization/notification.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <mutex>
#include <utility>

namespace leftfold::testing {

// One open watch over gRPC, without a thread of its own: a client may have thousands.
template <class Request, class Response>
class WatchStream final : public grpc::ClientReadReactor<Response> {
 public:
  using OnState = std::function<void(const Response&)>;
  using OnEnd = std::function<void(const grpc::Status&)>;

  // `call` starts the RPC: stub.async()->WatchRoom(context, request, reactor). Both functions are
  // called on gRPC's threads; `on_end` only for an end that is not the destructor's.
  template <class Call>
  WatchStream(Request request, Call call, OnState on_state, OnEnd on_end)
      : request_(std::move(request)), on_state_(std::move(on_state)), on_end_(std::move(on_end)) {
    context_.set_wait_for_ready(true);
    call(&context_, &request_, this);
    this->AddHold();
    this->StartCall();
  }
  // Hangs up.
  ~WatchStream() override {
    Close();
    ended_.WaitForNotification();
  }
  void Close() {
    {
      const std::lock_guard lock(mu_);
      if (std::exchange(closing_, true)) return;
    }
    context_.TryCancel();
    this->RemoveHold();
  }
  // Takes messages from now on; once. Before that the client is one that does not read.
  void Read() { this->StartRead(&response_); }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return EndHold();
    on_state_(response_);
    this->StartRead(&response_);
  }
  void EndHold() {
    {
      const std::lock_guard lock(mu_);
      if (std::exchange(closing_, true)) return;
      by_server_ = true;
    }
    this->RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    if (by_server_) on_end_(status);
    ended_.Notify();
  }

  const Request request_;
  const OnState on_state_;
  const OnEnd on_end_;
  grpc::ClientContext context_;
  Response response_;
  std::mutex mu_;
  bool closing_ = false;
  bool by_server_ = false;
  absl::Notification ended_;
};

}  // namespace leftfold::testing
#endif  // TESTING_WATCH_STREAM_H_
