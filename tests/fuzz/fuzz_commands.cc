// Commands of all domains, alone, in batches and in sessions, over gRPC to a server in this process
// with a log in memory: what comes later meets the state that came before. Each is answered once,
// as the contract wants it, and the log stays whole.
#include <google/protobuf/descriptor.h>

#include "leftfold/commands/v1/command_session.pb.h"
#include "server/command_service.h"
#include "server/command_session.h"
#include "tests/fuzz/surfaces.h"
#include "tests/fuzz/world.h"
#include "write_api/session.h"

namespace leftfold::fuzz {
namespace {

constexpr std::uint8_t kHeaders = 0x40;  // The client sends some, of which not all are taken.

// The write side of a server, but for its socket and disk.
class Server : public LogWorld {
 public:
  Server() {
    const auto serve = [](const absl::Status& served) {
      if (!served.ok()) Die(served.ToString());
    };
    serve(ServeCommands(AllDomains(), handler_, writer, Wire::kToken, services));
    serve(ServeSessions(*commands::v1::CommandSessionRequest::descriptor(), sessions_, Wire::kToken,
                        services));
  }

  void Take(const google::protobuf::MethodDescriptor& method, const Record& record) {
    Wire::Asks asks{.bytes = record.bytes, .trusted = (record.flags & kTrusted) != 0};
    if ((record.flags & kHeaders) != 0) {
      asks.headers = {{"x-correlation-id", std::string(record.bytes.size() % 150, 's')},
                      {"lf-meta-colour", "red"},
                      {"lf-reactor", "reactor:r"}};
    }
    wire.Call(method, asks);
  }

 private:
  CommandHandler handler_{AllDomains(), *store, clock, scheduler.Pool()};
  CommandSessionKind kind_{AllDomains(), handler_};
  Sessions sessions_{kind_};
};

}  // namespace

const Surface& TheSurface() {
  static const Surface surface = [] {
    Surface made;
    made.requests = RequestsOfCommands(AllDomains());
    for (const auto* request : made.requests) HasRpc(RpcTaking(*request));
    for (const CommandEntry& command : AllDomains().commands()) {
      made.payloads.push_back(
          google::protobuf::MessageFactory::generated_factory()->GetPrototype(command.request));
    }
    made.words = StepWords();
    return made;
  }();
  return surface;
}

std::vector<Seed> Seeds() {
  std::vector<Seed> seeds = {
      {"rooms", kTrusted, RoomSteps()},
      {"orders", kTrusted, OrderSteps()},
      {"untrusted", 0, OrderSteps()},
      {"batch",
       0,
       {"leftfold.orders.v1.PlaceOrdersRequest {command_id: 'batch' orders {order_id: 'o1' "
        "customer_id: 'ann' restaurant_id: 'luigi' address: 'Here 1' lines {item_id: 'pizza' "
        "qty: 1}} orders {order_id: 'o1'}}"}},
      {"session",
       kHeaders,
       {"leftfold.commands.v1.CommandSessionRequest {commands {id: 1 command "
        "{[type.googleapis.com/leftfold.rooms.v1.CreateRoomRequest] {room_id: 'oak' name: "
        "'Oak'}}} commands {id: 2 command "
        "{[type.googleapis.com/leftfold.rooms.v1.DeleteRoomRequest] {room_id: 'elm'}}} "
        "commands {id: 3}}"}}};
  std::vector<std::string> steps;
  for (const auto* request : TheSurface().requests) AddStepsOf(*request, steps);
  AddSeeds("each", kTrusted, steps, kRecordsMax, seeds);
  return seeds;
}

void Run(const std::vector<Record>& records) {
  Server server;
  const auto& requests = TheSurface().requests;
  for (const Record& record : records)
    server.Take(RpcTaking(*requests[record.choice % requests.size()]), record);
  server.ExpectWhole();
}

}  // namespace leftfold::fuzz
