#include "server/token.h"

#include <openssl/rand.h>

#include <fstream>

#include "core/sha256.h"
#include "core/status.h"
#include "sql/durable_file.h"

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
  LEFTFOLD_RETURN_IF_ERROR(sql::ReplaceDurably(path, token + "\n", 0600));
  return token;
}

}  // namespace leftfold
