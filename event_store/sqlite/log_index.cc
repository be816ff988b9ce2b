#include "event_store/sqlite/log_index.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/reject.h"
#include "core/status.h"

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
)sql"};

constexpr int kIndexCheckpointPages = 4'000;
constexpr std::size_t kFenceBytes = 2;

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

bool Better(std::int64_t found, std::int64_t best, Direction direction) {
  return direction == Direction::kForward ? found < best : found > best;
}

}  // namespace

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

std::vector<Term> TermsOf(std::string_view stream, std::string_view type,
                          const std::vector<Tag>& tags, std::string_view metadata) {
  std::vector<Term> terms = {TermOf(kCategory, CategoryOf(stream)), TermOf(kType, type)};
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
      Rows rows =
          Row("SELECT position FROM postings WHERE term = ? AND position >= ? AND "
              "position <= ? ORDER BY position LIMIT 1",
              term, from, in_file);
      return rows.Next() ? std::optional<std::int64_t>(rows.Int(0)) : in_memory;
    }
    if (in_memory) return in_memory;
    Rows rows =
        Row("SELECT position FROM postings WHERE term = ? AND position >= ? AND "
            "position <= ? ORDER BY position DESC LIMIT 1",
            term, 0, std::min(from, in_file));
    return rows.Next() ? std::optional<std::int64_t>(rows.Int(0)) : std::nullopt;
  }

  std::optional<std::int64_t> SeekIn(const Tail& tail, Term term, std::int64_t from) const {
    const auto it = tail.postings.find(term);
    if (it == tail.postings.end()) return std::nullopt;
    const std::vector<std::int64_t>& positions = it->second;
    if (direction_ == Direction::kForward) {
      const auto at = std::lower_bound(positions.begin(), positions.end(), from);
      return at == positions.end() ? std::nullopt : std::optional<std::int64_t>(*at);
    }
    const auto after = std::upper_bound(positions.begin(), positions.end(), from);
    return after == positions.begin() ? std::nullopt
                                      : std::optional<std::int64_t>(*std::prev(after));
  }

  Rows Row(std::string_view sql, Term term, std::int64_t low, std::int64_t high) {
    Cursor& cursor = connection_.Prepare(sql);
    cursor.Bind(1, term);
    cursor.Bind(2, low);
    cursor.Bind(3, high);
    return Rows(cursor);
  }

  LogIndex& index_;
  sql::Connection& connection_;
  const Direction direction_;
};

LogIndex::LogIndex(const std::string& folder, const Options& options, IndexSource& source)
    : path_(folder + "/index.db"),
      options_(options),
      source_(source),
      readers_(path_, kIndexApplicationId) {}
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
  MutexLock lock(index->mu_);
  index->through_ = index->in_file_;
  return index;
}

absl::Status LogIndex::BringUpToEnd() {
  LEFTFOLD_RETURN_IF_ERROR(OpenFile());
  while (true) {
    const auto more = FlushOnce();
    if (!more.ok()) return more.status();
    if (!*more) break;
  }
  LoadFences();
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

// Of a file that is missing or of another log nothing is taken.
void LogIndex::TakeFile() {
  IndexProgress progress;
  const absl::Status read =
      Read([&](sql::Connection& connection) { progress = ReadIndexProgress(connection); });
  const auto fits = source_.Fits(progress);
  MutexLock lock(mu_);
  if (read.ok() && fits.ok() && *fits) in_file_ = through_ = progress;
}

absl::Status LogIndex::OpenFile() {
  auto writer = sql::Connection::Open(path_, {.role = sql::Role::kWriter,
                                              .autocheckpoint_pages = kIndexCheckpointPages,
                                              .cache_kib = 16'384,
                                              .application_id = kIndexApplicationId});
  if (!writer.ok()) return writer.status();
  writer_ = *std::move(writer);
  LEFTFOLD_RETURN_IF_ERROR(
      writer_->Migrate(kIndexMigrations, static_cast<int>(std::size(kIndexMigrations))));
  const IndexProgress progress = ReadIndexProgress(*writer_);
  LEFTFOLD_RETURN_IF_ERROR(writer_->status());
  const auto fits = source_.Fits(progress);
  if (!fits.ok()) return fits.status();
  if (!*fits) return Error(absl::StatusCode::kDataLoss, "{} is of another log", path_);
  MutexLock lock(mu_);
  in_file_ = progress;
  return absl::OkStatus();
}

void LogIndex::LoadFences() {
  std::string bound;
  MutexLock lock(mu_);
  fences_.clear();
  while (true) {
    Cursor& largest =
        bound.empty()
            ? writer_->Prepare("SELECT max(command_id) FROM command_ids")
            : writer_->Prepare("SELECT max(command_id) FROM command_ids WHERE command_id < ?");
    if (!bound.empty()) largest.BindText(1, bound);
    Rows rows(largest);
    if (!rows.Next() || rows.IsNull(0)) return;
    const std::string id = rows.Text(0);
    bound = id.substr(0, kFenceBytes);
    fences_[bound] = id;
  }
}

absl::StatusOr<bool> LogIndex::FlushOnce() {
  IndexProgress from;
  {
    MutexLock lock(mu_);
    from = in_file_;
  }
  auto read = source_.ReadAfter(from, options_.batch);
  if (!read.ok()) return read.status();
  auto& [batch, through] = *read;
  if (batch.events.empty() && batch.commands.empty()) return false;
  std::vector<std::pair<Term, std::int64_t>> postings;
  for (const IndexedEvent& event : batch.events) {
    for (const Term term : event.terms) postings.emplace_back(term, event.position.value);
  }
  // In the order of the keys, so that each page is touched once.
  std::sort(postings.begin(), postings.end());
  std::sort(batch.commands.begin(), batch.commands.end(),
            [](const auto& a, const auto& b) { return a.command_id < b.command_id; });
  LEFTFOLD_RETURN_IF_ERROR(writer_->Begin());
  for (const auto& [term, position] : postings) {
    Cursor& insert = writer_->Prepare("INSERT INTO postings VALUES (?, ?)");
    insert.Bind(1, term);
    insert.Bind(2, position);
    insert.Step();
  }
  std::sort(batch.events.begin(), batch.events.end(), [](const auto& a, const auto& b) {
    return std::pair(a.stream, a.version) < std::pair(b.stream, b.version);
  });
  for (const IndexedEvent& event : batch.events) {
    Cursor& insert = writer_->Prepare("INSERT INTO stream_events VALUES (?, ?, ?)");
    insert.Bind(1, event.stream);
    insert.Bind(2, event.version.value);
    insert.Bind(3, event.position.value);
    insert.Step();
  }
  for (const IndexedCommand& command : batch.commands) {
    Cursor& insert = writer_->Prepare("INSERT INTO command_ids VALUES (?, ?)");
    insert.BindText(1, command.command_id);
    insert.Bind(2, command.number);
    insert.Step();
  }
  Cursor& progress = writer_->Prepare("INSERT OR REPLACE INTO progress VALUES (1, ?, ?, ?)");
  progress.Bind(1, through.position.value);
  progress.Bind(2, through.command);
  progress.BindBlob(3, AsBytes(through.chain));
  progress.Step();
  progress.Reset();
  if (absl::Status committed = writer_->Commit(); !committed.ok()) {
    writer_->Rollback();
    return committed;
  }
  MutexLock lock(mu_);
  in_file_ = through;
  for (const IndexedCommand& command : batch.commands) {
    std::string& fence = fences_[command.command_id.substr(0, kFenceBytes)];
    fence = std::max(fence, command.command_id);
  }
  return true;
}

void LogIndex::FlushBehind() {
  MutexLock file(file_mu_);
  IndexProgress target;
  {
    MutexLock lock(mu_);
    if (flushing_.size == 0) std::swap(flushing_, growing_);
    target = through_;
  }
  absl::Status flushed;
  while (true) {
    const auto more = FlushOnce();
    flushed = more.status();
    if (!more.ok() || !*more) break;
    MutexLock lock(mu_);
    if (in_file_.Covers(target)) break;
  }
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

void LogIndex::Add(const IndexBatch& batch, const IndexProgress& through) {
  bool full = false;
  bool post = false;
  {
    MutexLock lock(mu_);
    for (const IndexedEvent& event : batch.events) {
      for (const Term term : event.terms) growing_.postings[term].push_back(event.position.value);
      auto [stream, added] = growing_.streams.try_emplace(event.stream);
      if (added) stream->second.first_version = event.version.value;
      stream->second.positions.push_back(event.position.value);
    }
    for (const IndexedCommand& command : batch.commands)
      growing_.commands.emplace(command.command_id, command.number);
    growing_.size += batch.events.size() + batch.commands.size();
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
    const auto fence = fences_.find(std::string(command_id.substr(0, kFenceBytes)));
    const bool beyond = fence == fences_.end() || command_id > fence->second;
    if (options_.mode == Mode::kWrite && beyond) return std::nullopt;
  }
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
        "SELECT version FROM stream_events WHERE stream = ? AND position <= ? "
        "ORDER BY version DESC LIMIT 1");
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
  const std::int64_t bound = FileBound();
  std::vector<Position> positions;
  const auto read_file = [&](std::string_view sql, std::int64_t low, std::int64_t high) {
    if (low > high) return absl::OkStatus();
    return Read([&](sql::Connection& connection) {
      Cursor& find = connection.Prepare(sql);
      find.Bind(1, stream);
      find.Bind(2, low);
      find.Bind(3, high);
      find.Bind(4, bound);
      for (Rows rows(find); positions.size() < count && rows.Next();)
        positions.push_back(Position{rows.Int(0)});
    });
  };
  if (direction == Direction::kForward) {
    LEFTFOLD_RETURN_IF_ERROR(
        read_file("SELECT position FROM stream_events WHERE stream = ? AND version >= ? AND "
                  "version <= ? AND position <= ? ORDER BY version",
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
      read_file("SELECT position FROM stream_events WHERE stream = ? AND version >= ? AND "
                "version <= ? AND position <= ? ORDER BY version DESC",
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
