// What two view files are compared by.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <map>

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

// Of a table without key only which rows there are counts, and how many of each.
TEST(ContentHash, OfATableWithoutPrimaryKeyKnowsNoOrder) {
  const std::string table = "CREATE TABLE n(x, y);";
  const std::string rows = table + "INSERT INTO n VALUES (1, 'oak'), (1, 'oak'), (2, NULL);";
  const auto base = With(rows);
  const auto other = With(table + "INSERT INTO n VALUES (7, 7), (2, NULL), (1, 'oak');" +
                          "DELETE FROM n WHERE x = 7; INSERT INTO n VALUES (1, 'oak')");
  EXPECT_EQ(ContentHash(*base).value(), ContentHash(*other).value());
  EXPECT_EQ(FirstDifference(*base, *other).value(), "");
  for (const auto& [change, difference] : std::map<std::string, std::string>{
           {"INSERT INTO n VALUES (3, 'elm')",
            "table n: the row x = 3, y = elm is only in the rebuilt view"},
           {"DELETE FROM n WHERE x = 2",
            "table n: the row x = 2, y = NULL is only in the live view"},
           {"INSERT INTO n VALUES (1, 'oak')",
            "table n: the row x = 1, y = oak is there 2 times in the live view, 3 in the rebuilt "
            "one"},
           {"DELETE FROM n WHERE rowid = 1",
            "table n: the row x = 1, y = oak is there 2 times in the live view, 1 in the rebuilt "
            "one"}}) {
    const auto changed = With(rows + change);
    EXPECT_EQ(FirstDifference(*base, *changed).value(), difference);
    EXPECT_NE(ContentHash(*base).value(), ContentHash(*changed).value()) << change;
  }
  EXPECT_NE(FirstDifference(*base, *With(rows + "UPDATE n SET y = 'ash' WHERE x = 2")).value(), "");
  // What comes after it is compared all the same.
  EXPECT_EQ(FirstDifference(*base, *With(rows + "CREATE TABLE p(id INTEGER PRIMARY KEY)")).value(),
            "the views have different tables");
}

// The most that SQLite's machine does in a step of `rows` rows, in hundreds of its instructions.
template <class Step>
int MostWork(Connection& connection, Step step) {
  int work = 0;
  const auto count = [](void* counter) {
    ++*static_cast<int*>(counter);
    return 0;
  };
  sqlite3_progress_handler(connection.database().getHandle(), 100, count, &work);
  int most = 0;
  for (bool through = false; !through;) {
    work = 0;
    through = step().value();
    most = std::max(most, work);
  }
  sqlite3_progress_handler(connection.database().getHandle(), 0, nullptr, nullptr);
  return most;
}

TEST(ContentReader, NoStepSortsATable) {
  constexpr int kRows = 5'000;
  constexpr int kStep = 100;
  const auto table = [&](const std::string& name, const std::string& key) {
    return fmt::format(
        "CREATE TABLE {0}(a, b{1}); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
        "SELECT i + 1 FROM n WHERE i < {2}) INSERT INTO {0} SELECT i * 7919 % {2}, "
        "i FROM n;",
        name, key, kRows);
  };
  for (const std::string& tables :
       {table("reversed", ", PRIMARY KEY (b, a)"), table("falling", ", PRIMARY KEY (a, b DESC)"),
        table("none", ""), table("plain", ", PRIMARY KEY (a, b)")}) {
    SCOPED_TRACE(tables);
    const auto live = With(tables), rebuilt = With(tables);
    ContentReader reader(live.get(), *rebuilt);
    EXPECT_LT(MostWork(*rebuilt, [&] { return reader.Count(kStep); }), kStep);
    EXPECT_EQ(reader.rows_counted(), kRows);
    EXPECT_LT(MostWork(*rebuilt, [&] { return reader.Step(kStep); }), kStep);
    EXPECT_EQ(reader.rows_read(), kRows);
    EXPECT_EQ(reader.difference(), "");
  }
}

}  // namespace
}  // namespace leftfold::sql
