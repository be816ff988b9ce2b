#ifndef TESTING_LOG_HISTORY_H_
#define TESTING_LOG_HISTORY_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "event_store/event_store.h"

namespace leftfold::testing {

// What does not hold: R1 to R15 of docs/guarantees.md, and how it shows.
struct Violation {
  int guarantee = 0;
  std::string text;
};

// A log, and where in it what stands.
struct LogContent {
  static absl::StatusOr<LogContent> Of(EventStore& store);
  // What is wrong with it by itself: holes, wrong versions or bytes, events that are there twice.
  std::optional<Violation> Find(EventStore& store) const;

  std::vector<RecordedEvent> events;
  std::multimap<Uuid, std::size_t> places;
  std::map<std::string, std::vector<std::size_t>> of_command;  // By the id in their metadata.
};

// What clients asked of a log, what it answered, and whether it keeps it: each append that was
// answered is there for ever, at its position, with its bytes; each other one is there as a whole
// or not at all; nothing else is there, and nothing twice; versions and positions are dense and the
// chain fits; a command's receipt is the one that was given, and one that was refused is not there.
class LogHistory {
 public:
  // Each has a command id of its own and gives its events their ids.
  void Asked(const AppendRequest& request);
  // A command whose events the server decided on: those that carry its id.
  void AskedToDecide(const std::string& command_id);
  // Others write too, what nobody told of here.
  void AllowOthers() { others_ = true; }
  void Answered(const std::string& command_id, const Receipt& receipt);
  // Nothing of it was stored, the log said.
  void Refused(const std::string& command_id);
  // From now on it may be asked again, with another end.
  void ForgetRefusals();

  // "" or what the store does not keep, the first thing by position.
  std::string Check(EventStore& store) const;
  // Tells all that it does not keep. The log is read already.
  using Report = std::function<void(Violation)>;
  void Check(const LogContent& log, EventStore& store, const Report& report) const;
  bool Knows(const std::string& command_id) const { return asks_.contains(command_id); }

 private:
  struct Ask {
    AppendRequest request;
    std::vector<Receipt> receipts;
    bool refused = false;
    bool decided_there = false;  // `request` has nothing but the command id.
  };
  // Where the events of an ask stand, how many of `asked`, or what is wrong with them.
  struct Found {
    std::optional<Violation> wrong;
    std::size_t asked = 0;
    std::vector<std::size_t> places;
  };
  static Found FindEvents(const Ask& ask, const LogContent& log);
  std::optional<Violation> FindOf(const Ask& ask, const LogContent& log, EventStore& store) const;

  std::map<std::string, Ask> asks_;  // By command id.
  bool others_ = false;
};

}  // namespace leftfold::testing
#endif  // TESTING_LOG_HISTORY_H_
