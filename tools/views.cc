#include "tools/views.h"

#include <grpcpp/grpcpp.h>

#include "core/log.h"
#include "core/status.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "server/role_lock.h"

namespace leftfold::tools {

int Views(const std::string& data) {
  auto holder = RoleLock::FindHolder(data, "project");
  if (!holder.ok() || holder->address.empty()) holder = RoleLock::FindHolder(data, "read");
  if (!holder.ok() || holder->address.empty()) {
    LogLine("leftfold views: no server runs on {}", data);
    return 1;
  }
  const auto stub = admin::v1::AdminService::NewStub(
      grpc::CreateChannel(holder->address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  admin::v1::ListViewsResponse response;
  const grpc::Status status = stub->ListViews(&context, admin::v1::ListViewsRequest(), &response);
  if (!status.ok()) {
    LogLine("leftfold views: {}", status.error_message());
    return 1;
  }
  Print("{:<28} {:>7} {:>10} {:<12} {:>12} {:>8} {:>10} {:>7} {:>10}  {}\n", "view", "version",
        "generation", "state", "checkpoint", "lag", "seconds", "parked", "KiB", "reason");
  for (const auto& view : response.views()) {
    const std::string state =
        admin::v1::ViewStatus::State_Name(view.state()).substr(std::string_view("STATE_").size());
    const bool known = !view.lag_unknown();
    Print("{:<28} {:>7} {:>10} {:<12} {:>12} {:>8} {:>10} {:>7} {:>10}  {}\n", view.name(),
          view.version(), view.generation(), state, view.checkpoint(),
          known ? fmt::to_string(view.lag_events()) : "?",
          known ? fmt::format("{:.1f}", view.lag_seconds()) : "?", view.parked_events(),
          view.bytes() / 1024, view.reason());
  }
  return 0;
}

}  // namespace leftfold::tools
