#include "sql/connection.h"

#include <SQLiteCpp/Exception.h>
#include <sqlite3.h>

#include "core/status.h"

namespace leftfold::sql {

// A prepared statement that keeps its failures in the connection. Without a statement (it did not
// compile) it has no rows.
class Connection::Statement final : public Cursor {
 public:
  explicit Statement(Connection& connection) : connection_(connection) {}
  Statement(Connection& connection, const std::string& sql)
      : connection_(connection), statement_(std::in_place, connection.database_, sql) {}

  void Bind(int index, std::int64_t value) override {
    Try([&](auto& s) { s.bind(index, value); });
  }
  void Bind(int index, double value) override {
    Try([&](auto& s) { s.bind(index, value); });
  }
  void BindText(int index, std::string_view value) override {
    Try([&](auto& s) { s.bind(index, std::string(value)); });
  }
  void BindBlob(int index, std::string_view value) override {
    // A null pointer would bind NULL; an empty blob is not NULL.
    Try([&](auto& s) {
      s.bind(index, value.data() ? value.data() : "", static_cast<int>(value.size()));
    });
  }
  void BindNull(int index) override {
    Try([&](auto& s) { s.bind(index); });
  }
  bool Step() override {
    bool row = false;
    Try([&](auto& s) { row = s.executeStep(); });
    return row;
  }
  void Reset() override {
    if (statement_) statement_->tryReset();
  }
  std::int64_t Int(int column) override {
    return statement_ ? statement_->getColumn(column).getInt64() : 0;
  }
  double Real(int column) override {
    return statement_ ? statement_->getColumn(column).getDouble() : 0;
  }
  std::string_view Text(int column) override { return Bytes(column); }
  std::string_view Blob(int column) override { return Bytes(column); }
  bool IsNull(int column) override { return !statement_ || statement_->getColumn(column).isNull(); }

 private:
  template <class F>
  void Try(F&& f) {
    if (!statement_ || !connection_.status_.ok()) return;
    try {
      f(*statement_);
    } catch (const SQLite::Exception& e) {
      connection_.Fail(e);
    }
  }
  std::string_view Bytes(int column) {
    if (!statement_) return {};
    const SQLite::Column value = statement_->getColumn(column);
    const auto* bytes = static_cast<const char*>(value.getBlob());
    return bytes == nullptr ? std::string_view()
                            : std::string_view(bytes, static_cast<std::size_t>(value.getBytes()));
  }

  Connection& connection_;
  std::optional<SQLite::Statement> statement_;
};

namespace {

// Once, before SQLite's first use: its counters of memory are behind one lock that every allocation
// of every connection takes.
void ConfigureLibrary() {
  static const int kConfigured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  if (kConfigured != SQLITE_OK) Die("SQLite was used before it was configured");
}

// SQL's ways to be different each time fail in a fold.
void Refuse(sqlite3_context* context, int, sqlite3_value**) {
  sqlite3_result_error(
      context, "clock and random functions are refused in a fold: take time from the event", -1);
}

}  // namespace

absl::Status ToStatus(int sqlite_code, std::string_view message) {
  switch (sqlite_code & 0xFF) {
    case SQLITE_FULL:
      return Error(absl::StatusCode::kResourceExhausted, "disk full: {}", message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Error(absl::StatusCode::kDataLoss, "damaged database: {}", message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Error(absl::StatusCode::kUnavailable, "database busy: {}", message);
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return Error(absl::StatusCode::kInvalidArgument, "SQLite error {}: {}", sqlite_code, message);
    case SQLITE_CANTOPEN:
      return Error(absl::StatusCode::kNotFound, "cannot open: {}", message);
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
  const int flags = options.role == Role::kWriter ? SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE
                                                  : SQLite::OPEN_READONLY;
  try {
    std::unique_ptr<Connection> connection(new Connection(path, flags | SQLITE_OPEN_NOMUTEX));
    LEFTFOLD_RETURN_IF_ERROR(connection->Configure(options));
    return connection;
  } catch (const SQLite::Exception& e) {
    return ToStatus(e.getExtendedErrorCode(), fmt::format("{}: {}", path, e.what()));
  }
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenMemory() {
  try {
    std::unique_ptr<Connection> connection(new Connection(
        ":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE | SQLITE_OPEN_NOMUTEX));
    connection->role_ = Role::kWriter;
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
  sqlite3_busy_timeout(handle, 5'000);
  LEFTFOLD_RETURN_IF_ERROR(Run(
      fmt::format("PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; "
                  "PRAGMA cache_size=-{}; "
                  "PRAGMA wal_autocheckpoint={}",
                  options.cache_kib, role_ == Role::kWriter ? options.autocheckpoint_pages : 0)));
  if (role_ == Role::kWriter) {
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
      sqlite3_create_function_v2(handle, name, -1, SQLITE_UTF8, nullptr, Refuse, nullptr, nullptr,
                                 nullptr);
    }
  }
  return status_;
}

void Connection::Fail(const SQLite::Exception& e) {
  if (status_.ok()) status_ = ToStatus(e.getExtendedErrorCode(), e.what());
}

Cursor& Connection::Prepare(std::string_view sql) {
  auto [it, added] = statements_.try_emplace(sql.data());
  if (added) {
    try {
      it->second = std::make_unique<Statement>(*this, std::string(sql));
    } catch (const SQLite::Exception& e) {
      statements_.erase(it);
      Fail(e);
      if (broken_ == nullptr) broken_ = std::make_unique<Statement>(*this);
      return *broken_;
    }
  } else {
    it->second->Reset();
  }
  return *it->second;
}

absl::Status Connection::Run(std::string_view sql) {
  if (!status_.ok()) return status_;
  try {
    database_.exec(std::string(sql));
  } catch (const SQLite::Exception& e) {
    Fail(e);
  }
  return status_;
}

std::int64_t Connection::Value(const std::string& sql) {
  if (!status_.ok()) return 0;
  try {
    SQLite::Statement statement(database_, sql);
    return statement.executeStep() ? statement.getColumn(0).getInt64() : 0;
  } catch (const SQLite::Exception& e) {
    Fail(e);
    return 0;
  }
}

absl::Status Connection::Begin() {
  Cursor& begin = role_ == Role::kWriter ? Prepare("BEGIN IMMEDIATE") : Prepare("BEGIN");
  begin.Step();
  begin.Reset();
  in_transaction_ = status_.ok();
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
