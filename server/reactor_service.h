#ifndef SERVER_REACTOR_SERVICE_H_
#define SERVER_REACTOR_SERVICE_H_

#include <absl/time/time.h>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

#include "event_store/event_store.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "reactor/reactors.h"
#include "server/webhooks.h"

namespace leftfold {

// How often a WatchErrors that has nothing to say looks whether its client is still there.
inline constexpr absl::Duration kWatchErrorsLook = absl::Seconds(1);
// Open calls of WatchErrors; each has a thread of its own. Beyond: QUEUE_FULL with RetryInfo.
inline constexpr int kErrorWatchesMax = 64;

// What the role react has, once its log is open.
struct Reacting {
  EventStore& store;
  Reactors& reactors;
  Webhooks& webhooks;
};
// Where a process with the role finds it, nullptr until then.
using ReactingNow = std::atomic<Reacting*>;
// For this request. UNKNOWN_FIELD where it has one, ROLE_NOT_HERE where there is no such place,
// LOG_UNREACHABLE until then.
absl::StatusOr<Reacting*> GetReacting(const google::protobuf::Message& request,
                                      const std::string& data, const ReactingNow* now);

// leftfold.admin.v1.ReactorService over the log and the reactors, on the threads of gRPC's
// synchronous API: operators are few. Thread-safe.
class ReactorService final : public admin::v1::ReactorService::Service {
 public:
  static constexpr std::string_view kName = "leftfold.admin.v1.ReactorService";
  // As GetReacting takes them; `now` must outlive the service.
  ReactorService(std::string data, const ReactingNow* now) : data_(std::move(data)), now_(now) {}
  // Watches end.
  void Stop() { stopping_ = true; }

  grpc::Status ListReactors(grpc::ServerContext* context,
                            const admin::v1::ListReactorsRequest* request,
                            admin::v1::ListReactorsResponse* response) override;
  grpc::Status ListParkedDeliveries(grpc::ServerContext* context,
                                    const admin::v1::ListParkedDeliveriesRequest* request,
                                    admin::v1::ListParkedDeliveriesResponse* response) override;
  grpc::Status RetryParkedDeliveries(grpc::ServerContext* context,
                                     const admin::v1::RetryParkedDeliveriesRequest* request,
                                     admin::v1::RetryParkedDeliveriesResponse* response) override;
  grpc::Status SkipParkedDelivery(grpc::ServerContext* context,
                                  const admin::v1::SkipParkedDeliveryRequest* request,
                                  admin::v1::SkipParkedDeliveryResponse* response) override;
  grpc::Status PauseReactor(grpc::ServerContext* context,
                            const admin::v1::PauseReactorRequest* request,
                            admin::v1::PauseReactorResponse* response) override;
  grpc::Status ResumeReactor(grpc::ServerContext* context,
                             const admin::v1::ResumeReactorRequest* request,
                             admin::v1::ResumeReactorResponse* response) override;
  grpc::Status WatchErrors(grpc::ServerContext* context,
                           const admin::v1::WatchErrorsRequest* request,
                           grpc::ServerWriter<admin::v1::WatchErrorsResponse>* writer) override;

 private:
  using ErrorWriter = grpc::ServerWriter<admin::v1::WatchErrorsResponse>;
  // Until the client is gone, or Stop.
  grpc::Status TellErrors(EventStore& store, Position after, const grpc::ServerContext& context,
                          ErrorWriter& writer) const;

  const std::string data_;
  const ReactingNow* const now_;
  std::atomic<int> error_watches_ = 0;
  std::atomic<bool> stopping_ = false;
};

}  // namespace leftfold
#endif  // SERVER_REACTOR_SERVICE_H_
