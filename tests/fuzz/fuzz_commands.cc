// Any bytes as any command, through the real handler over a memory store: every one is answered
// once, accepted or with a reason, and the log stays whole. The first byte picks the command, the
// rest is its serialised request.
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "core/registry.h"
#include "core/status.h"
#include "event_store/memory/memory_event_store.h"
#include "event_store/verify.h"
#include "write_api/command_handler.h"

namespace leftfold {
namespace {

class FixedClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1'800'000'000); }
};

class Queue final : public Executor {
 public:
  void Post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
  void PostAfter(absl::Duration, std::function<void()> task) override { Post(std::move(task)); }
  void RunAll() {
    while (!tasks_.empty()) {
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      task();
    }
  }

 private:
  std::deque<std::function<void()>> tasks_;
};

struct World {
  World() : store(NewMemoryEventStore(queue, queue, clock)) {
    RegisterAllDomains(registry);
    handler = std::make_unique<CommandHandler>(registry, *store, clock, queue);
  }
  Registry registry;
  FixedClock clock;
  Queue queue;
  std::unique_ptr<EventStore> store;
  std::unique_ptr<CommandHandler> handler;
};

void Send(World& world, std::uint8_t choice, const std::uint8_t* bytes, std::size_t size) {
  const CommandEntry& entry = world.registry.commands()[choice % world.registry.commands().size()];
  std::unique_ptr<google::protobuf::Message> command(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(entry.request)->New());
  if (!command->ParseFromArray(bytes, static_cast<int>(size))) return;
  Caller caller;
  caller.trusted = (choice & 0x80) != 0;
  int answers = 0;
  world.handler->Handle(entry, std::move(command), std::move(caller),
                        [&](const absl::StatusOr<core::v1::CommandReceipt>& receipt) {
                          ++answers;
                          if (!receipt.ok() && ReasonOf(receipt.status()).empty()) {
                            Die("a refusal without reason: " + receipt.status().ToString());
                          }
                        });
  world.queue.RunAll();
  if (answers != 1) Die(fmt::format("{} answers to one command", answers));
}

}  // namespace
}  // namespace leftfold

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // A line for each invalid UTF-8 drowns what counts.
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leftfold::World world;
  // Records of {choice, length, bytes}: what comes later meets the state that came before.
  while (size >= 2) {
    const std::uint8_t choice = data[0];
    const std::size_t length = std::min<std::size_t>(data[1], size - 2);
    leftfold::Send(world, choice, data + 2, length);
    data += 2 + length;
    size -= 2 + length;
  }
  const absl::Status whole = leftfold::VerifyLog(*world.store, [](std::int64_t, std::int64_t) {});
  if (!whole.ok()) leftfold::Die(whole.ToString());
  return 0;
}
