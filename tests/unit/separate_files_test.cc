// No module reads another's tables: each view and each reactor has a file of its own, and no
// statement on it can name a table of another one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "core/registry.h"
#include "sql/reactor_file.h"
#include "sql/view_file.h"
#include "testing/temporary_folder.h"

namespace leftfold {
namespace {

using Opened = absl::StatusOr<std::unique_ptr<sql::Connection>>;

class SeparateFiles : public ::testing::Test {
 protected:
  SeparateFiles() {
    RegisterAllDomains(registry_);
    for (const ViewEntry& view : registry_.views()) {
      const std::string path =
          sql::ViewPath(folder_.path() + "/views", view.name, {view.version, 1});
      std::filesystem::create_directories(std::filesystem::path(path).parent_path());
      Keep(view.name, path, sql::OpenViewWriter(path, view, {}));
    }
    for (const ReactorEntry& reactor : registry_.reactors()) {
      const std::string path = fmt::format("{}/reactors/{}.db", folder_.path(), reactor.name);
      Keep(reactor.name, path, sql::OpenReactorWriter(path, reactor, {}));
    }
  }
  void Keep(std::string_view name, const std::string& path, Opened connection) {
    ASSERT_TRUE(connection.ok()) << name << ": " << connection.status();
    EXPECT_TRUE(paths_.insert(path).second) << path << " is the file of two";
    File& file = files_[std::string(name)];
    file.connection = *std::move(connection);
    file.path = path;
    SQLite::Statement tables(file.connection->database(),
                             "SELECT name FROM sqlite_schema WHERE type = 'table'");
    while (tables.executeStep()) file.tables.insert(tables.getColumn(0).getString());
  }

  struct File {
    std::unique_ptr<sql::Connection> connection;
    std::string path;
    std::set<std::string> tables;
  };
  const testing::TemporaryFolder folder_;
  Registry registry_;
  std::set<std::string> paths_;
  std::map<std::string, File> files_;
};

TEST_F(SeparateFiles, NoStatementOfOneReachesATableOfAnother) {
  ASSERT_GE(files_.size(), 27u);
  for (const auto& [name, file] : files_) {
    sql::Connection& connection = *file.connection;
    ASSERT_TRUE(connection.status().ok()) << connection.status();
    EXPECT_EQ(connection.Value("SELECT count(*) FROM pragma_database_list WHERE name <> 'temp'"), 1)
        << name << " has more files than its own";
    for (const auto& [other, of_other] : files_) {
      if (other == name) continue;
      EXPECT_FALSE(connection.Run("ATTACH '" + of_other.path + "' AS other").ok())
          << name << " attaches the file of " << other;
      connection.ClearStatus();
      for (const std::string& table : of_other.tables) {
        if (file.tables.contains(table)) continue;  // Of the same name, and in its own file.
        EXPECT_FALSE(connection.Run("SELECT 1 FROM \"" + table + "\"").ok())
            << name << " reads " << table << " of " << other;
        connection.ClearStatus();
      }
    }
  }
}

TEST_F(SeparateFiles, ThoseWhoReadThemReachNoOtherEither) {
  for (const auto& [name, file] : files_) {
    const bool of_view = file.path.find("/views/") != std::string::npos;
    Opened reader = of_view ? sql::OpenViewReader(file.path) : sql::OpenReactorReader(file.path);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_FALSE((*reader)->Run("ATTACH '" + file.path + "' AS other").ok()) << name;
  }
}

}  // namespace
}  // namespace leftfold
