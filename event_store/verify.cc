#include "event_store/verify.h"

#include <absl/container/flat_hash_map.h>

#include <string>

#include "core/status.h"

namespace leftfold {
namespace {

constexpr std::size_t kVerifyBatchEvents = 2'000;

// What must be true of the next event, given all before it.
class Expectation {
 public:
  explicit Expectation(const Digest& first_chain) : chain_(first_chain) {}

  // "" when the event fits, else what is wrong.
  std::string Check(const RecordedEvent& event) {
    if (event.position != position_.Next())
      return fmt::format("the event before it is missing (found {})", event.position.value);
    Version& version = versions_.try_emplace(event.stream, kNoEventYet).first->second;
    if (event.version != version.Next()) {
      return fmt::format("{} goes from version {} to {}", event.stream, version.value,
                         event.version.value);
    }
    if (event.recorded_at < recorded_at_)
      return "it was recorded before the event that stands before it";
    Position& previous = categories_[std::string(CategoryOf(event.stream))];
    if (event.category_previous != previous)
      return fmt::format("category_previous is not {}", previous.value);
    if (LeafOf(event) != event.leaf) return "its content is not what was recorded (leaf)";
    if (ChainOf(chain_, event) != event.chain) return "the chain is broken";
    position_ = previous = event.position;
    version = event.version;
    recorded_at_ = event.recorded_at;
    chain_ = event.chain;
    return "";
  }

  Position position() const { return position_; }
  const Digest& chain() const { return chain_; }

 private:
  Position position_;
  Digest chain_;
  absl::Time recorded_at_ = absl::InfinitePast();
  absl::flat_hash_map<std::string, Version> versions_;
  absl::flat_hash_map<std::string, Position> categories_;
};

absl::Status Fault(Position position, const std::string& what) {
  return Error(absl::StatusCode::kDataLoss, "at position {}: {}", position.value, what);
}

}  // namespace

absl::Status VerifyLog(EventStore& store,
                       const std::function<void(std::int64_t done, std::int64_t total)>& progress) {
  const Head head = store.GetHead();
  Expectation expected(FirstChain(store.StoreId()));
  while (expected.position() < head.position) {
    const auto read =
        store.ReadAll({.from = expected.position(), .events_max = kVerifyBatchEvents});
    if (!read.ok()) return read.status();
    if (read->events.empty()) return Fault(expected.position().Next(), "the event is missing");
    for (const RecordedEvent& event : read->events) {
      if (event.position > head.position) break;
      const Position at = expected.position().Next();
      if (const std::string wrong = expected.Check(event); !wrong.empty()) return Fault(at, wrong);
    }
    progress(expected.position().value, head.position.value);
  }
  if (expected.chain() != head.chain)
    return Fault(head.position, "the chain does not end at the head");
  return absl::OkStatus();
}

}  // namespace leftfold
