#ifndef TOOLS_VERIFY_H_
#define TOOLS_VERIFY_H_

#include <string>

#include "core/registry.h"

namespace leftfold::tools {

// `leftfold verify`: the log by VerifyLogFile, whatever state it is in, and its payloads; then
// whether each served view's checkpoint is on its chain. Works beside a server, which leaves some
// checks out. 1 when there is a fault; the first one is printed with its position.
int Verify(const Registry& registry, const std::string& data);

}  // namespace leftfold::tools
#endif  // TOOLS_VERIFY_H_
