#include "domains/orders/views.h"

#include "domains/orders/agents.h"
#include "domains/orders/bulk_payments.h"
#include "domains/orders/order_directory.h"
#include "domains/orders/order_errors.h"
#include "domains/orders/order_funnel.h"
#include "domains/orders/order_timeline.h"
#include "domains/orders/payment_ledger.h"
#include "domains/orders/restaurant_queue.h"
#include "domains/orders/restaurants.h"
#include "domains/orders/stage_latency.h"

namespace leftfold::orders {

void RegisterViews(Registry& registry) {
  registry.Add<OrderDirectory>();
  registry.Add<OrderTimeline>();
  registry.Add<Restaurants>();
  registry.Add<RestaurantQueue>();
  registry.Add<Agents>();
  registry.Add<OrderFunnel>();
  registry.Add<StageLatency>();
  registry.Add<PaymentLedger>();
  registry.Add<BulkPayments>();
  registry.Add<OrderErrors>();
}

}  // namespace leftfold::orders
