#ifndef SERVER_REACTOR_DELIVERER_H_
#define SERVER_REACTOR_DELIVERER_H_

#include "core/clock.h"
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
  ReactorDeliverer(const Registry& registry, CommandHandler& commands, HttpClient& http,
                   const Clock& clock)
      : registry_(registry), commands_(commands), http_(http), clock_(clock) {}
  void Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) override;

 private:
  void SendCommand(const ReactorEntry& reactor, const Delivery& delivery, Done done);
  void Call(const ReactorEntry& reactor, const Delivery& delivery, Done done);

  const Registry& registry_;
  CommandHandler& commands_;
  HttpClient& http_;
  const Clock& clock_;
};

}  // namespace leftfold
#endif  // SERVER_REACTOR_DELIVERER_H_
