// The raw log of a real server at its limits.
#include <SQLiteCpp/Database.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "event_store/feed.h"
#include "event_store/sqlite/sqlite_log.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "sql/connection.h"
#include "testing/child_process.h"
#include "testing/grpc_error.h"
#include "testing/nap.h"
#include "testing/sanitized.h"
#include "testing/store_client.h"
#include "testing/temporary_folder.h"
#include "write_api/session.h"

namespace leftfold {
namespace {

using testing::ConnectToStore;
using testing::ErrorOf;
using testing::GrpcError;
using testing::JsonRecord;
using testing::kSanitized;
using testing::NewContext;
using testing::Subscriber;

using Stub = store::v1::EventStoreService::Stub;

constexpr absl::Duration kDeadline = absl::Minutes(5);

class StoreLimits : public ::testing::Test {
 protected:
  // Streams take turns on a few connections.
  Stub& AnyStub() { return *stubs_[next_stub_++ % stubs_.size()]; }
  std::unique_ptr<Subscriber> Subscribe() {
    return std::make_unique<Subscriber>(AnyStub(), store::v1::SubscribeRequest(), kDeadline);
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
  // Its standard error goes with its standard output.
  testing::ServerProcess server_{[this] {
    std::vector<std::string> command = {"/bin/bash", "-c", "exec 2>&1; exec \"$0\" \"$@\""};
    for (std::string& word : testing::ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path()))
      command.push_back(std::move(word));
    return command;
  }()};
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
  store::v1::ReadAllRequest all;
  const auto context = NewContext();
  const auto reader = AnyStub().ReadAll(context.get(), all);
  store::v1::ReadAllResponse response;
  ASSERT_FALSE(reader->Read(&response)) << "reads count too";
  ExpectRefusal(reader->Finish(), "TOO_MANY_READERS", kReadersMax);
  open.front() = nullptr;
  // Until the server has seen that it is gone.
  while (!Subscribe()->ReadStarted()) {
    testing::Nap();
  }
}

TEST_F(StoreLimits, SessionsBeyondTheirNumberAreRefused) {
  using Session =
      grpc::ClientReaderWriter<store::v1::AppendSessionRequest, store::v1::AppendSessionResponse>;
  std::vector<std::pair<std::unique_ptr<grpc::ClientContext>, std::unique_ptr<Session>>> open;
  store::v1::AppendSessionRequest request;
  request.add_appends()->set_id(1);
  store::v1::AppendSessionResponse response;
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
      store::v1::AppendResponse response;
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
  ExpectAtMost(kReaderSmallEventsBytesMax, {.subscribers = kSanitized ? 20 : 1'000,
                                            .appends = kSanitized ? 16 : 64,
                                            .events = 500,
                                            .bytes = 2'000});
}

TEST_F(StalledSubscribers, OfLargeEventsCostNoMoreThanTheirCap) {
  ExpectAtMost(kReaderBytesMax, {.subscribers = kSanitized ? 10 : 100,
                                 .appends = kSanitized ? 10 : 30,
                                 .events = 1,
                                 .bytes = kEventBytesMax - 2});
}

class WriteAheadLog : public StoreLimits {
 protected:
  // 1 MiB of it.
  void Append() {
    store::v1::AppendRequest request;
    *request.add_records() = JsonRecord("note-1", '"' + std::string(kEventBytesMax - 2, 'x') + '"');
    store::v1::AppendResponse response;
    const grpc::Status status = stubs_[0]->Append(NewContext().get(), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  admin::v1::GetLogResponse GetLog() {
    admin::v1::GetLogResponse response;
    EXPECT_TRUE(admin_->GetLog(NewContext().get(), {}, &response).ok());
    return response;
  }
  std::unique_ptr<admin::v1::AdminService::Stub> admin_ = admin::v1::AdminService::NewStub(
      grpc::CreateChannel(server_.admin_address, grpc::InsecureChannelCredentials()));
};

TEST_F(WriteAheadLog, IsBoundedWhateverClientsDoNotRead) {
  constexpr std::int64_t kAppends = 3 * kLogWalBytesMax / static_cast<std::int64_t>(kEventBytesMax);
  for (int i = 0; i < 20; ++i) Append();
  const auto subscriber = Subscribe();
  ASSERT_TRUE(subscriber->ReadEvents(1));
  const auto all_context = NewContext(kDeadline);
  const auto stream_context = NewContext(kDeadline);
  const auto all = stubs_[1]->ReadAll(all_context.get(), {});
  store::v1::ReadStreamRequest note;
  note.set_stream("note-1");
  const auto stream = stubs_[2]->ReadStream(stream_context.get(), note);
  store::v1::ReadAllResponse of_all;
  store::v1::ReadStreamResponse of_stream;
  ASSERT_TRUE(all->Read(&of_all));
  ASSERT_TRUE(stream->Read(&of_stream));
  for (std::int64_t i = 0; i < kAppends; ++i) {
    Append();
    // A commit begins with room for less than it needs, and a checkpoint may find a reader.
    ASSERT_LE(GetLog().wal_bytes(), kLogWalBytesMax + kLogWalStep) << "after " << i << " MiB";
  }
  const admin::v1::GetLogResponse log = GetLog();
  EXPECT_EQ(log.head_position(), 20 + kAppends);
  EXPECT_GT(log.file_bytes(), 2 * kLogWalBytesMax);
  EXPECT_GT(log.wal_bytes(), 0);
  EXPECT_EQ(log.queued_appends(), 0);
  EXPECT_EQ(log.unanswered_bytes(), 0);
  all_context->TryCancel();
  stream_context->TryCancel();
  EXPECT_FALSE(all->Finish().ok());
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(WriteAheadLog, ThatAProcessOutsideHoldsIsToldOnceAndWhenItIsBack) {
  Append();
  sql::ConfigureLibrary();
  SQLite::Database outside(folder_.path() + "/log/events.db", SQLite::OPEN_READONLY);
  outside.exec("BEGIN; SELECT count(*) FROM events");
  while (GetLog().wal_bytes() <= kLogWalWarnBytes) Append();
  EXPECT_NE(server_.process.ValueAfter("leftfold: " + folder_.path() + "/log/events.db-wal has 1"),
            "");
  for (int i = 0; i < 10; ++i) Append();
  outside.exec("COMMIT");
  while (GetLog().wal_bytes() > kLogWalBytesMax) Append();
  EXPECT_EQ(server_.process.ValueAfter("leftfold: " + folder_.path() + "/log/events.db-wal "),
            "is back at 64 MiB")
      << "and it was told once";
}

}  // namespace
}  // namespace leftfold
