#include "reactor/webhook.h"

#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "core/json.h"
#include "core/json_object.h"
#include "core/log.h"
#include "core/reject.h"
#include "core/status.h"
#include "core/traceparent.h"
#include "core/webhook_signature.h"
#include "reactor/retry_policy.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;
using admin::v1::Webhook;

// What the engine and HTTP set; in small letters.
constexpr std::string_view kOwnHeaders[] = {
    "content-type", "content-length",    "connection", "expect",
    "host",         "idempotency-key",   "te",         "traceparent",
    "trailer",      "transfer-encoding", "upgrade",    "x-leftfold-signature"};

RetryPolicy PolicyOf(const Webhook::Retry& retry) {
  RetryPolicy policy = PolicyOf(retry, kWebhookRetry);
  if (retry.has_timeout()) policy.timeout = DurationOf(retry.timeout());
  return policy;
}

// Says what is wrong with one webhook.
class Checker {
 public:
  Checker(const Webhook& webhook, const Registry& registry, std::string_view prefix,
          Violations& violations)
      : webhook_(webhook), registry_(registry), prefix_(prefix), violations_(violations) {}

  void Check() {
    CheckName();
    CheckEventTypes();
    if (webhook_.stream_prefix().size() > kWebhookStreamPrefixBytesMax)
      Add("stream_prefix", fmt::format("must be at most {} bytes", kWebhookStreamPrefixBytesMax));
    CheckUrl();
    CheckHeaders();
    const std::string& secret = webhook_.secret();
    if (!secret.empty() && (secret.size() < kWebhookSecretBytesMin ||
                            secret.size() > kWebhookSecretBytesMax || !IsPrintable(secret))) {
      Add("secret", fmt::format("must be {} to {} printable ASCII characters",
                                kWebhookSecretBytesMin, kWebhookSecretBytesMax));
    }
    CheckRetry();
    if (!Webhook::Start_IsValid(webhook_.start()))
      Add("start", "must be START_BEGINNING or START_NOW");
    CheckCommands();
  }

 private:
  void Add(std::string_view field, std::string_view description) {
    violations_.Add(fmt::format("{}{}", prefix_, field), description);
  }

  void CheckName() {
    const std::string& name = webhook_.name();
    static_assert(kWebhookNameBytesMax == kCategoryBytesMax);
    if (!IsCategory(name)) {
      Add("name", fmt::format("must be 1 to {} characters of a-z 0-9 _, a letter first",
                              kWebhookNameBytesMax));
    }
  }

  void CheckEventTypes() {
    const int count = webhook_.event_types_size();
    if (count == 0 || count > kWebhookEventTypesMax)
      Add("event_types", fmt::format("must be 1 to {} of them", kWebhookEventTypesMax));
    for (int i = 0; i < std::min(count, kWebhookEventTypesMax); ++i) {
      const std::string& type = webhook_.event_types(i);
      const std::string field = fmt::format("event_types[{}]", i);
      if (type.empty() || type.size() > kWebhookTypeBytesMax) {
        Add(field, fmt::format("must be 1 to {} bytes", kWebhookTypeBytesMax));
      } else if (!MayBeEvent(type)) {
        Add(field, "is no event of its package; names are full ones, and case counts");
      }
    }
  }
  // Types that no domain here has may be those of JSON payloads, but not within a domain's package.
  bool MayBeEvent(const std::string& type) const {
    if (registry_.events().contains(type)) return true;
    const std::string_view package = std::string_view(type).substr(0, type.rfind('.') + 1);
    return std::none_of(
        registry_.events().begin(), registry_.events().end(), [&](const auto& known) {
          return !package.empty() && package == known.first.substr(0, known.first.rfind('.') + 1);
        });
  }

  void CheckUrl() {
    const std::string& url = webhook_.url();
    const std::size_t scheme = absl::StartsWithIgnoreCase(url, "http://")    ? 7
                               : absl::StartsWithIgnoreCase(url, "https://") ? 8
                                                                             : 0;
    if (scheme == 0) return Add("url", "must begin with http:// or https://");
    if (url.size() > kWebhookUrlBytesMax)
      Add("url", fmt::format("must be at most {} bytes", kWebhookUrlBytesMax));
    if (!IsPrintable(url) || url.find(' ') != std::string::npos)
      Add("url", "must be printable ASCII without blanks; escape others with %");
    const std::string host = url.substr(scheme, url.find_first_of("/?#", scheme) - scheme);
    if (host.empty()) Add("url", "must name a host");
    if (host.find('@') != std::string::npos)
      Add("url", "must not have a user or a password; send them in a header");
  }

  void CheckHeaders() {
    if (webhook_.headers_size() > kWebhookHeadersMax)
      return Add("headers", fmt::format("must be at most {}", kWebhookHeadersMax));
    std::size_t bytes = 0;
    std::set<std::string> names;
    for (int i = 0; i < webhook_.headers_size(); ++i) {
      const Webhook::Header& header = webhook_.headers(i);
      const std::string field = fmt::format("headers[{}].", i);
      const std::string name = absl::AsciiStrToLower(header.name());
      bytes += header.name().size() + header.value().size();
      if (!IsHeaderName(name)) {
        Add(field + "name", "is no name of a header");
      } else if (std::find(std::begin(kOwnHeaders), std::end(kOwnHeaders), name) !=
                 std::end(kOwnHeaders)) {
        Add(field + "name", "is set by Leftfold itself");
      } else if (!names.insert(name).second) {
        Add(field + "name", "is there twice");
      }
      if (!header.has_value()) Add(field + "value", "must be given");
      if (!IsHeaderValue(header.value())) Add(field + "value", "must not have control characters");
    }
    if (bytes > kWebhookHeadersBytesMax) {
      Add("headers",
          fmt::format("names and values must be at most {} bytes", kWebhookHeadersBytesMax));
    }
  }

  void CheckRetry() {
    const RetryPolicy policy = PolicyOf(webhook_.retry());
    CheckPolicy(policy, fmt::format("{}retry.", prefix_), violations_);
    CheckDuration(policy.timeout, kRetryDelayMin, kHttpTimeoutMax,
                  fmt::format("{}retry.timeout", prefix_), violations_);
  }

  void CheckCommands() {
    if (webhook_.commands_size() > kWebhookCommandsMax)
      return Add("commands", fmt::format("must be at most {}", kWebhookCommandsMax));
    for (int i = 0; i < webhook_.commands_size(); ++i) {
      const CommandEntry* command = registry_.FindCommand(webhook_.commands(i));
      if (command == nullptr) {
        Add(fmt::format("commands[{}]", i), "is no command; give the full name of its request");
      } else if (command->system) {
        Add(fmt::format("commands[{}]", i), "is a system command, which webhooks may not send");
      }
    }
  }

  const Webhook& webhook_;
  const Registry& registry_;
  const std::string_view prefix_;
  Violations& violations_;
};

// The members of `data`, with a comma before.
absl::StatusOr<std::string> DataOf(const RecordedEvent& event, const Registry& registry) {
  const auto known = registry.events().find(event.type);
  if (event.encoding == Encoding::kJson) {
    if (IsUtf8(event.payload) && IsJson(event.payload))
      return R"(,"datacontenttype":"application/json","data":)" + event.payload;
  } else if (known != registry.events().end()) {
    const std::unique_ptr<pb::Message> message(known->second->New());
    std::string json;
    if (!message->ParseFromString(event.payload) ||
        !pb::util::MessageToJsonString(*message, &json).ok()) {
      return internal::Undecodable(event);
    }
    return R"(,"datacontenttype":"application/json","data":)" + json;
  }
  const char* type =
      event.encoding == Encoding::kJson ? "application/octet-stream" : "application/protobuf";
  return fmt::format(R"(,"datacontenttype":"{}","data_base64":"{}")", type,
                     absl::Base64Escape(event.payload));
}

absl::Status Malformed(const Webhook& webhook, std::string_view what) {
  return Reject(
      core::v1::ERROR_REASON_WEBHOOK_REPLY_MALFORMED,
      fmt::format("the reply to the webhook {} is not as it must be, {}: {}", webhook.name(),
                  R"({"commands": [{"type": "...", "command": {...}}]})", what),
      {{"webhook", webhook.name()}});
}

// The value of the one member that there may be of this name; "" when there is none.
std::string_view Member(const std::vector<JsonPart>& parts, std::string_view name) {
  const auto found = std::find_if(parts.begin(), parts.end(),
                                  [&](const JsonPart& part) { return part.name == name; });
  return found == parts.end() ? std::string_view() : found->value;
}
bool HasOnly(const std::vector<JsonPart>& parts, std::initializer_list<std::string_view> names) {
  return parts.size() == names.size() &&
         std::all_of(names.begin(), names.end(),
                     [&](std::string_view name) { return !Member(parts, name).empty(); });
}
bool Begins(std::string_view value, char c) { return !value.empty() && value.front() == c; }

using CommandPtr = std::unique_ptr<pb::Message>;

absl::StatusOr<CommandPtr> CommandOf(std::string_view text, int n, const Webhook& webhook,
                                     const Registry& registry) {
  const std::string where = fmt::format("commands[{}]", n);
  const auto parts = JsonParts(text);
  if (!Begins(text, '{') || !parts || !HasOnly(*parts, {"type", "command"}))
    return Malformed(webhook, where + " must be an object with type and command");
  const std::string_view quoted = Member(*parts, "type");
  if (!Begins(quoted, '"') || quoted.size() < 2)
    return Malformed(webhook, where + ".type must be a string");
  const std::string type(quoted.substr(1, quoted.size() - 2));
  const auto& allowed = webhook.commands();
  const CommandEntry* entry = registry.FindCommand(type);
  if (entry == nullptr || entry->system ||
      std::find(allowed.begin(), allowed.end(), type) == allowed.end()) {
    return Malformed(webhook, fmt::format("{}.type, {}, is none of the webhook's commands", where,
                                          JsonString(type, kErrorValueBytesMax)));
  }
  CommandPtr command(pb::MessageFactory::generated_factory()->GetPrototype(entry->request)->New());
  const std::string_view json = Member(*parts, "command");
  const absl::Status parsed = MessageFromJson(json, *command);
  if (!Begins(json, '{') || !parsed.ok()) {
    return Malformed(webhook,
                     fmt::format("{}.command is no {}: {}", where, type,
                                 JsonString(ToStd(parsed.message()), kErrorValueBytesMax)));
  }
  const auto* id = entry->request->FindFieldByName("command_id");
  if (!command->GetReflection()->GetString(*command, id).empty())
    return Malformed(webhook, where + ".command must not have a command_id: it gets one");
  return command;
}

}  // namespace

void CheckWebhook(const Webhook& webhook, const Registry& registry, std::string_view prefix,
                  Violations& violations) {
  Checker(webhook, registry, prefix, violations).Check();
}

std::string WebhookReactorName(std::string_view name, std::int64_t number) {
  return fmt::format("webhook.{}.{}", name, number);
}

absl::StatusOr<std::string> CloudEventOf(const RecordedEvent& event, const Registry& registry,
                                         std::string_view store_id) {
  const auto data = DataOf(event, registry);
  if (!data.ok()) return data.status();
  const core::v1::EventMetadata metadata = EventMeta{event}.metadata();
  std::string json = fmt::format(
      R"({{"specversion":"1.0","id":"{}","source":{},"type":{},"subject":{},"time":"{}",)"
      R"("position":"{}","version":"{}")",
      ToString(event.event_id), JsonString(fmt::format("leftfold/{}", store_id)),
      JsonString(event.type), JsonString(event.stream),
      absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", event.recorded_at, absl::UTCTimeZone()),
      event.position.value, event.version.value);
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) json += fmt::format(R"(,"{}":{})", name, JsonString(value));
  };
  add("commandid", metadata.command_id());
  add("correlationid", metadata.correlation_id());
  add("traceparent", metadata.traceparent());
  return json + *data + "}";
}

absl::StatusOr<Commands> CommandsOf(std::string_view reply, const Webhook& webhook,
                                    const Registry& registry) {
  Commands commands;
  if (reply.find_first_not_of(" \t\r\n") == std::string_view::npos) return commands;
  const auto top = IsUtf8(reply) ? JsonParts(reply) : std::nullopt;
  if (!top) return Malformed(webhook, "it is no JSON");
  if (!HasOnly(*top, {"commands"}))
    return Malformed(webhook, "it must have commands and nothing else");
  const std::string_view list = Member(*top, "commands");
  const auto elements = JsonParts(list);
  if (!Begins(list, '[') || !elements) return Malformed(webhook, "commands must be an array");
  if (elements->size() > kWebhookCommandsMax) {
    return Malformed(webhook, fmt::format("it has {} commands, more than {}", elements->size(),
                                          kWebhookCommandsMax));
  }
  for (const JsonPart& element : *elements) {
    auto command = CommandOf(element.value, static_cast<int>(commands.size()), webhook, registry);
    if (!command.ok()) return command.status();
    commands.push_back(*std::move(command));
  }
  return commands;
}

ReactorEntry ReactorOf(const Webhook& configured, const Registry& registry, std::string store_id) {
  const auto webhook = std::make_shared<const Webhook>(configured);
  ReactorEntry entry;
  entry.name = webhook->reactor();
  entry.start = webhook->start() == Webhook::START_BEGINNING ? StartAt::kBeginning : StartAt::kNow;
  entry.retry = PolicyOf(webhook->retry());
  entry.trusted = false;
  entry.deliveries_max = kWebhookCallsMax;
  entry.key = [webhook](const RecordedEvent& event) -> std::optional<std::string> {
    const auto& types = webhook->event_types();
    if (!event.stream.starts_with(webhook->stream_prefix())) return std::nullopt;
    if (std::find(types.begin(), types.end(), event.type) == types.end()) return std::nullopt;
    return event.stream;
  };
  entry.react = [webhook, &registry, store = std::move(store_id)](
                    const RecordedEvent& event, OwnTables&, Outbox& outbox) -> absl::Status {
    auto body = CloudEventOf(event, registry, store);
    if (!body.ok()) return body.status();
    outbox.Post({.method = "POST",
                 .url = "webhook:" + webhook->name(),
                 .headers = {{"Content-Type", std::string(kCloudEventType)}},
                 .body = *std::move(body)});
    return absl::OkStatus();
  };
  entry.complete = [webhook](HttpRequest& request, const Delivery& delivery, absl::Time now) {
    request.url = webhook->url();
    for (const Webhook::Header& header : webhook->headers())
      request.headers.emplace_back(header.name(), header.value());
    if (!delivery.traceparent.empty())
      request.headers.emplace_back("traceparent", delivery.traceparent);
    if (webhook->secret().empty()) return;
    request.headers.emplace_back(kWebhookHeader,
                                 WebhookSignature(webhook->secret(), now, request.body));
  };
  entry.on_result = [webhook, &registry](const Delivery& delivery, const Result& result, OwnTables&,
                                         Outbox& outbox) -> absl::Status {
    if (delivery.kind == DeliveryKind::kCommand) {
      if (result.status.ok() || internal::IsFault(result.status)) return result.status;
      LogEvent(LogLevel::kWarning, "a webhook's command was refused",
               {{"webhook", webhook->name()},
                {"command", delivery.type},
                {"command_id", delivery.id},
                {"reason", ReasonOf(result.status)}});
      return absl::OkStatus();
    }
    const int status = result.reply.status;
    if (status < 200 || status > 299) {
      return Error(absl::StatusCode::kUnavailable, "the server said {}{}", status,
                   status / 100 == 3 ? "; redirects are not followed" : "");
    }
    if (webhook->commands().empty()) return absl::OkStatus();
    const auto commands = CommandsOf(result.reply.body, *webhook, registry);
    if (!commands.ok()) return commands.status();
    for (const auto& command : *commands) outbox.Send(*command);
    return absl::OkStatus();
  };
  return entry;
}

}  // namespace leftfold
