#ifndef TESTING_EVENT_STORE_CONTRACT_H_
#define TESTING_EVENT_STORE_CONTRACT_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "event_store/event_store.h"
#include "testing/fake_clock.h"
#include "testing/temporary_folder.h"
#include "testing/virtual_scheduler.h"

// What tests of event stores need; the contract itself is tests/contract/event_store_contract_test.
// A further kind of store is added to AllStores.
namespace leftfold::testing {

// What a store is opened with.
struct StoreParts {
  std::string folder;
  Executor& writer;
  Executor& completions;
  const Clock& clock;
  // Of the executors; nullptr when they have threads.
  VirtualScheduler* scheduler = nullptr;
};

// A kind of store.
struct StoreKind {
  std::string name;
  // Dies when it cannot be opened.
  std::function<std::unique_ptr<EventStore>(const StoreParts& parts)> open;
};
void PrintTo(const StoreKind& kind, std::ostream* out);

StoreKind MemoryStore();
StoreKind SqliteStore();
// The same, whose newest events are read from memory, as in a server.
StoreKind RecentStore();
// A RemoteEventStore before a server of the same process over a socket, which serves a SqliteStore
// with these executors.
StoreKind RemoteStore();
std::vector<StoreKind> AllStores();

// A store in a folder of its own, on virtual executors and a fake clock.
class StoreOnScheduler {
 public:
  explicit StoreOnScheduler(const StoreKind& kind, std::uint64_t seed = 1);

  // Appends, and runs until it is answered.
  absl::StatusOr<Receipt> Append(AppendRequest request);
  // Appends all of them before the writer's turn, so that they come into one group.
  std::vector<absl::StatusOr<Receipt>> AppendTogether(std::vector<AppendRequest> requests);
  // The whole log; dies when it cannot be read.
  std::vector<RecordedEvent> All();
  // Closes and opens the store.
  void Reopen();
  void Close() { store_.reset(); }

  EventStore& store() { return *store_; }
  VirtualScheduler& scheduler() { return scheduler_; }
  FakeClock& clock() { return clock_; }
  const std::string& folder() const { return folder_.path(); }

 private:
  const StoreKind kind_;
  TemporaryFolder folder_;
  FakeClock clock_;
  VirtualScheduler scheduler_;
  std::unique_ptr<EventStore> store_;
};

// An event with this payload and the type "test.Happened".
NewEvent EventOf(std::string payload);
// An append of events to one stream.
AppendRequest AppendOf(std::string stream, const std::vector<std::string>& payloads,
                       StreamCheck check = Any{});
// The same under a command id; `hash` stands for the request.
AppendRequest CommandOf(AppendRequest request, std::string command_id, std::uint8_t hash = 1);

// "1:room-oak@0=payload" of each event.
std::vector<std::string> Brief(const std::vector<RecordedEvent>& events);
// All of an event but its chain value, which depends on the store's id.
std::string Describe(const RecordedEvent& event);
// All of a receipt, or code, reason and message.
std::string Describe(const absl::StatusOr<Receipt>& receipt);

}  // namespace leftfold::testing
#endif  // TESTING_EVENT_STORE_CONTRACT_H_
