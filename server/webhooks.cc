#include "server/webhooks.h"

#include <absl/strings/match.h>
#include <absl/strings/numbers.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "core/reject.h"
#include "core/status.h"
#include "reactor/webhook.h"
#include "server/json_file.h"

namespace leftfold {
namespace {

using admin::v1::Webhook;
using admin::v1::WebhookFile;

// As clients may see it.
Webhook Shown(Webhook webhook) {
  webhook.set_is_signed(!webhook.secret().empty());
  webhook.clear_secret();
  for (Webhook::Header& header : *webhook.mutable_headers()) header.clear_value();
  return webhook;
}

// nullptr when there is none.
Webhook* Find(WebhookFile& file, std::string_view name) {
  auto& all = *file.mutable_webhooks();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Webhook& webhook) { return webhook.name() == name; });
  return found == all.end() ? nullptr : &*found;
}

absl::Status NotFound(std::string_view name) {
  return Reject(core::v1::ERROR_REASON_WEBHOOK_NOT_FOUND,
                fmt::format("there is no webhook {}; ListWebhooks shows all", name),
                {{"webhook", std::string(name)}});
}

// What an update leaves out stays as it was.
void TakeOver(const Webhook& before, Webhook& webhook) {
  webhook.set_reactor(before.reactor());
  webhook.set_start(before.start());
  if (!webhook.has_secret() && before.has_secret()) webhook.set_secret(before.secret());
  for (Webhook::Header& header : *webhook.mutable_headers()) {
    const auto& headers = before.headers();
    const auto same = std::find_if(headers.begin(), headers.end(), [&](const Webhook::Header& old) {
      return absl::EqualsIgnoreCase(old.name(), header.name());
    });
    if (!header.has_value() && same != headers.end()) header.set_value(same->value());
  }
}

// The number in a reactor's name; 0 when the webhook's has another form.
std::int64_t NumberOf(const Webhook& webhook) {
  const std::string& reactor = webhook.reactor();
  std::int64_t number = 0;
  if (!absl::SimpleAtoi(reactor.substr(reactor.rfind('.') + 1), &number)) return 0;
  return reactor == WebhookReactorName(webhook.name(), number) ? number : 0;
}

// What is wrong with a file, all at once.
void CheckFile(const WebhookFile& file, const Registry& registry, Violations& violations) {
  if (file.webhooks_size() > kWebhooksMax)
    return violations.Add("webhooks", fmt::format("must be at most {}", kWebhooksMax));
  std::set<std::string> names;
  for (int i = 0; i < file.webhooks_size(); ++i) {
    const Webhook& webhook = file.webhooks(i);
    const std::string prefix = fmt::format("webhooks[{}].", i);
    CheckWebhook(webhook, registry, prefix, violations);
    if (!names.insert(webhook.name()).second) violations.Add(prefix + "name", "is there twice");
    const std::int64_t number = NumberOf(webhook);
    if (!webhook.reactor().empty() && (number < 1 || number > file.last_number()))
      violations.Add(prefix + "reactor", "is given by the server; leave it out");
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Webhooks>> Webhooks::Open(const Parts& parts) {
  std::unique_ptr<Webhooks> webhooks(new Webhooks(parts));
  MutexLock lock(webhooks->mu_);
  LEFTFOLD_RETURN_IF_ERROR(webhooks->Load());
  return webhooks;
}

absl::Status Webhooks::Load() {
  WebhookFile file;
  LEFTFOLD_RETURN_IF_ERROR(ReadJsonFile(path_, file));
  Violations violations;
  CheckFile(file, parts_.registry, violations);
  if (!violations.empty()) return CannotUse(path_, ToStd(violations.ToStatus().message()));
  bool named = false;
  for (Webhook& webhook : *file.mutable_webhooks()) {
    if (!webhook.reactor().empty()) continue;
    NameReactor(file, webhook);
    named = true;
  }
  if (named) LEFTFOLD_RETURN_IF_ERROR(Store(file));
  file_ = std::move(file);
  for (const Webhook& webhook : file_.webhooks()) {
    AddReactor(webhook).IgnoreError();  // It is stopped, and ListReactors says why.
  }
  return absl::OkStatus();
}

void Webhooks::NameReactor(WebhookFile& file, Webhook& webhook) {
  // Ids of deliveries have the number in them. The head counts too, because the file may be lost
  // while the log is not.
  const std::int64_t number =
      std::max(file.last_number() + 1, parts_.store.GetHead().position.value);
  file.set_last_number(number);
  webhook.set_reactor(WebhookReactorName(webhook.name(), number));
}

absl::Status Webhooks::Check(const Webhook& webhook) const {
  Violations violations;
  CheckWebhook(webhook, parts_.registry, "webhook.", violations);
  return violations.ToStatus();
}

absl::Status Webhooks::Store(WebhookFile changed) {
  LEFTFOLD_RETURN_IF_ERROR(WriteJsonFile(path_, changed));
  file_ = std::move(changed);
  return absl::OkStatus();
}

absl::Status Webhooks::AddReactor(const Webhook& webhook) {
  return parts_.reactors.Add(ReactorOf(webhook, parts_.registry, parts_.store.StoreId()));
}

absl::StatusOr<Webhook> Webhooks::Create(Webhook webhook) {
  LEFTFOLD_RETURN_IF_ERROR(Check(webhook));
  MutexLock lock(mu_);
  if (Find(file_, webhook.name()) != nullptr) {
    return Reject(
        core::v1::ERROR_REASON_WEBHOOK_EXISTS,
        fmt::format("there is a webhook {}; update it, or delete it first", webhook.name()),
        {{"webhook", webhook.name()}});
  }
  if (file_.webhooks_size() >= kWebhooksMax) {
    return Reject(core::v1::ERROR_REASON_LIMIT_EXCEEDED,
                  fmt::format("there are {} webhooks; delete one first", kWebhooksMax),
                  {{"limit", "kWebhooksMax"},
                   {"maximum", fmt::to_string(kWebhooksMax)},
                   {"actual", fmt::to_string(kWebhooksMax + 1)}});
  }
  WebhookFile changed = file_;
  NameReactor(changed, webhook);
  *changed.add_webhooks() = webhook;
  WebhookFile before = file_;
  before.set_last_number(changed.last_number());
  LEFTFOLD_RETURN_IF_ERROR(Store(std::move(changed)));
  if (const absl::Status added = AddReactor(webhook); !added.ok()) {
    parts_.reactors.Delete(webhook.reactor());
    LEFTFOLD_RETURN_IF_ERROR(Store(std::move(before)));
    return added;
  }
  return Shown(std::move(webhook));
}

absl::StatusOr<Webhook> Webhooks::Update(Webhook webhook) {
  MutexLock lock(mu_);
  WebhookFile changed = file_;
  Webhook* const place = Find(changed, webhook.name());
  if (place == nullptr) return NotFound(webhook.name());
  TakeOver(*place, webhook);
  LEFTFOLD_RETURN_IF_ERROR(Check(webhook));
  *place = webhook;
  LEFTFOLD_RETURN_IF_ERROR(Store(std::move(changed)));
  parts_.reactors.Remove(webhook.reactor());
  LEFTFOLD_RETURN_IF_ERROR(AddReactor(webhook));
  return Shown(std::move(webhook));
}

absl::Status Webhooks::Delete(std::string_view name) {
  MutexLock lock(mu_);
  WebhookFile changed = file_;
  auto& all = *changed.mutable_webhooks();
  const auto place = std::find_if(all.begin(), all.end(),
                                  [&](const Webhook& webhook) { return webhook.name() == name; });
  if (place == all.end()) return NotFound(name);
  const std::string reactor = place->reactor();
  all.erase(place);
  LEFTFOLD_RETURN_IF_ERROR(Store(std::move(changed)));
  parts_.reactors.Delete(reactor);
  return absl::OkStatus();
}

std::vector<Webhook> Webhooks::List() {
  std::vector<Webhook> all;
  {
    MutexLock lock(mu_);
    for (const Webhook& webhook : file_.webhooks()) all.push_back(Shown(webhook));
  }
  std::sort(all.begin(), all.end(),
            [](const Webhook& a, const Webhook& b) { return a.name() < b.name(); });
  return all;
}

}  // namespace leftfold
