#include "domains/payments/webhook.h"

#include <absl/strings/match.h>

#include "core/reject.h"
#include "core/status.h"
#include "core/webhook_signature.h"
#include "domains/payments/charge_payment.h"
#include "domains/payments/provider.h"
#include "leftfold/payments/v1/commands.pb.h"

namespace leftfold::payments {

absl::StatusOr<std::unique_ptr<google::protobuf::Message>> TakeWebhook(
    const InboundMessage& message) {
  if (!IsSignedBy(message.secret, message.signature, message.body, message.now)) {
    return Reject(v1::ERROR_REASON_BAD_SIGNATURE,
                  "the message is not signed with the secret shared with the provider, or was "
                  "signed more than five minutes ago; compare secrets and clocks");
  }
  const auto told = ReadWebhook(message.body);
  if (!told.ok()) return told.status();
  if (!*told) return nullptr;
  return std::make_unique<v1::RecordProviderResultRequest>(
      RecordOf((*told)->idempotency_key, (*told)->said));
}

}  // namespace leftfold::payments
