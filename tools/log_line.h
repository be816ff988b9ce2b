#ifndef TOOLS_LOG_LINE_H_
#define TOOLS_LOG_LINE_H_

#include <absl/status/statusor.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>

#include "core/event.h"
#include "event_store/sqlite/log_file.h"

namespace leftfold::tools {

// Longer lines are none of an export: an event of 1 MiB with all that goes with it has less.
inline constexpr std::size_t kLogLineBytesMax = 32 << 20;

// Never change: it stands in every export.
inline constexpr int kLogLineFormat = 1;

// Of what log the lines are, and what the first event of them comes after.
struct LogHeaderLine {
  std::string store_id;
  Head after;
};

using LogLineContent = std::variant<LogHeaderLine, RecordedEvent, NumberedCommand>;

// One line of an export (leftfold.tools.v1.LogLine as JSON) without its line feed. Nothing of an
// event or a command is lost. INVALID_ARGUMENT for an event whose type, tags or JSON are no UTF-8.
absl::StatusOr<std::string> ToLine(const LogLineContent& content);

// INVALID_ARGUMENT for what ToLine does not make; also when what a line says twice, in
// `rawMetadata` and in the fields of it, is not the same.
absl::StatusOr<LogLineContent> FromLine(std::string_view line);

}  // namespace leftfold::tools
#endif  // TOOLS_LOG_LINE_H_
