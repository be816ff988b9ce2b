#ifndef SERVER_OPERATOR_H_
#define SERVER_OPERATOR_H_

#include <absl/status/status.h>
#include <absl/time/time.h>
#include <grpcpp/support/status.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "core/reject.h"
#include "server/roles.h"

// What the services for operators have in common.
namespace leftfold {

// Longest `why` and `by` of an operator.
inline constexpr std::size_t kRemarkBytesMax = 1'000;

// RetryInfo of LOG_UNREACHABLE.
inline constexpr absl::Duration kRetryWhenLogIsAway = absl::Seconds(1);

// ROLE_NOT_HERE {role, address}: the locks in the folder `data` tell where it is.
absl::Status RoleNotHere(const std::string& data, Role role);
// LOG_UNREACHABLE: the role waits for its log.
absl::Status LogNotOpenYet();

// A remark is there, and not too long.
void CheckRemark(std::string_view field, const std::string& text, Violations& violations);
// `by` may be empty.
void CheckBy(const std::string& by, Violations& violations);
// "operator" where nobody says who it is.
std::string ActorOf(const std::string& by);

// Operators are told what clients of the other APIs are not: of a full disk, and what failed.
absl::Status ForOperator(const absl::Status& status);
grpc::Status ToOperator(const absl::Status& status);

}  // namespace leftfold
#endif  // SERVER_OPERATOR_H_
