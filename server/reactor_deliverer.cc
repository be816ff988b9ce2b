#include "server/reactor_deliverer.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/json.h"
#include "core/status.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "sql/durable_file.h"

namespace leftfold {
namespace {

constexpr std::string_view kIdempotencyHeader = "Idempotency-Key";

bool IsRefusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

DeliveryOutcome Refused(const absl::Status& why) {
  DeliveryOutcome outcome;
  outcome.result.status = why;
  return outcome;
}

DeliveryOutcome OutcomeOf(absl::StatusOr<core::v1::CommandReceipt> receipt) {
  if (!receipt.ok() && IsRefusal(receipt.status())) return Refused(receipt.status());
  if (!receipt.ok()) return {.failure = receipt.status()};
  DeliveryOutcome outcome;
  outcome.result.receipt = *std::move(receipt);
  return outcome;
}

// A header of a mail ends with its line.
std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  return text;
}

// As RFC 2047 has it where it is not ASCII: words of whole characters, one a line.
std::string HeaderText(const std::string& text) {
  const std::string line = OneLine(text);
  if (IsAscii(line)) return line;
  constexpr std::size_t kWordBytesMax = 45;  // 60 in base 64; a word has 75 at most.
  const auto begins = [&](std::size_t at) {
    return (static_cast<unsigned char>(line[at]) & 0xC0) != 0x80;
  };
  std::string words;
  for (std::size_t at = 0; at < line.size();) {
    std::size_t end = std::min(line.size(), at + kWordBytesMax);
    while (end < line.size() && end > at + 1 && !begins(end)) --end;
    words += fmt::format("{}=?UTF-8?B?{}?=", at == 0 ? "" : "\r\n ",
                         absl::Base64Escape(ToAbsl(std::string_view(line).substr(at, end - at))));
    at = end;
  }
  return words;
}

// With CRLF at the end of each line.
std::string Lines(std::string_view text) {
  std::string lines;
  for (const char c : text) {
    if (c == '\r') continue;
    if (c == '\n') lines += '\r';
    lines += c;
  }
  return lines;
}

// A message of RFC 5322, without date and sender.
std::string MessageOf(const core::v1::Mail& mail, std::string_view name) {
  return fmt::format(
      "Message-ID: <{}@leftfold>\r\nTo: {}\r\nSubject: {}\r\nMIME-Version: 1.0\r\n"
      "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}\r\n",
      name, OneLine(mail.to()), HeaderText(mail.subject()), Lines(mail.text()));
}

DeliveryOutcome OutcomeOf(absl::StatusOr<HttpReply> reply) {
  if (!reply.ok()) return {.failure = reply.status()};
  const int status = reply->status;
  if (status == 408 || status == 429 || status >= 500) {
    return {.failure = Error(absl::StatusCode::kUnavailable, "the server said {}", status)};
  }
  DeliveryOutcome outcome;
  outcome.result.reply = *std::move(reply);
  return outcome;
}

}  // namespace

void ReactorDeliverer::Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) {
  if (delivery.kind == DeliveryKind::kHttp) return Call(reactor, delivery, std::move(done));
  if (delivery.kind == DeliveryKind::kMail) return SendMail(delivery, std::move(done));
  SendCommand(reactor, delivery, std::move(done));
}

void ReactorDeliverer::SendCommand(const ReactorEntry& reactor, const Delivery& delivery,
                                   Done done) {
  const CommandEntry* entry = registry_.FindCommand(delivery.type);
  if (entry == nullptr) {
    return done(
        Refused(Error(absl::StatusCode::kUnimplemented, "there is no command {}", delivery.type)));
  }
  std::unique_ptr<google::protobuf::Message> command(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(entry->request)->New());
  if (!command->ParseFromString(delivery.payload)) {
    return done(
        Refused(Error(absl::StatusCode::kInvalidArgument, "{} does not decode", delivery.type)));
  }
  const auto* id = entry->request->FindFieldByName("command_id");
  command->GetReflection()->SetString(command.get(), id, delivery.id);
  Caller caller{.actor = "reactor:" + delivery.reactor,
                .correlation_id = delivery.correlation_id,
                .causation_id = delivery.event_id,
                .traceparent = delivery.traceparent,
                .headers = {},
                .trusted = reactor.trusted,
                .derives_ids = true};
  commands_.Handle(*entry, std::move(command), std::move(caller),
                   [done = std::move(done)](absl::StatusOr<core::v1::CommandReceipt> receipt) {
                     done(OutcomeOf(std::move(receipt)));
                   });
}

void ReactorDeliverer::SendMail(const Delivery& delivery, Done done) {
  core::v1::Mail mail;
  if (!mail.ParseFromString(delivery.payload))
    return done({.failure = absl::DataLossError("the stored e-mail does not decode")});
  std::string name = delivery.id;  // "lf:<reactor>:<event>:<n>"
  std::replace(name.begin(), name.end(), ':', '.');
  if (smtp_ != nullptr) {
    return smtp_->Send(
        mail.to(),
        fmt::format("Date: {}\r\nFrom: {}\r\n{}",
                    absl::FormatTime(absl::RFC1123_full, clock_.Now(), absl::UTCTimeZone()),
                    smtp_->from(), MessageOf(mail, name)),
        [done = std::move(done)](absl::Status sent) { done({.failure = std::move(sent)}); });
  }
  absl::Status written = sql::MakeFolder(mail_folder_);
  if (written.ok()) {
    written =
        sql::ReplaceDurably(fmt::format("{}/{}.eml", mail_folder_, name), MessageOf(mail, name));
  }
  done({.failure = std::move(written)});
}

void ReactorDeliverer::Call(const ReactorEntry& reactor, const Delivery& delivery, Done done) {
  core::v1::HttpCall call;
  if (!call.ParseFromString(delivery.payload)) {
    return done({.failure = absl::DataLossError("the stored HTTP call does not decode")});
  }
  HttpRequest request{.method = call.method(),
                      .url = call.url(),
                      .headers = {},
                      .body = call.body(),
                      .timeout = reactor.retry.timeout};
  bool has_key = false;
  for (const auto& header : call.headers()) {
    has_key = has_key || absl::EqualsIgnoreCase(header.name(), ToAbsl(kIdempotencyHeader));
    request.headers.emplace_back(header.name(), header.value());
  }
  if (!has_key) request.headers.emplace_back(kIdempotencyHeader, delivery.id);
  if (const absl::Status known = ResolveService(services_, request); !known.ok()) {
    return done({.failure = known});
  }
  if (reactor.complete) reactor.complete(request, delivery, clock_.Now());
  http_.Send(std::move(request), [done = std::move(done)](absl::StatusOr<HttpReply> reply) {
    done(OutcomeOf(std::move(reply)));
  });
}

}  // namespace leftfold
