#ifndef SERVER_WEBHOOKS_H_
#define SERVER_WEBHOOKS_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"
#include "event_store/event_store.h"
#include "leftfold/admin/v1/webhooks.pb.h"
#include "reactor/reactors.h"

namespace leftfold {

// The webhooks of a data folder: DATA/webhooks.json, which only its owner may read because secrets
// are in it, and a reactor for each. What is changed is on the disk before it is in effect, and
// then at once. What is returned has no secrets and no values of headers. Thread-safe.
class Webhooks {
 public:
  // All must outlive it.
  struct Parts {
    const Registry& registry;
    EventStore& store;
    Reactors& reactors;
    std::string data;
  };
  // Adds a reactor for each webhook of the file, if there is one. FAILED_PRECONDITION that names
  // the file and all that is wrong in it; no reactor was added then.
  static absl::StatusOr<std::unique_ptr<Webhooks>> Open(const Parts& parts);

  // INVALID_FIELDS with all violations; WEBHOOK_EXISTS; LIMIT_EXCEEDED {limit, maximum, actual}:
  // kWebhooksMax. Where the disk refuses, nothing has changed.
  absl::StatusOr<admin::v1::Webhook> Create(admin::v1::Webhook webhook);
  // INVALID_FIELDS, WEBHOOK_NOT_FOUND.
  absl::StatusOr<admin::v1::Webhook> Update(admin::v1::Webhook webhook);
  // WEBHOOK_NOT_FOUND. The reactor's file is removed.
  absl::Status Delete(std::string_view name);
  // By name.
  std::vector<admin::v1::Webhook> List();

 private:
  explicit Webhooks(const Parts& parts) : parts_(parts), path_(parts.data + "/webhooks.json") {}
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives the webhook a reactor's name that no other ever had.
  void NameReactor(admin::v1::WebhookFile& file, admin::v1::Webhook& webhook);
  absl::Status Check(const admin::v1::Webhook& webhook) const;
  // `changed` is on the disk, and the state from now on; or nothing has changed.
  absl::Status Store(admin::v1::WebhookFile changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status AddReactor(const admin::v1::Webhook& webhook);

  const Parts parts_;
  const std::string path_;
  Mutex mu_;  // Held while the file is written: changes are rare, and come one after the other.
  admin::v1::WebhookFile file_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // SERVER_WEBHOOKS_H_
