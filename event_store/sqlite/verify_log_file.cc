#include "event_store/sqlite/verify_log_file.h"

#include <algorithm>
#include <set>
#include <vector>

#include "core/status.h"
#include "event_store/log_checker.h"
#include "event_store/sqlite/sqlite_log.h"
#include "event_store/sqlite/verify_log_index.h"

namespace leftfold {
namespace {

absl::Status Fault(std::string_view what) { return Error(absl::StatusCode::kDataLoss, "{}", what); }

// Whether any row comes. Statements that hold a fault's text in their first column.
absl::Status NoneOf(sql::Connection& connection, std::string_view sql, std::string_view what) {
  std::string found;
  {
    Rows rows(connection.Prepare(sql));
    if (rows.Next()) found = rows.Text(0);
  }
  LEFTFOLD_RETURN_IF_ERROR(connection.status());
  return found.empty() ? absl::OkStatus() : Fault(fmt::format("{} {}", what, found));
}

// Names of tables and indexes. Not their texts, which SQLite writes its own way when a table is
// altered; nor what ANALYZE leaves.
std::set<std::string> SchemaOf(sql::Connection& connection) {
  std::set<std::string> schema;
  Rows rows(
      connection.Prepare("SELECT type || ' ' || name FROM sqlite_schema "
                         "WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'"));
  while (rows.Next()) schema.insert(rows.Text(0));
  return schema;
}

// The tables are those that this format has.
absl::Status CheckSchema(sql::Connection& connection) {
  auto pattern = sql::Connection::OpenMemory();
  if (!pattern.ok()) return pattern.status();
  const std::int64_t format = connection.Value("PRAGMA user_version");
  LEFTFOLD_RETURN_IF_ERROR(MigrateLog(**pattern, static_cast<int>(format)));
  const auto expected = SchemaOf(**pattern);
  const auto actual = SchemaOf(connection);
  LEFTFOLD_RETURN_IF_ERROR(connection.status());
  for (const std::string& name : expected) {
    if (!actual.contains(name))
      return Fault(fmt::format("format {} has {}, the file has not", format, name));
  }
  for (const std::string& name : actual) {
    if (!expected.contains(name))
      return Fault(fmt::format("the file has {}, format {} has not", name, format));
  }
  return absl::OkStatus();
}

class Verification {
 public:
  Verification(const std::string& folder, LogFileReader& reader, const LogExtent& extent,
               const VerifyLogFileOptions& options)
      : reader_(reader),
        extent_(extent),
        options_(options),
        events_(extent.store_id),
        index_(folder, reader, extent,
               {.at_rest = options.at_rest,
                .progress = options.index_progress,
                .long_read = options.long_read}) {}

  absl::Status Run() {
    if (options_.progress) options_.progress(0, extent_.head.position.value);
    LEFTFOLD_RETURN_IF_ERROR(WalkLog(reader_,
                                     {.after = kBeforeFirst,
                                      .through = extent_.head.position,
                                      .commands_through = extent_.command_number},
                                     {.event = [this](const auto& event) { return Add(event); },
                                      .command = [this](const auto& c) { return Add(c); },
                                      .page = [this](Position done) { return EndPage(done); }}));
    LEFTFOLD_RETURN_IF_ERROR(commands_.Finish());
    LEFTFOLD_RETURN_IF_ERROR(CheckCategories());
    LEFTFOLD_RETURN_IF_ERROR(CheckStreams());
    LEFTFOLD_RETURN_IF_ERROR(CheckNames());
    if (options_.at_rest) LEFTFOLD_RETURN_IF_ERROR(CheckAtRest());
    return index_.Finish();
  }
  const IndexChecker& index() const { return index_; }

 private:
  absl::Status Add(const RecordedEvent& event) {
    LEFTFOLD_RETURN_IF_ERROR(events_.Add(event));
    LEFTFOLD_RETURN_IF_ERROR(commands_.Add(event));
    index_.Add(event);
    types_.insert(event.type);
    return options_.payload ? options_.payload(event) : absl::OkStatus();
  }
  absl::Status Add(const NumberedCommand& command) {
    index_.Add(command);
    return commands_.Add(command.number, command.command);
  }

  absl::Status EndPage(Position done) {
    LEFTFOLD_RETURN_IF_ERROR(index_.EndPage());
    if (options_.progress) options_.progress(done.value, extent_.head.position.value);
    return absl::OkStatus();
  }

  // Whoever cuts events off leaves the last position of their category behind.
  absl::Status CheckCategories() {
    const Position head = events_.head().position;
    Position first_wrong = kBeforeFirst;
    std::string what;
    const auto tell = [&](Position at, std::string text) {
      if (first_wrong != kBeforeFirst && first_wrong <= at) return;
      first_wrong = at;
      what = std::move(text);
    };
    for (const auto& [category, last] : extent_.category_heads) {
      const auto it = events_.category_heads().find(category);
      const Position found = it == events_.category_heads().end() ? kBeforeFirst : it->second;
      if (last > head) {
        tell(head.Next(), fmt::format("the event is missing: the log ends before it, and category "
                                      "{} reaches to position {}",
                                      category, last.value));
      } else if (found == kBeforeFirst) {
        tell(std::max(last, Position{1}), fmt::format("category {} has no event", category));
      } else if (last != found) {
        tell(found, fmt::format("category {} says that its last event is at {}, not at {}",
                                category, last.value, found.value));
      }
    }
    for (const auto& [category, last] : events_.category_heads()) {
      if (!extent_.category_heads.contains(category))
        tell(last, fmt::format("the row of category {} is missing", category));
    }
    return what.empty() ? absl::OkStatus() : FaultAt(first_wrong, what);
  }

  absl::Status CheckStreams() {
    std::int64_t after = 0;
    while (true) {
      const auto page = reader_.ReadStreams(after);
      if (!page.ok()) return page.status();
      if (page->empty()) return absl::OkStatus();
      for (const StreamRow& row : *page) {
        if (const std::string wrong = Misfit(row); !wrong.empty())
          return Fault(fmt::format("stream {}: {}", row.name, wrong));
      }
      after = page->back().id;
    }
  }

  std::string Misfit(const StreamRow& row) const {
    if (!row.category || *row.category != CategoryOf(row.name)) {
      return fmt::format("its row leads to category {}",
                         row.category.value_or("that is not there"));
    }
    if (!row.in_index) return "the index of names does not lead to it";
    // Beside a server there are streams that came after the start.
    if (row.id <= extent_.stream_id && !events_.versions().contains(row.name))
      return "it has no event";
    return "";
  }

  absl::Status CheckNames() {
    sql::Connection& connection = reader_.connection();
    std::string unused;
    {
      Rows rows = Ask(connection, "SELECT name FROM types WHERE id <= ?", extent_.type_id);
      while (unused.empty() && rows.Next()) {
        if (!types_.contains(rows.Text(0))) unused = rows.Text(0);
      }
    }
    LEFTFOLD_RETURN_IF_ERROR(connection.status());
    if (!unused.empty()) return Fault(fmt::format("type {}: no event has it", unused));
    LEFTFOLD_RETURN_IF_ERROR(NoneOf(connection,
                                    "SELECT name FROM types t NOT INDEXED WHERE t.id IS NOT "
                                    "(SELECT n.id FROM types n WHERE n.name = "
                                    "t.name)",
                                    "the index of names does not lead to type"));
    return NoneOf(connection,
                  "SELECT name FROM categories c NOT INDEXED WHERE c.id IS NOT (SELECT n.id FROM "
                  "categories n "
                  "WHERE n.name = c.name)",
                  "the index of names does not lead to category");
  }

  absl::Status CheckAtRest() {
    sql::Connection& connection = reader_.connection();
    if (options_.long_read) options_.long_read("command ids");
    LEFTFOLD_RETURN_IF_ERROR(NoneOf(connection,
                                    "SELECT command_id || ' (numbers ' || min(number) || ' and ' "
                                    "|| max(number) || ')' FROM commands "
                                    "GROUP BY command_id HAVING count(*) > 1 LIMIT 1",
                                    "there are two records of command"));
    if (options_.long_read) options_.long_read("pages of the log");
    return NoneOf(connection,
                  "SELECT integrity_check FROM pragma_integrity_check(1) WHERE integrity_check <> "
                  "'ok'",
                  "SQLite finds the file damaged:");
  }

  LogFileReader& reader_;
  const LogExtent& extent_;
  const VerifyLogFileOptions& options_;
  EventChecker events_;
  CommandChecker commands_;
  IndexChecker index_;
  std::set<std::string> types_;  // Of the events.
};

}  // namespace

absl::StatusOr<VerifiedLog> VerifyLogFile(const std::string& folder,
                                          const VerifyLogFileOptions& options) {
  auto reader = LogFileReader::Open(folder);
  if (!reader.ok()) return reader.status();
  LEFTFOLD_RETURN_IF_ERROR(CheckSchema((*reader)->connection()));
  auto extent = (*reader)->ReadExtent();
  if (!extent.ok()) return extent.status();
  Verification verification(folder, **reader, *extent, options);
  LEFTFOLD_RETURN_IF_ERROR(verification.Run());
  const IndexChecker& index = verification.index();
  return VerifiedLog{*std::move(extent), index.status(), index.is_there(), index.position()};
}

}  // namespace leftfold
