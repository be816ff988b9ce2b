#include "core/sha256.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/status.h"

namespace leftfold {

// OpenSSL would have SHA256_* replaced by EVP_*, which takes twice as long for the few hundred
// bytes of an event: memory for a context, and a provider's function for each piece.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

Sha256::Sha256() { SHA256_Init(&context_); }

Sha256& Sha256::Add(std::string_view bytes) {
  SHA256_Update(&context_, bytes.data(), bytes.size());
  return *this;
}

Sha256& Sha256::AddLengthPrefixed(std::string_view bytes) {
  return AddInt64(static_cast<std::int64_t>(bytes.size())).Add(bytes);
}

Sha256& Sha256::AddInt64(std::int64_t value) {
  char bytes[8];
  const auto bits = static_cast<std::uint64_t>(value);
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(bits >> (8 * i));
  return Add({bytes, sizeof bytes});
}

Digest Sha256::Finish() {
  Digest digest;
  SHA256_Final(digest.data(), &context_);
  SHA256_Init(&context_);
  return digest;
}

#pragma GCC diagnostic pop

Digest HmacSha256(std::string_view key, std::string_view message) {
  Digest digest;
  const unsigned char* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                   reinterpret_cast<const unsigned char*>(message.data()),
                                   message.size(), digest.data(), nullptr);
  if (made == nullptr) Die("OpenSSL refuses HMAC-SHA-256");
  return digest;
}

std::string_view AsBytes(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

}  // namespace leftfold
