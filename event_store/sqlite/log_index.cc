#include "event_store/sqlite/log_index.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/reject.h"
#include "core/status.h"
#include "event_store/sqlite/log_rows.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using google::protobuf::internal::WireFormatLite;

// Append only: a released migration never changes.
constexpr std::string_view kIndexMigrations[] = {R"sql(
  CREATE TABLE postings(term INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (term, position))
    STRICT, WITHOUT ROWID;
  CREATE TABLE stream_events(
    stream INTEGER NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (stream, version)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE command_ids(command_id TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE progress(
    id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, command INTEGER NOT NULL, chain BLOB NOT NULL
  ) STRICT;
)sql",
                                                 R"sql(
  DROP TABLE postings;
  DROP TABLE stream_events;
  CREATE TABLE term_runs(
    term INTEGER NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL, PRIMARY KEY (term, last)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE stream_runs(
    stream INTEGER NOT NULL, last_version INTEGER NOT NULL, last_position INTEGER NOT NULL, events INTEGER NOT NULL,
    PRIMARY KEY (stream, last_version)
  ) STRICT, WITHOUT ROWID;
  UPDATE progress SET position = 0, chain = zeroblob(32);
)sql"};

constexpr int kIndexCheckpointPages = 4'000;

// What a term is about. Never change: it is hashed.
constexpr char kCategory = 'c';
constexpr char kType = 't';
constexpr char kTag = 'g';
constexpr char kCorrelation = 'r';

Term TermOf(char kind, std::string_view text) {
  std::uint64_t hash = 0xCBF2'9CE4'8422'2325;
  const auto add = [&](char c) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x0000'0100'0000'01B3;
  };
  add(kind);
  for (const char c : text) add(c);
  return static_cast<Term>(hash);
}

Term TermOf(const Tag& tag) { return TermOf(kTag, EncodeTags({tag})); }

// Field `correlation_id` of an EventMetadata, without parsing the rest.
std::string CorrelationIn(std::string_view metadata) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(metadata.data()),
                                            static_cast<int>(metadata.size()));
  std::string correlation;
  while (const std::uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagFieldNumber(tag) ==
            core::v1::EventMetadata::kCorrelationIdFieldNumber &&
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::ReadBytes(&in, &correlation)) break;
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      break;
    }
  }
  return correlation;
}

void RemoveFile(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    fs::remove(path + suffix, ignored);
  }
}

// Brings the ids that are in the file into the filter, some in each task. It outlives the index if
// its executor does. A file that cannot be read now leaves the filter incomplete: then each id is
// looked for in the file, as it is before.
class FilterFill : public std::enable_shared_from_this<FilterFill> {
 public:
  FilterFill(std::string path, std::shared_ptr<CommandFilter> filter,
             const LogIndex::Options& options)
      : path_(std::move(path)),
        filter_(std::move(filter)),
        executor_(*options.behind),
        batch_(static_cast<std::int64_t>(options.batch)) {}

  void Post() {
    executor_.Post([self = shared_from_this()] { self->AddSome(); });
  }

 private:
  void AddSome() {
    auto connection = sql::Connection::Open(path_, {.application_id = kIndexApplicationId});
    if (!connection.ok()) return;
    std::int64_t added = 0;
    {
      Rows rows = Ask(**connection,
                      "SELECT command_id FROM command_ids WHERE command_id > ? "
                      "ORDER BY command_id LIMIT ?",
                      last_, batch_);
      for (; rows.Next(); ++added) filter_->Add(last_ = rows.Text(0));
    }
    if (!(*connection)->status().ok()) return;
    added < batch_ ? filter_->SetComplete() : Post();
  }

  const std::string path_;
  const std::shared_ptr<CommandFilter> filter_;
  Executor& executor_;
  const std::int64_t batch_;
  std::string last_;  // Of those that were added.
};

bool Better(std::int64_t found, std::int64_t best, Direction direction) {
  return direction == Direction::kForward ? found < best : found > best;
}

}  // namespace

int NewestIndexFormat() { return static_cast<int>(std::size(kIndexMigrations)); }

IndexProgress ReadIndexProgress(sql::Connection& connection) {
  IndexProgress progress;
  Rows rows(connection.Prepare("SELECT position, command, chain FROM progress"));
  if (!rows.Next()) return progress;
  progress.position = Position{rows.Int(0)};
  progress.command = rows.Int(1);
  const std::string_view chain = rows.Blob(2);
  std::copy_n(chain.begin(), std::min(chain.size(), progress.chain.size()), progress.chain.begin());
  return progress;
}

Terms TermsOf(std::string_view stream, std::string_view type, const std::vector<Tag>& tags,
              std::string_view metadata) {
  Terms terms = {TermOf(kCategory, CategoryOf(stream)), TermOf(kType, type)};
  for (const Tag& tag : tags) terms.push_back(TermOf(tag));
  const std::string correlation = CorrelationIn(metadata);
  if (!correlation.empty()) terms.push_back(TermOf(kCorrelation, correlation));
  std::sort(terms.begin(), terms.end());
  terms.erase(std::unique(terms.begin(), terms.end()), terms.end());
  return terms;
}

std::string NameOfTerm(std::string_view stream, std::string_view type, const std::vector<Tag>& tags,
                       std::string_view metadata, Term term) {
  if (term == TermOf(kCategory, CategoryOf(stream)))
    return fmt::format("category {}", CategoryOf(stream));
  if (term == TermOf(kType, type)) return fmt::format("type {}", type);
  for (const Tag& tag : tags) {
    if (term == TermOf(tag)) return fmt::format("tag {}={}", tag.key, tag.value);
  }
  return fmt::format("correlation id {}", CorrelationIn(metadata));
}

TermQuery QueryOf(const EventFilter& filter) {
  TermGroups common;
  if (!filter.correlation_id.empty())
    common.push_back({TermOf(kCorrelation, filter.correlation_id)});
  std::vector<Term> categories;
  for (const std::string& category : filter.categories)
    categories.push_back(TermOf(kCategory, category));
  const std::string& name = filter.stream.empty() ? filter.stream_prefix : filter.stream;
  if (categories.empty() && name.find('-') != std::string::npos)
    categories.push_back(TermOf(kCategory, CategoryOf(name)));
  if (!categories.empty()) common.push_back(std::move(categories));
  if (filter.items.empty()) return common.empty() ? TermQuery{} : TermQuery{{std::move(common)}};
  TermQuery query = QueryOf(filter.items);
  if (query.alternatives.empty() && !common.empty()) query.alternatives.emplace_back();
  for (TermGroups& groups : query.alternatives)
    groups.insert(groups.end(), common.begin(), common.end());
  return query;
}

TermQuery QueryOf(const std::vector<QueryItem>& items) {
  TermQuery query;
  for (const QueryItem& item : items) {
    if (item.tags.empty() && item.types.empty()) return {};
    TermGroups& groups = query.alternatives.emplace_back();
    for (const Tag& tag : item.tags) groups.push_back({TermOf(tag)});
    if (item.types.empty()) continue;
    std::vector<Term>& types = groups.emplace_back();
    for (const std::string& type : item.types) types.push_back(TermOf(kType, type));
  }
  return query;
}

// Looks terms up in the file and in memory as one.
class LogIndex::Seeker {
 public:
  Seeker(LogIndex& index, sql::Connection& connection, Direction direction)
      : index_(index), connection_(connection), direction_(direction) {}

  // The nearest position at or beyond `from` that has a term of each group: whichever group has
  // none at the candidate moves it on ("leapfrog").
  LogIndex::Search SeekAll(const TermGroups& groups, std::int64_t from, std::int64_t& lookups) {
    const std::int64_t begin = from;
    std::size_t agreeing = 0;
    for (std::size_t i = 0; agreeing < groups.size(); i = (i + 1) % groups.size()) {
      if (lookups <= 0 && from != begin) return {std::nullopt, Position{from - Onward()}};
      lookups -= static_cast<std::int64_t>(groups[i].size());
      const auto found = SeekAny(groups[i], from);
      if (!found) return {std::nullopt, End(direction_)};
      agreeing = *found == from ? agreeing + 1 : 1;
      from = *found;
    }
    return {Position{from}, Position{from}};
  }

  static Position End(Direction direction) {
    return direction == Direction::kForward ? Position{std::numeric_limits<std::int64_t>::max()}
                                            : Position{1};
  }

 private:
  std::int64_t Onward() const { return direction_ == Direction::kForward ? 1 : -1; }

  std::optional<std::int64_t> SeekAny(const std::vector<Term>& terms, std::int64_t from) {
    std::optional<std::int64_t> best;
    for (const Term term : terms) {
      const auto found = Seek(term, from);
      if (found && (!best || Better(*found, *best, direction_))) best = found;
      if (best == from) break;
    }
    return best;
  }

  std::optional<std::int64_t> Seek(Term term, std::int64_t from) {
    const bool forward = direction_ == Direction::kForward;
    std::int64_t in_file = 0;
    std::optional<std::int64_t> in_memory;
    {
      // Together: what leaves memory is in the file by then.
      MutexLock lock(index_.mu_);
      in_file = index_.in_file_.position.value;
      for (const Tail* tail : {&index_.flushing_, &index_.growing_}) {
        const auto found = SeekIn(*tail, term, forward ? std::max(from, in_file + 1) : from);
        if (found && *found > in_file && (!in_memory || Better(*found, *in_memory, direction_)))
          in_memory = found;
      }
    }
    if (forward) {
      if (from > in_file) return in_memory;
      const auto run = RunFrom(term, from, in_file);
      return run ? std::max(run->first, from) : in_memory;
    }
    if (in_memory) return in_memory;
    from = std::min(from, in_file);
    if (const auto run = RunFrom(term, from, in_file); run && run->first <= from) return from;
    Rows rows = Ask(connection_,
                    "SELECT last FROM term_runs WHERE term = ? AND last < ? "
                    "ORDER BY last DESC LIMIT 1",
                    term, from);
    return rows.Next() ? std::optional<std::int64_t>(rows.Int(0)) : std::nullopt;
  }

  // The first one in the file that ends at `from` or later.
  std::optional<PositionRun> RunFrom(Term term, std::int64_t from, std::int64_t in_file) {
    Rows rows = Ask(connection_,
                    "SELECT first, last FROM term_runs WHERE term = ? AND last >= ? "
                    "AND last <= ? ORDER BY last LIMIT 1",
                    term, from, in_file);
    if (!rows.Next()) return std::nullopt;
    return PositionRun{rows.Int(0), rows.Int(1)};
  }

  std::optional<std::int64_t> SeekIn(const Tail& tail, Term term, std::int64_t from) const {
    const auto it = tail.terms.find(term);
    if (it == tail.terms.end()) return std::nullopt;
    const std::vector<PositionRun>& runs = it->second;
    const auto at =
        std::lower_bound(runs.begin(), runs.end(), from,
                         [](const PositionRun& run, std::int64_t p) { return run.last < p; });
    const bool inside = at != runs.end() && at->first <= from;
    if (inside) return from;
    if (direction_ == Direction::kForward)
      return at == runs.end() ? std::nullopt : std::optional<std::int64_t>(at->first);
    return at == runs.begin() ? std::nullopt : std::optional<std::int64_t>(std::prev(at)->last);
  }

  LogIndex& index_;
  sql::Connection& connection_;
  const Direction direction_;
};

LogIndex::LogIndex(const std::string& folder, const Options& options, IndexSource& source)
    : path_(folder + "/index.db"),
      options_(options),
      source_(source),
      readers_(path_, kIndexApplicationId),
      filter_(std::make_shared<CommandFilter>(CommandFilter::Options{})) {}
LogIndex::~LogIndex() = default;

absl::StatusOr<std::unique_ptr<LogIndex>> LogIndex::Open(const std::string& folder,
                                                         const Options& options,
                                                         IndexSource& source) {
  std::unique_ptr<LogIndex> index(new LogIndex(folder, options, source));
  if (options.mode == Mode::kReadOnly) {
    index->TakeFile();
    return index;
  }
  MutexLock file(index->file_mu_);
  const absl::Status brought = index->BringUpToEnd();
  if (absl::IsResourceExhausted(brought)) return brought;
  if (!brought.ok()) {
    index->writer_.reset();
    RemoveFile(index->path_);
    LEFTFOLD_RETURN_IF_ERROR(index->BringUpToEnd());
  }
  if (!index->filter_->complete())
    std::make_shared<FilterFill>(index->path_, index->filter_, options)->Post();
  MutexLock lock(index->mu_);
  index->through_ = index->in_file_;
  return index;
}

absl::Status LogIndex::BringUpToEnd() {
  LEFTFOLD_RETURN_IF_ERROR(OpenFile());
  while (true) {
    IndexProgress from;
    {
      MutexLock lock(mu_);
      from = in_file_;
    }
    auto read = source_.ReadAfter(from, options_.batch);
    if (!read.ok()) return read.status();
    Tail tail;
    tail.Add(std::move(read->first), read->second);
    if (tail.size == 0) break;
    LEFTFOLD_RETURN_IF_ERROR(Flush(tail));
  }
  // Damage that every look for an id would meet is met here, where the file is made again.
  writer_->Value("SELECT max(command_id) FROM command_ids");
  return writer_->status();
}

absl::Status LogIndex::Read(const std::function<void(sql::Connection&)>& read) {
  const absl::Status status = readers_.Read(read);
  if (absl::IsDataLoss(status) && options_.mode == Mode::kWrite) Discard(status);
  return status;
}

void LogIndex::Discard(const absl::Status& damage) {
  RemoveFile(path_);
  Die(fmt::format("{}; it was deleted: the next start makes it again from the log",
                  ToStd(damage.message())));
}

// Of a file that is missing, of another format or of another log nothing is taken.
void LogIndex::TakeFile() {
  IndexProgress progress;
  bool today = false;
  const absl::Status read = Read([&](sql::Connection& connection) {
    progress = ReadIndexProgress(connection);
    today = connection.Value("PRAGMA user_version") == NewestIndexFormat();
  });
  const auto fits = source_.Fits(progress);
  MutexLock lock(mu_);
  if (read.ok() && today && fits.ok() && *fits) in_file_ = through_ = progress;
}

absl::Status LogIndex::OpenFile() {
  auto writer = sql::Connection::Open(path_, {.role = sql::Role::kWriter,
                                              .autocheckpoint_pages = kIndexCheckpointPages,
                                              .cache_kib = 16'384,
                                              .application_id = kIndexApplicationId});
  if (!writer.ok()) return writer.status();
  writer_ = *std::move(writer);
  LEFTFOLD_RETURN_IF_ERROR(writer_->Migrate(kIndexMigrations, NewestIndexFormat()));
  const IndexProgress progress = ReadIndexProgress(*writer_);
  LEFTFOLD_RETURN_IF_ERROR(writer_->status());
  const auto fits = source_.Fits(progress);
  if (!fits.ok()) return fits.status();
  if (!*fits) return Error(absl::StatusCode::kDataLoss, "{} is of another log", path_);
  filter_ = std::make_shared<CommandFilter>(
      CommandFilter::Options{.ids = static_cast<std::size_t>(progress.command)});
  if (progress.command == 0) filter_->SetComplete();
  MutexLock lock(mu_);
  in_file_ = progress;
  return absl::OkStatus();
}

void LogIndex::Tail::Add(IndexBatch batch, const IndexProgress& reaches) {
  for (const IndexedEvent& event : batch.events) {
    for (const Term term : event.terms) {
      std::vector<PositionRun>& runs = terms[term];
      if (runs.empty() || runs.back().last + 1 != event.position.value) {
        runs.push_back({event.position.value, event.position.value});
      } else {
        runs.back().last = event.position.value;
      }
    }
    auto [stream, added] = streams.try_emplace(event.stream);
    if (added) stream->second.first_version = event.version.value;
    stream->second.positions.push_back(event.position.value);
  }
  for (IndexedCommand& command : batch.commands)
    commands.emplace(std::move(command.command_id), command.number);
  size += batch.events.size() + batch.commands.size();
  through = reaches;
}

std::vector<StreamRun> LogIndex::RunsOf(const StreamTail& stream) {
  std::vector<StreamRun> runs;
  std::int64_t version = stream.first_version;
  for (const std::int64_t position : stream.positions) {
    if (runs.empty() || runs.back().last_position + 1 != position) runs.emplace_back();
    runs.back() = {version++, position, runs.back().events + 1};
  }
  return runs;
}

// In the order of the keys, so that each page is touched once.
absl::Status LogIndex::Flush(const Tail& tail) {
  const auto sorted = [](const auto& map) {
    std::vector<const typename std::decay_t<decltype(map)>::value_type*> entries;
    entries.reserve(map.size());
    for (const auto& entry : map) entries.push_back(&entry);
    std::sort(entries.begin(), entries.end(),
              [](const auto* a, const auto* b) { return a->first < b->first; });
    return entries;
  };
  const auto commands = sorted(tail.commands);
  LEFTFOLD_RETURN_IF_ERROR(writer_->Begin());
  for (const auto* term : sorted(tail.terms)) {
    for (const PositionRun& run : term->second) {
      Cursor& insert = writer_->Prepare("INSERT INTO term_runs VALUES (?, ?, ?)");
      insert.Bind(1, term->first);
      insert.Bind(2, run.last);
      insert.Bind(3, run.first);
      insert.Step();
    }
  }
  for (const auto* stream : sorted(tail.streams)) {
    for (const StreamRun& run : RunsOf(stream->second)) {
      Cursor& insert = writer_->Prepare("INSERT INTO stream_runs VALUES (?, ?, ?, ?)");
      insert.Bind(1, stream->first);
      insert.Bind(2, run.last_version);
      insert.Bind(3, run.last_position);
      insert.Bind(4, run.events);
      insert.Step();
    }
  }
  for (const auto* command : commands) {
    Cursor& insert = writer_->Prepare("INSERT INTO command_ids VALUES (?, ?)");
    insert.BindText(1, command->first);
    insert.Bind(2, command->second);
    insert.Step();
  }
  Cursor& progress = writer_->Prepare("INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?)");
  progress.Bind(1, tail.through.position.value);
  progress.Bind(2, tail.through.command);
  progress.BindBlob(3, AsBytes(tail.through.chain));
  progress.Step();
  progress.Reset();
  if (absl::Status committed = writer_->Commit(); !committed.ok()) {
    writer_->Rollback();
    return committed;
  }
  for (const auto* command : commands) filter_->Add(command->first);
  MutexLock lock(mu_);
  in_file_ = tail.through;
  return absl::OkStatus();
}

void LogIndex::FlushBehind() {
  MutexLock file(file_mu_);
  const Tail* tail = nullptr;
  {
    MutexLock lock(mu_);
    if (flushing_.size == 0) std::swap(flushing_, growing_);
    tail = &flushing_;  // Changed with file_mu_ only.
  }
  const absl::Status flushed = tail->size == 0 ? absl::OkStatus() : Flush(*tail);
  // With a full disk, what is in memory stays there and is tried again with a later commit.
  if (!flushed.ok() && !absl::IsResourceExhausted(flushed)) {
    if (absl::IsDataLoss(flushed) && ReasonOf(flushed).empty()) Discard(flushed);
    Die(fmt::format("{} cannot be written: {}; stop, delete it: it is made again from the log",
                    path_, ToStd(flushed.message())));
  }
  Tail done;
  MutexLock lock(mu_);
  flush_posted_ = false;
  if (flushed.ok()) std::swap(done, flushing_);
}

void LogIndex::Add(IndexBatch batch, const IndexProgress& through) {
  bool full = false;
  bool post = false;
  {
    MutexLock lock(mu_);
    growing_.Add(std::move(batch), through);
    through_ = through;
    full = growing_.size >= kIndexTailBatchesMax * options_.batch;
    post = growing_.size >= options_.batch && !std::exchange(flush_posted_, true);
  }
  if (full) return FlushBehind();
  if (post) options_.behind->Post([this] { FlushBehind(); });
}

IndexProgress LogIndex::Through() {
  MutexLock lock(mu_);
  return through_;
}

absl::StatusOr<std::optional<std::int64_t>> LogIndex::FindCommand(std::string_view command_id) {
  {
    MutexLock lock(mu_);
    for (const Tail* tail : {&growing_, &flushing_}) {
      const auto it = tail->commands.find(ToAbsl(command_id));
      if (it != tail->commands.end()) return it->second;
    }
    if (in_file_.command == 0) return std::nullopt;
  }
  if (!filter_->MayHave(command_id)) return std::nullopt;
  std::optional<std::int64_t> number;
  const absl::Status read = Read([&](sql::Connection& connection) {
    Cursor& find = connection.Prepare("SELECT number FROM command_ids WHERE command_id = ?");
    find.BindText(1, command_id);
    Rows rows(find);
    if (rows.Next()) number = rows.Int(0);
  });
  if (!read.ok()) return read;
  return number;
}

LogIndex::StreamTail LogIndex::InMemory(std::int64_t stream) {
  StreamTail found;
  MutexLock lock(mu_);
  for (const Tail* tail : {&flushing_, &growing_}) {
    const auto it = tail->streams.find(stream);
    if (it == tail->streams.end()) continue;
    if (found.positions.empty()) found.first_version = it->second.first_version;
    found.positions.insert(found.positions.end(), it->second.positions.begin(),
                           it->second.positions.end());
  }
  return found;
}

// A reader beside the writer goes by what the file held when it was opened.
std::int64_t LogIndex::FileBound() {
  if (options_.mode == Mode::kWrite) return std::numeric_limits<std::int64_t>::max();
  return Through().position.value;
}

absl::StatusOr<Version> LogIndex::LastVersion(std::int64_t stream) {
  {
    MutexLock lock(mu_);
    for (const Tail* tail : {&growing_, &flushing_}) {
      const auto it = tail->streams.find(stream);
      if (it == tail->streams.end()) continue;
      return Version{it->second.first_version + std::ssize(it->second.positions) - 1};
    }
  }
  Version last = kNoEventYet;
  const std::int64_t bound = FileBound();
  const absl::Status read = Read([&](sql::Connection& connection) {
    Cursor& find = connection.Prepare(
        "SELECT last_version FROM stream_runs WHERE stream = ? AND last_position <= ? "
        "ORDER BY last_version DESC LIMIT 1");
    find.Bind(1, stream);
    find.Bind(2, bound);
    Rows rows(find);
    if (rows.Next()) last = Version{rows.Int(0)};
  });
  if (!read.ok()) return read;
  return last;
}

absl::StatusOr<std::vector<Position>> LogIndex::StreamPositions(std::int64_t stream, Version from,
                                                                Direction direction,
                                                                std::size_t count) {
  // Memory first: what leaves it meanwhile is in the file, too, but is not taken twice.
  const StreamTail memory = InMemory(stream);
  const std::int64_t in_memory = std::ssize(memory.positions);
  const std::int64_t first_in_memory =
      in_memory == 0 ? std::numeric_limits<std::int64_t>::max() : memory.first_version;
  std::vector<Position> positions;
  const auto read_file = [&](std::string_view sql, std::int64_t low, std::int64_t high) {
    if (low > high) return absl::OkStatus();
    return Read([&](sql::Connection& connection) {
      Rows rows = Ask(connection, sql, stream, low, high, FileBound());
      while (positions.size() < count && rows.Next()) {
        const StreamRun run{rows.Int(0), rows.Int(1), rows.Int(2)};
        const std::int64_t first = std::max(low, run.last_version - run.events + 1);
        const std::int64_t last = std::min(high, run.last_version);
        for (std::int64_t i = first; i <= last && positions.size() < count; ++i) {
          const std::int64_t version = direction == Direction::kForward ? i : last - (i - first);
          positions.push_back(Position{run.last_position - (run.last_version - version)});
        }
      }
    });
  };
  if (direction == Direction::kForward) {
    LEFTFOLD_RETURN_IF_ERROR(
        read_file("SELECT last_version, last_position, events FROM stream_runs "
                  "WHERE stream = ?1 AND last_version >= ?2 AND last_position <= ?4 "
                  "AND last_version - events < ?3 ORDER BY last_version",
                  from.value, first_in_memory - 1));
    std::int64_t i = std::max<std::int64_t>(0, from.value - memory.first_version);
    for (; i < in_memory && positions.size() < count; ++i)
      positions.push_back(Position{memory.positions[static_cast<std::size_t>(i)]});
    return positions;
  }
  std::int64_t i = std::min(in_memory - 1, from.value - memory.first_version);
  for (; i >= 0 && positions.size() < count; --i)
    positions.push_back(Position{memory.positions[static_cast<std::size_t>(i)]});
  LEFTFOLD_RETURN_IF_ERROR(
      read_file("SELECT last_version, last_position, events FROM stream_runs "
                "WHERE stream = ?1 AND last_version >= ?2 AND last_position <= ?4 "
                "AND last_version <= ifnull((SELECT min(last_version) FROM stream_runs "
                "WHERE stream = ?1 AND last_version >= ?3), 9223372036854775807) "
                "ORDER BY last_version DESC",
                0, std::min(from.value, first_in_memory - 1)));
  return positions;
}

absl::StatusOr<LogIndex::Search> LogIndex::Find(const TermQuery& query, Position from,
                                                Direction direction, std::int64_t& lookups) {
  // The nearest of what the alternatives say, found or not, is as far as all of them have looked.
  Search nearest{std::nullopt, Seeker::End(direction)};
  const absl::Status read = Read([&](sql::Connection& connection) {
    Seeker seeker(*this, connection, direction);
    for (const TermGroups& groups : query.alternatives) {
      const Search search = seeker.SeekAll(groups, from.value, lookups);
      const bool same = search.through == nearest.through && !nearest.found;
      if (same || Better(search.through.value, nearest.through.value, direction)) nearest = search;
    }
  });
  if (!read.ok()) return read;
  return nearest;
}

}  // namespace leftfold
