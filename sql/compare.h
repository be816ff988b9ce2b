#ifndef SQL_COMPARE_H_
#define SQL_COMPARE_H_

#include <absl/status/statusor.h>

#include <string>

#include "sql/connection.h"

namespace leftfold::sql {

// Compares the content of two view files: every ordinary table in the order of its primary key (of
// all columns where it has none), every virtual table (FTS5) by the rows that it returns. Tables
// whose names begin with "leftfold_" are left out. Returns "" when they are equal, else the first
// row that differs, in words.
absl::StatusOr<std::string> FirstDifference(Connection& live, Connection& rebuilt);

// SHA-256 in hexadecimal over the same content: files without a difference have the same, on any
// machine.
absl::StatusOr<std::string> ContentHash(Connection& view);

}  // namespace leftfold::sql
#endif  // SQL_COMPARE_H_
