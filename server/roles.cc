#include "server/roles.h"

#include <absl/strings/str_split.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "core/status.h"

namespace leftfold {
namespace {

constexpr RoleEntry kRoles[] = {
    {Role::kProject, "project", 50053, 50054},
    {Role::kWrite, "write", 50055, 50056},
    {Role::kRead, "read", 50057, 50058},
    {Role::kReact, "react", 50063, 50064},
};

constexpr unsigned Bit(Role role) { return 1U << static_cast<unsigned>(role); }

std::string LoopbackAt(int port) { return fmt::format("127.0.0.1:{}", port); }

}  // namespace

std::span<const RoleEntry> AllRoles() { return kRoles; }

const RoleEntry& EntryOf(Role role) {
  const auto* entry = std::find_if(std::begin(kRoles), std::end(kRoles),
                                   [&](const RoleEntry& other) { return other.role == role; });
  if (entry == std::end(kRoles)) Die("a role is not in the table");
  return *entry;
}

Roles::Roles() {
  for (const RoleEntry& entry : kRoles) bits_ |= Bit(entry.role);
}

Roles::Roles(std::initializer_list<Role> roles) {
  for (const Role role : roles) bits_ |= Bit(role);
}

absl::StatusOr<Roles> Roles::Parse(std::string_view list) {
  Roles roles({});
  const std::vector<std::string> names = absl::StrSplit(ToAbsl(list), ',');
  for (const std::string& name : names) {
    const auto* entry = std::find_if(std::begin(kRoles), std::end(kRoles),
                                     [&](const RoleEntry& other) { return other.name == name; });
    if (entry == std::end(kRoles)) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "'{}' is no role; name some of {}, with commas in between", name,
                   Roles().Names());
    }
    if (roles.Has(entry->role))
      return Error(absl::StatusCode::kInvalidArgument, "the role {} is named twice", name);
    roles.bits_ |= Bit(entry->role);
  }
  return roles;
}

bool Roles::Has(Role role) const { return (bits_ & Bit(role)) != 0; }

std::string Roles::Names() const {
  std::vector<std::string_view> names;
  for (const RoleEntry& entry : kRoles) {
    if (Has(entry.role)) names.push_back(entry.name);
  }
  return fmt::format("{}", fmt::join(names, ","));
}

const RoleEntry& Roles::First() const {
  return *std::find_if(std::begin(kRoles), std::end(kRoles),
                       [&](const RoleEntry& entry) { return Has(entry.role); });
}

std::string Roles::AdminListen() const { return LoopbackAt(First().admin_port); }
std::string Roles::MetricsListen() const { return LoopbackAt(First().metrics_port); }

}  // namespace leftfold
