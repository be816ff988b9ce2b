#ifndef EVENT_STORE_SQLITE_VERIFY_LOG_INDEX_H_
#define EVENT_STORE_SQLITE_VERIFY_LOG_INDEX_H_

#include <absl/status/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event_store/sqlite/log_file.h"
#include "event_store/sqlite/log_index.h"
#include "sql/connection.h"

namespace leftfold {

// Compares index.db with the log beside it, in one walk through the log and one through each table
// of the index: every event and command that the file says to hold is found by each of its keys,
// and no row leads to anything else. Needs memory for one page. Not thread-safe.
//
// A fault of the index is no fault of the log: the first one is kept, and then nothing more is
// looked at; so is that it cannot be read. What the calls return is that the log could not be read.
class IndexChecker {
 public:
  struct Options {
    bool at_rest = true;  // Else rows of what came after the start are left alone.
    // Of its rows, while Finish counts them; and before a read that says nothing until its end.
    std::function<void(std::int64_t done, std::int64_t total)> progress;
    std::function<void(std::string_view what)> long_read;
  };
  // Where there is no file, nothing is checked. `log` and `extent`, how far it reaches, must
  // outlive it.
  IndexChecker(const std::string& folder, LogFileReader& log, const LogExtent& extent,
               Options options);

  // In the order of WalkLog; EndPage after each of its pages.
  void Add(const RecordedEvent& event);
  void Add(const NumberedCommand& command);
  absl::Status EndPage();
  // After the last page: what is left, and rows that lead to nothing.
  absl::Status Finish();

  bool is_there() const { return there_; }
  // Up to where it is compared.
  Position position() const { return position_; }
  // DATA_LOSS that names position or key; another error when the file could not be read.
  const absl::Status& status() const { return status_; }

 private:
  void Start(const std::string& folder);
  bool done() const { return index_ == nullptr || !status_.ok(); }
  void Fault(std::string what);
  // Keeps what went wrong with the file itself.
  void TakeStatus();
  void CheckStreams();
  absl::Status CheckPostings();
  void CheckCommands();
  absl::Status CheckSurplus();
  absl::StatusOr<std::string> PlaceFault(std::int64_t stream, std::int64_t version,
                                         std::int64_t position);
  absl::StatusOr<std::string> PostingFault(Term term, std::int64_t position);
  absl::StatusOr<std::string> CommandFault(const std::string& id, std::int64_t number);

  LogFileReader& log_;
  const Options options_;
  bool there_ = false;
  std::unique_ptr<sql::Connection> index_;
  absl::Status status_;
  // How far the file reaches, and not beyond the extent.
  Position position_;
  std::int64_t command_ = 0;
  // Of the page that is being walked.
  Position page_begin_;
  Position page_end_;
  std::vector<std::pair<Term, std::int64_t>> postings_;
  std::vector<std::pair<std::string, std::int64_t>> commands_;
  std::int64_t postings_expected_ = 0;  // In all.
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_VERIFY_LOG_INDEX_H_
