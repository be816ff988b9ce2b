#ifndef SERVER_REACTOR_DELIVERER_H_
#define SERVER_REACTOR_DELIVERER_H_

#include "core/http.h"
#include "core/registry.h"
#include "reactor/deliverer.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Makes the deliveries of reactors: commands through the command handler of this process, HTTP
// calls through `http`. A refused command is a result. What may have another end later is a
// failure: a conflict with another writer, a full queue or disk, no reply, and the replies 408, 429
// and 5xx. Thread-safe.
class ReactorDeliverer final : public Deliverer {
 public:
  ReactorDeliverer(const Registry& registry, CommandHandler& commands, HttpClient& http)
      : registry_(registry), commands_(commands), http_(http) {}
  void Deliver(const Delivery& delivery, absl::Duration timeout, Done done) override;

 private:
  void SendCommand(const Delivery& delivery, Done done);
  void Call(const Delivery& delivery, absl::Duration timeout, Done done);

  const Registry& registry_;
  CommandHandler& commands_;
  HttpClient& http_;
};

}  // namespace leftfold
#endif  // SERVER_REACTOR_DELIVERER_H_
