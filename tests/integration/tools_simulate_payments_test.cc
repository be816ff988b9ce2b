// The simulated payment provider over real sockets.
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/webhook_signature.h"
#include "server/http_client.h"
#include "testing/http_server.h"
#include "testing/nap.h"
#include "tools/simulate_payments.h"

namespace leftfold::tools {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;
using Reply = absl::StatusOr<HttpReply>;

class PaymentsServerTest : public ::testing::Test {
 protected:
  void Serve(SimulatePaymentsOptions options = {}) {
    options.listen = "127.0.0.1:0";
    auto started = PaymentsServer::Start(options);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  std::future<Reply> Start(const std::string& path, const std::string& key,
                           const std::string& body) {
    HttpRequest request;
    request.method = body.empty() ? "GET" : "POST";
    request.url = "http://" + server_->address() + path;
    request.headers = {{"Authorization", "Bearer sk_test"}, {"Idempotency-Key", key}};
    request.body = body;
    request.timeout = absl::Minutes(1);
    auto promise = std::make_shared<std::promise<Reply>>();
    client_.Send(std::move(request), [promise](Reply r) { promise->set_value(std::move(r)); });
    return promise->get_future();
  }
  std::future<Reply> StartCharge(const std::string& key, const std::string& token) {
    return Start("/v1/charges", key,
                 R"({"amount_minor":5000,"currency":"EUR","token":")" + token + "\"}");
  }
  Reply Charge(const std::string& key, const std::string& token) {
    return StartCharge(key, token).get();
  }

  std::unique_ptr<PaymentsServer> server_;
  CurlHttpClient client_;
};

TEST_F(PaymentsServerTest, AnswersInJsonAndChargesConcurrentDuplicatesOnce) {
  Serve();
  std::vector<std::future<Reply>> calls;
  for (int i = 0; i < 100; ++i)
    calls.push_back(StartCharge("k" + std::to_string(i % 4), "tok_visa"));
  for (std::future<Reply>& call : calls) {
    const Reply reply = call.get();
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->status, 200);
    EXPECT_THAT(reply->headers, Contains(Pair("content-type", "application/json")));
  }
  const Reply stats = Start("/v1/stats", "", "").get();
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_THAT(stats->body, HasSubstr(R"("charges_succeeded":"4")"));
  EXPECT_THAT(stats->body, HasSubstr(R"("duplicates":"96")"));
  const Reply one = Start("/v1/charges/k3", "", "").get();
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_THAT(one->body, HasSubstr(R"("status":"succeeded")"));
}

TEST_F(PaymentsServerTest, RefusesWhoDoesNotKnowTheKeyAndWhatIsTooLarge) {
  SimulatePaymentsOptions options;
  options.simulator.api_key = "other";
  Serve(options);
  EXPECT_EQ(Charge("k1", "tok_visa").value().status, 401);
  Serve();
  EXPECT_EQ(
      Start("/v1/charges", "k1", std::string(kSimulatorBodyBytesMax, ' ')).get().value().status,
      400);
  EXPECT_EQ(
      Start("/v1/charges", "k1", std::string(kSimulatorBodyBytesMax + 1, ' ')).get().value().status,
      413);
}

TEST_F(PaymentsServerTest, ClosesTheConnectionWhereACardGetsNoAnswer) {
  SimulatePaymentsOptions options;
  options.hold = absl::ZeroDuration();
  Serve(options);
  EXPECT_EQ(Charge("k1", "tok_charged_no_answer").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Charge("k1", "tok_charged_no_answer").value().status, 200);
  EXPECT_EQ(Charge("k2", "tok_never_answers").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_->stats().charges_succeeded(), 1);
}

TEST_F(PaymentsServerTest, LetsGoWhatItHoldsWhenItStops) {
  SimulatePaymentsOptions options;
  options.hold = absl::Hours(1);
  Serve(options);
  std::future<Reply> held = StartCharge("k1", "tok_never_answers");
  while (server_->stats().requests() == 0) testing::Nap();
  server_.reset();
  EXPECT_EQ(held.get().status().code(), absl::StatusCode::kUnavailable);
}

// Webhook messages as they come; the first answer to each event is 500.
class Receiver {
 public:
  testing::HttpTold Take(const testing::HttpSeen& seen) {
    const std::lock_guard lock(mu_);
    seen_.push_back(seen);
    came_.notify_all();
    const bool first = std::count_if(seen_.begin(), seen_.end(), [&](const auto& other) {
                         return other.body == seen.body;
                       }) == 1;
    return testing::HttpAnswer("", first ? "500 Not Now" : "204 Thanks");
  }
  std::vector<testing::HttpSeen> Wait(std::size_t count) {
    std::unique_lock lock(mu_);
    came_.wait(lock, [&] { return seen_.size() >= count; });
    return seen_;
  }

 private:
  std::mutex mu_;
  std::condition_variable came_;
  std::vector<testing::HttpSeen> seen_;
};

TEST_F(PaymentsServerTest, TellsTheWebhookSignedAndAgainUntilItIsAccepted) {
  Receiver receiver;
  testing::HttpServer webhook([&](const testing::HttpSeen& seen) { return receiver.Take(seen); });
  SimulatePaymentsOptions options;
  options.webhook = webhook.url("/payments");
  options.webhook_secret = "whsec_1";
  options.simulator.webhook_retry_delay = absl::Milliseconds(1);
  options.simulator.late_after = absl::Milliseconds(1);
  Serve(options);
  EXPECT_EQ(Charge("k1", "tok_visa").value().status, 200);
  EXPECT_EQ(Charge("k2", "tok_late_declined").value().status, 202);
  const auto seen = receiver.Wait(4);
  std::string types;
  for (const testing::HttpSeen& message : seen) {
    EXPECT_EQ(message.method, "POST");
    EXPECT_EQ(message.target, "/payments");
    const std::string& signature = message.headers.at(std::string(kWebhookSignatureHeader));
    EXPECT_TRUE(IsSignedBy("whsec_1", signature, message.body, absl::Now())) << signature;
    EXPECT_FALSE(IsSignedBy("whsec_2", signature, message.body, absl::Now()));
    types += message.body;
  }
  EXPECT_THAT(types, HasSubstr(R"("type":"charge.succeeded")"));
  EXPECT_THAT(types, HasSubstr(R"("type":"charge.declined")"));
  while (server_->stats().webhooks_delivered() < 2) testing::Nap();
  EXPECT_EQ(server_->stats().webhook_attempts(), 4);
}

TEST_F(PaymentsServerTest, ListensOnLoopbackOnlyAndWhereNobodyElseDoes) {
  Serve();
  SimulatePaymentsOptions options;
  options.listen = server_->address();
  EXPECT_EQ(PaymentsServer::Start(options).status().code(), absl::StatusCode::kFailedPrecondition);
  options.listen = "0.0.0.0:0";
  EXPECT_THAT(std::string(PaymentsServer::Start(options).status().message()),
              HasSubstr("loopback"));
  options.listen = "nonsense";
  EXPECT_EQ(PaymentsServer::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.listen = "localhost:0";
  EXPECT_TRUE(PaymentsServer::Start(options).ok());
}

}  // namespace
}  // namespace leftfold::tools
