#ifndef TESTING_FORWARDING_STORE_H_
#define TESTING_FORWARDING_STORE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event_store/event_store.h"

namespace leftfold::testing {

// Passes every call on to another store; a test overrides what it wants to see or to change.
class ForwardingStore : public EventStore {
 public:
  explicit ForwardingStore(EventStore& store) : store_(store) {}
  void Append(AppendRequest request, AppendDone done) override {
    store_.Append(std::move(request), std::move(done));
  }
  absl::StatusOr<std::optional<StoredCommand>> FindCommand(std::string_view id) override {
    return store_.FindCommand(id);
  }
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    return store_.ReadStream(stream, options);
  }
  absl::StatusOr<ReadAllResult> ReadAll(const ReadAllOptions& options) override {
    return store_.ReadAll(options);
  }
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override {
    return store_.StreamVersion(stream);
  }
  absl::StatusOr<std::vector<StreamInfo>> ListStreams(const ListStreamsOptions& options) override {
    return store_.ListStreams(options);
  }
  absl::StatusOr<Position> PositionBefore(absl::Time time) override {
    return store_.PositionBefore(time);
  }
  Head GetHead() override { return store_.GetHead(); }
  std::string StoreId() override { return store_.StoreId(); }
  void WaitPast(Position position, std::function<void()> wake) override {
    store_.WaitPast(position, std::move(wake));
  }

 protected:
  EventStore& store_;
};

}  // namespace leftfold::testing
#endif  // TESTING_FORWARDING_STORE_H_
