#ifndef SERVER_INBOUND_SERVER_H_
#define SERVER_INBOUND_SERVER_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/registry.h"
#include "server/http_server.h"
#include "server/http_services.h"
#include "write_api/command_handler.h"

namespace leftfold {

inline constexpr int kInboundThreads = 4;
inline constexpr std::size_t kInboundBodyBytesMax = 64 << 10;

// Takes what services outside tell: `POST /NAME` becomes a system command, which is decided before
// the answer. 200 where it was accepted or there was nothing to do; 400 malformed, 401 not signed
// with the secret, 404 no such service, 405 no POST, 409 refused, 413 too large, 503 try again
// (also without a secret: LEFTFOLD_<NAME>_WEBHOOK_SECRET). Bodies say why.
class InboundServer {
 public:
  static absl::StatusOr<std::unique_ptr<InboundServer>> Start(const std::string& listen,
                                                              const Registry& registry,
                                                              CommandHandler& commands,
                                                              const Clock& clock,
                                                              HttpServices services);
  const std::string& address() const { return server_->address(); }

 private:
  InboundServer(const Registry& registry, CommandHandler& commands, const Clock& clock,
                HttpServices services);
  HttpReply Answer(const HttpRequest& request);
  absl::Status Carry(std::unique_ptr<google::protobuf::Message> command);

  const Registry& registry_;
  CommandHandler& commands_;
  const Clock& clock_;
  const HttpServices services_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace leftfold
#endif  // SERVER_INBOUND_SERVER_H_
