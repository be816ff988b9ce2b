#ifndef SQL_COMPARE_H_
#define SQL_COMPARE_H_

#include <absl/status/statusor.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "core/sha256.h"
#include "sql/connection.h"

namespace leftfold::sql {

// Reads the content of a view file in steps: every ordinary table in the order of its primary key,
// every virtual table (FTS5) by the rows that it returns; of a table without primary key the rows
// as they come, for it has no order. Tables whose names begin with "leftfold_" are left out. Where
// there is a live view as well, it is compared with that, up to the first row that differs. No step
// sorts or holds a table. Not thread-safe; both connections must outlive it, and each be in one
// transaction, or nobody write to its file.
class ContentReader {
 public:
  ContentReader(Connection* live, Connection& rebuilt);
  ~ContentReader();

  // So many rows; true when it is through. Not after that, nor after an error.
  absl::StatusOr<bool> Step(std::int64_t rows);
  // Rows of the rebuilt view that were read.
  std::int64_t rows_read() const { return rows_read_; }
  // For who shows how far it is: counts so many rows of the rebuilt view, which is far less work
  // than to read them; true when all are counted. The same as Step otherwise.
  absl::StatusOr<bool> Count(std::int64_t rows);
  std::int64_t rows_counted() const { return rows_counted_; }

  // Once it is through: the first row that differs, in words, "" when there is none; and the
  // SHA-256 in hexadecimal over the rebuilt content: files without a difference have the same, on
  // any machine.
  const std::string& difference() const { return difference_; }
  std::string Hash() { return ToHex(AsBytes(hash_.Finish())); }

 private:
  struct Table {
    std::string name;
    std::vector<std::string> columns;
    std::vector<std::string> key;  // Columns of the primary key; none where there is none.
    std::string order;             // "a, b DESC": that of the key.
  };
  class Reading;
  class InOrder;
  class AsTheyCome;
  static Table Describe(SQLite::Database& database, std::string name, bool is_virtual);
  static std::deque<Table> TablesOf(SQLite::Database& database);
  void Begin();
  bool Read();
  template <class Next>
  absl::StatusOr<bool> Repeat(std::int64_t times, Next next);

  Connection* live_;  // None once a difference is found.
  Connection& rebuilt_;
  std::deque<Table> tables_;  // That are to be read.
  std::unique_ptr<Reading> reading_;
  std::deque<std::string> uncounted_;  // Tables that are to be counted.
  std::unique_ptr<SQLite::Statement> counting_;
  bool begun_ = false;
  std::int64_t rows_counted_ = 0;
  std::int64_t rows_read_ = 0;
  std::string difference_;
  Sha256 hash_;
};

// All at once: "" when they are equal, else the first row that differs.
absl::StatusOr<std::string> FirstDifference(Connection& live, Connection& rebuilt);
absl::StatusOr<std::string> ContentHash(Connection& view);

}  // namespace leftfold::sql
#endif  // SQL_COMPARE_H_
