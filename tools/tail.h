#ifndef TOOLS_TAIL_H_
#define TOOLS_TAIL_H_

#include <cstdint>
#include <string>

namespace leftfold::tools {

struct TailOptions {
  std::int64_t after = 0;
  std::string category;
  bool follow = false;
};

// `leftfold tail`: reads the log beside a server or alone. Payloads that do not decode are shown as base64.
int Tail(const std::string& data, const TailOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_TAIL_H_
