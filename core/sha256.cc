#include "core/sha256.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <utility>

#include "core/status.h"

namespace leftfold {
namespace {
// Fetched once: an implicit fetch at every digest costs more than hashing 200 bytes.
const EVP_MD* Algorithm() {
  static const EVP_MD* const kAlgorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return kAlgorithm;
}
void Begin(void* context) {
  if (EVP_DigestInit_ex2(static_cast<EVP_MD_CTX*>(context), Algorithm(), nullptr) != 1) {
    Die("OpenSSL refuses SHA-256");
  }
}
}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {}
Sha256::~Sha256() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

Sha256& Sha256::Add(std::string_view bytes) {
  if (!std::exchange(begun_, true)) Begin(context_);
  EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size());
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
  Add("");
  Digest digest;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest.data(), nullptr);
  begun_ = false;
  return digest;
}

Digest HmacSha256(std::string_view key, std::string_view message) {
  Digest digest;
  const unsigned char* made = HMAC(Algorithm(), key.data(), static_cast<int>(key.size()),
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
