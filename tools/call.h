#ifndef TOOLS_CALL_H_
#define TOOLS_CALL_H_

#include <string>
#include <vector>

namespace leftfold::tools {

struct CallOptions {
  std::string address;
  std::string method;  // "package.Service/Method", "list" or "describe".
  // One object, or any number of them for a method that takes a stream; "-": standard input. With
  // "describe" the symbol.
  std::string json = "{}";
  std::vector<std::string> headers;
  double timeout_seconds = 30;  // 0: none.
};

// `leftfold call`: finds the method by the server's own reflection, not by what is linked in here,
// sends the request and prints one JSON object for each response. A method that takes a stream is
// sent each object of the JSON as soon as it is there, while the responses are printed. Errors go
// to stderr with code, message and decoded details; then 1 is returned. 2 when the command line
// makes no sense.
int Call(const CallOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_CALL_H_
