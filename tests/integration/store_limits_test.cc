// The raw log of a real server at its limits.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event_store/feed.h"
#include "testing/child_process.h"
#include "testing/grpc_error.h"
#include "testing/sanitized.h"
#include "testing/store_client.h"
#include "testing/temporary_folder.h"
#include "write_api/session.h"

namespace leftfold {
namespace {

using namespace store::v1;  // NOLINT: the client's vocabulary.
using testing::ConnectToStore;
using testing::ErrorOf;
using testing::GrpcError;
using testing::JsonRecord;
using testing::kSanitized;
using testing::NewContext;
using testing::Subscriber;

using Stub = EventStoreService::Stub;

constexpr absl::Duration kDeadline = absl::Minutes(5);

class StoreLimits : public ::testing::Test {
 protected:
  // Streams take turns on a few connections.
  Stub& AnyStub() { return *stubs_[next_stub_++ % stubs_.size()]; }
  std::unique_ptr<Subscriber> Subscribe() {
    return std::make_unique<Subscriber>(AnyStub(), SubscribeRequest(), kDeadline);
  }
  static void ExpectRefusal(const grpc::Status& status, const std::string& reason,
                            std::size_t maximum) {
    const GrpcError error = ErrorOf(status);
    EXPECT_EQ(error.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(error.reason, reason);
    EXPECT_EQ(error.metadata.at("maximum"), std::to_string(maximum));
    EXPECT_TRUE(error.has_retry_info);
  }

  testing::TemporaryFolder folder_;
  testing::ServerProcess server_{LEFTFOLD_BINARY, folder_.path()};
  std::vector<std::unique_ptr<Stub>> stubs_ = [this] {
    std::vector<std::unique_ptr<Stub>> stubs(4);
    for (auto& stub : stubs) stub = ConnectToStore(server_.write_address);
    return stubs;
  }();
  std::size_t next_stub_ = 0;
};

TEST_F(StoreLimits, SubscribersBeyondTheirNumberAreRefusedUntilOneGoes) {
  std::vector<std::unique_ptr<Subscriber>> open(kReadersMax);
  for (auto& subscriber : open) subscriber = Subscribe();
  for (const auto& subscriber : open) ASSERT_TRUE(subscriber->ReadStarted());
  const auto refused = Subscribe();
  ASSERT_FALSE(refused->ReadStarted());
  ExpectRefusal(refused->End(), "TOO_MANY_READERS", kReadersMax);
  ReadAllRequest all;
  const auto context = NewContext();
  const auto reader = AnyStub().ReadAll(context.get(), all);
  ReadAllResponse response;
  ASSERT_FALSE(reader->Read(&response)) << "reads count too";
  ExpectRefusal(reader->Finish(), "TOO_MANY_READERS", kReadersMax);
  open.front() = nullptr;
  // Until the server has seen that it is gone.
  while (!Subscribe()->ReadStarted()) {
  }
}

TEST_F(StoreLimits, SessionsBeyondTheirNumberAreRefused) {
  using Session = grpc::ClientReaderWriter<AppendSessionRequest, AppendSessionResponse>;
  std::vector<std::pair<std::unique_ptr<grpc::ClientContext>, std::unique_ptr<Session>>> open;
  AppendSessionRequest request;
  request.add_appends()->set_id(1);
  AppendSessionResponse response;
  for (std::size_t i = 0; i <= kSessionsMax; ++i) {
    auto context = NewContext(kDeadline);
    auto session = AnyStub().AppendSession(context.get());
    session->Write(request);
    open.emplace_back(std::move(context), std::move(session));
    // An empty append is answered with its error, in a session that is open.
    ASSERT_EQ(open.back().second->Read(&response), i < kSessionsMax) << i;
  }
  ExpectRefusal(open.back().second->Finish(), "TOO_MANY_SESSIONS", kSessionsMax);
  open.pop_back();
  for (auto& [context, session] : open) {
    context->TryCancel();
    EXPECT_FALSE(session->Finish().ok());
  }
}

// Many appends; each subscriber reads the beginning, and then nothing while as many come again.
class StalledSubscribers : public StoreLimits {
 protected:
  struct Load {
    int subscribers;
    int appends;
    int events;  // Of each.
    int bytes;   // Of each.
  };
  void Write(const Load& load) {
    store::v1::AppendRequest request;
    for (int i = 0; i < load.events; ++i) {
      *request.add_records() =
          JsonRecord("note-1", '"' + std::string(static_cast<std::size_t>(load.bytes), 'x') + '"');
    }
    for (int i = 0; i < load.appends; ++i) {
      AppendResponse response;
      const grpc::Status status = AnyStub().Append(NewContext().get(), request, &response);
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
  }
  // Each may cost the server so many bytes.
  void ExpectAtMost(std::size_t bytes_each, const Load& load) {
    Write(load);
    const double before = server_.process.ResidentMegabytes();
    std::vector<std::unique_ptr<Subscriber>> stalled(static_cast<std::size_t>(load.subscribers));
    for (auto& subscriber : stalled) subscriber = Subscribe();
    for (const auto& subscriber : stalled) ASSERT_TRUE(subscriber->ReadEvents(1));
    Write(load);
    const double grown = server_.process.ResidentMegabytes() - before;
    const double cap = load.subscribers * static_cast<double>(bytes_each) / (1 << 20);
    EXPECT_TRUE(kSanitized || grown < cap) << grown << " MB, at most " << cap << " are allowed";
    for (const std::size_t i : {std::size_t{0}, stalled.size() / 2, stalled.size() - 1}) {
      EXPECT_TRUE(stalled[i]->ReadEvents(2 * load.appends * load.events))
          << "one that reads again misses nothing";
    }
  }
};

TEST_F(StalledSubscribers, CostNoMoreThanTheirCap) {
  ExpectAtMost(
      kReaderSmallEventsBytesMax,
      {.subscribers = kSanitized ? 100 : 1'000, .appends = 64, .events = 500, .bytes = 2'000});
}

TEST_F(StalledSubscribers, OfLargeEventsCostNoMoreThanTheirCap) {
  ExpectAtMost(kReaderBytesMax, {.subscribers = kSanitized ? 10 : 100,
                                 .appends = 30,
                                 .events = 1,
                                 .bytes = kEventBytesMax - 2});
}

}  // namespace
}  // namespace leftfold
