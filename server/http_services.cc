#include "server/http_services.h"

#include <absl/strings/ascii.h>

#include <algorithm>

#include "core/status.h"

namespace leftfold {
namespace {

constexpr std::string_view kScheme = "service:";
constexpr std::string_view kPrefix = "LEFTFOLD_", kUrl = "_URL", kApiKey = "_API_KEY";

}  // namespace

HttpServices ServicesOf(const char* const* environment) {
  HttpServices services;
  std::map<std::string, std::string> keys;
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    const std::size_t equals = entry.find('=');
    if (!entry.starts_with(kPrefix) || equals == std::string_view::npos) continue;
    std::string_view name = entry.substr(kPrefix.size(), equals - kPrefix.size());
    const std::string_view value = entry.substr(equals + 1);
    const bool key = name.ends_with(kApiKey);
    if ((!key && !name.ends_with(kUrl)) || value.empty()) continue;
    name.remove_suffix(key ? kApiKey.size() : kUrl.size());
    const std::string lower = absl::AsciiStrToLower(ToAbsl(name));
    if (lower.empty()) continue;
    if (key) {
      keys[lower] = value;
    } else {
      services[lower].url = std::string(value.substr(0, value.find_last_not_of('/') + 1));
    }
  }
  for (auto& [name, service] : services) service.api_key = keys[name];
  return services;
}

absl::Status ResolveService(const HttpServices& services, HttpRequest& request) {
  if (!request.url.starts_with(kScheme)) return absl::OkStatus();
  const std::size_t slash = std::min(request.url.find('/'), request.url.size());
  const std::string name = request.url.substr(kScheme.size(), slash - kScheme.size());
  const auto service = services.find(name);
  if (service == services.end()) {
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
