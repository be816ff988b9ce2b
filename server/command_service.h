#ifndef SERVER_COMMAND_SERVICE_H_
#define SERVER_COMMAND_SERVICE_H_

#include <absl/status/status.h>

#include <string>

#include "core/registry.h"
#include "rpc/services.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Serves every command of the registry. server/caller.h says which headers go into its events, and
// which are refused.
// All arguments but `token` must outlive the services.
absl::Status ServeCommands(const Registry& registry, CommandHandler& handler,
                           const std::string& token, rpc::Services& services);

}  // namespace leftfold
#endif  // SERVER_COMMAND_SERVICE_H_
