#ifndef SERVER_CALLER_H_
#define SERVER_CALLER_H_

#include <string>

#include "rpc/services.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Who calls, from the headers x-correlation-id, x-causation-id, traceparent and authorization;
// `bearer` ("Bearer TOKEN") makes the caller trusted.
Caller CallerOf(const rpc::CallFacts& facts, const std::string& bearer);

}  // namespace leftfold
#endif  // SERVER_CALLER_H_
