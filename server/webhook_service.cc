#include "server/webhook_service.h"

#include <utility>

#include "rpc/status.h"
#include "server/operator.h"

namespace leftfold {
namespace {

template <class Response>
grpc::Status ToGrpc(absl::StatusOr<admin::v1::Webhook> webhook, Response& response) {
  if (!webhook.ok()) return ToOperator(webhook.status());
  *response.mutable_webhook() = *std::move(webhook);
  return grpc::Status::OK;
}

}  // namespace

grpc::Status WebhookService::CreateWebhook(grpc::ServerContext*,
                                           const admin::v1::CreateWebhookRequest* request,
                                           admin::v1::CreateWebhookResponse* response) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  return ToGrpc((*reacting)->webhooks.Create(request->webhook()), *response);
}

grpc::Status WebhookService::UpdateWebhook(grpc::ServerContext*,
                                           const admin::v1::UpdateWebhookRequest* request,
                                           admin::v1::UpdateWebhookResponse* response) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  return ToGrpc((*reacting)->webhooks.Update(request->webhook()), *response);
}

grpc::Status WebhookService::DeleteWebhook(grpc::ServerContext*,
                                           const admin::v1::DeleteWebhookRequest* request,
                                           admin::v1::DeleteWebhookResponse*) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  return ToOperator((*reacting)->webhooks.Delete(request->name()));
}

grpc::Status WebhookService::ListWebhooks(grpc::ServerContext*,
                                          const admin::v1::ListWebhooksRequest* request,
                                          admin::v1::ListWebhooksResponse* response) {
  const auto reacting = GetReacting(*request, data_, now_);
  if (!reacting.ok()) return rpc::ToGrpc(reacting.status());
  for (admin::v1::Webhook& webhook : (*reacting)->webhooks.List())
    *response->add_webhooks() = std::move(webhook);
  return grpc::Status::OK;
}

}  // namespace leftfold
