#include "tools/simulate_payments.h"

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "core/log.h"
#include "core/status.h"
#include "core/webhook_signature.h"
#include "server/http_client.h"
#include "server/http_server.h"
#include "server/stop_signals.h"

namespace leftfold::tools {
namespace {

// How long the sender of webhooks sleeps at most when nothing wakes it.
constexpr absl::Duration kNapMax = absl::Minutes(1);

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
    server_.reset();
    if (sender_.joinable()) sender_.join();
    client_.reset();
  }
  Implementation(const Implementation&) = delete;
  Implementation& operator=(const Implementation&) = delete;

  absl::Status Start() {
    auto server = HttpServer::Start({.listen = options_.listen,
                                     .threads = kSimulatorThreads,
                                     .body_bytes_max = kSimulatorBodyBytesMax},
                                    [this](const HttpRequest& request) { return Answer(request); });
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    if (!options_.webhook.empty()) {
      sender_ = std::jthread([this] { SendWebhooks(); });
      pthread_setname_np(sender_.native_handle(), "lf-webhooks");
    }
    return absl::OkStatus();
  }
  const std::string& address() const { return server_->address(); }
  v1::SimulatorStats stats() const { return simulator_.stats(); }

 private:
  static PaymentSimulatorOptions WithWebhooks(const SimulatePaymentsOptions& options) {
    PaymentSimulatorOptions simulator = options.simulator;
    simulator.webhooks = !options.webhook.empty();
    return simulator;
  }

  std::optional<HttpReply> Answer(const HttpRequest& request) {
    PaymentSimulator::Answer answer =
        simulator_.Handle({request.method, request.url, HeaderOf(request, "Authorization"),
                           HeaderOf(request, "Idempotency-Key"), request.body},
                          absl::Now());
    Wake();
    if (!answer.silent)
      return HttpReply{.status = answer.status, .headers = {}, .body = std::move(answer.body)};
    Hold();
    return std::nullopt;
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
  std::mutex mu_;  // Guards the four below; std::condition_variable needs the bare mutex.
  std::condition_variable wake_;
  bool stopping_ = false;
  bool woken_ = false;
  int under_way_ = 0;
  std::unique_ptr<HttpClient> client_ = std::make_unique<CurlHttpClient>();
  std::unique_ptr<HttpServer> server_;
  std::jthread sender_;
};

absl::StatusOr<std::unique_ptr<PaymentsServer>> PaymentsServer::Start(
    const SimulatePaymentsOptions& options) {
  auto implementation = std::make_unique<Implementation>(options);
  LEFTFOLD_RETURN_IF_ERROR(implementation->Start());
  std::string address = implementation->address();
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
