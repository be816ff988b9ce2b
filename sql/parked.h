#ifndef SQL_PARKED_H_
#define SQL_PARKED_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "sql/connection.h"

namespace leftfold::sql {

// What a view file knows of events that its view could not fold (core/view.h, Poison): those that
// wait, and those that an operator skipped. The functions that write are for the inside of a
// transaction; like all of Connection they keep a failure in its status().

// Who decided that an event is not folded, when and why.
struct Skip {
  std::string by;
  std::string why;
  absl::Time at;
};

struct ParkedEvent {
  Position position;
  std::string stream;
  std::string event_id;
  std::string type;
  std::string reason;  // Why it cannot be folded, or what it waits behind.
  std::optional<Skip> skip;
};

struct ParkedStream {
  Position first;
  std::int64_t events = 0;
};

// All streams that wait.
std::map<std::string, ParkedStream, std::less<>> ReadParkedStreams(Connection& connection);
// The first events of a stream that wait, in order.
std::vector<ParkedEvent> ReadParked(Connection& connection, std::string_view stream,
                                    std::size_t limit);
// Events after `after` that wait or were skipped, in order of position.
absl::StatusOr<std::vector<ParkedEvent>> ListParked(Connection& connection, Position after,
                                                    std::size_t limit);
std::vector<ParkedEvent> ReadSkipped(Connection& connection);

void WriteParked(Connection& connection, const ParkedEvent& event);
void WriteReason(Connection& connection, Position position, std::string_view reason);
void RemoveParked(Connection& connection, Position position);
// `event.skip` must be there.
void WriteSkipped(Connection& connection, const ParkedEvent& event);

}  // namespace leftfold::sql
#endif  // SQL_PARKED_H_
