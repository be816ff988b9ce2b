#ifndef TESTING_FAULTY_LOG_H_
#define TESTING_FAULTY_LOG_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "testing/forwarding_store.h"

namespace leftfold::testing {

// Holds what a store had, and what a fault made of it; positions, versions and the chain fit again,
// so that nothing but the history can tell.
class FaultyStore final : public ForwardingStore {
 public:
  FaultyStore(EventStore& store, const std::vector<std::string>& command_ids)
      : ForwardingStore(store), events(store.ReadAll({.from = kBeforeFirst})->events) {
    for (const std::string& id : command_ids) {
      if (const auto command = *store.FindCommand(id)) commands[id] = *command;
    }
  }
  void Fit() {
    std::map<std::string, Version> versions;
    std::map<std::string, Position> categories;
    head_ = {kBeforeFirst, FirstChain(StoreId())};
    for (RecordedEvent& event : events) {
      event.position = head_.position.Next();
      event.version = versions.try_emplace(event.stream, kNoEventYet).first->second.Next();
      versions[event.stream] = event.version;
      event.category_previous =
          std::exchange(categories[std::string(CategoryOf(event.stream))], event.position);
      event.leaf = LeafOf(event);
      event.chain = ChainOf(head_.chain, event);
      head_ = {event.position, event.chain};
    }
  }

  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    ReadAllResult read{{}, options.from};
    for (const RecordedEvent& event : events) {
      if (event.position > options.from) read.events.push_back(event);
    }
    if (!read.events.empty()) read.through = read.events.back().position;
    return read;
  }
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view id) override {
    const auto found = commands.find(std::string(id));
    if (found == commands.end()) return std::nullopt;
    return found->second;
  }
  Head GetHead() override { return head_; }

  std::vector<RecordedEvent> events;
  std::map<std::string, StoredCommand> commands;

 private:
  Head head_;
};

}  // namespace leftfold::testing
#endif  // TESTING_FAULTY_LOG_H_
