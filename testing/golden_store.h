#ifndef TESTING_GOLDEN_STORE_H_
#define TESTING_GOLDEN_STORE_H_

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "event_store/sqlite/log_index.h"
#include "event_store/sqlite/sqlite_log.h"
#include "sql/reactor_file.h"
#include "sql/view_file.h"
#include "testing/source_folder.h"

// Stores as each released format left them (tests/contract/golden_store_test.cc).
namespace leftfold::testing {

// There are formats from 1 to this.
inline constexpr int kTodaysFormat = 2;

// A file of a store, and who it belongs to.
struct GoldenFile {
  std::string name;  // Of its SQL.
  std::string path;
  std::int32_t application_id;
};
inline const GoldenFile kGoldenLog = {"log", "/log/events.db", kLogApplicationId};
inline const GoldenFile kGoldenIndex = {"index", "/log/index.db", kIndexApplicationId};
inline const GoldenFile kGoldenView = {"view", "/views/notes/1-1.db", sql::kViewApplicationId};
inline const GoldenFile kGoldenReactor = {"reactor", "/reactors/mails.db",
                                          sql::kReactorApplicationId};

inline const GoldenFile kGoldenFiles[] = {kGoldenLog, kGoldenIndex, kGoldenView, kGoldenReactor};

inline std::string GoldenPath(int format, const std::string& file) {
  return fmt::format("{}/tests/contract/golden_store/{}/{}", SourceFolder(), format, file);
}
inline std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}
// The file of this format.
inline void MakeGolden(const std::string& data, const GoldenFile& which, int format) {
  std::filesystem::create_directories(std::filesystem::path(data + which.path).parent_path());
  auto file = sql::Connection::Open(
      data + which.path, {.role = sql::Role::kWriter, .application_id = which.application_id});
  ASSERT_TRUE(file.ok()) << file.status();
  const std::string text = TextOf(GoldenPath(format, which.name + ".sql"));
  ASSERT_FALSE(text.empty()) << which.name;
  ASSERT_EQ((*file)->Run(text), absl::OkStatus()) << which.name;
}

inline void MakeGolden(const std::string& data, int format) {
  for (const GoldenFile& file : kGoldenFiles) MakeGolden(data, file, format);
}

// Whose files these are.
inline ViewEntry NotesView() {
  ViewEntry view;
  view.name = "notes";
  view.version = 1;
  view.schema = "CREATE TABLE note(id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT";
  return view;
}
inline ReactorEntry MailsReactor() {
  ReactorEntry reactor;
  reactor.name = "mails";
  reactor.schema = {"CREATE TABLE mailed(id INTEGER PRIMARY KEY, to_whom TEXT NOT NULL) STRICT"};
  return reactor;
}
inline absl::StatusOr<std::unique_ptr<sql::Connection>> OpenGoldenNotes(const std::string& data) {
  return sql::OpenViewWriter(data + kGoldenView.path, NotesView(), Digest{2});
}
inline absl::StatusOr<std::unique_ptr<sql::Connection>> OpenGoldenMails(const std::string& data) {
  return sql::OpenReactorWriter(data + kGoldenReactor.path, MailsReactor(),
                                {Position{1}, Digest{3}});
}

}  // namespace leftfold::testing
#endif  // TESTING_GOLDEN_STORE_H_
