#ifndef DOMAINS_PAYMENTS_WEBHOOK_H_
#define DOMAINS_PAYMENTS_WEBHOOK_H_

#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <memory>

#include "core/inbound.h"

namespace leftfold::payments {

// What the provider tells of a charge by its webhook: RecordProviderResult, as charge_payment would
// send it for the same answer, so that whoever comes second changes nothing. What it tells of
// refunds is acknowledged and left to refund_charge, which asks: the message does not name the
// payment. BAD_SIGNATURE when it is not the provider's: that is checked before the body is read.
absl::StatusOr<std::unique_ptr<google::protobuf::Message>> TakeWebhook(
    const InboundMessage& message);

}  // namespace leftfold::payments
#endif  // DOMAINS_PAYMENTS_WEBHOOK_H_
