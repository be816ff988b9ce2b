#include "domains/payments/provider.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>

#include <utility>

#include "core/json_object.h"
#include "core/status.h"
#include "leftfold/core/v1/reactions.pb.h"

namespace leftfold::payments {
namespace {

namespace pb = google::protobuf;

constexpr int kOk = 200, kAccepted = 202, kBadRequest = 400, kPaymentRequired = 402,
              kNotFound = 404, kTooLarge = 413;

// Of a charge or a refund. nullopt when it is in none of the states that are known: money may have
// moved, so nothing is made of it.
std::optional<Said> SaidOf(const pb::Struct& json) {
  Said said{.status = TextField(json, "status"), .id = TextField(json, "charge_id"), .error = {}};
  const std::string refund_id = TextField(json, "refund_id");
  if (!refund_id.empty()) said.id = refund_id;
  const bool known = said.status == "succeeded" || said.status == "pending" ||
                     said.status == (refund_id.empty() ? "declined" : "failed");
  if (!known || said.id.empty()) return std::nullopt;
  said.error = TextField(json, refund_id.empty() ? "decline_code" : "error");
  const auto retryable = json.fields().find("retryable");
  said.retryable = retryable != json.fields().end() && retryable->second.bool_value();
  if (said.status != "succeeded" && said.status != "pending" && said.error.empty())
    said.error = "refused";
  return said;
}

absl::Status Unclear(std::string_view what, const HttpReply& reply) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "the payment provider answered {} {}: check LEFTFOLD_PAYMENTS_URL and "
               "LEFTFOLD_PAYMENTS_API_KEY, look the payment up there, then retry this",
               reply.status, what);
}

absl::StatusOr<Said> Read(const HttpReply& reply) {
  const std::optional<pb::Struct> parsed = ParseJsonObject(reply.body);
  if (!parsed) return Unclear("without a JSON object", reply);
  const pb::Struct& json = *parsed;
  // It refuses the request as such; nothing was begun.
  if (reply.status == kBadRequest || reply.status == kTooLarge) {
    const std::string error = TextField(json, "error");
    return Said{.status = "refused", .id = {}, .error = error.empty() ? "refused" : error};
  }
  if (reply.status != kOk && reply.status != kAccepted && reply.status != kPaymentRequired)
    return Unclear(TextField(json, "message"), reply);
  std::optional<Said> said = SaidOf(json);
  if (said) return *std::move(said);
  return Unclear("without an id and a status that is known", reply);
}

std::optional<Asked> Find(Position position, OwnTables& tables) {
  Rows rows = tables.Query(R"(
      SELECT payment_id, idempotency_key, attempt_no, polls, asked_at
      FROM asked WHERE position = ?)",
                           position);
  if (!rows.Next()) return std::nullopt;
  return Asked{.position = position,
               .payment_id = rows.Text(0),
               .idempotency_key = rows.Text(1),
               .attempt_no = static_cast<int>(rows.Int(2)),
               .polls = static_cast<int>(rows.Int(3)),
               .asked_at = absl::FromUnixMicros(rows.Int(4))};
}

void AskAgain(std::string_view url, const Asked& asked, Outbox& outbox) {
  outbox.Post({.method = "GET", .url = fmt::format("{}/{}", url, asked.idempotency_key)});
}

absl::Status PollLater(const Asked& asked, OwnTables& tables, Outbox& outbox) {
  if (asked.polls >= kPollsMax) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the payment provider has not settled {} although it was asked {} times; look it "
                 "up there, then retry this",
                 asked.idempotency_key, asked.polls);
  }
  tables.Exec("UPDATE asked SET polls = polls + 1 WHERE position = ?", asked.position);
  outbox.WakeAt(asked.asked_at + kPollFirst * (1 << asked.polls),
                fmt::to_string(asked.position.value));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::optional<Told>> ReadWebhook(std::string_view body) {
  const std::optional<pb::Struct> json = ParseJsonObject(body);
  if (!json || TextField(*json, "type").empty())
    return Error(absl::StatusCode::kInvalidArgument, "the body must be a JSON object with a type");
  if (!TextField(*json, "type").starts_with("charge.")) return std::nullopt;
  const auto charge = json->fields().find("charge");
  if (charge == json->fields().end() || !charge->second.has_struct_value())
    return Error(absl::StatusCode::kInvalidArgument, "the message has no charge");
  std::optional<Said> said = SaidOf(charge->second.struct_value());
  if (!said || said->status == "pending") return std::nullopt;
  return Told{TextField(charge->second.struct_value(), "idempotency_key"), *std::move(said)};
}

void Ask(std::string_view url, std::string body, const Asked& asked, OwnTables& tables,
         Outbox& outbox) {
  tables.Exec("INSERT INTO asked VALUES (?, ?, ?, ?, 0, ?)", asked.position, asked.payment_id,
              asked.idempotency_key, asked.attempt_no, absl::ToUnixMicros(asked.asked_at));
  outbox.Post({.method = "POST",
               .url = std::string(url),
               .headers = {{"Content-Type", "application/json"},
                           {"Idempotency-Key", asked.idempotency_key}},
               .body = std::move(body)});
}

absl::StatusOr<std::optional<Settled>> TakeReply(const Delivery& delivery, const HttpReply& reply,
                                                 OwnTables& tables, Outbox& outbox) {
  const std::optional<Asked> asked = Find(delivery.position, tables);
  if (!asked) return std::nullopt;
  core::v1::HttpCall call;
  call.ParseFromString(delivery.payload);
  // The provider knows nothing of it: what is parked is to be sent again.
  if (call.method() == "GET" && reply.status == kNotFound) return std::nullopt;
  auto said = Read(reply);
  if (!said.ok()) return said.status();
  if (said->status == "pending") {
    LEFTFOLD_RETURN_IF_ERROR(PollLater(*asked, tables, outbox));
    return std::nullopt;
  }
  tables.Exec("DELETE FROM asked WHERE position = ?", asked->position);
  return Settled{*asked, *std::move(said)};
}

absl::Status Poll(std::string_view url, std::string_view timer, absl::Time now, OwnTables& tables,
                  Outbox& outbox) {
  std::int64_t position = 0;
  if (!absl::SimpleAtoi(ToAbsl(timer), &position)) return absl::OkStatus();
  const std::optional<Asked> asked = Find(Position{position}, tables);
  if (!asked) return absl::OkStatus();
  tables.Exec("UPDATE asked SET asked_at = ? WHERE position = ?", absl::ToUnixMicros(now),
              asked->position);
  AskAgain(url, *asked, outbox);
  return absl::OkStatus();
}

std::optional<Asked> Unanswered(const Delivery& parked, const absl::Status& error,
                                OwnTables& tables) {
  const bool unknown = absl::IsUnavailable(error) || absl::IsDeadlineExceeded(error);
  if (!unknown || parked.kind != DeliveryKind::kHttp) return std::nullopt;
  return Find(parked.position, tables);
}

void AskWhatBecame(std::string_view url, const Delivery& parked, const absl::Status& error,
                   OwnTables& tables, Outbox& outbox) {
  const std::optional<Asked> asked = Unanswered(parked, error, tables);
  core::v1::HttpCall call;
  if (asked && call.ParseFromString(parked.payload) && call.method() != "GET")
    AskAgain(url, *asked, outbox);
}

}  // namespace leftfold::payments
