#ifndef SERVER_COMMAND_SESSION_H_
#define SERVER_COMMAND_SESSION_H_

#include <absl/container/flat_hash_map.h>

#include <memory>
#include <string>

#include "core/registry.h"
#include "rpc/services.h"
#include "write_api/command_handler.h"
#include "write_api/session.h"

namespace leftfold {

// Sessions of the commands of all domains: leftfold.commands.v1.CommandSessionService.
class CommandSessionKind final : public SessionKind {
 public:
  // Both must outlive its sessions, as must this.
  CommandSessionKind(const Registry& registry, CommandHandler& handler);
  std::shared_ptr<SessionRequests> Begin(Caller caller) override;
  absl::Status TooMany() const override;

 private:
  class Requests;
  struct Command {
    const CommandEntry* entry;
    rpc::RequestParser parser;
  };
  CommandHandler& handler_;
  absl::flat_hash_map<std::string, std::unique_ptr<Command>> commands_;  // By the request's type.
};

// Serves a kind of session under this request message. Callers are told apart as in
// server/caller.h.
absl::Status ServeSessions(const google::protobuf::Descriptor& request, Sessions& sessions,
                           const std::string& token, rpc::Services& services);

}  // namespace leftfold
#endif  // SERVER_COMMAND_SESSION_H_
