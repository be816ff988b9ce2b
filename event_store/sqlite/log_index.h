#ifndef EVENT_STORE_SQLITE_LOG_INDEX_H_
#define EVENT_STORE_SQLITE_LOG_INDEX_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/inlined_vector.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/executor.h"
#include "core/mutex.h"
#include "event_store/event_store.h"
#include "event_store/sqlite/command_filter.h"
#include "event_store/sqlite/reader_pool.h"
#include "sql/connection.h"

namespace leftfold {

// Never change: it is stored in every index file.
inline constexpr std::int32_t kIndexApplicationId = 0x4C46'4958;  // "LFIX"
// Events and commands in memory at which they go to the file, in one transaction; those that one
// brings into it where the file is filled from the log; and command ids that one task brings from
// the file into the filter.
inline constexpr std::size_t kIndexBatchMax = 32'768;
// Batches in memory at which the log's writer brings them into the file itself.
inline constexpr std::size_t kIndexTailBatchesMax = 8;

// What an event is found by: a category, a type, a tag or a correlation id, as the 64 bit FNV-1a
// hash (RFC 9923) of its kind and text. Two may fall together, so what is found must be looked at.
// Never change: they are stored.
using Term = std::int64_t;
using Terms = absl::InlinedVector<Term, 4>;
Terms TermsOf(std::string_view stream, std::string_view type, const std::vector<Tag>& tags,
              std::string_view metadata);
// What one of its terms stands for: "category room", "tag course=7".
std::string NameOfTerm(std::string_view stream, std::string_view type, const std::vector<Tag>& tags,
                       std::string_view metadata, Term term);

// Finds events that have one term of each group (and so on for each alternative).
using TermGroups = std::vector<std::vector<Term>>;
struct TermQuery {
  std::vector<TermGroups> alternatives;  // Empty: terms do not narrow the filter.
};
TermQuery QueryOf(const EventFilter& filter);
TermQuery QueryOf(const std::vector<QueryItem>& items);

// An event and a command on their way into the index.
struct IndexedEvent {
  Position position;
  std::int64_t stream = 0;  // In the log's table of streams.
  Version version;
  Terms terms;
};
struct IndexedCommand {
  std::int64_t number = 0;  // In the log's table of commands.
  std::string command_id;
};
struct IndexBatch {
  std::vector<IndexedEvent> events;      // In the order of their positions, without a gap.
  std::vector<IndexedCommand> commands;  // In the order of their numbers.
};

// How far the file reaches. The chain value shows whether it is of the log beside it.
struct IndexProgress {
  Position position;
  std::int64_t command = 0;
  Digest chain{};
};

// The number of migrations: user_version of an index file of today.
int NewestIndexFormat();

// Of a file that holds nothing yet: as made.
IndexProgress ReadIndexProgress(sql::Connection& connection);

// Positions that follow one another. What is appended together mostly has the same terms: for them
// all there is one row.
struct PositionRun {
  std::int64_t first = 0;
  std::int64_t last = 0;
};
// Versions of a stream whose positions follow one another too; both are of the last event.
struct StreamRun {
  std::int64_t last_version = 0;
  std::int64_t last_position = 0;
  std::int64_t events = 0;
};

// Where the index reads what it must bring into its file.
class IndexSource {
 public:
  virtual ~IndexSource() = default;
  // Whether the log holds all that the index has seen, and the same.
  virtual absl::StatusOr<bool> Fits(const IndexProgress& progress) = 0;
  // What comes after `progress`, at most `count` of each, and how far that is.
  virtual absl::StatusOr<std::pair<IndexBatch, IndexProgress>> ReadAfter(
      const IndexProgress& progress, std::size_t count) = 0;
};

// Positions of the log's events by stream and version and by term, and the log's command ids, in a
// file of its own, `<folder>/index.db`: what is random by nature stays out of the log's
// transactions. The newest part is in memory; it goes to the file in large batches, as runs,
// sorted, behind the writer. The file is made again from the log when it is missing, damaged or of
// another log. A command id that is not in the file costs no look into it: a filter in memory says
// so, which `behind` fills from the file after the start. Thread-safe.
class LogIndex {
 public:
  // kWrite: brings the file up to the end of the log first; then batches run on `behind`, which
  // must have run or dropped its tasks before the index goes. kReadOnly: takes the file as it is.
  enum class Mode { kWrite, kReadOnly };
  struct Options {
    Mode mode = Mode::kReadOnly;
    Executor* behind = nullptr;  // Of kWrite.
    std::size_t batch = kIndexBatchMax;
  };
  static absl::StatusOr<std::unique_ptr<LogIndex>> Open(const std::string& folder,
                                                        const Options& options,
                                                        IndexSource& source);
  ~LogIndex();

  // What a commit has added, and how far the log reaches now. By the log's writer, after the
  // commit.
  void Add(IndexBatch batch, const IndexProgress& through);

  // Everything up to here can be found.
  IndexProgress Through();
  // The number of the command with this id; nullopt when none of those that can be found has it.
  absl::StatusOr<std::optional<std::int64_t>> FindCommand(std::string_view command_id);
  // The stream's last version, kNoEventYet when none can be found.
  absl::StatusOr<Version> LastVersion(std::int64_t stream);
  // Positions of the stream's events from a version on, at most `count`.
  absl::StatusOr<std::vector<Position>> StreamPositions(std::int64_t stream, Version from,
                                                        Direction direction, std::size_t count);
  struct Search {
    std::optional<Position> found;
    // What was looked through from `from` on, itself included; to the end where nothing more fits.
    Position through;
  };
  // Forward: the first position >= `from` that fits. Backward: the last one <= `from`. Ends without
  // one when `lookups` (which it counts down) are used up, but not before it has come further than
  // `from`: terms that are frequent apart and never stand together are long to search.
  absl::StatusOr<Search> Find(const TermQuery& query, Position from, Direction direction,
                              std::int64_t& lookups);

 private:
  // Positions of the newest events of a stream, whose versions have no gap.
  struct StreamTail {
    std::int64_t first_version = 0;
    std::vector<std::int64_t> positions;
  };
  // The newest events and commands. The runs of a term ascend.
  struct Tail {
    absl::flat_hash_map<Term, std::vector<PositionRun>> terms;
    absl::flat_hash_map<std::int64_t, StreamTail> streams;
    absl::flat_hash_map<std::string, std::int64_t> commands;
    std::size_t size = 0;
    IndexProgress through;

    void Add(IndexBatch batch, const IndexProgress& reaches);
  };
  class Seeker;
  static std::vector<StreamRun> RunsOf(const StreamTail& stream);
  // What memory has of a stream, from its first version there on.
  StreamTail InMemory(std::int64_t stream);
  std::int64_t FileBound();

  LogIndex(const std::string& folder, const Options& options, IndexSource& source);
  void TakeFile();
  absl::Status OpenFile() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mu_);
  absl::Status BringUpToEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mu_);
  absl::Status Read(const std::function<void(sql::Connection&)>& read);
  // A writer cannot go on without what is in the file: ends the process.
  [[noreturn]] void Discard(const absl::Status& damage);
  void FlushBehind();
  absl::Status Flush(const Tail& tail) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mu_);

  const std::string path_;
  const Options options_;
  IndexSource& source_;
  ReaderPool readers_;

  Mutex file_mu_;  // Taken before mu_.
  std::unique_ptr<sql::Connection> writer_ ABSL_GUARDED_BY(file_mu_);

  // Of the ids in the file; an id leaves memory after it has come into it. Never complete in a
  // reader beside the writer.
  std::shared_ptr<CommandFilter> filter_;

  Mutex mu_;
  IndexProgress in_file_ ABSL_GUARDED_BY(mu_);
  IndexProgress through_ ABSL_GUARDED_BY(mu_);
  Tail growing_ ABSL_GUARDED_BY(mu_);
  Tail flushing_ ABSL_GUARDED_BY(mu_);  // Older than growing_; on its way into the file.
  bool flush_posted_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_LOG_INDEX_H_
