#ifndef TOOLS_JSON_H_
#define TOOLS_JSON_H_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <string>

namespace leftfold::tools {

struct JsonOptions {
  bool pretty = false;  // Else one line.
};

// A message as JSON, whatever it holds. Each google.protobuf.Any whose type the message's own pool
// does not know, or whose bytes are not of that type, is shown as a google.protobuf.BytesValue:
// base64 of its bytes. What still cannot be shown as JSON is an object with the one key "text": the
// message in protobuf's text format.
std::string ToJson(const google::protobuf::Message& message, const JsonOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_JSON_H_
