#ifndef CORE_INBOUND_H_
#define CORE_INBOUND_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string_view>

namespace leftfold {

// What a service outside tells by HTTP (a webhook of its own), as a POST to /NAME whose body is
// signed as core/webhook_signature.h has it.
struct InboundMessage {
  std::string_view secret;  // Shared with the service.
  std::string_view signature;
  std::string_view body;  // As it came, byte for byte.
  absl::Time now;
};

struct InboundEntry {
  std::string_view name;  // Of the service, as reactors call it (server/http_services.h).
  // The command to be sent; nullptr where there is nothing to do. UNAUTHENTICATED when the message
  // is not the service's, INVALID_ARGUMENT when it is malformed.
  absl::StatusOr<std::unique_ptr<google::protobuf::Message>> (*take)(const InboundMessage& message);
};

}  // namespace leftfold
#endif  // CORE_INBOUND_H_
