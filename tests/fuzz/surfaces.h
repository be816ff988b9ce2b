#ifndef TESTS_FUZZ_SURFACES_H_
#define TESTS_FUZZ_SURFACES_H_

#include <google/protobuf/descriptor.h>

#include <vector>

#include "core/registry.h"
#include "leftfold/admin/v1/admin.pb.h"
#include "leftfold/admin/v1/reactors.pb.h"
#include "leftfold/admin/v1/webhooks.pb.h"
#include "leftfold/commands/v1/command_session.pb.h"
#include "leftfold/store/v1/consumers.pb.h"
#include "leftfold/store/v1/event_store.pb.h"

// The requests of the RPCs that a fuzz target calls, in the order in which its inputs choose them.
// Together they are all RPCs, which a unit test checks; each target's own are called by its corpus
// (LEFTFOLD_FUZZ_EVERY_RPC).
namespace leftfold::fuzz {

using Requests = std::vector<const google::protobuf::Descriptor*>;

inline Requests RequestsOfCommands(const Registry& domains) {
  Requests requests;
  for (const CommandEntry& command : domains.commands()) requests.push_back(command.request);
  for (const BatchEntry& batch : domains.batches()) requests.push_back(batch.request);
  requests.push_back(commands::v1::CommandSessionRequest::descriptor());
  return requests;
}

inline Requests RequestsOfQueries(const Registry& domains) {
  Requests requests;
  for (const ViewEntry& view : domains.views()) {
    for (const QueryEntry& query : view.queries) requests.push_back(query.request);
    for (const WatchEntry& watch : view.watches) requests.push_back(watch.request);
  }
  return requests;
}

inline Requests RequestsOfStore() {
  namespace v1 = store::v1;
  return {v1::AppendRequest::descriptor(),     v1::AppendSessionRequest::descriptor(),
          v1::ReadStreamRequest::descriptor(), v1::ReadAllRequest::descriptor(),
          v1::SubscribeRequest::descriptor(),  v1::GetCommandRequest::descriptor(),
          v1::GetStreamRequest::descriptor(),  v1::ListStreamsRequest::descriptor(),
          v1::GetHeadRequest::descriptor()};
}

inline Requests RequestsOfOperators() {
  Requests requests;
  for (const google::protobuf::FileDescriptor* file :
       {admin::v1::ViewStatus::descriptor()->file(), admin::v1::ReactorStatus::descriptor()->file(),
        admin::v1::Webhook::descriptor()->file(), store::v1::ConsumerGroup::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int i = 0; i < file->service(s)->method_count(); ++i)
        requests.push_back(file->service(s)->method(i)->input_type());
    }
  }
  return requests;
}

}  // namespace leftfold::fuzz
#endif  // TESTS_FUZZ_SURFACES_H_
