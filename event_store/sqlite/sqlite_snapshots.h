#ifndef EVENT_STORE_SQLITE_SQLITE_SNAPSHOTS_H_
#define EVENT_STORE_SQLITE_SQLITE_SNAPSHOTS_H_

#include <absl/status/status.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"
#include "event_store/snapshots.h"
#include "sql/connection.h"

namespace leftfold {

// Never change: it is stored in every file of snapshots.
inline constexpr std::int32_t kSnapshotsApplicationId = 0x4C46'534E;  // "LFSN"
// Pages that its write-ahead log holds before they are copied back.
inline constexpr int kSnapshotCheckpointPages = 1'000;

// Snapshots in one SQLite file, `<folder>/snapshots.db`; its format is in event_store/README.md.
// The file may be deleted or damaged at any time, also while it is in use: it is made anew at the
// next Write, or when it is opened. Nothing that is wrong with it is an error of the store: then
// there are no snapshots. Thread-safe; the caller holds the "write" lock of the data folder.
class SqliteSnapshots final : public SnapshotStore {
 public:
  explicit SqliteSnapshots(const std::string& folder);

  std::optional<Snapshot> Find(std::string_view stream) override;
  absl::Status Write(const std::vector<Snapshot>& snapshots) override;

 private:
  absl::Status OpenWriter() ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);
  // Deletes the file and makes an empty one.
  absl::Status MakeAnew() ABSL_EXCLUSIVE_LOCKS_REQUIRED(writing_);

  const std::string path_;
  Mutex writing_;
  std::unique_ptr<sql::Connection> writer_ ABSL_GUARDED_BY(writing_);  // nullptr: not there.
  Mutex mu_;
  bool damaged_ ABSL_GUARDED_BY(mu_) = false;  // A reader has met damage.
  int generation_ ABSL_GUARDED_BY(mu_) = 0;    // Of the file.
  std::vector<std::unique_ptr<sql::Connection>> idle_ ABSL_GUARDED_BY(mu_);  // Of this generation.
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_SQLITE_SNAPSHOTS_H_
