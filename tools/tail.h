#ifndef TOOLS_TAIL_H_
#define TOOLS_TAIL_H_

#include <cstdint>
#include <string>
#include <vector>

namespace leftfold::tools {

// All that is given must hold of an event.
struct TailOptions {
  std::int64_t from = 1;           // The first position to print.
  std::string category;            // Empty: all.
  std::string stream_prefix;       // How the name of the stream begins.
  std::vector<std::string> types;  // One of these, full names; none: all.
  std::string correlation;         // The correlation id; empty: any or none.
  bool follow = false;
};

// `leftfold tail`: prints events, one JSON object (leftfold.core.v1.RecordedEvent) a line. Reads
// the log beside a server or alone. A payload whose type is not linked in here is shown as base64
// (google.protobuf.BytesValue); `type` names it.
int Tail(const std::string& data, const TailOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_TAIL_H_
