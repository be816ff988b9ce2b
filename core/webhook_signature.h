#ifndef CORE_WEBHOOK_SIGNATURE_H_
#define CORE_WEBHOOK_SIGNATURE_H_

#include <absl/time/time.h>

#include <string>
#include <string_view>

namespace leftfold {

// The header that carries it, in small letters.
inline constexpr std::string_view kWebhookSignatureHeader = "leftfold-signature";
// How far the time of signing may be from now: what was overheard cannot be sent again later.
inline constexpr absl::Duration kWebhookSignatureAgeMax = absl::Minutes(5);

// Proof that `body` was sent by somebody who knows the secret: `t=<Unix seconds>,v1=<HMAC-SHA256
// over "<seconds>.<body>" in hexadecimal>`.
std::string WebhookSignature(std::string_view secret, absl::Time at, std::string_view body);

// Whether `signature` is such a header, of this secret and body, signed within
// kWebhookSignatureAgeMax of `now`. `body` is what came, byte for byte. Takes the same time
// wherever a wrong one differs.
bool IsSignedBy(std::string_view secret, std::string_view signature, std::string_view body,
                absl::Time now);

}  // namespace leftfold
#endif  // CORE_WEBHOOK_SIGNATURE_H_
