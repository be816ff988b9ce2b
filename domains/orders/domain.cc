#include "core/registry.h"
#include "domains/orders/customer.h"
#include "domains/orders/delivery_agent.h"
#include "domains/orders/order.h"
#include "domains/orders/restaurant.h"
#include "domains/orders/views.h"

namespace leftfold::orders {

void Register(Registry& registry);  // Called by the generated list of domains.

void Register(Registry& registry) {
  registry.Add<Customer>();
  registry.Add<Restaurant>();
  registry.Add<Order>();
  registry.AddBatch<v1::PlaceOrdersRequest>();
  registry.Add<DeliveryAgent>();
  RegisterViews(registry);
}

}  // namespace leftfold::orders
