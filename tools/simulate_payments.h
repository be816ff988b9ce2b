#ifndef TOOLS_SIMULATE_PAYMENTS_H_
#define TOOLS_SIMULATE_PAYMENTS_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <memory>
#include <string>

#include "tools/payment_simulator.h"

namespace leftfold::tools {

// Requests that are held or answered at a time; more wait for a connection.
inline constexpr int kSimulatorThreads = 64;
// Webhook messages that are under way at a time.
inline constexpr int kWebhooksAtOnceMax = 16;
inline constexpr absl::Duration kWebhookTimeout = absl::Seconds(10);

struct SimulatePaymentsOptions {
  std::string listen = "127.0.0.1:50060";  // As rpc::ParseListen takes it.
  std::string webhook;                     // URL; "" for none.
  std::string webhook_secret = "whsec_test";
  // How long a request that gets no answer is held before its connection is closed.
  absl::Duration hold = absl::Seconds(30);
  PaymentSimulatorOptions simulator;  // `webhooks` follows from `webhook`.
};

// The simulated payment provider over HTTP, with threads of its own. Connections are not kept.
class PaymentsServer {
 public:
  // Errors are those of rpc::ParseListen and rpc::CannotListen.
  static absl::StatusOr<std::unique_ptr<PaymentsServer>> Start(
      const SimulatePaymentsOptions& options);
  // Requests that are held are let go unanswered.
  ~PaymentsServer();
  PaymentsServer(const PaymentsServer&) = delete;
  PaymentsServer& operator=(const PaymentsServer&) = delete;
  // HOST:PORT with the real port.
  const std::string& address() const { return address_; }
  v1::SimulatorStats stats() const;

 private:
  class Implementation;
  PaymentsServer(std::unique_ptr<Implementation> implementation, std::string address);
  std::unique_ptr<Implementation> implementation_;
  const std::string address_;
};

// The subcommand: serves until a signal tells it to stop. Returns the exit code.
int SimulatePayments(const SimulatePaymentsOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_SIMULATE_PAYMENTS_H_
