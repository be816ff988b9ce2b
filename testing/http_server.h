#ifndef TESTING_HTTP_SERVER_H_
#define TESTING_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace leftfold::testing {

struct HttpSeen {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // Names in small letters.
  std::string body;
};

// The bytes that are sent, right or wrong, and what becomes of the connection then.
struct HttpTold {
  enum class Then { kClose, kReset, kHold };  // kHold: open until the client closes it.
  std::string bytes;
  Then then = Then::kClose;
};

// 200 with this body, or another status.
HttpTold HttpAnswer(const std::string& body, const std::string& status = "200 OK");

// A server of HTTP on a free port of 127.0.0.1 that says what a test wants, one request a
// connection. `handler` is called on a thread of the connection and may wait.
class HttpServer {
 public:
  explicit HttpServer(std::function<HttpTold(const HttpSeen&)> handler);
  ~HttpServer();
  std::string url(const std::string& target = "") const;

 private:
  void Accept();
  void Serve(int connection);

  const std::function<HttpTold(const HttpSeen&)> handler_;
  int listener_ = -1;
  int port_ = 0;
  std::mutex mu_;
  std::set<int> open_;                     // Under mu_.
  std::vector<std::jthread> connections_;  // Of the accepting thread.
  std::jthread accepting_;
};

}  // namespace leftfold::testing
#endif  // TESTING_HTTP_SERVER_H_
