#include "server/token.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "core/sha256.h"
#include "core/status.h"

namespace leftfold {

namespace {

std::string PathOf(const std::string& data) { return data + "/token"; }

}  // namespace

std::string ReadToken(const std::string& data) {
  std::string token;
  std::ifstream(PathOf(data)) >> token;
  return token;
}

absl::StatusOr<std::string> LoadOrMakeToken(const std::string& data) {
  const std::string path = PathOf(data);
  std::string token = ReadToken(data);
  if (!token.empty()) return token;
  Digest random;
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
    Die("no random bytes from OpenSSL");
  token = ToHex(AsBytes(random));
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::string text = token + "\n";
  const bool written = file >= 0 &&
                       write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       fsync(file) == 0;
  const int error = errno;
  if (file >= 0) close(file);
  if (!written)
    return Error(absl::StatusCode::kInternal, "cannot write {}: {}", path, std::strerror(error));
  return token;
}

}  // namespace leftfold
