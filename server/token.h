#ifndef SERVER_TOKEN_H_
#define SERVER_TOKEN_H_

#include <absl/status/statusor.h>

#include <string>

namespace leftfold {

// The secret of a data folder: the file `<data>/token`, mode 0600, 64 hexadecimal digits, made at
// first need. Who can read it may send system commands (`authorization: Bearer TOKEN`).
// Empty when there is none.
std::string ReadToken(const std::string& data);
absl::StatusOr<std::string> LoadOrMakeToken(const std::string& data);

}  // namespace leftfold
#endif  // SERVER_TOKEN_H_
