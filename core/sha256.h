#ifndef CORE_SHA256_H_
#define CORE_SHA256_H_

#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace leftfold {

using Digest = std::array<std::uint8_t, 32>;

// SHA-256 (FIPS 180-4) by OpenSSL, fed in pieces. Not thread-safe; costs nothing to make.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  Sha256& Add(std::string_view bytes);
  // The length as 64 bit little-endian, then the bytes.
  Sha256& AddLengthPrefixed(std::string_view bytes);
  // 64 bit little-endian.
  Sha256& AddInt64(std::int64_t value);
  // The digest of what was added; starts anew.
  Digest Finish();

 private:
  SHA256_CTX context_;
};

// HMAC-SHA-256 (RFC 2104), by OpenSSL.
Digest HmacSha256(std::string_view key, std::string_view message);

std::string_view AsBytes(const Digest& digest);
std::string ToHex(std::string_view bytes);

}  // namespace leftfold
#endif  // CORE_SHA256_H_
