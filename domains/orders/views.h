#ifndef DOMAINS_ORDERS_VIEWS_H_
#define DOMAINS_ORDERS_VIEWS_H_

#include "core/registry.h"

namespace leftfold::orders {

// Adds all views of orders.
void RegisterViews(Registry& registry);

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_VIEWS_H_
