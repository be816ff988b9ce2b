#include "core/registry.h"
#include "domains/payments/charge_payment.h"
#include "domains/payments/payment.h"
#include "domains/payments/payment_directory.h"
#include "domains/payments/refund_charge.h"
#include "domains/payments/webhook.h"

namespace leftfold::payments {

void Register(Registry& registry);  // Called by the generated list of domains.

void Register(Registry& registry) {
  registry.Add<Payment>();
  registry.Add<PaymentDirectory>();
  registry.Add<ChargePayment>();
  registry.Add<RefundCharge>();
  registry.Add(InboundEntry{.name = "payments", .take = TakeWebhook});
}

}  // namespace leftfold::payments
