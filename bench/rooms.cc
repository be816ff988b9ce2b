#include "bench/rooms.h"

#include <absl/time/clock.h>

#include <atomic>

#include "bench/ids.h"
#include "bench/start_call.h"
#include "core/status.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"

namespace leftfold::bench {
namespace {

template <class Event>
NewEvent Encoded(const Event& event) {
  NewEvent encoded;
  encoded.type = event.GetDescriptor()->full_name();
  encoded.payload = event.SerializeAsString();
  return encoded;
}

void Append(EventStore& store, StreamAppend stream, std::atomic<int>& waiting) {
  AppendRequest request;
  request.streams.push_back(std::move(stream));
  ++waiting;
  store.Append(std::move(request), [&](const absl::StatusOr<Receipt>& receipt) {
    if (!receipt.ok()) Die(receipt.status().ToString());
    --waiting;
  });
}

}  // namespace

void FillWithRooms(EventStore& store, int events) {
  constexpr int kRenamesPerAppend = 100;
  std::atomic<int> waiting = 0;
  int written = 0;
  for (int room = 0; room < kRooms; ++room, ++written) {
    rooms::v1::RoomCreated created;
    created.set_name("Oak");
    Append(store, {fmt::format("room-room{}", room), Any{}, {Encoded(created)}}, waiting);
  }
  for (int append = 0; written < events; ++append, written += kRenamesPerAppend) {
    StreamAppend stream{fmt::format("room-room{}", append % kRooms), Any{}, {}};
    for (int i = 0; i < kRenamesPerAppend; ++i) {
      rooms::v1::RoomRenamed renamed;
      renamed.set_name(fmt::format("Oak {}", written + i));
      stream.events.push_back(Encoded(renamed));
    }
    Append(store, std::move(stream), waiting);
    while (waiting > 1'000) absl::SleepFor(absl::Milliseconds(1));
  }
  while (waiting > 0) absl::SleepFor(absl::Milliseconds(1));
}

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
  rooms::v1::RenameRoomRequest request;
  request.set_room_id(room_id);
  request.set_name(name);
  request.set_command_id(ToString(NewUuidV7(absl::Now())));
  StartCall(stubs_[static_cast<std::size_t>(caller) % stubs_.size()]->async(),
            &rooms::v1::RoomCommandService::Stub::async::RenameRoom, std::move(request),
            Succeeded(std::move(done)));
}

Compose ComposeRename() {
  return [ids = std::make_shared<IdMaker>()](std::int64_t, std::string& message) {
    static std::int64_t serial = 0;
    rooms::v1::RenameRoomRequest request;
    request.set_room_id(RoomId(static_cast<int>(++serial % kRooms)));
    request.set_name(fmt::format("Elm {}", serial));
    request.set_command_id(ids->Next(Ids::kTimeOrdered));
    request.SerializeToString(&message);
  };
}

Compose ComposeGet() {
  return [](std::int64_t n, std::string& message) {
    rooms::v1::GetRoomRequest request;
    request.set_room_id(RoomId(static_cast<int>(n % kRooms)));
    request.SerializeToString(&message);
  };
}

std::string RoomId(int room) { return fmt::format("room{}", room); }

}  // namespace leftfold::bench
