#include "bench/rooms.h"

#include <absl/time/clock.h>

#include "core/ids.h"
#include "core/status.h"

namespace leftfold::bench {

RoomClient::RoomClient(const std::string& address) {
  for (const auto& channel : Connect(address, kConnections)) {
    stubs_.push_back(rooms::v1::RoomCommandService::NewStub(channel));
  }
}

void RoomClient::Create(const std::string& room_id) {
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  rooms::v1::CreateRoomRequest request;
  rooms::v1::CreateRoomResponse response;
  request.set_room_id(room_id);
  request.set_name("Oak");
  const grpc::Status status = stubs_.front()->CreateRoom(&context, request, &response);
  if (!status.ok()) Die(fmt::format("CreateRoom: {}", status.error_message()));
}

void RoomClient::Rename(int caller, const std::string& room_id, const std::string& name,
                        std::function<void(bool ok)> done) {
  struct Pending {
    grpc::ClientContext context;
    rooms::v1::RenameRoomRequest request;
    rooms::v1::RenameRoomResponse response;
  };
  auto pending = std::make_shared<Pending>();
  pending->request.set_room_id(room_id);
  pending->request.set_name(name);
  pending->request.set_command_id(ToString(NewUuidV7(absl::Now())));
  stubs_[static_cast<std::size_t>(caller) % stubs_.size()]->async()->RenameRoom(
      &pending->context, &pending->request, &pending->response,
      [pending, done = std::move(done)](const grpc::Status& status) { done(status.ok()); });
}

std::string RoomId(int room) { return fmt::format("room{}", room); }

}  // namespace leftfold::bench
