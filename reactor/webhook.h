#ifndef REACTOR_WEBHOOK_H_
#define REACTOR_WEBHOOK_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/registry.h"
#include "leftfold/admin/v1/webhooks.pb.h"

// A webhook is a reactor made of configuration instead of code: it posts each event of some types
// to a URL, and sends the commands that the reply names. docs/guide/webhooks.md has what a receiver
// is to know.
namespace leftfold {

inline constexpr int kWebhooksMax = 100;
inline constexpr std::size_t kWebhookNameBytesMax = 64;
inline constexpr int kWebhookEventTypesMax = 100;
inline constexpr std::size_t kWebhookTypeBytesMax = 256;
inline constexpr std::size_t kWebhookStreamPrefixBytesMax = 193;  // As long as a stream's name.
inline constexpr std::size_t kWebhookUrlBytesMax = 2'048;
inline constexpr int kWebhookHeadersMax = 16;
inline constexpr std::size_t kWebhookHeadersBytesMax = 4'096;  // Names and values together.
inline constexpr std::size_t kWebhookSecretBytesMin = 16;
inline constexpr std::size_t kWebhookSecretBytesMax = 256;
// Types of commands that a webhook may send, and commands in one reply.
inline constexpr int kWebhookCommandsMax = 100;
// Calls of one webhook that are under way.
inline constexpr std::size_t kWebhookCallsMax = 16;

// Where nothing else is said: receivers are down for longer than aggregates are. With these
// numbers a stream is parked after about 20 minutes.
inline constexpr RetryPolicy kWebhookRetry = kOutageRetry;

// With a WebhookSignature (core/webhook_signature.h).
inline constexpr std::string_view kWebhookHeader = "X-Leftfold-Signature";
inline constexpr std::string_view kCloudEventType = "application/cloudevents+json; charset=utf-8";

// Adds all that is wrong with a webhook; fields are named `prefix`name, `prefix`headers[2].value …
void CheckWebhook(const admin::v1::Webhook& webhook, const Registry& registry,
                  std::string_view prefix, Violations& violations);

// "webhook.<name>.<number>". Domains' reactors have no dot in their names.
std::string WebhookReactorName(std::string_view name, std::int64_t number);

// The event as a CloudEvent 1.0 in JSON. `data` is the payload as JSON; bytes that no domain here
// has a type for are `data_base64`. DATA_LOSS when the payload does not decode.
absl::StatusOr<std::string> CloudEventOf(const RecordedEvent& event, const Registry& registry,
                                         std::string_view store_id);

// The commands that a reply names, in its order; none when it is empty. WEBHOOK_REPLY_MALFORMED
// when it does not have the form {"commands": [{"type": "…", "command": {…}}]} with known types
// that `webhook` allows, without command ids.
using Commands = std::vector<std::unique_ptr<google::protobuf::Message>>;
absl::StatusOr<Commands> CommandsOf(std::string_view reply, const admin::v1::Webhook& webhook,
                                    const Registry& registry);

// The reactor that a webhook, which was checked, is. What it keeps and puts into its outbox, its
// errors and its log lines has neither the secret nor the URL nor values of headers. `registry`
// must outlive it.
ReactorEntry ReactorOf(const admin::v1::Webhook& webhook, const Registry& registry,
                       std::string store_id);

}  // namespace leftfold
#endif  // REACTOR_WEBHOOK_H_
