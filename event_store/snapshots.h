#ifndef EVENT_STORE_SNAPSHOTS_H_
#define EVENT_STORE_SNAPSHOTS_H_

#include <absl/status/status.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/sha256.h"
#include "core/types.h"

namespace leftfold {

// A larger state has no snapshot.
inline constexpr std::size_t kSnapshotBytesMax = 8 << 20;

// The state of an aggregate after one of its events, so that those up to it need not be folded.
struct Snapshot {
  std::string stream;
  Version version;  // Of the last event that was folded.
  Digest chain{};   // That event's chain value: in another log, or in a copy of this one that
                    // went another way, it differs.
  std::string state_type;  // Full name of the state's message.
  int state_version = 0;   // The aggregate's kStateVersion.
  std::string state;       // Bytes of the message.
  friend bool operator==(const Snapshot&, const Snapshot&) = default;
};

// The newest snapshot of each stream. It is a cache: whatever is missing, old or damaged is found
// as nothing, and costs no more than the events that are folded instead. Whoever reads a snapshot
// compares type, versions and chain value. Thread-safe.
class SnapshotStore {
 public:
  virtual ~SnapshotStore() = default;
  // A point read. nullopt too when what is stored is damaged or cannot be read.
  virtual std::optional<Snapshot> Find(std::string_view stream) = 0;
  // Takes the place of what is stored of these streams, be it newer; all or nothing. After an error
  // some or all that was stored before may be gone. Not in a command's way: it waits for the disk.
  virtual absl::Status Write(const std::vector<Snapshot>& snapshots) = 0;
};

}  // namespace leftfold
#endif  // EVENT_STORE_SNAPSHOTS_H_
