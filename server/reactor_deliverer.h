#ifndef SERVER_REACTOR_DELIVERER_H_
#define SERVER_REACTOR_DELIVERER_H_

#include <utility>

#include "core/http.h"
#include "core/registry.h"
#include "reactor/deliverer.h"
#include "server/http_services.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Makes the deliveries of reactors: commands through the command handler of this process, HTTP
// calls through `http`, those of a service as `services` has it; a service that it does not have is
// a failure that says what to set. A refused command is a result. What may have another end later
// is a failure: a conflict with another writer, a full queue or disk, no reply, and the replies
// 408, 429 and 5xx. Thread-safe.
class ReactorDeliverer final : public Deliverer {
 public:
  ReactorDeliverer(const Registry& registry, CommandHandler& commands, HttpClient& http,
                   HttpServices services = {})
      : registry_(registry), commands_(commands), http_(http), services_(std::move(services)) {}
  void Deliver(const Delivery& delivery, absl::Duration timeout, Done done) override;

 private:
  void SendCommand(const Delivery& delivery, Done done);
  void Call(const Delivery& delivery, absl::Duration timeout, Done done);

  const Registry& registry_;
  CommandHandler& commands_;
  HttpClient& http_;
  const HttpServices services_;
};

}  // namespace leftfold
#endif  // SERVER_REACTOR_DELIVERER_H_
