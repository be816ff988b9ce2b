// The client of HTTP calls against a real server of the machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/http_client.h"
#include "testing/http_server.h"

namespace leftfold {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::HttpAnswer;
using testing::HttpSeen;
using testing::HttpServer;
using testing::HttpTold;
using ::testing::Pair;

using HttpResult = absl::StatusOr<HttpReply>;

HttpRequest Get(const std::string& url) {
  HttpRequest request;
  request.url = url;
  request.timeout = absl::Minutes(1);  // Far more than any answer here takes.
  return request;
}

std::future<HttpResult> Start(HttpClient& client, HttpRequest request) {
  auto promise = std::make_shared<std::promise<HttpResult>>();
  client.Send(std::move(request), [promise](HttpResult r) { promise->set_value(std::move(r)); });
  return promise->get_future();
}

HttpResult Call(HttpClient& client, HttpRequest request) {
  return Start(client, std::move(request)).get();
}

HttpTold Told(const std::string& bytes, HttpTold::Then then) { return {bytes, then}; }

TEST(CurlHttpClient, SendsMethodHeadersAndBodyAndGetsStatusHeadersAndBody) {
  HttpSeen seen;
  HttpServer server([&](const HttpSeen& request) {
    seen = request;
    return HttpTold{"HTTP/1.1 418 Short\r\nX-Answer:  forty two \r\nContent-Length: 4\r\n\r\nbody"};
  });
  CurlHttpClient client;
  HttpRequest request = Get(server.url("/v1/charges?a=b"));
  request.method = "POST";
  request.headers = {{"Authorization", "Bearer key"}, {"X-Empty", ""}};
  request.body = std::string("{\"a\":\0}", 7);
  const HttpResult reply = Call(client, request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 418);
  EXPECT_EQ(reply->body, "body");
  EXPECT_THAT(reply->headers, Contains(Pair("x-answer", "forty two")));
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/v1/charges?a=b");
  EXPECT_EQ(seen.body, request.body);
  EXPECT_THAT(seen.headers, Contains(Pair("authorization", "Bearer key")));
  EXPECT_THAT(seen.headers, Contains(Pair("x-empty", "")));
  EXPECT_EQ(seen.headers.count("content-type"), 0u) << "made up";
  EXPECT_EQ(seen.headers.count("expect"), 0u);
}

TEST(CurlHttpClient, EveryMethodArrivesAsItself) {
  HttpServer server([](const HttpSeen& request) { return HttpAnswer(request.method); });
  CurlHttpClient client;
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    HttpRequest request = Get(server.url());
    request.method = method;
    const HttpResult reply = Call(client, request);
    ASSERT_TRUE(reply.ok()) << method << reply.status();
    EXPECT_EQ(reply->body, method);
  }
  HttpRequest head = Get(server.url());
  head.method = "HEAD";
  const HttpResult reply = Call(client, head);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_THAT(reply->headers, Contains(Pair("content-length", "4")));
  EXPECT_EQ(reply->body, "");
}

TEST(CurlHttpClient, ARedirectIsAReply) {
  HttpServer server([](const HttpSeen& request) {
    if (request.target != "/") return HttpAnswer("followed");
    return HttpTold{"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"};
  });
  CurlHttpClient client;
  const HttpResult reply = Call(client, Get(server.url("/")));
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->status, 302);
  EXPECT_THAT(reply->headers, Contains(Pair("location", "/other")));
}

TEST(CurlHttpClient, NoReplyIsUnavailable) {
  std::string closed;
  {
    HttpServer gone([](const HttpSeen&) { return HttpAnswer(""); });
    closed = gone.url();
  }
  HttpServer server([](const HttpSeen& request) {
    if (request.target == "/reset") return Told("", HttpTold::Then::kReset);
    if (request.target == "/cut")
      return HttpTold{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes."};
    return HttpTold{"I am no HTTP server\r\n\r\n"};
  });
  CurlHttpClient client;
  for (const std::string& url :
       {closed, server.url("/reset"), server.url("/cut"), server.url("/other")}) {
    EXPECT_EQ(Call(client, Get(url)).status().code(), absl::StatusCode::kUnavailable) << url;
  }
}

TEST(CurlHttpClient, ASlowReplyIsDeadlineExceeded) {
  HttpServer server([](const HttpSeen&) {
    return Told("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegi", HttpTold::Then::kHold);
  });
  CurlHttpClient client;
  HttpRequest request = Get(server.url());
  request.timeout = absl::Milliseconds(20);
  const HttpResult reply = Call(client, request);
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kDeadlineExceeded) << reply.status();
  EXPECT_THAT(std::string(reply.status().message()), HasSubstr("20 ms"));
}

TEST(CurlHttpClient, AReplyUpToTheLimitIsTakenAndNoLargerOne) {
  const std::string head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
  HttpServer server([&](const HttpSeen& request) {
    const std::size_t size = kHttpReplyBytesMax + (request.target == "/more" ? 1 : 0);
    return HttpTold{head + std::string(size - head.size(), 'x')};
  });
  CurlHttpClient client;
  const HttpResult largest = Call(client, Get(server.url("/limit")));
  ASSERT_TRUE(largest.ok()) << largest.status();
  EXPECT_EQ(largest->body.size() + head.size(), kHttpReplyBytesMax);
  EXPECT_EQ(Call(client, Get(server.url("/more"))).status().code(), absl::StatusCode::kOutOfRange);
}

// Says nothing before `all` requests are there.
class Barrier {
 public:
  explicit Barrier(int all) : missing_(all) {}
  void Arrive() {
    std::unique_lock lock(mu_);
    if (--missing_ == 0) there_.notify_all();
    there_.wait(lock, [&] { return missing_ <= 0; });
  }

 private:
  std::mutex mu_;
  std::condition_variable there_;
  int missing_;
};

TEST(CurlHttpClient, AsManyCallsAsTheLimitSaysAreUnderWayAtOnce) {
  Barrier barrier(kHttpCallsMax);
  HttpServer server([&](const HttpSeen& request) {
    if (request.target != "/after") barrier.Arrive();
    return HttpAnswer(request.target);
  });
  CurlHttpClient client;
  std::vector<std::future<HttpResult>> calls;
  for (int i = 0; i + 1 < kHttpCallsMax; ++i)
    calls.push_back(Start(client, Get(server.url("/" + std::to_string(i)))));
  // The last one is sent from within `done`, of a call that was refused.
  std::promise<HttpResult> last;
  client.Send(Get("ftp://nowhere"), [&](const HttpResult& refused) {
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
    client.Send(Get(server.url("/last")), [&](HttpResult r) { last.set_value(std::move(r)); });
  });
  EXPECT_EQ(last.get_future().get().value().body, "/last");
  for (int i = 0; i + 1 < kHttpCallsMax; ++i) {
    const HttpResult reply = calls[static_cast<std::size_t>(i)].get();
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->body, "/" + std::to_string(i));
  }
  EXPECT_TRUE(Call(client, Get(server.url("/after"))).ok()) << "ended calls still count";
}

TEST(CurlHttpClient, OneMoreThanTheLimitIsRefused) {
  HttpServer server([](const HttpSeen&) { return Told("", HttpTold::Then::kHold); });
  auto client = std::make_unique<CurlHttpClient>();
  std::vector<std::future<HttpResult>> calls;
  for (int i = 0; i < kHttpCallsMax; ++i) calls.push_back(Start(*client, Get(server.url())));
  EXPECT_EQ(Call(*client, Get(server.url())).status().code(), absl::StatusCode::kResourceExhausted);
  client.reset();
  for (std::future<HttpResult>& call : calls)
    EXPECT_EQ(call.get().status().code(), absl::StatusCode::kCancelled);
}

TEST(CurlHttpClient, MalformedRequestsAreRefusedUnsent) {
  CurlHttpClient client;
  std::vector<HttpRequest> malformed(8, Get("http://127.0.0.1:1/"));
  malformed[0].url = "file:///etc/passwd";
  malformed[1].url = "http://";
  malformed[2].url = "http://127.0.0.1/a b";
  malformed[3].method = "GET / HTTP/1.1\r\nX: y";
  malformed[4].headers = {{"X", "a\r\nY: b"}};
  malformed[5].headers = {{"X:Y", "a"}};
  malformed[6].timeout = absl::ZeroDuration();
  malformed[7].timeout = absl::InfiniteDuration();
  for (std::size_t i = 0; i < malformed.size(); ++i) {
    EXPECT_EQ(Call(client, malformed[i]).status().code(), absl::StatusCode::kInvalidArgument) << i;
  }
}

TEST(CurlHttpClient, NoProxyOfTheEnvironmentIsAsked) {
  HttpServer server([](const HttpSeen& request) { return HttpAnswer(request.target); });
  HttpServer proxy([](const HttpSeen&) { return HttpAnswer("from the proxy"); });
  setenv("http_proxy", proxy.url().c_str(), 1);
  CurlHttpClient client;
  const HttpResult reply = Call(client, Get(server.url("/direct")));
  unsetenv("http_proxy");
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->body, "/direct");
}

}  // namespace
}  // namespace leftfold
