#ifndef TOOLS_VERIFY_H_
#define TOOLS_VERIFY_H_

#include <string>

#include "core/registry.h"

namespace leftfold::tools {

// `leftfold verify`: the log by VerifyLog, then whether each served view's checkpoint is on its
// chain. Works beside a server. 1 when there is a fault; the first one is printed with its
// position.
int Verify(const Registry& registry, const std::string& data);

}  // namespace leftfold::tools
#endif  // TOOLS_VERIFY_H_
