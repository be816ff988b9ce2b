#ifndef TOOLS_REPLAY_H_
#define TOOLS_REPLAY_H_

#include <cstdint>
#include <string>

#include "core/registry.h"

namespace leftfold::tools {

struct ReplayOptions {
  std::string view;
  bool all = false;
  bool verify = false;
  bool prepare = false;
  std::int64_t until = 0;  // 0: to the end.
};

// `leftfold replay`: a client of the server that holds the "project" lock of `data`, else the
// holder of it while it runs. With `prepare` neither: it works beside the server of another
// version.
int Replay(const Registry& registry, const std::string& data, const ReplayOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_REPLAY_H_
