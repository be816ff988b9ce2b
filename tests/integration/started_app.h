#ifndef TESTS_INTEGRATION_STARTED_APP_H_
#define TESTS_INTEGRATION_STARTED_APP_H_

#include <memory>
#include <string>
#include <utility>

#include "core/registry.h"
#include "core/status.h"
#include "server/app.h"

namespace leftfold::testing {

// A server on this folder, at ports that are free.
inline ServeOptions OptionsOn(const std::string& folder) {
  ServeOptions options;
  options.data = folder;
  options.write_listen = options.read_listen = options.admin_listen = "127.0.0.1:0";
  return options;
}

// Ends the process when it does not start: no test of it could go on.
inline std::unique_ptr<App> StartedApp(const Registry& registry, const ServeOptions& options) {
  auto app = App::Start(registry, options);
  if (!app.ok()) Die(app.status().ToString());
  return *std::move(app);
}

}  // namespace leftfold::testing
#endif  // TESTS_INTEGRATION_STARTED_APP_H_
