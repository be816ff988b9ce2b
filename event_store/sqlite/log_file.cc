#include "event_store/sqlite/log_file.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

#include "core/status.h"
#include "event_store/sqlite/sqlite_log.h"
#include "sql/durable_file.h"

namespace leftfold {
namespace {

constexpr std::int64_t kPageStreams = 1'000;
// What a row costs besides its payload and metadata, roughly.
constexpr std::size_t kRowBytes = 512;

template <class Bytes>
bool CopyExactly(std::string_view from, Bytes& to) {
  if (from.size() != to.size()) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

// The columns of kReadEvents. "" or what is wrong with the row itself.
std::string EventIn(const Rows& row, RecordedEvent& event) {
  event.position = Position{row.Int(0)};
  if (row.IsNull(1)) return "the row of its stream is missing";
  if (row.IsNull(4)) return "the row of its type is missing";
  event.stream = row.Text(1);
  event.version = Version{row.Int(2)};
  event.type = row.Text(4);
  event.payload = std::string(row.Blob(5));
  event.metadata = std::string(row.Blob(7));
  event.recorded_at = absl::FromUnixMicros(row.Int(9));
  event.category_previous = Position{row.Int(10)};
  const std::int64_t encoding = row.Int(6);
  if (encoding != 0 && encoding != 1) return fmt::format("its encoding is {}", encoding);
  event.encoding = static_cast<Encoding>(encoding);
  event.tags = DecodeTags(row.Blob(8));
  if (EncodeTags(event.tags) != row.Blob(8)) return "its tags are malformed";
  if (!CopyExactly(row.Blob(3), event.event_id)) return "its event_id has not 16 bytes";
  if (!CopyExactly(row.Blob(11), event.leaf)) return "its leaf has not 32 bytes";
  if (!CopyExactly(row.Blob(12), event.chain)) return "its chain value has not 32 bytes";
  return "";
}

constexpr std::string_view kReadEvents =
    "SELECT e.position, s.name, e.version, e.event_id, t.name, e.payload, e.encoding, e.metadata, "
    "e.tags, e.recorded_at, e.category_previous, e.leaf, e.chain FROM events e "
    "LEFT JOIN streams s ON s.id = e.stream_id LEFT JOIN types t ON t.id = e.type_id "
    "WHERE e.position > ? AND e.position <= ? ORDER BY e.position";

constexpr std::string_view kReadCommands =
    "SELECT number, command_id, request_hash, aggregate_id, created_id, version, position "
    "FROM commands WHERE number > ? AND number <= ? ORDER BY number LIMIT ?";

std::string CommandIn(const Rows& row, NumberedCommand& found) {
  found.number = row.Int(0);
  CommandRecord& record = found.command.record;
  record.command_id = row.Text(1);
  record.aggregate_id = row.Text(3);
  record.created_id = row.Text(4);
  found.command.version = Version{row.Int(5)};
  found.command.position = Position{row.Int(6)};
  return CopyExactly(row.Blob(2), record.request_hash) ? "" : "its request_hash has not 32 bytes";
}

// In one transaction.
absl::StatusOr<LogExtent> ExtentOf(sql::Connection& connection) {
  LogExtent extent;
  connection.Begin().IgnoreError();  // A failure is kept in the connection.
  {
    Rows store(connection.Prepare("SELECT store_id FROM store"));
    if (store.Next()) extent.store_id = store.Text(0);
    extent.head.chain = FirstChain(extent.store_id);
    Rows last(connection.Prepare(
        "SELECT position, chain, recorded_at FROM events ORDER BY position DESC LIMIT 1"));
    if (last.Next()) {
      extent.head.position = Position{last.Int(0)};
      if (!CopyExactly(last.Blob(1), extent.head.chain)) extent.head.chain = {};
      extent.recorded_at = absl::FromUnixMicros(last.Int(2));
    }
    Rows categories(connection.Prepare("SELECT name, last_position FROM categories"));
    while (categories.Next()) {
      extent.category_heads[categories.Text(0)] = Position{categories.Int(1)};
    }
    Rows command(
        connection.Prepare("SELECT number, position FROM commands ORDER BY number DESC LIMIT 1"));
    if (command.Next()) {
      extent.command_number = command.Int(0);
      extent.command_position = Position{command.Int(1)};
    }
    extent.stream_id = connection.Value("SELECT max(id) FROM streams");
    extent.type_id = connection.Value("SELECT max(id) FROM types");
  }
  connection.Commit().IgnoreError();
  if (!connection.status().ok()) return connection.status();
  return extent;
}

absl::Status CheckFormat(sql::Connection& connection, const std::string& path) {
  const std::int64_t format = connection.Value("PRAGMA user_version");
  LEFTFOLD_RETURN_IF_ERROR(connection.status());
  if (format > NewestLogFormat()) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} has format {}, this binary knows up to {}: use the newer binary", path, format,
                 NewestLogFormat());
  }
  if (format < 1)
    return Error(absl::StatusCode::kDataLoss, "{} says that its format is {}", path, format);
  return absl::OkStatus();
}

}  // namespace

bool SameCommand(const NumberedCommand& a, const NumberedCommand& b) {
  const CommandRecord& x = a.command.record;
  const CommandRecord& y = b.command.record;
  return a.number == b.number && x.command_id == y.command_id && x.request_hash == y.request_hash &&
         x.aggregate_id == y.aggregate_id && x.created_id == y.created_id &&
         a.command.version == b.command.version && a.command.position == b.command.position;
}

absl::StatusOr<std::unique_ptr<LogFileReader>> LogFileReader::Open(const std::string& folder) {
  const std::string path = folder + "/events.db";
  auto connection = sql::Connection::Open(path, {.application_id = kLogApplicationId});
  if (!connection.ok()) return connection.status();
  LEFTFOLD_RETURN_IF_ERROR(CheckFormat(**connection, path));
  if ((*connection)->Value("SELECT count(*) FROM sqlite_schema WHERE name = 'store'") == 0) {
    LEFTFOLD_RETURN_IF_ERROR((*connection)->status());
    return Error(absl::StatusCode::kDataLoss, "{} has no table store", path);
  }
  std::string store_id;
  {
    Rows rows((*connection)->Prepare("SELECT store_id FROM store"));
    if (rows.Next()) store_id = rows.Text(0);
  }
  LEFTFOLD_RETURN_IF_ERROR((*connection)->status());
  if (!ParseUuid(store_id)) {
    return Error(absl::StatusCode::kDataLoss, "{} has no store id: it was changed, or never used",
                 path);
  }
  return std::unique_ptr<LogFileReader>(
      new LogFileReader(*std::move(connection), std::move(store_id)));
}

absl::StatusOr<LogExtent> LogFileReader::ReadExtent() { return ExtentOf(*connection_); }

absl::StatusOr<LogFileReader::EventPage> LogFileReader::ReadEvents(Position after, Position through,
                                                                   std::size_t events_max) {
  EventPage page;
  {
    Rows rows = Ask(*connection_, kReadEvents, after.value, through.value);
    std::size_t bytes = 0;
    while (page.events.size() < events_max && rows.Next()) {
      bytes += rows.Blob(5).size();
      if (bytes > kPageBytes && !page.events.empty()) break;
      RecordedEvent event;
      if (const std::string wrong = EventIn(rows, event); !wrong.empty()) {
        page.fault = FaultAt(event.position, wrong);
        return page;
      }
      page.events.push_back(std::move(event));
    }
  }
  const absl::Status& read = connection_->status();
  if (read.ok()) return page;
  if (!absl::IsDataLoss(read)) return read;
  // A damaged page: what came before it counts.
  const Position last = page.events.empty() ? after : page.events.back().position;
  page.fault = FaultAt(last.Next(), ToStd(read.message()));
  return page;
}

absl::StatusOr<LogFileReader::CommandPage> LogFileReader::ReadCommands(std::int64_t after,
                                                                       std::int64_t through) {
  CommandPage page;
  Position last;
  {
    Rows rows = Ask(*connection_, kReadCommands, after, through, std::int64_t{kPageEvents});
    while (rows.Next()) {
      NumberedCommand command;
      if (const std::string wrong = CommandIn(rows, command); !wrong.empty()) {
        page.fault = FaultAt(command.command.position,
                             fmt::format("the record of command {} (number {}): {}",
                                         command.command.record.command_id, command.number, wrong));
        return page;
      }
      last = command.command.position;
      page.commands.push_back(std::move(command));
    }
  }
  const absl::Status& read = connection_->status();
  if (read.ok()) return page;
  if (!absl::IsDataLoss(read)) return read;
  page.fault = FaultAt(last, fmt::format("the table of commands: {}", ToStd(read.message())));
  return page;
}

absl::StatusOr<std::vector<StreamRow>> LogFileReader::ReadStreams(std::int64_t after_id) {
  std::vector<StreamRow> streams;
  {
    Rows rows =
        Ask(*connection_,
            "SELECT s.id, s.name, c.name, (SELECT n.id FROM streams n WHERE n.name = s.name) "
            "FROM streams s LEFT JOIN categories c ON c.id = s.category_id WHERE s.id > ? "
            "ORDER BY s.id LIMIT ?",
            after_id, kPageStreams);
    while (rows.Next()) {
      StreamRow& row = streams.emplace_back();
      row.id = rows.Int(0);
      row.name = rows.Text(1);
      if (!rows.IsNull(2)) row.category = rows.Text(2);
      row.in_index = rows.Int(3) == row.id;
    }
  }
  if (!connection_->status().ok()) return connection_->status();
  return streams;
}

absl::StatusOr<std::optional<Digest>> LogFileReader::ChainAt(Position position) {
  if (position == kBeforeFirst) return FirstChain(store_id_);
  std::optional<Digest> chain;
  {
    Rows rows = Ask(*connection_, "SELECT chain FROM events WHERE position = ?", position.value);
    if (rows.Next()) {
      chain.emplace();
      if (!CopyExactly(rows.Blob(0), *chain)) chain = Digest{};
    }
  }
  if (!connection_->status().ok()) return connection_->status();
  return chain;
}

absl::StatusOr<std::optional<NumberedCommand>> LogFileReader::CommandAt(std::int64_t number) {
  auto page = ReadCommands(number - 1, number);
  if (!page.ok()) return page.status();
  LEFTFOLD_RETURN_IF_ERROR(page->fault);
  if (page->commands.empty()) return std::nullopt;
  return std::move(page->commands.front());
}

absl::StatusOr<std::int64_t> LogFileReader::CommandsUpTo(Position position) {
  auto extent = ReadExtent();
  if (!extent.ok()) return extent.status();
  std::int64_t low = 0;  // Known to be at or before the position, as its number is dense.
  std::int64_t high = extent->command_number;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    const auto command = CommandAt(middle);
    if (!command.ok()) return command.status();
    if (*command && (*command)->command.position <= position) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

absl::StatusOr<Position> LogFileReader::PositionUpTo(absl::Time time) {
  auto extent = ReadExtent();
  if (!extent.ok()) return extent.status();
  std::int64_t low = 0;
  std::int64_t high = extent->head.position.value;
  while (low < high) {
    const std::int64_t middle = low + (high - low + 1) / 2;
    Rows rows = Ask(*connection_, "SELECT recorded_at FROM events WHERE position = ?", middle);
    if (rows.Next() && absl::FromUnixMicros(rows.Int(0)) <= time) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (!connection_->status().ok()) return connection_->status();
  return Position{low};
}

absl::StatusOr<Position> LogFileReader::AppendEnd(Position position) {
  while (position > kBeforeFirst) {
    bool within = false;
    {
      Rows rows = Ask(*connection_,
                      "SELECT 1 FROM events a JOIN events b ON b.position = a.position + 1 "
                      "WHERE a.position = ? AND a.recorded_at = b.recorded_at AND "
                      "a.metadata = b.metadata",
                      position.value);
      within = rows.Next();
    }
    if (!connection_->status().ok()) return connection_->status();
    if (!within) return position;
    --position.value;
  }
  return position;
}

namespace {

// Hands over commands in pages, as far as the walk through the events has come.
class CommandWalk {
 public:
  CommandWalk(LogFileReader& reader, const LogRange& range, const LogVisitor& visitor)
      : reader_(reader),
        visitor_(visitor),
        read_(range.commands_after),
        through_(range.commands_through) {}

  absl::Status VisitUpTo(Position position) {
    while (true) {
      if (waiting_.empty()) LEFTFOLD_RETURN_IF_ERROR(ReadPage());
      if (waiting_.empty() || waiting_.front().command.position > position) return absl::OkStatus();
      LEFTFOLD_RETURN_IF_ERROR(visitor_.command(waiting_.front()));
      waiting_.pop_front();
    }
  }

 private:
  absl::Status ReadPage() {
    LEFTFOLD_RETURN_IF_ERROR(fault_);
    if (read_ >= through_) return absl::OkStatus();
    auto page = reader_.ReadCommands(read_, through_);
    if (!page.ok()) return page.status();
    fault_ = page->fault;
    if (page->commands.empty()) {
      read_ = through_;
      return fault_;
    }
    read_ = page->commands.back().number;
    waiting_.assign(std::make_move_iterator(page->commands.begin()),
                    std::make_move_iterator(page->commands.end()));
    return absl::OkStatus();
  }

  LogFileReader& reader_;
  const LogVisitor& visitor_;
  std::int64_t read_;
  const std::int64_t through_;
  std::deque<NumberedCommand> waiting_;
  absl::Status fault_;  // Of the row after those.
};

}  // namespace

absl::Status WalkLog(LogFileReader& reader, const LogRange& range, const LogVisitor& visitor) {
  CommandWalk commands(reader, range, visitor);
  Position at = range.after;
  LEFTFOLD_RETURN_IF_ERROR(commands.VisitUpTo(at));
  while (at < range.through) {
    const auto page = reader.ReadEvents(at, range.through, range.page_events);
    if (!page.ok()) return page.status();
    for (const RecordedEvent& event : page->events) {
      LEFTFOLD_RETURN_IF_ERROR(visitor.event(event));
      at = event.position;
      LEFTFOLD_RETURN_IF_ERROR(commands.VisitUpTo(at));
    }
    LEFTFOLD_RETURN_IF_ERROR(page->fault);
    if (page->events.empty()) return FaultAt(at.Next(), "the event is missing");
    LEFTFOLD_RETURN_IF_ERROR(visitor.page(at));
  }
  // What is left is of positions that are not in the range: it does not fit, and is told so.
  return commands.VisitUpTo(Position{std::numeric_limits<std::int64_t>::max()});
}

absl::StatusOr<std::unique_ptr<LogFileWriter>> LogFileWriter::Open(const std::string& folder,
                                                                   const std::string& store_id,
                                                                   std::size_t group_bytes) {
  LEFTFOLD_RETURN_IF_ERROR(sql::MakeFolder(folder));
  auto connection = sql::Connection::Open(folder + "/events.db", kLogWriter);
  if (!connection.ok()) return connection.status();
  std::unique_ptr<LogFileWriter> writer(new LogFileWriter);
  writer->connection_ = *std::move(connection);
  writer->rows_.emplace(*writer->connection_);
  writer->group_bytes_ = group_bytes;
  LEFTFOLD_RETURN_IF_ERROR(MigrateLog(*writer->connection_));
  LEFTFOLD_RETURN_IF_ERROR(writer->Start(store_id));
  return writer;
}

absl::Status LogFileWriter::Start(const std::string& store_id) {
  LEFTFOLD_RETURN_IF_ERROR(connection_->Begin());
  {
    Rows rows =
        Ask(*connection_,
            "INSERT INTO store(id, store_id) VALUES (1, ?) ON CONFLICT(id) DO NOTHING", store_id);
    rows.Next();
  }
  LEFTFOLD_RETURN_IF_ERROR(connection_->Commit());
  auto extent = ExtentOf(*connection_);
  if (!extent.ok()) return extent.status();
  begin_ = *std::move(extent);
  if (begin_.store_id != store_id) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} is the log of store {}, not of {}: nothing of that fits into it",
                 connection_->database().getFilename(), begin_.store_id, store_id);
  }
  commands_ = CommandChecker(begin_.command_number, begin_.head.position);
  EventChecker::Start start{.head = begin_.head,
                            .recorded_at = begin_.recorded_at,
                            .category_heads = begin_.category_heads,
                            .versions = {}};
  {
    // One pass: the table has no index by stream to ask for each.
    Rows rows(connection_->Prepare(
        "SELECT s.name, max(e.version) FROM events e JOIN streams s ON s.id = e.stream_id "
        "GROUP BY e.stream_id"));
    while (rows.Next()) start.versions[rows.Text(0)] = Version{rows.Int(1)};
  }
  if (!connection_->status().ok()) return connection_->status();
  events_ = std::make_unique<EventChecker>(std::move(start));
  return absl::OkStatus();
}

absl::Status LogFileWriter::Add(const RecordedEvent& event) {
  // First: it may show that what waits to be stored lacks its command.
  LEFTFOLD_RETURN_IF_ERROR(events_->Add(event));
  LEFTFOLD_RETURN_IF_ERROR(commands_.Add(event));
  const bool may_end = pending_events_.empty() || BeginsAppend(pending_events_.back(), event);
  if (pending_bytes_ >= (may_end ? group_bytes_ : kCopyGroupBytesMax)) {
    LEFTFOLD_RETURN_IF_ERROR(Flush());
  }
  pending_bytes_ += event.payload.size() + event.metadata.size() + kRowBytes;
  pending_events_.push_back(event);
  return absl::OkStatus();
}

absl::Status LogFileWriter::Add(const NumberedCommand& command) {
  LEFTFOLD_RETURN_IF_ERROR(commands_.Add(command.number, command.command));
  pending_bytes_ += kRowBytes;
  pending_commands_.push_back(command);
  return pending_bytes_ < kCopyGroupBytesMax ? absl::OkStatus() : Flush();
}

absl::Status LogFileWriter::Finish() {
  LEFTFOLD_RETURN_IF_ERROR(commands_.Finish());
  return Flush();
}

absl::Status LogFileWriter::Seal() {
  std::string mode;
  {
    Rows rows(connection_->Prepare("PRAGMA journal_mode=DELETE"));
    if (rows.Next()) mode = rows.Text(0);
  }
  LEFTFOLD_RETURN_IF_ERROR(connection_->status());
  if (mode == "delete") return absl::OkStatus();
  return Error(absl::StatusCode::kUnavailable, "{} is complete, but somebody reads it: try again",
               connection_->database().getFilename());
}

absl::Status LogFileWriter::Flush() {
  if (pending_events_.empty() && pending_commands_.empty()) return absl::OkStatus();
  LEFTFOLD_RETURN_IF_ERROR(connection_->Begin());
  absl::flat_hash_map<std::string, Position> heads;
  for (const RecordedEvent& event : pending_events_) {
    rows_->Write(event);
    heads[std::string(CategoryOf(event.stream))] = event.position;
  }
  for (const auto& [category, position] : heads) rows_->WriteCategoryHead(category, position);
  for (const NumberedCommand& command : pending_commands_)
    rows_->Write(command.number, command.command);
  LEFTFOLD_RETURN_IF_ERROR(connection_->Commit());
  pending_events_.clear();
  pending_commands_.clear();
  pending_bytes_ = 0;
  return absl::OkStatus();
}

}  // namespace leftfold
