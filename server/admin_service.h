#ifndef SERVER_ADMIN_SERVICE_H_
#define SERVER_ADMIN_SERVICE_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "event_store/event_store.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "projector/projector.h"
#include "server/roles.h"

namespace leftfold {

// What a process has for its operators, by its roles.
struct AdminParts {
  std::string data;  // Whose locks tell where the other roles are.
  const Clock& clock;
  EventStore* log = nullptr;  // Of the role write.
  // Of the role project: points to nullptr until the log could be opened.
  const std::atomic<Projector*>* projector = nullptr;
  std::function<std::vector<ViewStatus>()> list_served = nullptr;  // Of the role read.
};

// leftfold.admin.v1.AdminService of a process with some roles: GetLog belongs to `write`, views to
// `project`; a process that only reads lists what it serves. Other calls get ROLE_NOT_HERE {role,
// address}, or LOG_UNREACHABLE while the log could not be opened. A rebuild runs on the thread of
// its call, which gRPC's synchronous API provides: operators are few, and their calls are long.
// Thread-safe.
class AdminService final : public admin::v1::AdminService::Service {
 public:
  static constexpr std::string_view kName = "leftfold.admin.v1.AdminService";
  // What the parts point to must outlive the service.
  explicit AdminService(AdminParts parts) : parts_(std::move(parts)) {}
  // Rebuilds that run are abandoned at their next step.
  void Stop() { stopping_ = true; }

  grpc::Status GetLog(grpc::ServerContext* context, const admin::v1::GetLogRequest* request,
                      admin::v1::GetLogResponse* response) override;
  grpc::Status ListViews(grpc::ServerContext* context, const admin::v1::ListViewsRequest* request,
                         admin::v1::ListViewsResponse* response) override;
  grpc::Status RebuildView(grpc::ServerContext* context,
                           const admin::v1::RebuildViewRequest* request,
                           grpc::ServerWriter<admin::v1::RebuildViewResponse>* writer) override;
  grpc::Status VerifyView(grpc::ServerContext* context, const admin::v1::VerifyViewRequest* request,
                          grpc::ServerWriter<admin::v1::VerifyViewResponse>* writer) override;
  grpc::Status SwitchView(grpc::ServerContext* context, const admin::v1::SwitchViewRequest* request,
                          grpc::ServerWriter<admin::v1::SwitchViewResponse>* writer) override;
  grpc::Status RollbackView(grpc::ServerContext* context,
                            const admin::v1::RollbackViewRequest* request,
                            grpc::ServerWriter<admin::v1::RollbackViewResponse>* writer) override;
  grpc::Status PauseView(grpc::ServerContext* context, const admin::v1::PauseViewRequest* request,
                         admin::v1::PauseViewResponse* response) override;
  grpc::Status ResumeView(grpc::ServerContext* context, const admin::v1::ResumeViewRequest* request,
                          admin::v1::ResumeViewResponse* response) override;
  grpc::Status ListParked(grpc::ServerContext* context, const admin::v1::ListParkedRequest* request,
                          admin::v1::ListParkedResponse* response) override;
  grpc::Status RetryParked(grpc::ServerContext* context,
                           const admin::v1::RetryParkedRequest* request,
                           admin::v1::RetryParkedResponse* response) override;
  grpc::Status SkipParked(grpc::ServerContext* context, const admin::v1::SkipParkedRequest* request,
                          admin::v1::SkipParkedResponse* response) override;

 private:
  // Steps a rebuild to its end, and streams its progress.
  template <class Response>
  grpc::Status Run(grpc::ServerContext& context, absl::StatusOr<std::unique_ptr<Rebuild>> rebuild,
                   grpc::ServerWriter<Response>& writer);

  // For this request. UNKNOWN_FIELD, ROLE_NOT_HERE, LOG_UNREACHABLE.
  absl::StatusOr<Projector*> GetProjector(const google::protobuf::Message& request) const;

  const AdminParts parts_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace leftfold
#endif  // SERVER_ADMIN_SERVICE_H_
