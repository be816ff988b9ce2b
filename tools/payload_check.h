#ifndef TOOLS_PAYLOAD_CHECK_H_
#define TOOLS_PAYLOAD_CHECK_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/event.h"

namespace leftfold::tools {

// Whether payloads decode as their types, those that are linked in here. Not thread-safe.
class PayloadCheck {
 public:
  // DATA_LOSS with the position for a payload that does not decode. One of an unknown type is
  // counted.
  absl::Status Check(const RecordedEvent& event);
  // Events of each type that this binary does not know.
  const std::map<std::string, std::int64_t>& unknown() const { return unknown_; }

 private:
  // One message of each type, used again; nullptr for unknown types.
  absl::flat_hash_map<std::string, std::unique_ptr<google::protobuf::Message>> messages_;
  std::map<std::string, std::int64_t> unknown_;
};

}  // namespace leftfold::tools
#endif  // TOOLS_PAYLOAD_CHECK_H_
