#ifndef SERVER_REACTOR_DELIVERER_H_
#define SERVER_REACTOR_DELIVERER_H_

#include <string>
#include <utility>

#include "core/clock.h"
#include "core/http.h"
#include "core/registry.h"
#include "reactor/deliverer.h"
#include "server/http_services.h"
#include "server/smtp_client.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Makes the deliveries of reactors: commands through `commands`, HTTP
// calls through `http`, those of a service as `services` has it; a service that it does not have is
// a failure that says what to set. A refused command is a result. What may have another end later
// is a failure: a conflict with another writer, a full queue or disk, no reply, and the replies
// 408, 429 and 5xx. Thread-safe.
class ReactorDeliverer final : public Deliverer {
 public:
  // E-mails go to `smtp`. Without one they become files in `mail_folder`, one each, from where
  // another program sends them. The same delivery is the same file, and has the same Message-ID.
  ReactorDeliverer(const Registry& registry, CommandSink& commands, HttpClient& http,
                   const Clock& clock, std::string mail_folder, HttpServices services = {},
                   SmtpClient* smtp = nullptr)
      : registry_(registry),
        commands_(commands),
        http_(http),
        clock_(clock),
        mail_folder_(std::move(mail_folder)),
        services_(std::move(services)),
        smtp_(smtp) {}
  void Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) override;

 private:
  void SendCommand(const ReactorEntry& reactor, const Delivery& delivery, Done done);
  void Call(const ReactorEntry& reactor, const Delivery& delivery, Done done);
  void SendMail(const Delivery& delivery, Done done);

  const Registry& registry_;
  CommandSink& commands_;
  HttpClient& http_;
  const Clock& clock_;
  const std::string mail_folder_;
  const HttpServices services_;
  SmtpClient* const smtp_;
};

}  // namespace leftfold
#endif  // SERVER_REACTOR_DELIVERER_H_
