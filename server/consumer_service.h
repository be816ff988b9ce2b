#ifndef SERVER_CONSUMER_SERVICE_H_
#define SERVER_CONSUMER_SERVICE_H_

#include <absl/status/status.h>

#include "core/executor.h"
#include "reactor/consumers.h"
#include "reactor/reactors.h"
#include "rpc/services.h"
#include "server/groups.h"

namespace leftfold {

// What leftfold.store.v1.ConsumerService is served from. All must outlive the services.
struct ConsumerEngines {
  Groups& groups;
  Reactors& reactors;
  Consumers& consumers;
  Executor& work;  // For calls that may block.
};

absl::Status ServeConsumers(const ConsumerEngines& engines, rpc::Services& services);

}  // namespace leftfold
#endif  // SERVER_CONSUMER_SERVICE_H_
