#ifndef TOOLS_CALL_H_
#define TOOLS_CALL_H_

#include <string>
#include <vector>

namespace leftfold::tools {

struct CallOptions {
  std::string address;
  std::string method;       // "package.Service/Method", "list" or "describe".
  std::string json = "{}";  // "-": standard input. With "describe" the symbol.
  std::vector<std::string> headers;
  double timeout_seconds = 30;  // 0: none.
};

// `leftfold call`: finds the method by the server's own reflection, not by what is linked in here,
// sends the request and prints one JSON object for each response. Errors go to stderr with code,
// message and decoded details; then 1 is returned. 2 when the command line makes no sense.
int Call(const CallOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_CALL_H_
