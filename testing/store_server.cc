#include "testing/store_server.h"

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
  auto server = rpc::RpcServer::Start({.listen = listen, .services = &services_, .generated = {}});
  if (!server.ok()) Die(server.status().ToString());
  server_ = *std::move(server);
  address_ = server_->address();
}

StoreServer::~StoreServer() { Kill(); }

void StoreServer::Kill() {
  if (server_ != nullptr) server_->Drain(absl::ZeroDuration());
  server_ = nullptr;
  // All sessions are over. Its lock tells the thread sanitizer so, which does not see into gRPC.
  if (sessions_.open() != 0) Die("a session outlives its server");
  work_.Stop();
}

void StoreServer::Stop() {
  sessions_.Stop();
  feeds_.Stop();
  if (server_ != nullptr) server_->Drain(absl::Seconds(10));
  Kill();
}

}  // namespace leftfold::testing
