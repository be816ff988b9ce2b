#ifndef SERVER_COMMAND_SERVICE_H_
#define SERVER_COMMAND_SERVICE_H_

#include <absl/status/status.h>

#include <cstddef>
#include <string>

#include "core/ids.h"
#include "core/registry.h"
#include "rpc/services.h"
#include "server/run_by_caller.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Commands of one batch. Beyond: BATCH_TOO_LARGE {maximum, actual}, and none is carried out.
inline constexpr int kBatchCommandsMax = 1'000;
// What a batch's command id may have: its commands get it with "/" and their place, up to "/999".
inline constexpr std::size_t kBatchCommandIdBytesMax = kCommandIdBytesMax - 4;

// Serves every command and every batch of the registry. Commands of a batch are decided in their
// order, and each is durable or refused for itself, whatever becomes of the others and of the call.
// server/caller.h says which headers go into its events, and
// which are refused.
// A command that comes while no other of these is open is committed by the thread that brought it.
// All arguments but `token` must outlive the services.
absl::Status ServeCommands(const Registry& registry, CommandHandler& handler, RunByCaller& writer,
                           const std::string& token, rpc::Services& services);

}  // namespace leftfold
#endif  // SERVER_COMMAND_SERVICE_H_
