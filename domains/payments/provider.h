#ifndef DOMAINS_PAYMENTS_PROVIDER_H_
#define DOMAINS_PAYMENTS_PROVIDER_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/reactor.h"

// What the reactors that talk to the payment provider share: its requests, answers and patience.
// docs/reference/payments-simulator.md has the provider's side.
namespace leftfold::payments {

// URL and API key of the service `payments` are the process's: LEFTFOLD_PAYMENTS_URL and
// LEFTFOLD_PAYMENTS_API_KEY.
inline constexpr std::string_view kChargesUrl = "service:payments/v1/charges";
inline constexpr std::string_view kRefundsUrl = "service:payments/v1/refunds";

// A request without answer is sent again, under the same idempotency key. Then it is parked, and
// the provider is asked what became of a charge; a refund's attempt counts as failed.
inline constexpr RetryPolicy kProviderRetry{.attempts = 6,
                                            .first_delay = absl::Seconds(1),
                                            .multiplier = 2,
                                            .ceiling = absl::Minutes(1),
                                            .jitter = 0.2,
                                            .timeout = absl::Seconds(10)};
// When the provider has not decided yet it is asked again, first after this; the wait doubles each
// time.
inline constexpr absl::Duration kPollFirst = absl::Seconds(2);
// How often it is asked, some 36 hours in all; then an operator has to.
inline constexpr int kPollsMax = 16;

// What the provider was asked for and has not settled, by the position of the event that led to it.
inline constexpr std::string_view kAskedTable = R"(
    CREATE TABLE asked (
      position INTEGER PRIMARY KEY NOT NULL,
      payment_id TEXT NOT NULL,
      idempotency_key TEXT NOT NULL,
      attempt_no INTEGER NOT NULL,
      polls INTEGER NOT NULL,
      asked_at INTEGER NOT NULL
    ) STRICT)";

struct Asked {
  Position position;
  std::string payment_id;
  std::string idempotency_key;
  int attempt_no = 1;
  int polls = 0;
  absl::Time asked_at;  // Last.
};

// What the provider said of a charge or a refund.
struct Said {
  std::string status;  // succeeded, declined (charges), failed (refunds) or pending
  std::string id;      // The provider's, of the charge or refund.
  std::string error;   // Why it did not succeed, in the provider's word.
  bool retryable = false;
};

// What a message of the provider's webhook says of a charge; nullopt of one about something else.
// INVALID_ARGUMENT when it is none.
struct Told {
  std::string idempotency_key;
  Said said;
};
absl::StatusOr<std::optional<Told>> ReadWebhook(std::string_view body);

// Sends `body` to `url` for the first time.
void Ask(std::string_view url, std::string body, const Asked& asked, OwnTables& tables,
         Outbox& outbox);

// What the provider said, once it is settled: then it is not asked any more. nullopt when it is not
// settled, and it is asked again later, or when it was settled before. An error parks the call.
struct Settled {
  Asked asked;
  Said said;
};
absl::StatusOr<std::optional<Settled>> TakeReply(const Delivery& delivery, const HttpReply& reply,
                                                 OwnTables& tables, Outbox& outbox);

// The time has come to ask again.
absl::Status Poll(std::string_view url, std::string_view timer, absl::Time now, OwnTables& tables,
                  Outbox& outbox);

// What a call was for that was parked without anybody knowing whether the provider carried it out.
// nullopt when it is known that it did not, or when it is settled.
std::optional<Asked> Unanswered(const Delivery& parked, const absl::Status& error,
                                OwnTables& tables);

// A call was parked. When it is unanswered, asks what became of it.
void AskWhatBecame(std::string_view url, const Delivery& parked, const absl::Status& error,
                   OwnTables& tables, Outbox& outbox);

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_PROVIDER_H_
