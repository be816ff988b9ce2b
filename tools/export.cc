#include "tools/export.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "core/log.h"
#include "core/status.h"
#include "server/role_lock.h"
#include "sql/durable_file.h"
#include "tools/log_line.h"
#include "tools/open_log.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;

// How every export begins.
constexpr std::string_view kBegin = R"({"header":{)";

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdin && file != stdout) std::fclose(file);
  }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

absl::Status FromErrno(std::string_view what, const std::string& path) {
  const auto code =
      errno == ENOSPC ? absl::StatusCode::kResourceExhausted : absl::StatusCode::kInternal;
  return Error(code, "cannot {} {}: {}", what, path, std::strerror(errno));
}

// Lines of a file, each at most kLogLineBytesMax.
class LineReader {
 public:
  explicit LineReader(std::FILE* file) : file_(file) {}
  // nullopt at the end. `whole()` is false for a last line without a line feed.
  absl::StatusOr<std::optional<std::string>> Next() {
    std::string line;
    whole_ = false;
    for (int c = getc_unlocked(file_); c != EOF; c = getc_unlocked(file_)) {
      ++bytes_;
      if (c == '\n') {
        whole_ = true;
        break;
      }
      if (line.size() == kLogLineBytesMax) {
        return Error(absl::StatusCode::kInvalidArgument, "it has more than {} bytes",
                     kLogLineBytesMax);
      }
      line.push_back(static_cast<char>(c));
    }
    if (std::ferror(file_) != 0) return FromErrno("read", "the lines");
    if (!whole_ && line.empty()) return std::nullopt;
    return line;
  }
  bool whole() const { return whole_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  std::FILE* const file_;
  bool whole_ = false;
  std::int64_t bytes_ = 0;
};

// Where a walk through the log goes on, so that commands that came at `after` later are not missed.
absl::StatusOr<LogRange> RangeAfter(LogFileReader& log, Position after) {
  LogRange range{.after = after};
  if (after == kBeforeFirst) return range;
  const auto commands = log.CommandsUpTo(Position{after.value - 1});
  if (!commands.ok()) return commands.status();
  range.commands_after = *commands;
  return range;
}

// What an export that is there holds.
struct Earlier {
  LogHeaderLine header;
  LogLineContent last;     // The last whole line.
  std::int64_t bytes = 0;  // Of the whole lines.
};

// nullopt when there is no file, or nothing whole in it.
absl::StatusOr<std::optional<Earlier>> ReadEarlier(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) {
    if (errno == ENOENT) return std::nullopt;
    return FromErrno("open", path);
  }
  LineReader lines(file.get());
  auto first = lines.Next();
  if (!first.ok()) return first.status();
  if (!*first) return std::nullopt;
  const std::string_view begin = std::string_view(**first).substr(0, kBegin.size());
  if (!kBegin.starts_with(begin)) {
    return Error(absl::StatusCode::kFailedPrecondition, "{} is no export; name another file", path);
  }
  if (!lines.whole()) return std::nullopt;
  auto header = FromLine(**first);
  if (!header.ok() || !std::holds_alternative<LogHeaderLine>(*header)) {
    return Error(absl::StatusCode::kFailedPrecondition, "{} is no export; name another file", path);
  }
  Earlier earlier{std::get<LogHeaderLine>(*header), *header, lines.bytes()};
  std::string last;
  while (true) {
    auto line = lines.Next();
    if (!line.ok()) return line.status();
    if (!*line || !lines.whole()) break;
    last = **std::move(line);
    earlier.bytes = lines.bytes();
  }
  if (last.empty()) return earlier;
  auto content = FromLine(last);
  if (!content.ok() || std::holds_alternative<LogHeaderLine>(*content)) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the last whole line of {} is none of an export; name another file", path);
  }
  earlier.last = *std::move(content);
  return earlier;
}

absl::Status NotOfThisLog(const std::string& path) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "{} is not of this log; name another file to begin anew", path);
}

// Where the export in `path` goes on.
absl::StatusOr<LogRange> RangeAfterEarlier(LogFileReader& log, const std::string& store_id,
                                           const Earlier& earlier, const std::string& path) {
  if (earlier.header.store_id != store_id) return NotOfThisLog(path);
  if (const auto* command = std::get_if<NumberedCommand>(&earlier.last)) {
    const auto stored = log.CommandAt(command->number);
    if (!stored.ok()) return stored.status();
    if (!*stored || !SameCommand(**stored, *command)) return NotOfThisLog(path);
    return LogRange{.after = command->command.position, .commands_after = command->number};
  }
  Head head = earlier.header.after;
  if (const auto* event = std::get_if<RecordedEvent>(&earlier.last))
    head = {event->position, event->chain};
  const auto chain = log.ChainAt(head.position);
  if (!chain.ok()) return chain.status();
  if (*chain != head.chain) return NotOfThisLog(path);
  return RangeAfter(log, head.position);
}

// The file or standard output, to be written to at its end.
absl::StatusOr<File> OpenForExport(const std::string& path, std::int64_t keep_bytes) {
  if (path.empty()) return File(stdout);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return FromErrno("open", path);
  File file(fdopen(fd, "wb"));
  if (ftruncate(fd, keep_bytes) != 0 || std::fseek(file.get(), 0, SEEK_END) != 0)
    return FromErrno("write", path);
  return file;
}

absl::Status CloseExport(File file, const std::string& path) {
  const bool synced =
      std::fflush(file.get()) == 0 && (path.empty() || fsync(fileno(file.get())) == 0);
  if (!synced) return FromErrno("write", path.empty() ? "the lines" : path);
  if (path.empty()) return absl::OkStatus();
  const std::string folder = fs::path(path).parent_path().string();
  return sql::SyncFolder(folder.empty() ? "." : folder);
}

// Writes lines, and checks leaf and chain of the events.
class Exporter {
 public:
  Exporter(std::FILE* out, Head head) : out_(out), head_(head) {}

  absl::Status Write(const LogLineContent& content) {
    auto line = ToLine(content);
    if (!line.ok()) return line.status();
    line->push_back('\n');
    if (std::fwrite(line->data(), 1, line->size(), out_) != line->size())
      return FromErrno("write", "the lines");
    return absl::OkStatus();
  }
  absl::Status Add(const RecordedEvent& event) {
    if (event.position != head_.position.Next())
      return FaultAt(head_.position.Next(), "the event is missing");
    if (LeafOf(event) != event.leaf || ChainOf(head_.chain, event) != event.chain)
      return FaultAt(event.position, "it is not what was recorded; run `leftfold verify`");
    head_ = {event.position, event.chain};
    return Write(event);
  }
  const Head& head() const { return head_; }

 private:
  std::FILE* const out_;
  Head head_;
};

}  // namespace

absl::StatusOr<TransferResult> ExportLog(const ExportOptions& options, const Steps& steps) {
  LEFTFOLD_RETURN_IF_ERROR(CheckLogExists(options.data));
  auto log = LogFileReader::Open(options.data + "/log");
  if (!log.ok()) return log.status();
  const auto extent = (*log)->ReadExtent();
  if (!extent.ok()) return extent.status();
  std::optional<Earlier> earlier;
  if (!options.to.empty()) {
    auto read = ReadEarlier(options.to);
    if (!read.ok()) return read.status();
    earlier = *std::move(read);
  }
  const Position first_after{options.from > 0 ? options.from - 1 : 0};
  if (earlier && options.from > 0 && earlier->header.after.position != first_after) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{} begins with position {}; name another file, or leave --from out", options.to,
                 earlier->header.after.position.Next().value);
  }
  auto range = earlier ? RangeAfterEarlier(**log, extent->store_id, *earlier, options.to)
                       : RangeAfter(**log, first_after);
  if (!range.ok()) return range.status();
  const auto chain = (*log)->ChainAt(range->after);
  if (!chain.ok()) return chain.status();
  if (!*chain) {
    return Error(absl::StatusCode::kOutOfRange, "the log ends at position {}",
                 extent->head.position.value);
  }
  range->through = extent->head.position;
  range->commands_through = extent->command_number;
  range->page_events = options.sizes.page_events;
  auto file = OpenForExport(options.to, earlier ? earlier->bytes : 0);
  if (!file.ok()) return file.status();
  Exporter exporter(file->get(), {range->after, **chain});
  if (!earlier) {
    LEFTFOLD_RETURN_IF_ERROR(
        exporter.Write(LogHeaderLine{extent->store_id, {range->after, **chain}}));
  }
  LEFTFOLD_RETURN_IF_ERROR(
      WalkLog(**log, *range,
              {.event = [&](const RecordedEvent& event) { return exporter.Add(event); },
               .command = [&](const NumberedCommand& command) { return exporter.Write(command); },
               .page =
                   [&](Position done) {
                     steps("export", done.value, range->through.value);
                     return absl::OkStatus();
                   }}));
  LEFTFOLD_RETURN_IF_ERROR(CloseExport(*std::move(file), options.to));
  return TransferResult{range->after, exporter.head()};
}

namespace {

// Takes the lines after the header, for a log that may have the first of them.
class Importer {
 public:
  Importer(LogFileReader& log, LogFileWriter& writer, const Head& after)
      : log_(log), writer_(writer), before_(after) {}

  absl::Status Add(const LogLineContent& content) {
    if (const auto* event = std::get_if<RecordedEvent>(&content)) {
      return event->position <= writer_.begin().head.position ? Compare(*event)
                                                              : writer_.Add(*event);
    }
    if (const auto* command = std::get_if<NumberedCommand>(&content)) {
      return command->number <= writer_.begin().command_number ? Compare(*command)
                                                               : writer_.Add(*command);
    }
    return Error(absl::StatusCode::kInvalidArgument, "it is a second header");
  }

 private:
  absl::Status Compare(const RecordedEvent& event) {
    if (event.position != before_.position.Next())
      return FaultAt(before_.position.Next(), "the event is missing");
    if (LeafOf(event) != event.leaf)
      return FaultAt(event.position, "its content was changed (leaf)");
    if (ChainOf(before_.chain, event) != event.chain)
      return FaultAt(event.position, "the chain is broken");
    const auto stored = log_.ChainAt(event.position);
    if (!stored.ok()) return stored.status();
    if (*stored != event.chain) return FaultAt(event.position, "the log has another event there");
    before_ = {event.position, event.chain};
    return absl::OkStatus();
  }
  absl::Status Compare(const NumberedCommand& command) {
    const auto stored = log_.CommandAt(command.number);
    if (!stored.ok()) return stored.status();
    if (*stored && SameCommand(**stored, command)) return absl::OkStatus();
    return FaultAt(command.command.position,
                   fmt::format("the log has another command number {}", command.number));
  }

  LogFileReader& log_;
  LogFileWriter& writer_;
  Head before_;  // Of the lines that the log has already.
};

absl::Status InLine(std::int64_t line, const absl::Status& status) {
  return Error(status.code(), "line {}: {}", line, ToStd(status.message()));
}

// The last position is not known: it is guessed from the bytes that are left.
void ShowImport(const Steps& steps, std::int64_t position, std::int64_t bytes,
                std::int64_t bytes_total) {
  const double share =
      bytes_total > 0 ? static_cast<double>(bytes) / static_cast<double>(bytes_total) : 1;
  steps("import", position, static_cast<std::int64_t>(static_cast<double>(position) / share));
}

// Whether the lines can go into the log of `data`, before anything is made there.
absl::Status CheckFits(const LogHeaderLine& header, const std::string& data) {
  std::error_code error;
  const std::string folder = data + "/log";
  Position end;
  std::optional<Digest> chain = FirstChain(header.store_id);
  if (fs::exists(folder + "/events.db", error)) {
    auto log = LogFileReader::Open(folder);
    if (!log.ok()) return log.status();
    const auto extent = (*log)->ReadExtent();
    if (!extent.ok()) return extent.status();
    if (extent->store_id != header.store_id) {
      return Error(absl::StatusCode::kFailedPrecondition,
                   "it is of store {}, and {} holds the log of store {}", header.store_id, folder,
                   extent->store_id);
    }
    end = extent->head.position;
    const auto there = (*log)->ChainAt(header.after.position);
    if (!there.ok()) return there.status();
    chain = *there;
  }
  if (header.after.position > end) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "the lines begin with position {}, and the log ends at {}",
                 header.after.position.Next().value, end.value);
  }
  if (chain == header.after.chain) return absl::OkStatus();
  return FaultAt(header.after.position, "the chain value is another one in the log");
}

}  // namespace

absl::StatusOr<TransferResult> ImportLog(const ImportOptions& options, const Steps& steps) {
  const File file(options.from == "-" ? stdin : std::fopen(options.from.c_str(), "rb"));
  if (file == nullptr) return FromErrno("open", options.from);
  std::error_code unknown;
  const auto size = fs::file_size(options.from, unknown);
  const std::int64_t bytes = unknown ? 0 : static_cast<std::int64_t>(size);
  LineReader lines(file.get());
  std::int64_t number = 1;
  auto first = lines.Next();
  if (!first.ok()) return InLine(number, first.status());
  if (!*first) return Error(absl::StatusCode::kInvalidArgument, "{} is empty", options.from);
  const auto content = FromLine(**first);
  if (!content.ok()) return InLine(number, content.status());
  const auto* header = std::get_if<LogHeaderLine>(&*content);
  if (header == nullptr)
    return InLine(number, Error(absl::StatusCode::kInvalidArgument, "it is no header"));
  const auto lock = RoleLock::Take(options.data, "write");
  if (!lock.ok()) return lock.status();
  const std::string folder = options.data + "/log";
  if (const absl::Status fits = CheckFits(*header, options.data); !fits.ok())
    return InLine(number, fits);
  auto writer = LogFileWriter::Open(folder, header->store_id, options.sizes.group_bytes);
  if (!writer.ok()) return writer.status();
  auto log = LogFileReader::Open(folder);
  if (!log.ok()) return log.status();
  Importer importer(**log, **writer, header->after);
  while (true) {
    ++number;
    auto line = lines.Next();
    if (!line.ok()) return InLine(number, line.status());
    if (!*line) break;
    if (!lines.whole()) {
      // An append that is not whole is not stored.
      (*writer)->Finish().IgnoreError();
      return InLine(number,
                    Error(absl::StatusCode::kInvalidArgument,
                          "it is cut off; whole appends before it are stored: continue the export, "
                          "then the import"));
    }
    const auto next = FromLine(**line);
    if (!next.ok()) return InLine(number, next.status());
    if (const absl::Status added = importer.Add(*next); !added.ok()) return InLine(number, added);
    if (number % static_cast<std::int64_t>(options.sizes.page_events) == 0)
      ShowImport(steps, (*writer)->head().position.value, lines.bytes(), bytes);
  }
  if (const absl::Status finished = (*writer)->Finish(); !finished.ok())
    return InLine(number, finished);
  return TransferResult{(*writer)->begin().head.position, (*writer)->head()};
}

namespace {

int Report(std::string_view tool, std::FILE* out, const absl::StatusOr<TransferResult>& result) {
  if (!result.ok()) {
    LogLine("leftfold {}: {}", tool, ToStd(result.status().message()));
    return 1;
  }
  const std::int64_t end = result->head.position.value;
  WriteText(out, fmt::format("{} events, up to position {}\nchain at position {}: {}\n",
                             end - result->begun_after.value, end, end,
                             ToHex(AsBytes(result->head.chain))));
  return 0;
}

}  // namespace

int Export(const ExportOptions& options) {
  std::FILE* const report = options.to.empty() ? stderr : stdout;
  return Report("export", report, ExportLog(options, BarsOn(report)));
}

int Import(const ImportOptions& options) {
  return Report("import", stdout, ImportLog(options, BarsOn(stdout)));
}

}  // namespace leftfold::tools
