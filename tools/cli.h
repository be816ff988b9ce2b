#ifndef TOOLS_CLI_H_
#define TOOLS_CLI_H_

#include "core/registry.h"

namespace leftfold {

// The binary `leftfold`: reads the command line and runs a subcommand. Options come from flags,
// else from the environment (LEFTFOLD_DATA …), else from one TOML file (--config or
// LEFTFOLD_CONFIG), else they have their defaults. Returns the exit code: 0 well, 1 it failed or
// found a fault, 2 the command line is wrong.
int Main(const Registry& registry, int argc, const char* const* argv);

}  // namespace leftfold
#endif  // TOOLS_CLI_H_
