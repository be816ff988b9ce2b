#ifndef TESTING_ROOMS_CLIENT_H_
#define TESTING_ROOMS_CLIENT_H_

#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "leftfold/rooms/v1/queries.grpc.pb.h"

namespace leftfold::testing {

// A client of the rooms domain over real sockets; every call has a deadline.
class RoomsClient {
 public:
  RoomsClient(const std::string& write_address, const std::string& read_address)
      : commands_(rooms::v1::RoomCommandService::NewStub(
            grpc::CreateChannel(write_address, grpc::InsecureChannelCredentials()))),
        queries_(rooms::v1::RoomQueryService::NewStub(
            grpc::CreateChannel(read_address, grpc::InsecureChannelCredentials()))) {}

  grpc::Status Call(const rooms::v1::CreateRoomRequest& request,
                    rooms::v1::CreateRoomResponse* response) {
    return Do(&rooms::v1::RoomCommandService::Stub::CreateRoom, *commands_, request, response);
  }
  grpc::Status Call(const rooms::v1::RenameRoomRequest& request,
                    rooms::v1::RenameRoomResponse* response) {
    return Do(&rooms::v1::RoomCommandService::Stub::RenameRoom, *commands_, request, response);
  }
  grpc::Status Call(const rooms::v1::DeleteRoomRequest& request,
                    rooms::v1::DeleteRoomResponse* response) {
    return Do(&rooms::v1::RoomCommandService::Stub::DeleteRoom, *commands_, request, response);
  }
  grpc::Status Call(const rooms::v1::StartSessionRequest& request,
                    rooms::v1::StartSessionResponse* response) {
    return Do(&rooms::v1::RoomCommandService::Stub::StartSession, *commands_, request, response);
  }
  grpc::Status Call(const rooms::v1::GetRoomRequest& request,
                    rooms::v1::GetRoomResponse* response) {
    return Do(&rooms::v1::RoomQueryService::Stub::GetRoom, *queries_, request, response);
  }
  grpc::Status Call(const rooms::v1::ListRoomsRequest& request,
                    rooms::v1::ListRoomsResponse* response) {
    return Do(&rooms::v1::RoomQueryService::Stub::ListRooms, *queries_, request, response);
  }
  grpc::Status Call(const rooms::v1::ListRoomEventsRequest& request,
                    rooms::v1::ListRoomEventsResponse* response) {
    return Do(&rooms::v1::RoomQueryService::Stub::ListRoomEvents, *queries_, request, response);
  }
  grpc::Status Call(const rooms::v1::GetRoomAtRequest& request,
                    rooms::v1::GetRoomAtResponse* response) {
    return Do(&rooms::v1::RoomQueryService::Stub::GetRoomAt, *queries_, request, response);
  }
  rooms::v1::RoomCommandService::Stub& commands() { return *commands_; }
  rooms::v1::RoomQueryService::Stub& queries() { return *queries_; }

  static constexpr absl::Duration kDeadline = absl::Seconds(20);

 private:
  template <class Stub, class Request, class Response>
  static grpc::Status Do(grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                         Stub& stub, const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kDeadline));
    return (stub.*rpc)(&context, request, response);
  }

  std::unique_ptr<rooms::v1::RoomCommandService::Stub> commands_;
  std::unique_ptr<rooms::v1::RoomQueryService::Stub> queries_;
};

}  // namespace leftfold::testing
#endif  // TESTING_ROOMS_CLIENT_H_
