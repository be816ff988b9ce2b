#include "core/webhook_signature.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>
#include <openssl/crypto.h>

#include "core/sha256.h"
#include "core/status.h"

namespace leftfold {
namespace {

std::string SignatureAt(std::string_view secret, std::int64_t seconds, std::string_view body) {
  const Digest digest = HmacSha256(secret, fmt::format("{}.{}", seconds, body));
  return fmt::format("t={},v1={}", seconds, ToHex(AsBytes(digest)));
}

}  // namespace

std::string WebhookSignature(std::string_view secret, absl::Time at, std::string_view body) {
  return SignatureAt(secret, absl::ToUnixSeconds(at), body);
}

bool IsSignedBy(std::string_view secret, std::string_view signature, std::string_view body,
                absl::Time now) {
  const std::size_t comma = signature.find(',');
  std::int64_t seconds = 0;
  if (!signature.starts_with("t=") || comma == std::string_view::npos ||
      !absl::SimpleAtoi(ToAbsl(signature.substr(2, comma - 2)), &seconds)) {
    return false;
  }
  const std::string expected = SignatureAt(secret, seconds, body);
  if (signature.size() != expected.size() ||
      CRYPTO_memcmp(signature.data(), expected.data(), expected.size()) != 0) {
    return false;
  }
  return absl::AbsDuration(now - absl::FromUnixSeconds(seconds)) <= kWebhookSignatureAgeMax;
}

}  // namespace leftfold
