#include "tools/payment_simulator.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/json.h"
#include "core/json_object.h"
#include "core/status.h"

namespace leftfold::tools {
namespace {

namespace pb = google::protobuf;

constexpr std::size_t kReferenceBytesMax = 128;
constexpr std::size_t kReasonBytesMax = 500;
constexpr std::size_t kIdHexDigits = 24;

// Tokens of a kind with a number from 1 to 9 at the end, here "<n>".
constexpr std::string_view kErrors = "tok_error_";
constexpr std::string_view kRefundFailsTimes = "tok_refund_fails_";
constexpr std::string_view kRefundErrors = "tok_refund_error_";
constexpr std::string_view kDeclined = "tok_declined_";

struct Card {
  std::string_view token;
  std::string_view does;
};
constexpr Card kCards[] = {
    {"tok_visa", "pays"},
    {"tok_declined_insufficient_funds", "is declined, retryable"},
    {"tok_declined_try_again_later", "is declined, retryable"},
    {"tok_declined_card_declined", "is declined"},
    {"tok_declined_expired_card", "is declined"},
    {"tok_declined_lost_card", "is declined"},
    {"tok_declined_fraud", "is declined"},
    {"tok_charged_no_answer", "pays, but the first request is not answered"},
    {"tok_never_answers", "stays pending; no request is answered"},
    {"tok_twice", "pays, and sends two webhook messages with different ids"},
    {"tok_late", "202, pays after a while"},
    {"tok_late_declined", "202, is declined (card_declined) after a while"},
    {"tok_error_<n>", "500 for the first n requests (1 to 9), then pays"},
    {"tok_refund_fails_<n>", "pays; each refund fails n times (1 to 9), then succeeds"},
    {"tok_refund_fails", "pays; refunds fail always"},
    {"tok_refund_error_<n>", "pays; 500 for the first n requests (1 to 9) of each refund"},
    {"tok_refund_never_answers", "pays; no refund is answered, and no money goes back"},
    {"tok_refund_no_answer", "pays; refunds succeed, but the first request is not answered"},
    {"tok_refund_late", "pays; 202 to refunds, which succeed after a while"},
};

// n of "<kind><n>", 0 when the token is no such.
int NumberIn(std::string_view token, std::string_view kind) {
  if (!token.starts_with(kind) || token.size() != kind.size() + 1) return 0;
  const char digit = token.back();
  return digit >= '1' && digit <= '9' ? digit - '0' : 0;
}

bool IsCard(std::string_view token) {
  return NumberIn(token, kErrors) > 0 || NumberIn(token, kRefundFailsTimes) > 0 ||
         NumberIn(token, kRefundErrors) > 0 ||
         std::any_of(std::begin(kCards), std::end(kCards), [&](const Card& card) {
           return card.token == token && !token.ends_with("<n>");
         });
}

std::string ToJson(const pb::Message& message) {
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  // Fails for no message here: their strings came as JSON, or are our own.
  if (!pb::util::MessageToJsonString(message, &json, options).ok()) json = "{}";
  return json;
}

PaymentSimulator::Answer Refuse(int status, std::string_view error, const std::string& message) {
  v1::ProviderError refusal;
  refusal.set_error(std::string(error));
  refusal.set_message(message);
  return {status, ToJson(refusal)};
}

// nullopt: no JSON of that message.
template <class Message>
std::optional<Message> Parse(const std::string& body) {
  Message message;
  if (!IsUtf8(body) || !IsJson(body) || !MessageFromJson(body, message).ok()) return std::nullopt;
  return message;
}

PaymentSimulator::Answer NoSuchJson(std::string_view fields) {
  return Refuse(400, "bad_request", fmt::format("the body must be a JSON object of {}", fields));
}

bool IsAmount(std::int64_t amount) { return amount >= 1 && amount <= kSimulatedAmountMax; }

bool IsKey(std::string_view key) {
  return !key.empty() && key.size() <= kIdempotencyKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

Digest DigestOf(std::string_view body) { return Sha256().Add(body).Finish(); }

PaymentSimulator::Answer KeyReused() {
  return Refuse(409, "key_reused", "this Idempotency-Key came with another body before");
}

PaymentSimulator::Answer Full() {
  return Refuse(503, "full",
                fmt::format("the simulator keeps at most {} charges and as many refunds; start it "
                            "anew",
                            kSimulatedChargesMax));
}

int StatusOf(std::string_view status) {
  if (status == "pending") return 202;
  return status == "succeeded" ? 200 : 402;
}

// The document of a key below `prefix` in a map of entries.
template <class Entries, class Get>
PaymentSimulator::Answer Look(const Entries& entries, std::string_view key, Get get) {
  const auto found = entries.find(key);
  if (found == entries.end() || get(found->second).status().empty())
    return Refuse(404, "not_found", "nothing came of a request with this Idempotency-Key");
  return {200, ToJson(get(found->second))};
}

}  // namespace

PaymentSimulator::PaymentSimulator(PaymentSimulatorOptions options)
    : options_(std::move(options)) {}

PaymentSimulator::Answer PaymentSimulator::Handle(const Request& request, absl::Time now) {
  const MutexLock lock(mu_);
  Settle(now);
  if (request.authorization != "Bearer " + options_.api_key) {
    stats_.set_unauthorized(stats_.unauthorized() + 1);
    return Refuse(401, "unauthorized", "the header `Authorization: Bearer KEY` with the API key");
  }
  stats_.set_requests(stats_.requests() + 1);
  return Route(request, now);
}

PaymentSimulator::Answer PaymentSimulator::Route(const Request& request, absl::Time now) {
  constexpr std::string_view kCharges = "/v1/charges", kRefunds = "/v1/refunds";
  const std::string_view path = request.path;
  const bool charges = path == kCharges, refunds = path == kRefunds;
  if (request.method == "POST" && (charges || refunds)) {
    if (request.body.size() > kSimulatorBodyBytesMax)
      return Refuse(413, "too_large", fmt::format("at most {} bytes", kSimulatorBodyBytesMax));
    if (!IsKey(request.idempotency_key)) {
      return Refuse(400, "key_missing",
                    fmt::format("the header Idempotency-Key must have 1 to {} characters of "
                                "printable ASCII without blanks",
                                kIdempotencyKeyBytesMax));
    }
    return charges ? PostCharge(request, now) : PostRefund(request, now);
  }
  if (request.method == "GET") {
    constexpr std::string_view kOneCharge = "/v1/charges/", kOneRefund = "/v1/refunds/";
    if (path == "/v1/stats") return {200, ToJson(stats_)};
    if (path.starts_with(kOneCharge)) {
      return Look(
          charges_, path.substr(kOneCharge.size()),
          [](const ChargeEntry& entry) -> auto& { return entry.charge; });
    }
    if (path.starts_with(kOneRefund)) {
      return Look(
          refunds_, path.substr(kOneRefund.size()),
          [](const RefundEntry& entry) -> auto& { return entry.refund; });
    }
  }
  return Refuse(404, "unknown_request",
                "there are POST /v1/charges and /v1/refunds, GET /v1/charges/KEY, /v1/refunds/KEY "
                "and /v1/stats");
}

PaymentSimulator::Answer PaymentSimulator::PostCharge(const Request& request, absl::Time now) {
  const Digest body = DigestOf(request.body);
  if (const auto known = charges_.find(request.idempotency_key); known != charges_.end()) {
    if (known->second.body != body) {
      stats_.set_conflicts(stats_.conflicts() + 1);
      return KeyReused();
    }
    return Charge(known->second, now);
  }
  const auto wanted = Parse<v1::ChargeRequest>(request.body);
  if (!wanted) return NoSuchJson("amount_minor, currency, token and reference");
  if (!IsAmount(wanted->amount_minor()))
    return Refuse(400, "bad_amount",
                  fmt::format("amount_minor must be 1 to {}", kSimulatedAmountMax));
  if (wanted->currency().size() != 3 ||
      !std::all_of(wanted->currency().begin(), wanted->currency().end(),
                   [](char c) { return c >= 'A' && c <= 'Z'; }))
    return Refuse(400, "bad_currency", "currency must be three capitals");
  if (wanted->reference().size() > kReferenceBytesMax)
    return Refuse(400, "bad_reference",
                  fmt::format("reference must have at most {} bytes", kReferenceBytesMax));
  if (!IsCard(wanted->token()))
    return Refuse(400, "unknown_token", "token must be a test card; --help lists them");
  if (charges_.size() >= kSimulatedChargesMax) return Full();
  ChargeEntry& entry = charges_[request.idempotency_key];
  entry.body = body;
  entry.token = wanted->token();
  entry.errors_left = NumberIn(entry.token, kErrors);
  entry.charge.set_charge_id(MakeId("ch_", request.idempotency_key));
  entry.charge.set_idempotency_key(request.idempotency_key);
  entry.charge.set_amount_minor(wanted->amount_minor());
  entry.charge.set_currency(wanted->currency());
  entry.charge.set_reference(wanted->reference());
  charges_by_id_[entry.charge.charge_id()] = &entry;
  return Charge(entry, now);
}

PaymentSimulator::Answer PaymentSimulator::Charge(ChargeEntry& entry, absl::Time now) {
  if (entry.errors_left > 0) {
    --entry.errors_left;
    return Refuse(500, "internal", "simulated failure; nothing was charged");
  }
  const std::string& token = entry.token;
  bool silent = token == "tok_never_answers";
  if (!entry.charge.status().empty()) {
    stats_.set_duplicates(stats_.duplicates() + 1);
  } else if (silent || token.starts_with("tok_late")) {
    entry.charge.set_status("pending");
    if (!silent) late_charges_.emplace(now + options_.late_after, &entry);
  } else if (token.starts_with(kDeclined)) {
    Decline(entry, std::string_view(token).substr(kDeclined.size()), now);
  } else {
    Succeed(entry, now);
    silent = token == "tok_charged_no_answer";
  }
  return {StatusOf(entry.charge.status()), ToJson(entry.charge), silent};
}

PaymentSimulator::Answer PaymentSimulator::PostRefund(const Request& request, absl::Time now) {
  const auto wanted = Parse<v1::RefundRequest>(request.body);
  if (!wanted) return NoSuchJson("charge_id, amount_minor and reason");
  const Digest body = DigestOf(request.body);
  const auto charge = charges_by_id_.find(wanted->charge_id());
  if (const auto known = refunds_.find(request.idempotency_key); known != refunds_.end()) {
    if (known->second.body != body) {
      stats_.set_conflicts(stats_.conflicts() + 1);
      return KeyReused();
    }
    return Refund(known->second, *charge->second, now);
  }
  if (charge == charges_by_id_.end())
    return Refuse(404, "unknown_charge", "there is no charge of this charge_id");
  if (charge->second->charge.status() != "succeeded")
    return Refuse(400, "nothing_to_refund", "the charge has taken no money");
  if (!IsAmount(wanted->amount_minor()))
    return Refuse(400, "bad_amount",
                  fmt::format("amount_minor must be 1 to {}", kSimulatedAmountMax));
  if (wanted->reason().size() > kReasonBytesMax)
    return Refuse(400, "bad_reason",
                  fmt::format("reason must have at most {} bytes", kReasonBytesMax));
  const v1::Charge& of = charge->second->charge;
  if (wanted->amount_minor() > of.amount_minor() - of.refunded_minor())
    return Refuse(400, "exceeds_charge", "more than is left of the charge");
  if (refunds_.size() >= kSimulatedChargesMax) return Full();
  RefundEntry& entry = refunds_[request.idempotency_key];
  entry.body = body;
  entry.errors_left = NumberIn(charge->second->token, kRefundErrors);
  entry.refund.set_refund_id(MakeId("re_", request.idempotency_key));
  entry.refund.set_idempotency_key(request.idempotency_key);
  entry.refund.set_charge_id(of.charge_id());
  entry.refund.set_amount_minor(wanted->amount_minor());
  return Refund(entry, *charge->second, now);
}

PaymentSimulator::Answer PaymentSimulator::Refund(RefundEntry& entry, ChargeEntry& charge,
                                                  absl::Time now) {
  if (entry.errors_left > 0) {
    --entry.errors_left;
    return Refuse(500, "internal", "simulated failure; nothing was refunded");
  }
  v1::ProviderRefund& refund = entry.refund;
  if (refund.status() == "succeeded" || refund.status() == "pending") {
    stats_.set_duplicates(stats_.duplicates() + 1);
    return {StatusOf(refund.status()), ToJson(refund)};
  }
  const std::int64_t refunded = charge.charge.refunded_minor() + refund.amount_minor();
  if (refunded > charge.charge.amount_minor())  // Others came since this one failed.
    return Refuse(400, "exceeds_charge", "more than is left of the charge");
  const std::string& token = charge.token;
  if (token == "tok_refund_never_answers") return {.status = 200, .body = {}, .silent = true};
  refund.set_attempts(refund.attempts() + 1);
  if (token == "tok_refund_fails" || refund.attempts() <= NumberIn(token, kRefundFailsTimes)) {
    refund.set_status("failed");
    refund.set_error("refund_failed");
    stats_.set_refunds_failed(stats_.refunds_failed() + 1);
    v1::WebhookMessage message;
    message.set_type("refund.failed");
    *message.mutable_refund() = refund;
    Tell(std::move(message), now);
    return {StatusOf("failed"), ToJson(refund)};
  }
  charge.charge.set_refunded_minor(refunded);
  if (token == "tok_refund_late") {
    refund.set_status("pending");
    late_refunds_.emplace(now + options_.late_after, &entry);
  } else {
    Succeed(entry, now);
  }
  return {StatusOf(refund.status()), ToJson(refund), token == "tok_refund_no_answer"};
}

void PaymentSimulator::Settle(absl::Time now) {
  while (!late_charges_.empty() && late_charges_.begin()->first <= now) {
    ChargeEntry& entry = *late_charges_.begin()->second;
    late_charges_.erase(late_charges_.begin());
    if (entry.token == "tok_late") {
      Succeed(entry, now);
    } else {
      Decline(entry, "card_declined", now);
    }
  }
  while (!late_refunds_.empty() && late_refunds_.begin()->first <= now) {
    RefundEntry& entry = *late_refunds_.begin()->second;
    late_refunds_.erase(late_refunds_.begin());
    Succeed(entry, now);
  }
}

void PaymentSimulator::Succeed(ChargeEntry& entry, absl::Time now) {
  v1::Charge& charge = entry.charge;
  charge.set_status("succeeded");
  stats_.set_charges_succeeded(stats_.charges_succeeded() + 1);
  stats_.set_captured_minor(stats_.captured_minor() + charge.amount_minor());
  if (!charge.reference().empty() && ++charged_[charge.reference()] == 2)
    stats_.set_references_charged_twice(stats_.references_charged_twice() + 1);
  v1::WebhookMessage message;
  message.set_type("charge.succeeded");
  *message.mutable_charge() = charge;
  if (entry.token == "tok_twice") Tell(message, now);
  Tell(std::move(message), now);
}

void PaymentSimulator::Decline(ChargeEntry& entry, std::string_view code, absl::Time now) {
  entry.charge.set_status("declined");
  entry.charge.set_decline_code(std::string(code));
  entry.charge.set_retryable(code == "insufficient_funds" || code == "try_again_later");
  stats_.set_charges_declined(stats_.charges_declined() + 1);
  v1::WebhookMessage message;
  message.set_type("charge.declined");
  *message.mutable_charge() = entry.charge;
  Tell(std::move(message), now);
}

void PaymentSimulator::Succeed(RefundEntry& entry, absl::Time now) {
  entry.refund.set_status("succeeded");
  entry.refund.clear_error();
  stats_.set_refunds_succeeded(stats_.refunds_succeeded() + 1);
  stats_.set_refunded_minor(stats_.refunded_minor() + entry.refund.amount_minor());
  v1::WebhookMessage message;
  message.set_type("refund.succeeded");
  *message.mutable_refund() = entry.refund;
  Tell(std::move(message), now);
}

void PaymentSimulator::Tell(v1::WebhookMessage message, absl::Time now) {
  if (!options_.webhooks) return;
  if (messages_.size() >= kWebhooksWaitingMax) {
    stats_.set_webhooks_given_up(stats_.webhooks_given_up() + 1);
    return;
  }
  const std::int64_t number = ++last_message_;
  message.set_event_id(MakeId("evt_", fmt::to_string(number)));
  messages_[number].body = ToJson(message);
  due_.emplace(now, number);
}

std::vector<PaymentSimulator::Delivery> PaymentSimulator::TakeDue(int limit, absl::Time now) {
  const MutexLock lock(mu_);
  Settle(now);
  std::vector<Delivery> taken;
  while (std::ssize(taken) < limit && !due_.empty() && due_.begin()->first <= now) {
    const std::int64_t number = due_.begin()->second;
    due_.erase(due_.begin());
    Message& message = messages_.at(number);
    ++message.attempts;
    stats_.set_webhook_attempts(stats_.webhook_attempts() + 1);
    taken.push_back({number, message.body});
  }
  return taken;
}

void PaymentSimulator::Delivered(std::int64_t number, bool accepted, absl::Time now) {
  const MutexLock lock(mu_);
  const auto found = messages_.find(number);
  if (found == messages_.end()) return;
  if (!accepted && found->second.attempts < options_.webhook_attempts) {
    absl::Duration delay = options_.webhook_retry_delay;
    for (int i = 1; i < found->second.attempts && delay < kWebhookRetryDelayMax; ++i) delay *= 2;
    due_.emplace(now + std::min(delay, kWebhookRetryDelayMax), number);
    return;
  }
  messages_.erase(found);
  if (accepted) {
    stats_.set_webhooks_delivered(stats_.webhooks_delivered() + 1);
  } else {
    stats_.set_webhooks_given_up(stats_.webhooks_given_up() + 1);
  }
}

absl::Time PaymentSimulator::NextDue() const {
  const MutexLock lock(mu_);
  absl::Time next = absl::InfiniteFuture();
  if (!due_.empty()) next = due_.begin()->first;
  if (!late_charges_.empty()) next = std::min(next, late_charges_.begin()->first);
  if (!late_refunds_.empty()) next = std::min(next, late_refunds_.begin()->first);
  return next;
}

v1::SimulatorStats PaymentSimulator::stats() const {
  const MutexLock lock(mu_);
  return stats_;
}

std::string PaymentSimulator::MakeId(std::string_view prefix, std::string_view of) const {
  const Digest digest = Sha256().AddInt64(options_.seed).Add(prefix).Add(of).Finish();
  return std::string(prefix) + ToHex(AsBytes(digest)).substr(0, kIdHexDigits);
}

std::string TestCards() {
  std::string cards;
  for (const Card& card : kCards) cards += fmt::format("  {:<33}{}\n", card.token, card.does);
  return cards;
}

}  // namespace leftfold::tools
