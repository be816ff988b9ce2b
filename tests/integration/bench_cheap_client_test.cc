// The cheap client of the bench against a real server.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "bench/cheap_client.h"
#include "core/registry.h"
#include "leftfold/store/v1/event_store.pb.h"
#include "testing/store_client.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"

namespace leftfold::bench {
namespace {

constexpr char kAppend[] = "/leftfold.store.v1.EventStoreService/Append";

class BenchCheapClient : public ::testing::Test {
 protected:
  std::unique_ptr<CheapClient> Client(const std::string& path, int connections,
                                      const std::function<std::string(std::int64_t)>& json) {
    return std::make_unique<CheapClient>(
        app_->write_address(), path, connections, [json](std::int64_t n, std::string& message) {
          store::v1::AppendRequest request;
          *request.add_records() = testing::JsonRecord("note-1", json(n));
          request.SerializeToString(&message);
        });
  }

  std::int64_t Head() {
    store::v1::GetHeadResponse head;
    const auto context = testing::NewContext();
    EXPECT_TRUE(testing::ConnectToStore(app_->write_address())
                    ->GetHead(context.get(), store::v1::GetHeadRequest(), &head)
                    .ok());
    return head.position();
  }

  const testing::TemporaryFolder folder_;
  const Registry registry_;
  const std::unique_ptr<App> app_ =
      testing::StartedApp(registry_, testing::OptionsOn(folder_.path()));
};

// More bytes than a connection takes at once, and a message of several frames.
TEST_F(BenchCheapClient, EveryCallIsCarriedOutAndAnswered) {
  const auto client = Client(kAppend, 2, [](std::int64_t n) {
    return "\"" + std::string(n == 7 ? 40'000 : 300, 'x') + "\"";
  });
  for (std::int64_t calls = 600; calls <= 1'200; calls += 600) {
    const LoadResult load = client->ClosedLoop(600, absl::ZeroDuration(), absl::ZeroDuration());
    EXPECT_EQ(load.calls, 600);
    EXPECT_EQ(load.failures, 0) << client->first_failure();
    EXPECT_EQ(Head(), calls);
  }
}

TEST_F(BenchCheapClient, AWrongRequestIsAFailure) {
  const auto client =
      Client(kAppend, 2, [](std::int64_t n) { return n % 5 == 0 ? "no JSON" : "1"; });
  const LoadResult load = client->ClosedLoop(100, absl::ZeroDuration(), absl::ZeroDuration());
  EXPECT_EQ(load.calls, 100);
  EXPECT_EQ(load.failures, 20);
  EXPECT_EQ(client->first_failure(), "status 3");
  EXPECT_EQ(Head(), 80);
}

TEST_F(BenchCheapClient, AMethodThatIsNotThereIsAFailure) {
  const auto client =
      Client("/leftfold.store.v1.EventStoreService/Lose", 1, [](std::int64_t) { return "1"; });
  EXPECT_EQ(client->ClosedLoop(10, absl::ZeroDuration(), absl::ZeroDuration()).failures, 10);
  EXPECT_EQ(client->first_failure(), "status 12");
}

// All are due at once and sent one after the other: each has waited for those before it.
TEST_F(BenchCheapClient, ALatencyBeginsAtTheScheduledTimeAlsoWhereTheCallHadToWait) {
  const auto client = Client(kAppend, 1, [](std::int64_t) { return "1"; });
  const LoadResult load =
      client->OpenLoop(1e9, absl::ZeroDuration(), absl::Nanoseconds(50), /*in_flight_max=*/1);
  ASSERT_EQ(load.calls, 50);
  ASSERT_EQ(load.latencies_us.size(), 50U);
  EXPECT_TRUE(std::is_sorted(load.latencies_us.begin(), load.latencies_us.end()));
}

}  // namespace
}  // namespace leftfold::bench
