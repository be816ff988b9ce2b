#include "testing/store_server.h"

#include <absl/time/clock.h>

#include "core/status.h"
#include "leftfold/store/v1/event_store.pb.h"
#include "rpc/status.h"
#include "server/command_session.h"

namespace leftfold::testing {

StoreServer::StoreServer(EventStore& store, const std::string& listen)
    : appender_(registry_, store, work_),
      append_kind_(appender_, rpc::ToRpcStatus),
      sessions_(append_kind_),
      feeds_(store, work_) {
  absl::Status served =
      ServeSessions(*store::v1::AppendSessionRequest::descriptor(), sessions_, kToken, services_);
  if (!served.ok()) Die(served.ToString());
  served = ServeStore({.store = store, .appender = appender_, .feeds = feeds_, .work = work_},
                      kToken, services_);
  if (!served.ok()) Die(served.ToString());
  // The port of a server that has just gone may be in use for a moment: by what is left of it, or
  // by a client of some other test.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (server_ == nullptr) {
    auto server =
        rpc::RpcServer::Start({.listen = listen, .services = &services_, .generated = {}});
    if (server.ok()) {
      server_ = *std::move(server);
    } else if (absl::Now() > deadline) {
      Die(server.status().ToString());
    } else {
      absl::SleepFor(absl::Milliseconds(20));
    }
  }
  address_ = server_->address();
}

StoreServer::~StoreServer() { Kill(); }

void StoreServer::Kill() {
  if (server_ != nullptr) server_->Drain(rpc::After(absl::ZeroDuration()));
  server_ = nullptr;
  // All sessions are over. Its lock tells the thread sanitizer so, which does not see into gRPC.
  if (sessions_.open() != 0) Die("a session outlives its server");
  work_.Stop();
}

void StoreServer::Stop() {
  sessions_.Stop();
  feeds_.Stop();
  if (server_ != nullptr) server_->Drain(rpc::After(absl::Seconds(10)));
  Kill();
}

}  // namespace leftfold::testing
