#ifndef TESTING_STORE_SERVER_H_
#define TESTING_STORE_SERVER_H_

#include <memory>
#include <string>

#include "core/registry.h"
#include "event_store/event_store.h"
#include "event_store/feed.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "server/store_service.h"
#include "server/thread_pool.h"
#include "write_api/append_session.h"
#include "write_api/raw_append.h"

namespace leftfold::testing {

// A store behind leftfold.store.v1 on a socket, put together as in server/app.cc. Owns the threads
// on which reads are answered; appends go through the store's own executors. Its methods are called
// from one thread.
class StoreServer {
 public:
  static constexpr char kToken[] = "token";

  // Port 0 takes a free one. The store must outlive it.
  explicit StoreServer(EventStore& store, const std::string& listen = "127.0.0.1:0");
  // Stop().
  ~StoreServer();

  const std::string& address() const { return address_; }
  // Reads and subscriptions end, and are refused from now on; other calls go on.
  void RefuseFeeds() { feeds_.Stop(); }
  // Calls in flight are cut off, as when the process ends. Idempotent.
  void Kill();
  // Calls in flight are answered first, as on SIGTERM: not on a scheduler that stands still.
  void Stop();

 private:
  const Registry registry_;
  ThreadPool work_{"store work", 2};
  RawAppender appender_;
  AppendSessionKind append_kind_;
  Sessions sessions_;
  Feeds feeds_;
  rpc::Services services_;
  std::unique_ptr<rpc::RpcServer> server_;
  std::string address_;
};

}  // namespace leftfold::testing
#endif  // TESTING_STORE_SERVER_H_
