// Commands of all domains, alone and in batches, through the real handler over a log in memory:
// what comes later meets the state that came before. Each is answered once, accepted or with a
// reason, and the log stays whole.
#include <google/protobuf/descriptor.h>

#include "tests/fuzz/world.h"

namespace leftfold::fuzz {
namespace {

void SendBatch(LogWorld& world, CommandHandler& handler, const BatchEntry& entry,
               const google::protobuf::Message& batch, const Caller& caller) {
  const auto& reflection = *batch.GetReflection();
  const auto* commands = entry.request->FindFieldByNumber(1);
  for (int i = 0; i < reflection.FieldSize(batch, commands); ++i) {
    const auto& sent = reflection.GetRepeatedMessage(batch, commands, i);
    std::unique_ptr<google::protobuf::Message> command(sent.New());
    command->CopyFrom(sent);
    SendCommand(world, handler, *entry.command, std::move(command), caller);
  }
}

}  // namespace

const Surface& TheSurface() {
  static const Surface surface = [] {
    Surface made;
    for (const CommandEntry& command : AllDomains().commands())
      made.requests.push_back(command.request);
    for (const BatchEntry& batch : AllDomains().batches()) made.requests.push_back(batch.request);
    made.words = StepWords();
    return made;
  }();
  return surface;
}

std::vector<Seed> Seeds() {
  return {{"rooms", kTrusted, RoomSteps()},
          {"orders", kTrusted, OrderSteps()},
          {"untrusted", 0, OrderSteps()},
          {"batch",
           0,
           {"leftfold.orders.v1.PlaceOrdersRequest {command_id: 'batch' orders {order_id: 'o1' "
            "customer_id: 'ann' restaurant_id: 'luigi' address: 'Here 1' lines {item_id: 'pizza' "
            "qty: 1}} orders {order_id: 'o1'}}"}}};
}

void Run(const std::vector<Record>& records) {
  const Registry& registry = AllDomains();
  LogWorld world;
  CommandHandler handler(registry, *world.store, world.clock, world.scheduler.Pool());
  for (const Record& record : records) {
    const std::size_t commands = registry.commands().size();
    const std::size_t choice = record.choice % (commands + registry.batches().size());
    auto request = ParseRecord(*TheSurface().requests[choice], record);
    if (request == nullptr) continue;
    if (choice < commands) {
      SendCommand(world, handler, registry.commands()[choice], std::move(request),
                  CallerOf(record));
    } else {
      SendBatch(world, handler, registry.batches()[choice - commands], *request, CallerOf(record));
    }
  }
  world.ExpectWhole();
}

}  // namespace leftfold::fuzz
