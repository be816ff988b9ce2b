// What two view files are compared by.
#include <gtest/gtest.h>

#include "core/status.h"
#include "sql/compare.h"

namespace leftfold::sql {
namespace {

std::unique_ptr<Connection> With(const std::string& rows) {
  auto connection = *Connection::OpenMemory();
  const std::string schema =
      "CREATE TABLE a(id INTEGER PRIMARY KEY, x ANY) STRICT;"
      "CREATE TABLE b(k TEXT, v TEXT, PRIMARY KEY (k, v)) STRICT, WITHOUT ROWID;"
      "CREATE VIRTUAL TABLE f USING fts5(name);"
      "CREATE TABLE leftfold_checkpoint(id INTEGER PRIMARY KEY) STRICT;";
  EXPECT_TRUE(connection->Run(schema + rows).ok()) << connection->status();
  return connection;
}

std::string HashWith(const std::string& rows) { return ContentHash(*With(rows)).value(); }

TEST(ContentHash, IsThatOfTheRowsInTheOrderOfTheirKeys) {
  const std::string one = HashWith(
      "INSERT INTO a VALUES (1, 'x'), (2, NULL); INSERT INTO b VALUES ('k', '1'), ('j', '2');"
      "INSERT INTO f(rowid, name) VALUES (1, 'old oak'), (2, 'elm');");
  const std::string other = HashWith(
      "INSERT INTO b VALUES ('j', '2'), ('k', '1'); INSERT INTO a VALUES (2, NULL), (1, 'x');"
      "INSERT INTO f(rowid, name) VALUES (2, 'elm'), (3, 'gone'), (1, 'old oak');"
      "DELETE FROM f WHERE rowid = 3; INSERT INTO leftfold_checkpoint VALUES (7);");
  EXPECT_EQ(one, other);
  EXPECT_EQ(one.size(), 64U);
}

TEST(ContentHash, DiffersWhereverAComparisonFindsADifference) {
  const std::string rows =
      "INSERT INTO a VALUES (1, 'x'); INSERT INTO f(rowid, name) VALUES (1, 'oak');";
  const auto base = With(rows);
  for (const std::string change :
       {"UPDATE a SET x = 'y'", "UPDATE a SET x = NULL", "UPDATE a SET x = x'78'",
        "UPDATE a SET id = 2", "INSERT INTO a VALUES (2, '')", "DELETE FROM a",
        "UPDATE f SET name = 'ash'", "INSERT INTO b VALUES ('', '')"}) {
    const auto changed = With(rows + change);
    EXPECT_NE(ContentHash(*base).value(), ContentHash(*changed).value()) << change;
    EXPECT_NE(FirstDifference(*base, *changed).value(), "") << change;
  }
}

}  // namespace
}  // namespace leftfold::sql
