#include "core/registry.h"
#include "domains/payments/payment.h"
#include "domains/payments/payment_directory.h"

namespace leftfold::payments {

void Register(Registry& registry);  // Called by the generated list of domains.

void Register(Registry& registry) {
  registry.Add<Payment>();
  registry.Add<PaymentDirectory>();
}

}  // namespace leftfold::payments
