#include "core/registry.h"
#include "domains/orders/agent_assignment.h"
#include "domains/orders/apply_payment_result.h"
#include "domains/orders/bulk_payment.h"
#include "domains/orders/compensate.h"
#include "domains/orders/customer.h"
#include "domains/orders/deadlines.h"
#include "domains/orders/delivery_agent.h"
#include "domains/orders/notify_customer.h"
#include "domains/orders/order.h"
#include "domains/orders/pay_all_orders.h"
#include "domains/orders/release_agent.h"
#include "domains/orders/restaurant.h"
#include "domains/orders/restaurant_approval.h"
#include "domains/orders/start_charge.h"
#include "domains/orders/validate_order.h"
#include "domains/orders/views.h"

namespace leftfold::orders {

void Register(Registry& registry);  // Called by the generated list of domains.

void Register(Registry& registry) {
  registry.Add<Customer>();
  registry.Add<Restaurant>();
  registry.Add<Order>();
  registry.AddBatch<v1::PlaceOrdersRequest>();
  registry.Add<DeliveryAgent>();
  registry.Add<BulkPayment>();
  registry.Add<ValidateOrder>();
  registry.Add<StartCharge>();
  registry.Add<ApplyPaymentResult>();
  registry.Add<RestaurantApproval>();
  registry.Add<AgentAssignment>();
  registry.Add<ReleaseAgent>();
  registry.Add<Compensate>();
  registry.Add<Deadlines>();
  registry.Add<PayAllOrders>();
  registry.Add<NotifyCustomer>();
  RegisterViews(registry);
}

}  // namespace leftfold::orders
