#ifndef TESTING_GUARANTEE_CHECKER_H_
#define TESTING_GUARANTEE_CHECKER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "event_store/event_store.h"
#include "testing/append_history.h"
#include "testing/log_history.h"

namespace leftfold::testing {

// What was seen of a system, one thing each.
namespace seen {

// A client sends an append, whose events have ids of the client's.
struct Asked {
  AppendRequest request;
};
// A client sends a command, whose events the server decides on.
struct AskedToDecide {
  std::string command_id;
};
// `life`: which process it was that answered, from its start to its end; "" where nobody knows.
struct Answered {
  std::string command_id;
  Receipt receipt;
  std::string life = "";
};
// Nothing was stored, the server said.
struct Refused {
  std::string command_id;
};
// The id came again with other content.
struct AskedOtherwise {
  std::string command_id;
  bool accepted = false;
};
// The client has sent it until a server answered.
struct AskedToTheEnd {
  std::string command_id;
};
// The server went; what was refused may be asked again, with another end.
struct Restarted {};
// One of racing appends.
struct Attempted {
  std::string stream;
  AppendAttempt attempt;
};
// A reader of the log stood at `after` and got this event next.
struct Read {
  std::string by;
  Position after;
  RecordedEvent event;
};
// The same of a subscriber, to one category, or as "" to all.
struct Delivered {
  std::string to;
  std::string category;
  Position after;
  RecordedEvent event;
};
// A view answered.
struct Shown {
  std::string view;
  std::string key;
  Position applied;
  std::string content;
};
// What a view is like at a position, folded somewhere.
struct Folded {
  std::string view;
  Position position;
  std::string hash;
  std::string where;
};
// Memory, descriptors, threads, bytes of a file or of a queue.
struct Measured {
  std::string what;
  std::int64_t value = 0;
  std::int64_t limit = 0;
};
// A write or sync of the log failed in this life.
struct DiskFailed {
  std::string life;
};
// Something was done outside. `key` is the same however often it was tried.
struct Done {
  std::string key;
  bool by_rebuild = false;
};
// Somebody who had folded the log up to here, with this chain value, took the next event or served.
struct WentOn {
  std::string who;
  Position position;
  Digest chain{};
};

}  // namespace seen

using Sight = std::variant<seen::Asked, seen::AskedToDecide, seen::Answered, seen::Refused,
                           seen::AskedOtherwise, seen::AskedToTheEnd, seen::Restarted,
                           seen::Attempted, seen::Read, seen::Delivered, seen::Shown, seen::Folded,
                           seen::Measured, seen::DiskFailed, seen::Done, seen::WentOn>;

// What there is in the end, without a fault.
struct FinalStores {
  EventStore& log;
  // What this view answers about this key after these events, which begin the log.
  std::function<std::string(const seen::Shown& asked, std::span<const RecordedEvent> events)> fold =
      nullptr;
  // Keys of all that was to be done outside; nullopt: nobody knows.
  std::optional<std::set<std::string>> owed = std::nullopt;
};

// A guarantee that does not hold, and the fewest of the things seen that show it, by their places:
// without any of them the stores and the rest are in order. None: the stores alone show it.
struct Counterexample {
  Violation violation;
  std::vector<std::size_t> sights;
};

// Holds all that was seen against the final stores and against itself: R1 to R15 of
// docs/guarantees.md. Not thread-safe.
class GuaranteeChecker {
 public:
  void Saw(Sight sight) { sights_.push_back(std::move(sight)); }
  // Others write too, of which nothing is seen here.
  void AllowOthers() { others_ = true; }

  std::optional<Counterexample> Find(const FinalStores& final) const;
  // "", or the same in words.
  std::string Check(const FinalStores& final) const;

  const std::vector<Sight>& sights() const { return sights_; }

 private:
  std::vector<Sight> sights_;
  bool others_ = false;
};

// In a line.
std::string Describe(const Sight& sight);

}  // namespace leftfold::testing
#endif  // TESTING_GUARANTEE_CHECKER_H_
