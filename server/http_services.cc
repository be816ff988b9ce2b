#include "server/http_services.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <utility>

#include "core/status.h"

namespace leftfold {
namespace {

constexpr std::string_view kScheme = "service:";
constexpr std::string_view kPrefix = "LEFTFOLD_";
constexpr std::pair<std::string_view, std::string HttpService::*> kVariables[] = {
    {"_URL", &HttpService::url},
    {"_API_KEY", &HttpService::api_key},
    {"_WEBHOOK_SECRET", &HttpService::webhook_secret}};

}  // namespace

HttpServices ServicesOf(const char* const* environment) {
  HttpServices all;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const std::size_t equals = entry.find('=');
    if (!entry.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    const std::string_view name = entry.substr(kPrefix.size(), equals - kPrefix.size());
    const std::string_view value = entry.substr(equals + 1);
    for (const auto& [suffix, field] : kVariables) {
      if (!name.ends_with(suffix) || name.size() == suffix.size() || value.empty()) continue;
      all[absl::AsciiStrToLower(ToAbsl(name.substr(0, name.size() - suffix.size())))].*field =
          value;
    }
  }
  HttpServices services;
  for (auto& [name, service] : all) {
    if (service.url.empty() && service.webhook_secret.empty()) continue;
    service.url.resize(service.url.find_last_not_of('/') + 1);
    services.emplace(name, std::move(service));
  }
  return services;
}

absl::Status ResolveService(const HttpServices& services, HttpRequest& request) {
  if (!request.url.starts_with(kScheme)) return absl::OkStatus();
  const std::size_t slash = std::min(request.url.find('/'), request.url.size());
  const std::string name = request.url.substr(kScheme.size(), slash - kScheme.size());
  const auto service = services.find(name);
  if (service == services.end() || service->second.url.empty()) {
    const std::string variable = absl::AsciiStrToUpper(name);
    return Error(absl::StatusCode::kFailedPrecondition,
                 "there is no URL for the service {}: start the server with LEFTFOLD_{}_URL (and "
                 "LEFTFOLD_{}_API_KEY) in its environment, then retry this",
                 name, variable, variable);
  }
  request.url = service->second.url + request.url.substr(slash);
  if (!service->second.api_key.empty())
    request.headers.emplace_back("Authorization", "Bearer " + service->second.api_key);
  return absl::OkStatus();
}

}  // namespace leftfold
