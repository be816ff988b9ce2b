#include "event_store/sqlite/verify_log_index.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <tuple>

#include "core/status.h"

namespace leftfold {
namespace {

// Rows that one read of a table of the index takes: it is a transaction, too.
constexpr std::int64_t kIndexPageRows = 10'000;
constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

using Pair = std::tuple<std::int64_t, std::int64_t>;
using Id = std::tuple<std::string>;

// Hands over each row of a table, as key and last column: for what position or number it is.
// `sql` reads a page in the order of the key, from a key on, that one included. Until `visit`
// returns false.
template <class Key, class KeyOf, class Visit>
void WalkTable(sql::Connection& index, std::string_view sql, Key from, const KeyOf& key_of,
               const Visit& visit) {
  for (bool first = true, more = true; more; first = false) {
    const Key begin = from;
    more = false;
    Rows rows = std::apply(
        [&](const auto&... key) { return Ask(index, sql, key..., kIndexPageRows); }, begin);
    while (rows.Next()) {
      from = key_of(rows);
      if (!first && from == begin) continue;
      more = true;
      if (!visit(from, rows)) return;
    }
  }
}

bool IsRun(const StreamRun& run) {
  return run.events >= 1 && run.last_position >= run.events && run.last_version >= run.events - 1;
}
bool IsRun(const PositionRun& run) { return 1 <= run.first && run.first <= run.last; }

template <class Visit>
void WalkPlaces(sql::Connection& index, const Visit& visit) {
  WalkTable(
      index,
      "SELECT stream, last_version, last_position, events FROM stream_runs "
      "WHERE (stream, last_version) >= (?, ?) ORDER BY stream, last_version LIMIT ?",
      Pair(kLeast, kLeast), [](const Rows& row) { return Pair(row.Int(0), row.Int(1)); },
      [&](const Pair& key, const Rows& row) {
        return visit(std::get<0>(key), StreamRun{std::get<1>(key), row.Int(2), row.Int(3)});
      });
}

template <class Visit>
void WalkPostings(sql::Connection& index, const Visit& visit) {
  WalkTable(
      index,
      "SELECT term, last, first FROM term_runs WHERE (term, last) >= (?, ?) "
      "ORDER BY term, last LIMIT ?",
      Pair(kLeast, kLeast), [](const Rows& row) { return Pair(row.Int(0), row.Int(1)); },
      [&](const Pair& key, const Rows& row) {
        return visit(std::get<0>(key), PositionRun{row.Int(2), std::get<1>(key)});
      });
}

template <class Visit>
void WalkIds(sql::Connection& index, const Visit& visit) {
  WalkTable(
      index,
      "SELECT command_id, number FROM command_ids WHERE command_id >= ? ORDER BY command_id "
      "LIMIT ?",
      Id(""), [](const Rows& row) { return Id(row.Text(0)); },
      [&](const Id& key, const Rows& row) { return visit(std::get<0>(key), row.Int(1)); });
}

}  // namespace

IndexChecker::IndexChecker(const std::string& folder, LogFileReader& log, const LogExtent& extent,
                           Options options)
    : log_(log),
      options_(std::move(options)),
      position_(extent.head.position),
      command_(extent.command_number) {
  Start(folder);
}

// What is wrong with the file itself comes first: then it does not say what its rows are.
void IndexChecker::Fault(std::string what) {
  if (!status_.ok()) return;
  const bool readable = index_ == nullptr || index_->status().ok();
  status_ = readable ? Error(absl::StatusCode::kDataLoss, "{}", what) : index_->status();
}

void IndexChecker::TakeStatus() {
  if (!index_->status().ok()) Fault("");
}

void IndexChecker::Start(const std::string& folder) {
  const std::string path = folder + "/index.db";
  std::error_code error;
  there_ = std::filesystem::exists(path, error);
  position_ = there_ ? position_ : kBeforeFirst;
  if (!there_) return;
  auto opened = sql::Connection::Open(path, {.application_id = kIndexApplicationId});
  status_ = opened.status();
  if (!status_.ok()) return;
  index_ = *std::move(opened);
  if (index_->Value("PRAGMA user_version") < NewestIndexFormat() && index_->status().ok()) {
    there_ = false;  // Of an earlier version: the next start makes it again.
    position_ = kBeforeFirst;
    return index_.reset();
  }
  for (const char* table : {"progress", "stream_runs", "term_runs", "command_ids"}) {
    const std::int64_t tables =
        index_->Value(fmt::format("SELECT count(*) FROM sqlite_schema WHERE name = '{}'", table));
    if (tables == 0) return Fault(fmt::format("there is no such table: {}", table));
  }
  const IndexProgress progress = ReadIndexProgress(*index_);
  if (!index_->status().ok()) return TakeStatus();
  const auto chain = log_.ChainAt(progress.position);
  const std::int64_t commands = log_.connection().Value("SELECT max(number) FROM commands");
  const bool none = progress.position == kBeforeFirst;
  const bool fits = none || (chain.ok() && *chain && **chain == progress.chain);
  if (!fits || progress.command > commands) {
    return Fault(fmt::format("it says to hold position {} and command number {} of another log",
                             progress.position.value, progress.command));
  }
  position_ = std::min(position_, progress.position);
  command_ = std::min(command_, progress.command);
}

void IndexChecker::Add(const RecordedEvent& event) {
  if (done() || event.position > position_) return;
  page_end_ = event.position;
  for (const Term term : TermsOf(event.stream, event.type, event.tags, event.metadata))
    postings_.emplace_back(term, event.position.value);
}

void IndexChecker::Add(const NumberedCommand& command) {
  if (done() || command.number > command_) return;
  commands_.emplace_back(command.command.record.command_id, command.number);
  // There is no bound of commands at one position.
  if (commands_.size() >= kPageEvents) CheckCommands();
}

absl::Status IndexChecker::EndPage() {
  if (done()) return absl::OkStatus();
  index_->Begin().IgnoreError();  // A failure is kept in the connection.
  CheckCommands();
  CheckStreams();
  const absl::Status read = CheckPostings();
  index_->Commit().IgnoreError();
  TakeStatus();
  page_begin_ = page_end_;
  return read.ok() ? log_.connection().status() : read;
}

void IndexChecker::CheckStreams() {
  Rows events = Ask(log_.connection(),
                    "SELECT position, stream_id, version FROM events "
                    "WHERE position > ? AND position <= ? ORDER BY position",
                    page_begin_.value, page_end_.value);
  while (!done() && events.Next()) {
    Rows rows = Ask(*index_,
                    "SELECT last_position - (last_version - ?2), last_version - events "
                    "FROM stream_runs WHERE stream = ?1 AND last_version >= ?2 "
                    "ORDER BY last_version LIMIT 1",
                    events.Int(1), events.Int(2));
    const bool found = rows.Next() && rows.Int(1) < events.Int(2);
    if (!found || rows.Int(0) != events.Int(0))
      return Fault(fmt::format("at position {}: its stream does not lead to it", events.Int(0)));
  }
}

absl::Status IndexChecker::CheckPostings() {
  postings_expected_ += std::ssize(postings_);
  std::vector<std::pair<Term, std::int64_t>> expected;
  std::swap(expected, postings_);
  std::optional<std::pair<Term, std::int64_t>> missing;
  for (const auto& [term, position] : expected) {
    if (done()) return absl::OkStatus();
    Rows rows = Ask(*index_,
                    "SELECT first FROM term_runs WHERE term = ? AND last >= ? "
                    "ORDER BY last LIMIT 1",
                    term, position);
    if (rows.Next() && rows.Int(0) <= position) continue;
    missing = {term, position};
    break;
  }
  if (!missing) return absl::OkStatus();
  const Position at{missing->second};
  const auto page = log_.ReadEvents(Position{at.value - 1}, at);
  if (!page.ok()) return page.status();
  LEFTFOLD_RETURN_IF_ERROR(page->fault);
  const RecordedEvent& event = page->events.front();
  Fault(fmt::format(
      "at position {}: {} does not lead to it", at.value,
      NameOfTerm(event.stream, event.type, event.tags, event.metadata, missing->first)));
  return absl::OkStatus();
}

void IndexChecker::CheckCommands() {
  for (const auto& [id, number] : commands_) {
    if (done()) break;
    Rows rows = Ask(*index_, "SELECT number FROM command_ids WHERE command_id = ?", id);
    const bool found = rows.Next();
    if (found && rows.Int(0) == number) continue;
    Fault(found ? fmt::format("command {} leads to number {}, not {}", id, rows.Int(0), number)
                : fmt::format("command {} (number {}) is missing", id, number));
  }
  commands_.clear();
}

absl::Status IndexChecker::Finish() {
  if (done()) return absl::OkStatus();
  CheckCommands();
  if (!done()) LEFTFOLD_RETURN_IF_ERROR(CheckSurplus());
  if (!options_.at_rest || done()) return absl::OkStatus();
  if (options_.long_read) options_.long_read("pages of the index");
  {
    Rows rows(
        index_->Prepare("SELECT integrity_check FROM pragma_integrity_check(1) "
                        "WHERE integrity_check <> 'ok'"));
    if (rows.Next()) Fault(fmt::format("SQLite finds it damaged: {}", rows.Text(0)));
  }
  TakeStatus();
  return absl::OkStatus();
}

// All that should be there is. So what should not makes their number greater, and only then each
// of them need be looked up.
absl::Status IndexChecker::CheckSurplus() {
  std::int64_t places = 0, postings = 0, ids = 0;
  const std::int64_t total = position_.value + postings_expected_ + command_;
  std::int64_t walked = 0;
  const auto count = [&](std::int64_t& all, std::int64_t first, std::int64_t last,
                         std::int64_t through) {
    all += std::max<std::int64_t>(0, std::min(last, through) - first + 1);
    if (options_.at_rest && last > through) ++all;  // For all that lie beyond.
    const bool page_ends = ++walked % kIndexPageRows == 0;
    if (page_ends && options_.progress)
      options_.progress(std::min(places + postings + ids, total), total);
    return true;
  };
  if (options_.progress) options_.progress(0, total);
  WalkPlaces(*index_, [&](std::int64_t stream, const StreamRun& run) {
    if (!IsRun(run)) {
      Fault(fmt::format(
          "at position {}: no run of {} events ends there, at version {} of stream number {}",
          run.last_position, run.events, run.last_version, stream));
      return false;
    }
    return count(places, run.last_position - run.events + 1, run.last_position, position_.value);
  });
  WalkPostings(*index_, [&](Term term, const PositionRun& run) {
    if (!IsRun(run)) {
      Fault(fmt::format("at position {}: no run of term {} ends there that begins at {}", run.last,
                        term, run.first));
      return false;
    }
    return count(postings, run.first, run.last, position_.value);
  });
  WalkIds(*index_, [&](const std::string&, std::int64_t number) {
    return count(ids, number, number, command_);
  });
  if (options_.progress) options_.progress(total, total);
  TakeStatus();
  absl::StatusOr<std::string> found = std::string();
  const auto go_on = [&] { return found.ok() && found->empty(); };
  const auto counts = [this](std::int64_t at, std::int64_t through) {
    return options_.at_rest || at <= through;
  };
  if (!done() && places != position_.value) {
    WalkPlaces(*index_, [&](std::int64_t stream, const StreamRun& run) {
      for (std::int64_t before = run.events - 1; before >= 0 && go_on(); --before) {
        const std::int64_t position = run.last_position - before;
        if (!counts(position, position_.value)) break;
        found = PlaceFault(stream, run.last_version - before, position);
      }
      return go_on();
    });
  }
  if (!done() && go_on() && postings != postings_expected_) {
    WalkPostings(*index_, [&](Term term, const PositionRun& run) {
      for (std::int64_t position = run.first; position <= run.last && go_on(); ++position) {
        if (!counts(position, position_.value)) break;
        found = PostingFault(term, position);
      }
      return go_on();
    });
  }
  if (!done() && go_on() && ids != command_) {
    WalkIds(*index_, [&](const std::string& id, std::int64_t number) {
      if (counts(number, command_)) found = CommandFault(id, number);
      return go_on();
    });
  }
  if (!found.ok()) return found.status();
  TakeStatus();
  if (!found->empty()) Fault(*std::move(found));
  return absl::OkStatus();
}

// "" or why there should be no such row.
absl::StatusOr<std::string> IndexChecker::PlaceFault(std::int64_t stream, std::int64_t version,
                                                     std::int64_t position) {
  std::string fault;
  {
    Rows rows = Ask(log_.connection(),
                    "SELECT 1 FROM events WHERE position = ? AND stream_id = ? AND version = ?",
                    position, stream, version);
    Rows name = Ask(log_.connection(), "SELECT name FROM streams WHERE id = ?", stream);
    if (position > position_.value || !rows.Next()) {
      fault = fmt::format("at position {}: version {} of {} leads to it, which is not there",
                          position, version,
                          name.Next() ? name.Text(0) : fmt::format("stream number {}", stream));
    }
  }
  if (!log_.connection().status().ok()) return log_.connection().status();
  return fault;
}

absl::StatusOr<std::string> IndexChecker::PostingFault(Term term, std::int64_t position) {
  Terms terms;
  if (position <= position_.value) {
    const auto page = log_.ReadEvents(Position{position - 1}, Position{position});
    if (!page.ok()) return page.status();
    LEFTFOLD_RETURN_IF_ERROR(page->fault);
    if (!page->events.empty()) {
      const RecordedEvent& event = page->events.front();
      terms = TermsOf(event.stream, event.type, event.tags, event.metadata);
    }
  }
  if (std::find(terms.begin(), terms.end(), term) != terms.end()) return "";
  return fmt::format("at position {}: term {} leads to it, which no event there has", position,
                     term);
}

absl::StatusOr<std::string> IndexChecker::CommandFault(const std::string& id, std::int64_t number) {
  if (number <= command_) {
    const auto command = log_.CommandAt(number);
    if (!command.ok()) return command.status();
    if (*command && (*command)->command.record.command_id == id) return "";
  }
  return fmt::format("command {} leads to number {}, which is not its record", id, number);
}

}  // namespace leftfold
