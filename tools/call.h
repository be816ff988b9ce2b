#ifndef TOOLS_CALL_H_
#define TOOLS_CALL_H_

#include <string>
#include <vector>

namespace leftfold::tools {

struct CallOptions {
  std::string address;
  std::string method;        // "package.Service/Method", or "list".
  std::string json = "{}";   // "-": standard input.
  std::vector<std::string> headers;
  double timeout_seconds = 30;
};

// `leftfold call`: finds the method by the server's reflection, sends the request and prints one JSON object for each response.
// Errors go to stderr with code, message and decoded details; then 1 is returned.
int Call(const CallOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_CALL_H_
