#include "sql/connection.h"

#include <SQLiteCpp/Exception.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_replace.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>

#include "core/status.h"
#include "sql/checksum_vfs.h"

namespace leftfold::sql {

// A prepared statement that keeps its failures in the connection. Without a statement (it did not
// compile) it has no rows. SQLiteCpp's own statements and columns would cost reads and folds a
// third of their time.
class Connection::Statement final : public Cursor {
 public:
  Statement(Connection& connection, sqlite3_stmt* statement)
      : connection_(connection), statement_(statement) {}
  ~Statement() override { sqlite3_finalize(statement_); }

  void Bind(int index, std::int64_t value) override {
    if (Usable()) Check(sqlite3_bind_int64(statement_, index, value));
  }
  void Bind(int index, double value) override {
    if (Usable()) Check(sqlite3_bind_double(statement_, index, value));
  }
  void BindText(int index, std::string_view value) override {
    if (!Usable()) return;
    Check(sqlite3_bind_text64(statement_, index, NotNull(value), value.size(), SQLITE_TRANSIENT,
                              SQLITE_UTF8));
  }
  void BindBlob(int index, std::string_view value) override {
    if (!Usable()) return;
    Check(sqlite3_bind_blob64(statement_, index, NotNull(value), value.size(), SQLITE_TRANSIENT));
  }
  void BindNull(int index) override {
    if (Usable()) Check(sqlite3_bind_null(statement_, index));
  }
  bool Step() override {
    if (ended_ || !Usable()) return false;
    const int code = sqlite3_step(statement_);
    ended_ = code != SQLITE_ROW;
    if (ended_ && code != SQLITE_DONE) Check(code);
    return !ended_;
  }
  void Reset() override {
    sqlite3_reset(statement_);
    ended_ = false;
  }
  std::int64_t Int(int column) override { return sqlite3_column_int64(statement_, column); }
  double Real(int column) override { return sqlite3_column_double(statement_, column); }
  std::string_view Text(int column) override { return Blob(column); }
  std::string_view Blob(int column) override {
    // Half of what sqlite3_column_blob and sqlite3_column_bytes cost, for threads that share it.
    sqlite3_value* value = sqlite3_column_value(statement_, column);
    const auto* bytes = static_cast<const char*>(sqlite3_value_blob(value));
    const int size = sqlite3_value_bytes(value);
    return bytes == nullptr ? std::string_view()
                            : std::string_view(bytes, static_cast<std::size_t>(size));
  }
  bool IsNull(int column) override {
    return sqlite3_column_type(statement_, column) == SQLITE_NULL;
  }

 private:
  // A null pointer would bind NULL; an empty text or blob is not NULL.
  static const char* NotNull(std::string_view value) { return value.data() ? value.data() : ""; }
  bool Usable() const { return statement_ != nullptr && connection_.status_.ok(); }
  void Check(int code) {
    if (code != SQLITE_OK) connection_.Fail(code);
  }

  Connection& connection_;
  sqlite3_stmt* const statement_;
  bool ended_ = false;
};

namespace {

// SQL's ways to be different each time fail in a fold.
void Refuse(sqlite3_context* context, int, sqlite3_value**) {
  sqlite3_result_error(
      context, "clock and random functions are refused in a fold: take time from the event", -1);
}

// Whoever wrote last was interrupted, and who only reads cannot take back what it has begun.
absl::Status HotJournal() {
  return Error(
      absl::StatusCode::kInternal,
      "a write was interrupted and must be rolled back first: the folder must be writable");
}

// By opening it for writing. SQLite sees to it that nobody writes just now.
void RollBack(const std::string& path) {
  sqlite3* file = nullptr;
  if (sqlite3_open_v2(path.c_str(), &file, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK) {
    sqlite3_db_config(file, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_exec(file, "SELECT count(*) FROM sqlite_schema", nullptr, nullptr, nullptr);
  }
  sqlite3_close_v2(file);
}

}  // namespace

// Its counters of memory are behind one lock that every allocation of every connection takes.
void ConfigureLibrary() {
  static const bool kConfigured = [] {
    if (sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK) return false;
    RegisterChecksumVfs();
    return true;
  }();
  if (!kConfigured) Die("SQLite was used before it was configured");
}

absl::Status ToStatus(int sqlite_code, std::string_view message) {
  if (sqlite_code == SQLITE_READONLY_ROLLBACK) return HotJournal();
  switch (sqlite_code & 0xFF) {
    case SQLITE_FULL:
      return Error(absl::StatusCode::kResourceExhausted, "disk full: {}", message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error(absl::StatusCode::kDataLoss, "damaged database: {}", message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(absl::StatusCode::kUnavailable, "database busy: {}", message);
    case SQLITE_IOERR:
      if (sqlite_code == SQLITE_IOERR_DATA)
        return Error(absl::StatusCode::kDataLoss, "{}", LastPageFault());
      if (sqlite_code == SQLITE_IOERR_SHMSIZE)
        return Error(absl::StatusCode::kInternal,
                     "its -shm file cannot grow: free space on the disk");
      return Error(absl::StatusCode::kInternal, "SQLite error {}: {}", sqlite_code, message);
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return Error(absl::StatusCode::kInvalidArgument, "SQLite error {}: {}", sqlite_code, message);
    case SQLITE_CANTOPEN:
      return Error(absl::StatusCode::kUnavailable, "cannot open: {}", message);
    default:
      return Error(absl::StatusCode::kInternal, "SQLite error {}: {}", sqlite_code, message);
  }
}

Connection::Connection(const std::string& path, int flags)
    : database_((ConfigureLibrary(), path), flags) {}
Connection::~Connection() {
  statements_.clear();
  broken_.reset();
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path,
                                                             const OpenOptions& options) {
  auto opened = OpenOnce(path, options);
  if (opened.status() != HotJournal()) return opened;
  RollBack(path);
  return OpenOnce(path, options);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenOnce(const std::string& path,
                                                                 const OpenOptions& options) {
  const int flags = options.role == Role::kWriter ? SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE
                                                  : SQLite::OPEN_READONLY;
  try {
    std::unique_ptr<Connection> connection(new Connection(path, flags | SQLITE_OPEN_NOMUTEX));
    LEFTFOLD_RETURN_IF_ERROR(connection->Configure(options));
    return connection;
  } catch (const SQLite::Exception& e) {
    if (e.getErrorCode() == SQLITE_CANTOPEN && access(path.c_str(), F_OK) != 0 && errno == ENOENT)
      return Error(absl::StatusCode::kNotFound, "{}: there is no such file", path);
    return ToStatus(e.getExtendedErrorCode(), fmt::format("{}: {}", path, e.what()));
  }
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenMemory() {
  try {
    std::unique_ptr<Connection> connection(new Connection(
        ":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLITE_OPEN_NOMUTEX));
    connection->role_ = Role::kWriter;
    sqlite3_limit(connection->database_.getHandle(), SQLITE_LIMIT_ATTACHED, 0);
    return connection;
  } catch (const SQLite::Exception& e) {
    return ToStatus(e.getExtendedErrorCode(), e.what());
  }
}

absl::Status Connection::Configure(const OpenOptions& options) {
  role_ = options.role;
  sqlite3* handle = database_.getHandle();
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, role_ == Role::kReader ? 1 : 0,
                    nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  LEFTFOLD_RETURN_IF_ERROR(
      Run(fmt::format("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; "
                      "PRAGMA cache_size=-{}; PRAGMA wal_autocheckpoint=0",
                      options.cache_kib)));
  if (role_ == Role::kWriter) {
    if (options.autocheckpoint_pages > 0) {
      autocheckpoint_pages_ = options.autocheckpoint_pages;
      const auto hook = [](void* connection, sqlite3*, const char*, int pages) {
        return static_cast<Connection*>(connection)->AfterCommit(pages);
      };
      sqlite3_wal_hook(handle, hook, this);
      page_bytes_ = Value("PRAGMA page_size");
    }
    int reserve = kPageReserve;
    if (Value("PRAGMA page_count") == 0)
      sqlite3_file_control(handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
    LEFTFOLD_RETURN_IF_ERROR(
        Run(fmt::format("PRAGMA journal_mode=WAL; PRAGMA synchronous={}; PRAGMA "
                        "journal_size_limit=67108864; PRAGMA foreign_keys=ON",
                        options.full_sync ? "FULL" : "NORMAL")));
  }
  if (options.application_id != 0) {
    const std::int64_t found = Value("PRAGMA application_id");
    const bool fresh = found == 0 && Value("SELECT count(*) FROM sqlite_schema") == 0;
    if (fresh && role_ == Role::kWriter) {
      LEFTFOLD_RETURN_IF_ERROR(
          Run(fmt::format("PRAGMA application_id={}", options.application_id)));
    } else if (found != options.application_id && status_.ok()) {
      return Error(absl::StatusCode::kDataLoss,
                   "{} is not the file expected here (application_id {})", database_.getFilename(),
                   found);
    }
  }
  if (options.deterministic) {
    for (const char* name :
         {"random", "randomblob", "current_timestamp", "current_time", "current_date", "date",
          "time", "datetime", "julianday", "unixepoch", "strftime"}) {
      const int code = sqlite3_create_function_v2(handle, name, -1, SQLITE_UTF8, nullptr, Refuse,
                                                  nullptr, nullptr, nullptr);
      if (code != SQLITE_OK) Fail(code);
    }
  }
  return status_;
}

void Connection::Fail(int code) {
  if (status_.ok()) status_ = ToStatus(code, sqlite3_errmsg(database_.getHandle()));
}

bool Connection::HasPageChecksums() {
  int reserve = -1;  // Asks.
  sqlite3_file_control(database_.getHandle(), "main", SQLITE_FCNTL_RESERVE_BYTES, &reserve);
  return reserve == kPageReserve;
}

Cursor& Connection::Prepare(std::string_view sql) {
  auto [it, added] = statements_.try_emplace(sql.data());
  if (!added) {
    it->second->Reset();
    return *it->second;
  }
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(database_.getHandle(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code == SQLITE_OK) {
    it->second = std::make_unique<Statement>(*this, statement);
    return *it->second;
  }
  statements_.erase(it);
  Fail(code);
  if (broken_ == nullptr) broken_ = std::make_unique<Statement>(*this, nullptr);
  return *broken_;
}

absl::Status Connection::Run(std::string_view sql) {
  if (!status_.ok()) return status_;
  try {
    database_.exec(std::string(sql));
  } catch (const SQLite::Exception& e) {
    Fail(e.getExtendedErrorCode());
  }
  return status_;
}

std::int64_t Connection::Value(const std::string& sql) {
  if (!status_.ok()) return 0;
  try {
    SQLite::Statement statement(database_, sql);
    return statement.executeStep() ? statement.getColumn(0).getInt64() : 0;
  } catch (const SQLite::Exception& e) {
    Fail(e.getExtendedErrorCode());
    return 0;
  }
}

absl::Status Connection::CopyTo(const std::string& path) {
  sqlite3* handle = database_.getHandle();
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 1);
  Run(absl::StrCat("VACUUM INTO '", absl::StrReplaceAll(path, {{"'", "''"}}), "'")).IgnoreError();
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  return status_;
}

absl::Status Connection::Begin() {
  Cursor& begin = role_ == Role::kWriter ? Prepare("BEGIN IMMEDIATE") : Prepare("BEGIN");
  begin.Step();
  begin.Reset();
  in_transaction_ = true;  // One that fails may have begun all the same.
  return status_;
}

absl::Status Connection::Commit() {
  if (!status_.ok()) return status_;
  Cursor& commit = Prepare("COMMIT");
  commit.Step();
  commit.Reset();
  if (status_.ok()) in_transaction_ = false;
  return status_;
}

void Connection::Rollback() {
  ClearStatus();
  if (!in_transaction_) return;
  in_transaction_ = false;
  for (auto& [sql, statement] : statements_) statement->Reset();
  Cursor& rollback = Prepare("ROLLBACK");
  rollback.Step();
  rollback.Reset();
  ClearStatus();  // SQLite rolls back by itself on some errors; then there is nothing to roll back.
}

int Connection::AfterCommit(int wal_pages) {
  if (wal_pages < copied_pages_) copied_pages_ = 0;  // The WAL has begun again at its start.
  wal_pages_ = wal_pages;
  return wal_pages < autocheckpoint_pages_ ? SQLITE_OK : CopyBack();
}

// Like SQLite's own after a commit, which keeps failures to itself, so that the log would only
// grow. A full disk is one that passes.
int Connection::CopyBack() {
  const int code = sqlite3_wal_checkpoint_v2(database_.getHandle(), nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if ((code & 0xFF) == SQLITE_IOERR) return code;
  copied_pages_ = wal_pages_;
  return SQLITE_OK;
}

absl::Status Connection::CheckpointEvery(int pages) {
  if (!status_.ok() || wal_pages_ - copied_pages_ < pages) return status_;
  if (const int code = CopyBack(); code != SQLITE_OK) Fail(code);
  return status_;
}

std::int64_t Connection::WalBytes() const {
  constexpr std::int64_t kFileHeader = 32, kFrameHeader = 24;
  return kFileHeader + wal_pages_ * (kFrameHeader + page_bytes_);
}

absl::Status Connection::Checkpoint() {
  const int code = sqlite3_wal_checkpoint_v2(database_.getHandle(), nullptr,
                                             SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED) return absl::OkStatus();
  return ToStatus(code, "checkpoint");
}

absl::Status Connection::Migrate(const std::string_view* migrations, int count) {
  const std::int64_t version = Value("PRAGMA user_version");
  if (version > count) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} has format {}, this binary knows up to {}: use the newer binary",
                 database_.getFilename(), version, count);
  }
  for (int next = static_cast<int>(version); next < count; ++next) {
    LEFTFOLD_RETURN_IF_ERROR(Begin());
    const absl::Status applied =
        Run(fmt::format("{}; PRAGMA user_version={}", migrations[next], next + 1));
    if (!applied.ok()) {
      Rollback();
      return applied;
    }
    LEFTFOLD_RETURN_IF_ERROR(Commit());
  }
  return status_;
}

std::string_view LibraryVersion() { return sqlite3_libversion(); }
bool LibraryHasWalResetFix() { return sqlite3_libversion_number() >= 3'051'003; }

}  // namespace leftfold::sql
