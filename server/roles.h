#ifndef SERVER_ROLES_H_
#define SERVER_ROLES_H_

#include <absl/status/statusor.h>

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace leftfold {

// What a process of `leftfold serve` does: any of these, each by one process of a data folder.
enum class Role {
  kProject,  // Folds the log into views, and has their administration.
  kWrite,    // Decides commands, writes the log, and serves it.
  kRead,     // Answers queries from the files of views; never opens the log.
  kReact,    // Runs reactors, by commands to `write`, here or in another process.
};

struct RoleEntry {
  Role role;
  // On the command line, in health, in metrics; "<name>.lock" in the data folder is its lock.
  std::string_view name;
  // On 127.0.0.1. A process listens on those of the first of its roles in the table, so that
  // processes with different roles can share a host.
  int admin_port;
  int metrics_port;
};
// All there are. A process that has them all listens where `project` does.
std::span<const RoleEntry> AllRoles();
const RoleEntry& EntryOf(Role role);

// A set of roles; never empty.
class Roles {
 public:
  // All of them.
  Roles();
  Roles(std::initializer_list<Role> roles);
  // "project,read". INVALID_ARGUMENT names what is no role, or is there twice.
  static absl::StatusOr<Roles> Parse(std::string_view list);

  bool Has(Role role) const;
  // "project,read", in the order of the table.
  std::string Names() const;
  std::string AdminListen() const;
  std::string MetricsListen() const;

 private:
  const RoleEntry& First() const;
  unsigned bits_ = 0;
};

}  // namespace leftfold
#endif  // SERVER_ROLES_H_
