#ifndef DOMAINS_PAYMENTS_WEBHOOK_H_
#define DOMAINS_PAYMENTS_WEBHOOK_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <string_view>

#include "core/reject.h"
#include "core/webhook_signature.h"
#include "leftfold/payments/v1/commands.pb.h"

namespace leftfold::payments {

// Whether a message is the provider's: OK, or BAD_SIGNATURE. Check before reading the body.
inline absl::Status CheckWebhook(std::string_view secret, std::string_view signature,
                                 std::string_view body, absl::Time now) {
  if (IsSignedBy(secret, signature, body, now)) return absl::OkStatus();
  return Reject(v1::ERROR_REASON_BAD_SIGNATURE,
                "the message is not signed with the secret shared with the provider, or was signed "
                "more than five minutes ago; compare secrets and clocks");
}

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_WEBHOOK_H_
