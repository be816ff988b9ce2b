#ifndef SERVER_ADMIN_SERVICE_H_
#define SERVER_ADMIN_SERVICE_H_

#include <atomic>
#include <string_view>

#include "event_store/event_store.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "projector/projector.h"

namespace leftfold {

// leftfold.admin.v1.AdminService over the log and the projector. A rebuild runs on the thread of
// its call, which gRPC's synchronous API provides: operators are few, and their calls are long.
// Thread-safe.
class AdminService final : public admin::v1::AdminService::Service {
 public:
  static constexpr std::string_view kName = "leftfold.admin.v1.AdminService";
  // Both must outlive it.
  AdminService(EventStore& store, Projector& projector) : store_(store), projector_(projector) {}
  // Rebuilds that run are abandoned at their next step.
  void Stop() { stopping_ = true; }

  grpc::Status GetLog(grpc::ServerContext* context, const admin::v1::GetLogRequest* request,
                      admin::v1::GetLogResponse* response) override;
  grpc::Status ListViews(grpc::ServerContext* context, const admin::v1::ListViewsRequest* request,
                         admin::v1::ListViewsResponse* response) override;
  grpc::Status RebuildView(grpc::ServerContext* context,
                           const admin::v1::RebuildViewRequest* request,
                           grpc::ServerWriter<admin::v1::RebuildViewResponse>* writer) override;

 private:
  EventStore& store_;
  Projector& projector_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace leftfold
#endif  // SERVER_ADMIN_SERVICE_H_
