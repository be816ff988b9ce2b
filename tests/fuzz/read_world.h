#ifndef TESTS_FUZZ_READ_WORLD_H_
#define TESTS_FUZZ_READ_WORLD_H_

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "projector/projector.h"
#include "read_api/query_handler.h"
#include "read_api/watch_hub.h"
#include "server/query_service.h"
#include "testing/temporary_folder.h"
#include "tests/fuzz/world.h"

namespace leftfold::fuzz {

// The read side of a server, but for its socket, over views that the real projector folded from a
// workflow of each domain. Views do not change by being asked: one is enough for all inputs.
struct ReadWorld {
  ReadWorld() {
    CommandHandler handler(AllDomains(), *log.store, log.clock, log.scheduler.Pool());
    for (const auto& steps : {RoomSteps(), OrderSteps()}) {
      for (const std::string& step : steps) {
        auto command = FromText(step);
        const CommandEntry* entry = AllDomains().FindCommand(command->GetDescriptor()->full_name());
        Caller caller;
        caller.trusted = true;
        SendCommand(log, handler, *entry, std::move(command), caller);
      }
    }
    pool.ForwardTo(&hub);
    auto projector = Projector::Open(AllDomains(), *log.store, log.scheduler.Pool(), log.clock,
                                     &pool, folder.path());
    if (!projector.ok()) Die(projector.status().ToString());
    (*projector)->Start();
    log.scheduler.RunFor(absl::Seconds(10));
    for (const ViewStatus& view : (*projector)->ListViews()) {
      if (view.checkpoint != log.store->GetHead().position) Die(view.name + ": " + view.reason);
    }
    (*projector)->Stop();
    const absl::Status served = ServeQueries(AllDomains(), handler_, hub, log.services);
    if (!served.ok()) Die(served.ToString());
  }

  LogWorld log;
  testing::TemporaryFolder folder{testing::FolderInMemory()};
  read_api::ViewPool pool{AllDomains(), log.scheduler.Pool()};
  read_api::WatchHub hub{AllDomains(), pool, log.scheduler.Pool()};

 private:
  std::atomic<EventStore*> store_ = log.store.get();
  read_api::QueryHandler handler_{AllDomains(), pool,
                                  read_api::QueryHandler::Log{store_, log.scheduler.Pool()}};
};

// The text in the message's field; "" where its type has none of this name.
inline std::string TextIn(const google::protobuf::Message& message, const std::string& field) {
  const auto* found = message.GetDescriptor()->FindFieldByName(field);
  return found == nullptr ? "" : message.GetReflection()->GetString(message, found);
}
inline void SetText(google::protobuf::Message& message, const std::string& field,
                    const std::string& text) {
  const auto* found = message.GetDescriptor()->FindFieldByName(field);
  if (found != nullptr) message.GetReflection()->SetString(&message, found, text);
}

}  // namespace leftfold::fuzz
#endif  // TESTS_FUZZ_READ_WORLD_H_
