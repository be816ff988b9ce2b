#include "tools/simulate_payments.h"

#include <absl/time/clock.h>
#include <civetweb.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "core/log.h"
#include "core/status.h"
#include "core/webhook_signature.h"
#include "rpc/server.h"
#include "server/http_client.h"
#include "server/listener_waker.h"
#include "server/stop_signals.h"

namespace leftfold::tools {
namespace {

// How long the sender of webhooks sleeps at most when nothing wakes it.
constexpr absl::Duration kNapMax = absl::Minutes(1);
constexpr std::size_t kReadBytes = 4'096;
// What CivetWeb puts into its own statistics for a request that got no answer.
constexpr int kNotAnswered = 499;

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 202:
      return "Accepted";
    case 402:
      return "Payment Required";
    case 409:
      return "Conflict";
    default:
      return status < 500 ? "Refused" : "Failed";
  }
}

std::string HeaderOf(mg_connection* connection, const char* name) {
  const char* value = mg_get_header(connection, name);
  return value == nullptr ? "" : value;
}

// The whole body, or so much of one that is too large that this shows.
std::string ReadBody(mg_connection* connection) {
  std::string body;
  char buffer[kReadBytes];
  while (body.size() <= kSimulatorBodyBytesMax) {
    const int got = mg_read(connection, buffer, sizeof buffer);
    if (got <= 0) break;
    body.append(buffer, static_cast<std::size_t>(got));
  }
  return body;
}

// CivetWeb would write it into a file or onto standard error.
int DropMessage(const mg_connection*, const char*) { return 1; }

}  // namespace

class PaymentsServer::Implementation {
 public:
  explicit Implementation(const SimulatePaymentsOptions& options)
      : options_(options), simulator_(WithWebhooks(options)) {}

  // Ends what is held, then the server, then the webhooks.
  ~Implementation() {
    {
      const std::lock_guard lock(mu_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (server_ != nullptr) {
      const ListenerWaker waker(host_, port());
      mg_stop(server_);
    }
    if (sender_.joinable()) sender_.join();
    client_.reset();
  }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  // False when the address is taken.
  bool Start(const rpc::ListenAddress& listen) {
    host_ = listen.host;
    const std::string address = fmt::format("{}:{}", NumericHost(), listen.port);
    const std::string threads = fmt::to_string(kSimulatorThreads);
    const char* settings[] = {"listening_ports",
                              address.c_str(),
                              "num_threads",
                              threads.c_str(),
                              "enable_keep_alive",
                              "no",
                              "request_timeout_ms",
                              "10000",
                              nullptr};
    mg_callbacks callbacks{};
    callbacks.log_message = &DropMessage;
    server_ = mg_start(&callbacks, this, settings);
    if (server_ == nullptr) return false;
    mg_set_request_handler(server_, "**", &OnRequest, this);
    if (!options_.webhook.empty()) {
      sender_ = std::jthread([this] { SendWebhooks(); });
      pthread_setname_np(sender_.native_handle(), "lf-webhooks");
    }
    return true;
  }
  int port() const {
    mg_server_port port{};
    return mg_get_server_ports(server_, 1, &port) == 1 ? port.port : 0;
  }
  v1::SimulatorStats stats() const { return simulator_.stats(); }

 private:
  static PaymentSimulatorOptions WithWebhooks(const SimulatePaymentsOptions& options) {
    PaymentSimulatorOptions simulator = options.simulator;
    simulator.webhooks = !options.webhook.empty();
    return simulator;
  }
  // CivetWeb takes addresses only.
  std::string NumericHost() const { return host_ == "localhost" ? "127.0.0.1" : host_; }

  static int OnRequest(mg_connection* connection, void* self) {
    return static_cast<Implementation*>(self)->Answer(connection);
  }

  int Answer(mg_connection* connection) {
    const mg_request_info& info = *mg_get_request_info(connection);
    PaymentSimulator::Request request{
        info.request_method, info.local_uri, HeaderOf(connection, "Authorization"),
        HeaderOf(connection, "Idempotency-Key"), ReadBody(connection)};
    const PaymentSimulator::Answer answer = simulator_.Handle(request, absl::Now());
    Wake();
    if (answer.silent) {
      Hold();
      return kNotAnswered;
    }
    const std::string text = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: "
        "close\r\n\r\n{}",
        answer.status, ReasonPhrase(answer.status), answer.body.size(), answer.body);
    mg_write(connection, text.data(), text.size());
    return answer.status;
  }

  void Hold() {
    std::unique_lock lock(mu_);
    wake_.wait_for(lock, absl::ToChronoMilliseconds(options_.hold), [this] { return stopping_; });
  }

  void Wake() {
    {
      const std::lock_guard lock(mu_);
      woken_ = true;
    }
    wake_.notify_all();
  }

  void SendWebhooks() {
    std::unique_lock lock(mu_);
    while (!stopping_) {
      woken_ = false;
      const int room = kWebhooksAtOnceMax - under_way_;
      lock.unlock();
      auto due = simulator_.TakeDue(room, absl::Now());
      lock.lock();
      under_way_ += static_cast<int>(due.size());
      lock.unlock();
      for (PaymentSimulator::Delivery& delivery : due) Send(std::move(delivery));
      const absl::Duration nap =
          std::clamp(simulator_.NextDue() - absl::Now(), absl::ZeroDuration(), kNapMax);
      lock.lock();
      const bool full = under_way_ >= kWebhooksAtOnceMax;
      wake_.wait_for(
          lock, absl::ToChronoMilliseconds(full ? kNapMax : absl::Ceil(nap, absl::Milliseconds(1))),
          [this] { return stopping_ || woken_; });
    }
  }

  void Send(PaymentSimulator::Delivery delivery) {
    HttpRequest request;
    request.method = "POST";
    request.url = options_.webhook;
    request.timeout = kWebhookTimeout;
    request.headers = {{"Content-Type", "application/json"},
                       {std::string(kWebhookSignatureHeader),
                        WebhookSignature(options_.webhook_secret, absl::Now(), delivery.body)}};
    request.body = std::move(delivery.body);
    client_->Send(std::move(request),
                  [this, number = delivery.number](const absl::StatusOr<HttpReply>& reply) {
                    const bool accepted = reply.ok() && reply->status / 100 == 2;
                    simulator_.Delivered(number, accepted, absl::Now());
                    {
                      const std::lock_guard lock(mu_);
                      --under_way_;
                    }
                    Wake();
                  });
  }

  const SimulatePaymentsOptions options_;
  PaymentSimulator simulator_;
  std::string host_;
  std::mutex mu_;  // Guards the four below; std::condition_variable needs the bare mutex.
  std::condition_variable wake_;
  bool stopping_ = false;
  bool woken_ = false;
  int under_way_ = 0;
  mg_context* server_ = nullptr;
  std::unique_ptr<HttpClient> client_ = std::make_unique<CurlHttpClient>();
  std::jthread sender_;
};

absl::StatusOr<std::unique_ptr<PaymentsServer>> PaymentsServer::Start(
    const SimulatePaymentsOptions& options) {
  const auto listen = rpc::ParseListen(options.listen);
  if (!listen.ok()) return listen.status();
  auto implementation = std::make_unique<Implementation>(options);
  if (!implementation->Start(*listen)) return rpc::CannotListen(options.listen);
  std::string address = fmt::format("{}:{}", listen->host, implementation->port());
  return std::unique_ptr<PaymentsServer>(
      new PaymentsServer(std::move(implementation), std::move(address)));
}

PaymentsServer::PaymentsServer(std::unique_ptr<Implementation> implementation, std::string address)
    : implementation_(std::move(implementation)), address_(std::move(address)) {}
PaymentsServer::~PaymentsServer() = default;

v1::SimulatorStats PaymentsServer::stats() const { return implementation_->stats(); }

int SimulatePayments(const SimulatePaymentsOptions& options) {
  const StopSignals signals;
  const auto server = PaymentsServer::Start(options);
  if (!server.ok()) {
    LogLine("leftfold: {}", ToStd(server.status().message()));
    return 1;
  }
  Print("payments listening on {}\n", (*server)->address());
  FlushOutput();
  signals.Wait();
  return 0;
}

}  // namespace leftfold::tools
