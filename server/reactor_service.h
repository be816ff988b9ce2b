#ifndef SERVER_REACTOR_SERVICE_H_
#define SERVER_REACTOR_SERVICE_H_

#include <absl/time/time.h>

#include <atomic>
#include <string_view>

#include "event_store/event_store.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "reactor/reactors.h"

namespace leftfold {

// How often a WatchErrors that has nothing to say looks whether its client is still there.
inline constexpr absl::Duration kWatchErrorsLook = absl::Seconds(1);

// leftfold.admin.v1.ReactorService over the log and the reactors, on the threads of gRPC's
// synchronous API: operators are few. Thread-safe.
class ReactorService final : public admin::v1::ReactorService::Service {
 public:
  static constexpr std::string_view kName = "leftfold.admin.v1.ReactorService";
  // Both must outlive the service.
  ReactorService(EventStore& store, Reactors& reactors) : store_(store), reactors_(reactors) {}
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
  EventStore& store_;
  Reactors& reactors_;
  std::atomic<bool> stopping_ = false;
};

}  // namespace leftfold
#endif  // SERVER_REACTOR_SERVICE_H_
