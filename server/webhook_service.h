#ifndef SERVER_WEBHOOK_SERVICE_H_
#define SERVER_WEBHOOK_SERVICE_H_

#include <string>
#include <string_view>
#include <utility>

#include "leftfold/admin/v1/webhooks.grpc.pb.h"
#include "server/reactor_service.h"

namespace leftfold {

// leftfold.admin.v1.WebhookService over the webhooks, on the threads of gRPC's synchronous API.
// Thread-safe.
class WebhookService final : public admin::v1::WebhookService::Service {
 public:
  static constexpr std::string_view kName = "leftfold.admin.v1.WebhookService";
  // As ReactorService.
  WebhookService(std::string data, const ReactingNow* now) : data_(std::move(data)), now_(now) {}

  grpc::Status CreateWebhook(grpc::ServerContext* context,
                             const admin::v1::CreateWebhookRequest* request,
                             admin::v1::CreateWebhookResponse* response) override;
  grpc::Status UpdateWebhook(grpc::ServerContext* context,
                             const admin::v1::UpdateWebhookRequest* request,
                             admin::v1::UpdateWebhookResponse* response) override;
  grpc::Status DeleteWebhook(grpc::ServerContext* context,
                             const admin::v1::DeleteWebhookRequest* request,
                             admin::v1::DeleteWebhookResponse* response) override;
  grpc::Status ListWebhooks(grpc::ServerContext* context,
                            const admin::v1::ListWebhooksRequest* request,
                            admin::v1::ListWebhooksResponse* response) override;

 private:
  const std::string data_;
  const ReactingNow* const now_;
};

}  // namespace leftfold
#endif  // SERVER_WEBHOOK_SERVICE_H_
