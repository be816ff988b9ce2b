#include "domains/rooms/provision_external_room.h"

#include <fmt/format.h>

#include <string>

#include "core/json.h"
#include "core/json_object.h"
#include "core/status.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "leftfold/rooms/v1/commands.pb.h"

namespace leftfold::rooms {
namespace {

constexpr std::string_view kService = "service:rooms_";

}  // namespace

absl::Status ProvisionExternalRoom::React(const v1::RoomCreated& event, const EventMeta& meta,
                                          OwnTables&, Outbox& outbox) {
  if (event.external_provider().empty()) return absl::OkStatus();
  outbox.Post({.method = "POST",
               .url = fmt::format("{}{}/v1/rooms", kService, event.external_provider()),
               .headers = {{"Content-Type", "application/json"},
                           {"Idempotency-Key", std::string(meta.aggregate_id())}},
               .body = fmt::format(R"({{"room_id": {}, "name": {}, "description": {}}})",
                                   JsonString(meta.aggregate_id()), JsonString(event.name()),
                                   JsonString(event.description()))});
  return absl::OkStatus();
}

absl::Status ProvisionExternalRoom::OnReply(const Delivery& delivery, const HttpReply& reply,
                                            OwnTables&, Outbox& outbox) {
  core::v1::HttpCall call;
  call.ParseFromString(delivery.payload);
  const std::string provider =
      call.url().substr(kService.size(), call.url().find('/') - kService.size());
  const auto said = ParseJsonObject(reply.body);
  const std::string external_id = said ? TextField(*said, "external_id") : "";
  if (reply.status / 100 != 2 || external_id.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the provider {} answered {} without an external_id; look there, then retry this",
                 provider, reply.status);
  }
  const auto sent = ParseJsonObject(call.body());
  v1::LinkExternalRoomRequest link;
  link.set_room_id(sent ? TextField(*sent, "room_id") : "");
  link.set_provider(provider);
  link.set_external_id(external_id);
  outbox.Send(link);
  return absl::OkStatus();
}

}  // namespace leftfold::rooms
