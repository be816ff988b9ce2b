#ifndef SERVER_QUERY_SERVICE_H_
#define SERVER_QUERY_SERVICE_H_

#include <absl/status/status.h>

#include "core/registry.h"
#include "read_api/query_handler.h"
#include "read_api/watch_hub.h"
#include "rpc/services.h"

namespace leftfold {

// Serves every query and watch of the registry. All arguments must outlive the services.
absl::Status ServeQueries(const Registry& registry, read_api::QueryHandler& queries,
                          read_api::WatchHub& watches, rpc::Services& services);

}  // namespace leftfold
#endif  // SERVER_QUERY_SERVICE_H_
