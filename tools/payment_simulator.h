#ifndef TOOLS_PAYMENT_SIMULATOR_H_
#define TOOLS_PAYMENT_SIMULATOR_H_

#include <absl/base/thread_annotations.h>
#include <absl/container/flat_hash_map.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/mutex.h"
#include "core/sha256.h"
#include "leftfold/tools/v1/payments_simulator.pb.h"

namespace leftfold::tools {

// Of charges, and of refunds. Nothing is forgotten (a forgotten key would charge twice), so one
// more is refused with 503.
inline constexpr std::size_t kSimulatedChargesMax = 100'000;
inline constexpr std::size_t kSimulatorBodyBytesMax = 16 << 10;
inline constexpr std::size_t kIdempotencyKeyBytesMax = 255;
inline constexpr std::int64_t kSimulatedAmountMax = 1'000'000'000'000;
// Webhook messages that wait; what comes then is given up.
inline constexpr std::size_t kWebhooksWaitingMax = 10'000;
inline constexpr absl::Duration kWebhookRetryDelayMax = absl::Minutes(1);

struct PaymentSimulatorOptions {
  std::string api_key = "sk_test";
  bool webhooks = false;  // Somebody sends what TakeDue gives.
  int webhook_attempts = 5;
  // Before the second attempt; doubles before each one that follows.
  absl::Duration webhook_retry_delay = absl::Seconds(1);
  absl::Duration late_after = absl::Seconds(2);  // Until late cards are settled.
  std::int64_t seed = 1;  // Ids depend on it and on nothing else but requests.
};

// The simulated payment provider, without sockets and clock: the caller brings requests and the
// time, and carries messages to the webhook. docs/reference/payments-simulator.md says what the
// test cards do. Thread-safe; requests are carried out one after the other.
class PaymentSimulator {
 public:
  struct Request {
    std::string method;
    std::string path;
    std::string authorization;    // The header, "" when there is none.
    std::string idempotency_key;  // The header, "" when there is none.
    std::string body;
  };
  struct Answer {
    int status = 200;
    std::string body;  // JSON.
    // It is kept to itself: the connection is held, then closed without a word.
    bool silent = false;
  };
  // A message on its way; the same id and body at each attempt.
  struct Delivery {
    std::int64_t number = 0;
    std::string body;
  };

  explicit PaymentSimulator(PaymentSimulatorOptions options);

  Answer Handle(const Request& request, absl::Time now);

  // At most `limit` messages that are to be sent now. Each is out until Delivered is called.
  std::vector<Delivery> TakeDue(int limit, absl::Time now);
  // Whether the attempt was answered with 2xx; if not, there is another one later, or none any
  // more.
  void Delivered(std::int64_t number, bool accepted, absl::Time now);
  // When TakeDue may have something; InfiniteFuture when nothing is to come.
  absl::Time NextDue() const;

  v1::SimulatorStats stats() const;

 private:
  struct ChargeEntry {
    Digest body;  // Of the request that the key belongs to.
    std::string token;
    int errors_left = 0;
    v1::Charge charge;  // Without a status: nothing has come of it yet.
  };
  struct RefundEntry {
    Digest body;
    int errors_left = 0;
    v1::ProviderRefund refund;  // Without a status: nothing has come of it yet.
  };
  struct Message {
    std::string body;
    int attempts = 0;
  };

  Answer Route(const Request& request, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Answer PostCharge(const Request& request, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Answer PostRefund(const Request& request, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // What the card does when it is charged, and what it says each time it was charged.
  Answer Charge(ChargeEntry& entry, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Answer Refund(RefundEntry& entry, ChargeEntry& charge, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Settles late ones whose time has come.
  void Settle(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Succeed(ChargeEntry& entry, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Decline(ChargeEntry& entry, std::string_view code, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Succeed(RefundEntry& entry, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Tell(v1::WebhookMessage message, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string MakeId(std::string_view prefix, std::string_view of) const;

  const PaymentSimulatorOptions options_;
  mutable Mutex mu_;
  // By idempotency key. References stay good: nothing is removed.
  std::map<std::string, ChargeEntry, std::less<>> charges_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, RefundEntry, std::less<>> refunds_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, ChargeEntry*> charges_by_id_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<std::string, int> charged_ ABSL_GUARDED_BY(mu_);  // By reference.
  std::multimap<absl::Time, ChargeEntry*> late_charges_ ABSL_GUARDED_BY(mu_);
  std::multimap<absl::Time, RefundEntry*> late_refunds_ ABSL_GUARDED_BY(mu_);
  std::map<std::int64_t, Message> messages_ ABSL_GUARDED_BY(mu_);  // By number.
  std::multimap<absl::Time, std::int64_t> due_ ABSL_GUARDED_BY(mu_);
  std::int64_t last_message_ ABSL_GUARDED_BY(mu_) = 0;
  v1::SimulatorStats stats_ ABSL_GUARDED_BY(mu_);
};

// The test cards, for people: one line each, token and what it does.
std::string TestCards();

}  // namespace leftfold::tools
#endif  // TOOLS_PAYMENT_SIMULATOR_H_
