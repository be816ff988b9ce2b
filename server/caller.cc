#include "server/caller.h"

namespace leftfold {

Caller CallerOf(const rpc::CallFacts& facts, const std::string& bearer) {
  Caller caller;
  caller.actor = facts.Actor();
  caller.correlation_id = facts.Header("x-correlation-id");
  caller.causation_id = facts.Header("x-causation-id");
  caller.traceparent = facts.Header("traceparent");
  caller.trusted = facts.Header("authorization") == bearer;
  return caller;
}

}  // namespace leftfold
