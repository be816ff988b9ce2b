#ifndef SERVER_HTTP_CLIENT_H_
#define SERVER_HTTP_CLIENT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/http.h"

namespace leftfold {

// HttpClient over libcurl, on one thread of its own ("lf-http"), where `done` is called too.
// HTTP/1.1, connections are kept. Redirects are replies like others. No proxy, whatever the
// environment says; no credentials from files; certificates of https are checked. The destructor
// ends calls under way with CANCELLED. Send is thread-safe.
class CurlHttpClient final : public HttpClient {
 public:
  CurlHttpClient();
  ~CurlHttpClient() override;
  void Send(HttpRequest request, std::function<void(absl::StatusOr<HttpReply>)> done) override;

 private:
  struct Call;
  class Loop;

  std::mutex mu_;
  std::vector<std::unique_ptr<Call>> queued_;  // Under mu_: not yet seen by the thread.
  std::atomic<int> calls_{0};
  std::unique_ptr<Loop> loop_;
  std::jthread thread_;
};

}  // namespace leftfold
#endif  // SERVER_HTTP_CLIENT_H_
