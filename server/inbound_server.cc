#include "server/inbound_server.h"

#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <utility>

#include "core/json.h"
#include "core/status.h"
#include "core/webhook_signature.h"

namespace leftfold {
namespace {

HttpReply Say(int status, std::string_view why) {
  return {.status = status,
          .headers = {},
          .body = why.empty() ? "{}" : fmt::format(R"({{"error": {}}})", JsonString(why))};
}

HttpReply Say(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return Say(200, "");
    case absl::StatusCode::kInvalidArgument:
      return Say(400, ToStd(status.message()));
    case absl::StatusCode::kUnauthenticated:
      return Say(401, ToStd(status.message()));
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return Say(409, ToStd(status.message()));
    default:
      return Say(503, ToStd(status.message()));
  }
}

}  // namespace

InboundServer::InboundServer(const Registry& registry, CommandHandler& commands, const Clock& clock,
                             HttpServices services)
    : registry_(registry), commands_(commands), clock_(clock), services_(std::move(services)) {}

absl::StatusOr<std::unique_ptr<InboundServer>> InboundServer::Start(const std::string& listen,
                                                                    const Registry& registry,
                                                                    CommandHandler& commands,
                                                                    const Clock& clock,
                                                                    HttpServices services) {
  std::unique_ptr<InboundServer> inbound(
      new InboundServer(registry, commands, clock, std::move(services)));
  auto server = HttpServer::Start(
      {.listen = listen, .threads = kInboundThreads, .body_bytes_max = kInboundBodyBytesMax},
      [&self = *inbound](const HttpRequest& request) { return self.Answer(request); });
  if (!server.ok()) return server.status();
  inbound->server_ = *std::move(server);
  return inbound;
}

HttpReply InboundServer::Answer(const HttpRequest& request) {
  const auto& entries = registry_.inbounds();
  const auto entry = std::find_if(entries.begin(), entries.end(), [&](const InboundEntry& e) {
    return request.url == "/" + std::string(e.name);
  });
  if (entry == entries.end()) return Say(404, "no service is told of here");
  if (request.method != "POST") return Say(405, "send a POST");
  if (request.body.size() > kInboundBodyBytesMax)
    return Say(413, fmt::format("a body has at most {} bytes", kInboundBodyBytesMax));
  const auto service = services_.find(entry->name);
  if (service == services_.end() || service->second.webhook_secret.empty()) {
    return Say(503, fmt::format("start the server with LEFTFOLD_{}_WEBHOOK_SECRET in its "
                                "environment",
                                absl::AsciiStrToUpper(ToAbsl(entry->name))));
  }
  const std::string signature = HeaderOf(request, kWebhookSignatureHeader);
  auto command = entry->take({.secret = service->second.webhook_secret,
                              .signature = signature,
                              .body = request.body,
                              .now = clock_.Now()});
  if (!command.ok()) return Say(command.status());
  return Say(*command == nullptr ? absl::OkStatus() : Carry(*std::move(command)));
}

absl::Status InboundServer::Carry(std::unique_ptr<google::protobuf::Message> command) {
  const CommandEntry* entry = registry_.FindCommand(command->GetDescriptor()->full_name());
  if (entry == nullptr) return absl::InternalError("there is no such command");
  const auto carried = std::make_shared<std::promise<absl::Status>>();
  Caller caller;
  caller.actor = "webhook";
  caller.trusted = true;
  commands_.Handle(*entry, std::move(command), std::move(caller),
                   [carried](const absl::StatusOr<core::v1::CommandReceipt>& receipt) {
                     carried->set_value(receipt.status());
                   });
  return carried->get_future().get();
}

}  // namespace leftfold
