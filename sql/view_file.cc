#include "sql/view_file.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_split.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/reject.h"
#include "core/status.h"
#include "sql/durable_file.h"

namespace leftfold::sql {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kViewTables = R"sql(
  CREATE TABLE leftfold_checkpoint(
    id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, chain BLOB NOT NULL,
    view TEXT NOT NULL, version INTEGER NOT NULL) STRICT;
  CREATE TABLE leftfold_changes(
    position INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (position, key)) STRICT, WITHOUT ROWID;
)sql";

// What the tables above have gained since: the n-th leads to format n + 1, which the file has
// recorded (user_version was taken by kKeptMark). Only appended to.
constexpr std::string_view kMigrations[] = {R"sql(
  CREATE TABLE leftfold_format(
    id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL) STRICT;
  INSERT INTO leftfold_format VALUES (1, 0);
  ALTER TABLE leftfold_checkpoint ADD COLUMN changes_from INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE leftfold_parked(
    position INTEGER PRIMARY KEY, stream TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,
    reason TEXT NOT NULL) STRICT;
  CREATE INDEX leftfold_parked_stream ON leftfold_parked(stream, position);
  CREATE TABLE leftfold_skipped(
    position INTEGER PRIMARY KEY, stream TEXT NOT NULL, event_id TEXT NOT NULL, type TEXT NOT NULL,
    reason TEXT NOT NULL, decided_by TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
)sql"};
constexpr std::int64_t kFormat = std::size(kMigrations);

std::optional<Generation> ParseFileName(std::string_view name) {
  const std::size_t dash = name.find('-');
  if (dash == std::string_view::npos || !name.ends_with(".db")) return std::nullopt;
  Generation generation;
  const std::string_view number = name.substr(dash + 1, name.size() - dash - 4);
  if (!absl::SimpleAtoi(ToAbsl(name.substr(0, dash)), &generation.version) ||
      !absl::SimpleAtoi(ToAbsl(number), &generation.number)) {
    return std::nullopt;
  }
  return generation;
}

std::string CurrentPath(const std::string& views, std::string_view name) {
  return ViewFolder(views, name) + "/CURRENT";
}

constexpr std::string_view kBefore = "before ";

struct CurrentLine {
  Generation generation;
  bool before = false;  // Not served: the one that was served before.
};

absl::StatusOr<std::vector<CurrentLine>> ReadCurrentLines(const std::string& views,
                                                          std::string_view name) {
  const auto text = ReadIfThere(CurrentPath(views, name));
  if (!text.ok()) return text.status();
  std::vector<CurrentLine> lines;
  for (const auto part : absl::StrSplit(text->value_or(""), '\n')) {
    std::string_view line = ToStd(part);
    const bool before = line.starts_with(kBefore);
    if (before) line.remove_prefix(kBefore.size());
    if (const auto generation = ParseFileName(line)) lines.push_back({*generation, before});
  }
  return lines;
}

absl::StatusOr<std::optional<Generation>> FindInCurrent(const std::string& views,
                                                        std::string_view name, int version,
                                                        bool before) {
  const auto lines = ReadCurrentLines(views, name);
  if (!lines.ok()) return lines.status();
  for (const CurrentLine& line : *lines) {
    if (line.before == before && line.generation.version == version) return line.generation;
  }
  return std::nullopt;
}

std::string PausedPath(const std::string& views, std::string_view name) {
  return ViewFolder(views, name) + "/PAUSED";
}

std::string StoppedPath(const std::string& views, std::string_view name, int version) {
  return fmt::format("{}/{}.stopped", ViewFolder(views, name), version);
}

absl::Status ReplaceCurrent(const std::string& views, std::string_view name,
                            std::string_view text) {
  return ReplaceDurably(CurrentPath(views, name), text);
}

std::string TextOf(const CurrentLine& line) {
  return fmt::format("{}{}\n", line.before ? kBefore : "", line.generation.FileName());
}

// The lines of CURRENT that are of other versions.
absl::StatusOr<std::string> OtherLines(const std::string& views, std::string_view name,
                                       int version) {
  const auto lines = ReadCurrentLines(views, name);
  if (!lines.ok()) return lines.status();
  std::string text;
  for (const CurrentLine& line : *lines) {
    if (line.generation.version != version) text += TextOf(line);
  }
  return text;
}

absl::Status CreateTables(Connection& connection, const ViewEntry& view,
                          const Digest& first_chain) {
  LEFTFOLD_RETURN_IF_ERROR(connection.Begin());
  connection.Run(kViewTables).IgnoreError();
  connection.Run(view.schema).IgnoreError();
  Cursor& insert = connection.Prepare(
      "INSERT INTO leftfold_checkpoint(id, position, chain, view, version) VALUES (1, 0, ?, ?, ?)");
  insert.BindBlob(1, AsBytes(first_chain));
  insert.BindText(2, view.name);
  insert.Bind(3, std::int64_t{view.version});
  insert.Step();
  insert.Reset();
  const absl::Status status = connection.Commit();
  if (!status.ok()) connection.Rollback();
  return status;
}

absl::Status MigrateTables(Connection& connection) {
  const bool first =
      connection.Value("SELECT count(*) FROM sqlite_schema WHERE name = 'leftfold_format'") == 0;
  std::int64_t format = first ? 0 : connection.Value("SELECT format FROM leftfold_format");
  if (format > kFormat) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} has format {}, this binary knows up to {}: use the newer binary, or rebuild "
                 "the view",
                 connection.database().getFilename(), format, kFormat);
  }
  for (; format < kFormat && connection.status().ok(); ++format) {
    connection.Begin().IgnoreError();
    connection
        .Run(fmt::format("{}; UPDATE leftfold_format SET format = {}", kMigrations[format],
                         format + 1))
        .IgnoreError();
    const absl::Status applied = connection.Commit();
    if (applied.ok()) continue;
    connection.Rollback();
    return applied;
  }
  return connection.status();
}

Position AppliedIn(Connection& connection) {
  Rows rows(connection.Prepare("SELECT position FROM leftfold_checkpoint"));
  return rows.Next() ? Position{rows.Int(0)} : kBeforeFirst;
}

}  // namespace

std::string Generation::FileName() const { return fmt::format("{}-{}.db", version, number); }

std::string ViewFolder(const std::string& views, std::string_view name) {
  return fmt::format("{}/{}", views, name);
}

std::string ViewPath(const std::string& views, std::string_view name,
                     const Generation& generation) {
  return fmt::format("{}/{}/{}", views, name, generation.FileName());
}

std::int64_t ViewBytes(const std::string& views, std::string_view name,
                       const Generation& generation) {
  const std::string path = ViewPath(views, name, generation);
  std::int64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    std::error_code error;
    const auto size = fs::file_size(path + suffix, error);
    if (!error) bytes += static_cast<std::int64_t>(size);
  }
  return bytes;
}

absl::StatusOr<std::optional<Generation>> ReadCurrent(const std::string& views,
                                                      std::string_view name, int version) {
  return FindInCurrent(views, name, version, false);
}

absl::StatusOr<std::optional<Generation>> ReadBefore(const std::string& views,
                                                     std::string_view name, int version) {
  return FindInCurrent(views, name, version, true);
}

absl::Status WriteCurrent(const std::string& views, std::string_view name,
                          const Generation& generation, const std::optional<Generation>& before) {
  const auto others = OtherLines(views, name, generation.version);
  if (!others.ok()) return others.status();
  std::string text = generation.FileName() + "\n" + *others;
  if (before) text += TextOf({*before, true});
  return ReplaceCurrent(views, name, text);
}

absl::StatusOr<std::vector<Generation>> ListCurrent(const std::string& views,
                                                    std::string_view name) {
  const auto lines = ReadCurrentLines(views, name);
  if (!lines.ok()) return lines.status();
  std::vector<Generation> served;
  for (const CurrentLine& line : *lines) {
    if (!line.before) served.push_back(line.generation);
  }
  return served;
}

absl::Status RemoveFromCurrent(const std::string& views, std::string_view name,
                               const Generation& generation) {
  const auto others = OtherLines(views, name, generation.version);
  return others.ok() ? ReplaceCurrent(views, name, *others) : others.status();
}

absl::StatusOr<std::vector<Generation>> ListGenerations(const std::string& views,
                                                        std::string_view name) {
  std::vector<Generation> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(ViewFolder(views, name), error)) {
    if (const auto generation = ParseFileName(entry.path().filename().string()))
      found.push_back(*generation);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Error(absl::StatusCode::kInternal, "cannot list {}: {}", ViewFolder(views, name),
                 error.message());
  }
  return found;
}

absl::StatusOr<std::int64_t> NextGenerationNumber(const std::string& views, std::string_view name) {
  auto all = ListGenerations(views, name);
  if (!all.ok()) return all.status();
  std::int64_t last = 0;
  for (const Generation& generation : *all) last = std::max(last, generation.number);
  return last + 1;
}

void RemoveGeneration(const std::string& views, std::string_view name,
                      const Generation& generation) {
  RemoveDatabase(ViewPath(views, name, generation));
}

absl::StatusOr<std::unique_ptr<VersionLock>> VersionLock::Take(const std::string& views,
                                                               std::string_view name, int version) {
  LEFTFOLD_RETURN_IF_ERROR(MakeFolder(ViewFolder(views, name)));
  const std::string path = fmt::format("{}/{}.lock", ViewFolder(views, name), version);
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return FromErrno("cannot open", path);
  if (flock(file, LOCK_EX | LOCK_NB) == 0)
    return std::unique_ptr<VersionLock>(new VersionLock(file));
  close(file);
  return Error(absl::StatusCode::kUnavailable,
               "another process writes generations of version {} of {}: wait for it", version,
               name);
}

VersionLock::~VersionLock() { close(file_); }

absl::Status Paused(std::string_view name, std::string_view why) {
  return Reject(
      core::v1::ERROR_REASON_VIEW_PAUSED,
      fmt::format("an operator paused the view {}: {}; ResumeView lets it go on", name, why),
      {{"view", std::string(name)}});
}

absl::StatusOr<std::optional<std::string>> ReadPaused(const std::string& views,
                                                      std::string_view name) {
  return ReadIfThere(PausedPath(views, name));
}

absl::Status WritePaused(const std::string& views, std::string_view name,
                         const std::optional<std::string>& why) {
  LEFTFOLD_RETURN_IF_ERROR(MakeFolder(ViewFolder(views, name)));
  const std::string path = PausedPath(views, name);
  if (why) {
    LEFTFOLD_RETURN_IF_ERROR(WriteDurably(path, *why));
  } else if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return FromErrno("cannot remove", path);
  }
  return SyncFolder(ViewFolder(views, name));
}

absl::Status ReadStopped(const std::string& views, std::string_view name, int version,
                         absl::Status& why) {
  const auto text = ReadIfThere(StoppedPath(views, name, version));
  if (!text.ok()) return text.status();
  why = absl::OkStatus();
  if (!*text) return absl::OkStatus();
  // "15 DATA_LOSS", or "15 ", then the message.
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(**text, absl::MaxSplits('\n', 1));
  const std::pair<std::string, std::string> head = absl::StrSplit(parts.first, ' ');
  int code = 0;
  if (!absl::SimpleAtoi(head.first, &code) || code == 0)
    return Error(absl::StatusCode::kInternal, "{} cannot be read",
                 StoppedPath(views, name, version));
  core::v1::ErrorReason reason{};
  why = core::v1::ErrorReason_Parse("ERROR_REASON_" + head.second, &reason)
            ? Reject(reason, parts.second)
            : absl::Status(static_cast<absl::StatusCode>(code), parts.second);
  return absl::OkStatus();
}

absl::Status WriteStopped(const std::string& views, std::string_view name, int version,
                          const absl::Status& reason) {
  const std::string path = StoppedPath(views, name, version);
  if (reason.ok()) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    return FromErrno("cannot remove", path);
  }
  LEFTFOLD_RETURN_IF_ERROR(MakeFolder(ViewFolder(views, name)));
  return ReplaceDurably(path, fmt::format("{} {}\n{}", static_cast<int>(reason.code()),
                                          ReasonOf(reason), ToStd(reason.message())));
}

absl::StatusOr<std::unique_ptr<Connection>> OpenViewWriter(const std::string& path,
                                                           const ViewEntry& view,
                                                           const Digest& first_chain) {
  LEFTFOLD_RETURN_IF_ERROR(MakeFolder(fs::path(path).parent_path()));
  auto connection = Connection::Open(path, {.role = Role::kWriter,
                                            .autocheckpoint_pages = kViewCommitCheckpointPages,
                                            .deterministic = true,
                                            .application_id = kViewApplicationId});
  if (!connection.ok()) return connection;
  if ((*connection)
          ->Value("SELECT count(*) FROM sqlite_schema WHERE name = 'leftfold_checkpoint'") == 0) {
    LEFTFOLD_RETURN_IF_ERROR((*connection)->status());
    LEFTFOLD_RETURN_IF_ERROR(CreateTables(**connection, view, first_chain));
  }
  LEFTFOLD_RETURN_IF_ERROR(MigrateTables(**connection));
  return connection;
}

absl::StatusOr<std::unique_ptr<Connection>> OpenViewReader(const std::string& path) {
  return Connection::Open(path, {.application_id = kViewApplicationId});
}

absl::StatusOr<std::unique_ptr<Connection>> OpenViewInMemory(const ViewEntry& view,
                                                             const Digest& first_chain) {
  auto connection = Connection::OpenMemory();
  if (!connection.ok()) return connection;
  LEFTFOLD_RETURN_IF_ERROR(CreateTables(**connection, view, first_chain));
  LEFTFOLD_RETURN_IF_ERROR(MigrateTables(**connection));
  return connection;
}

absl::StatusOr<Checkpoint> ReadCheckpoint(Connection& connection) {
  Checkpoint checkpoint;
  {
    Rows rows(connection.Prepare("SELECT position, chain FROM leftfold_checkpoint"));
    if (rows.Next()) {
      checkpoint.position = Position{rows.Int(0)};
      const std::string_view chain = rows.Blob(1);
      std::copy_n(chain.begin(), std::min(chain.size(), checkpoint.chain.size()),
                  checkpoint.chain.begin());
      return checkpoint;
    }
  }
  if (!connection.status().ok()) return connection.status();
  return Error(absl::StatusCode::kDataLoss, "a view file without checkpoint; rebuild the view");
}

void WriteCheckpoint(Connection& connection, const Checkpoint& checkpoint) {
  Cursor& update = connection.Prepare("UPDATE leftfold_checkpoint SET position = ?, chain = ?");
  update.Bind(1, checkpoint.position.value);
  update.BindBlob(2, AsBytes(checkpoint.chain));
  update.Step();
  update.Reset();
}

void WriteChange(Connection& connection, Position position, std::string_view key) {
  Cursor& insert =
      connection.Prepare("INSERT OR IGNORE INTO leftfold_changes(position, key) VALUES (?, ?)");
  insert.Bind(1, position.value);
  insert.BindText(2, key);
  insert.Step();
  insert.Reset();
}

void ForgetChanges(Connection& connection, Position position) {
  Cursor& forget = connection.Prepare("DELETE FROM leftfold_changes WHERE position <= ?");
  forget.Bind(1, position.value);
  forget.Step();
  forget.Reset();
}

void ForgetChangesBefore(Connection& connection, Position position) {
  Cursor& update = connection.Prepare("UPDATE leftfold_checkpoint SET changes_from = ?");
  update.Bind(1, position.value);
  update.Step();
  update.Reset();
}

absl::StatusOr<std::optional<std::vector<std::string>>> ChangesAfter(Connection& connection,
                                                                     Position position, int limit) {
  std::vector<std::string> keys;
  {
    Rows rows(connection.Prepare("SELECT position, changes_from FROM leftfold_checkpoint"));
    if (rows.Next() && position.value < std::max(rows.Int(0) - kChangesKept, rows.Int(1))) {
      return std::nullopt;
    }
  }
  {
    Cursor& query = connection.Prepare(
        "SELECT DISTINCT key FROM leftfold_changes WHERE position > ?1 LIMIT ?2 + 1");
    query.Bind(1, position.value);
    query.Bind(2, std::int64_t{limit});
    while (query.Step()) keys.emplace_back(query.Text(0));
    query.Reset();
  }
  if (!connection.status().ok()) return connection.status();
  if (keys.size() > static_cast<std::size_t>(limit)) return std::nullopt;
  return keys;
}

Position ConnectionReadTx::applied() { return AppliedIn(connection_); }
Position ConnectionWriteTx::applied() { return AppliedIn(connection_); }

void ConnectionWriteTx::Touch(std::string_view key) {
  touched_[std::string(key.substr(0, kKeyBytesMax))] = position_;
}

}  // namespace leftfold::sql
