// Append sessions on the virtual scheduler: order, answers, flow control, endings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/reject.h"
#include "testing/event_store_contract.h"
#include "write_api/append_session.h"

namespace leftfold {
namespace {

using store::v1::AppendSessionRequest;
using store::v1::AppendSessionResponse;
using ::testing::ElementsAre;

class SessionClient final : public SessionSink {
 public:
  void Read() override {
    ASSERT_FALSE(reading) << "a second read while one is outstanding";
    reading = true;
  }
  void Write(const google::protobuf::Message& message) override {
    ASSERT_FALSE(writing) << "a second write while one is outstanding";
    ASSERT_FALSE(finished);
    writing = true;
    answers.push_back(static_cast<const AppendSessionResponse&>(message));
  }
  void Finish(const absl::Status& status) override {
    ASSERT_FALSE(writing);
    ASSERT_FALSE(finished) << "finished twice";
    finished = status;
  }

  // Sends a message if the session reads.
  bool Send(const AppendSessionRequest& request) {
    if (!std::exchange(reading, false)) return false;
    session->OnRead(&request);
    return true;
  }
  void Close() {
    reading = false;
    session->OnRead(nullptr);
  }
  void Acknowledge(bool ok = true) {
    if (std::exchange(writing, false)) session->OnWritten(ok);
  }

  std::shared_ptr<Session> session;
  bool reading = false;
  bool writing = false;
  std::vector<AppendSessionResponse> answers;
  std::optional<absl::Status> finished;
};

// `count` appends of one event to "note-1", with ids from `first_id`.
AppendSessionRequest Appends(int count, std::uint64_t first_id = 1) {
  AppendSessionRequest request;
  for (int i = 0; i < count; ++i) {
    store::v1::SessionAppend& append = *request.add_appends();
    append.set_id(first_id + static_cast<std::uint64_t>(i));
    store::v1::AppendRecord& record = *append.mutable_append()->add_records();
    record.set_stream("note-1");
    record.set_type("NoteTaken");
    record.set_json("1");
  }
  return request;
}

class AppendSessionTest : public ::testing::Test {
 protected:
  std::shared_ptr<SessionClient> Open(const Caller& caller = {}) {
    auto client = std::make_shared<SessionClient>();
    // The session is the client's, so it must not own the client.
    auto session = sessions_.Open(caller, {std::shared_ptr<void>(), client.get()});
    EXPECT_TRUE(session.ok()) << session.status();
    client->session = *session;
    client->session->Start();
    return client;
  }
  // Runs and acknowledges until nothing happens.
  void Settle(SessionClient& client) {
    do {
      on_.scheduler().RunUntilIdle();
      client.Acknowledge();
    } while (client.writing);
  }
  static std::vector<std::uint64_t> Ids(const SessionClient& client) {
    std::vector<std::uint64_t> ids;
    for (const auto& answer : client.answers) {
      for (const auto& result : answer.results()) ids.push_back(result.id());
    }
    return ids;
  }

  testing::StoreOnScheduler on_{testing::MemoryStore()};
  Registry registry_;
  RawAppender appender_{registry_, on_.store(), on_.scheduler().Pool()};
  AppendSessionKind kind_{appender_, [](const absl::Status& status) {
                            google::rpc::Status out;
                            out.set_code(static_cast<int>(status.code()));
                            out.set_message(ReasonOf(status));
                            return out;
                          }};
  Sessions sessions_{kind_};
};

TEST_F(AppendSessionTest, AChainThatBrokeStaysBrokenAfterItsAnswer) {
  Caller engine;
  engine.trusted = true;
  const auto client = Open(engine);
  // Of chain 7: one that is refused, and one that the client sends before it hears of that.
  AppendSessionRequest refused = Appends(1);
  refused.mutable_appends(0)->mutable_append()->mutable_engine()->set_chain(7);
  auto& check = *refused.mutable_appends(0)->mutable_append()->add_checks();
  check.set_stream("note-1");
  check.mutable_stream_exists();
  ASSERT_TRUE(client->Send(refused));
  Settle(*client);
  AppendSessionRequest next = Appends(3, 2);
  next.mutable_appends(0)->mutable_append()->mutable_engine()->set_chain(7);
  next.mutable_appends(1)->mutable_append()->mutable_engine()->set_chain(8);
  next.mutable_appends(2)->mutable_append()->mutable_engine()->set_chain(9);
  next.mutable_appends(2)->mutable_append()->mutable_engine()->set_broken(true);
  ASSERT_TRUE(client->Send(next));
  Settle(*client);
  std::vector<std::string> errors;
  for (const auto& answer : client->answers) {
    for (const auto& result : answer.results()) errors.push_back(result.error().message());
  }
  EXPECT_THAT(errors, ElementsAre("VERSION_CONFLICT", "VERSION_CONFLICT", "", "VERSION_CONFLICT"));
}

TEST_F(AppendSessionTest, AppendsCommitInTheirOrderAndAnswersThatHaveComeGoTogether) {
  const auto client = Open();
  ASSERT_TRUE(client->Send(Appends(5)));
  ASSERT_TRUE(client->Send(Appends(5, 6))) << "reads on before it has answered";
  Settle(*client);
  EXPECT_THAT(Ids(*client), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  for (const auto& answer : client->answers) {
    for (const auto& result : answer.results())
      EXPECT_EQ(result.receipt().position(), static_cast<std::int64_t>(result.id()));
  }
  EXPECT_EQ(client->answers.size(), 2u) << "the first answer, then all others";
  client->Close();
  Settle(*client);
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_TRUE(client->finished->ok());
  EXPECT_EQ(sessions_.open(), 0u);
}

TEST_F(AppendSessionTest, ARefusedAppendIsAnsweredByItsIdAndTheNextGoesOn) {
  const auto client = Open();
  AppendSessionRequest request = Appends(3);
  request.mutable_appends(1)->mutable_append()->mutable_records(0)->set_stream("nonsense");
  ASSERT_TRUE(client->Send(request));
  Settle(*client);
  const auto ids = Ids(*client);
  EXPECT_EQ(ids.size(), 3u);
  for (const auto& answer : client->answers) {
    for (const auto& result : answer.results()) {
      EXPECT_EQ(result.has_error(), result.id() == 2);
      EXPECT_EQ(result.error().message(), result.id() == 2 ? "INVALID_FIELDS" : "");
    }
  }
  EXPECT_EQ(on_.All().size(), 2u);
}

TEST_F(AppendSessionTest, WithAsManyUnansweredAsAllowedTheNextMessageIsNotRead) {
  const auto client = Open();
  std::size_t sent = 0;
  while (client->Send(Appends(100, sent + 1))) {
    sent += 100;
    ASSERT_LE(sent, kSessionRequestsMax + 100);
  }
  EXPECT_GE(sent, kSessionRequestsMax);
  // Committed, but the client does not take its answers: still nothing is read.
  on_.scheduler().RunUntilIdle();
  EXPECT_EQ(on_.All().size(), sent);
  EXPECT_FALSE(client->reading);
  Settle(*client);
  EXPECT_TRUE(client->reading);
  EXPECT_EQ(Ids(*client).size(), sent);
  for (const auto& answer : client->answers)
    EXPECT_LE(answer.results_size(), static_cast<int>(kSessionAnswersMax));
}

TEST_F(AppendSessionTest, BytesAreCountedToo) {
  const auto client = Open();
  AppendSessionRequest large = Appends(4);
  for (auto& append : *large.mutable_appends())
    append.mutable_append()->mutable_records(0)->set_json('"' + std::string(1'000'000, 'x') + '"');
  int messages = 0;
  while (client->Send(large)) ASSERT_LE(++messages, 5);
  EXPECT_EQ(messages, 5);
  Settle(*client);
  EXPECT_TRUE(client->reading);
}

TEST_F(AppendSessionTest, AClosingClientGetsAllAnswersFirst) {
  const auto client = Open();
  ASSERT_TRUE(client->Send(Appends(10)));
  client->Close();
  EXPECT_FALSE(client->finished.has_value());
  Settle(*client);
  EXPECT_EQ(Ids(*client).size(), 10u);
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_TRUE(client->finished->ok());
}

TEST_F(AppendSessionTest, AMessageThatWasRefusedEndsTheSessionAfterTheAnswers) {
  const auto client = Open();
  ASSERT_TRUE(client->Send(Appends(10)));
  client->session->OnRead(absl::InvalidArgumentError("no message"));
  Settle(*client);
  EXPECT_EQ(Ids(*client).size(), 10u);
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_TRUE(absl::IsInvalidArgument(*client->finished));
}

TEST_F(AppendSessionTest, AClientThatIsGoneEndsItAtOnceAndWhatWasSentIsAppended) {
  const auto client = Open();
  ASSERT_TRUE(client->Send(Appends(10)));
  client->session->Cancel();
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_TRUE(absl::IsCancelled(*client->finished));
  on_.scheduler().RunUntilIdle();
  EXPECT_TRUE(client->answers.empty());
  EXPECT_EQ(on_.All().size(), 10u);
  client->session->Cancel();
  client->Close();
}

TEST_F(AppendSessionTest, AFailedWriteEndsIt) {
  const auto client = Open();
  ASSERT_TRUE(client->Send(Appends(10)));
  on_.scheduler().RunUntilIdle();
  client->Acknowledge(false);
  on_.scheduler().RunUntilIdle();
  EXPECT_TRUE(client->finished.has_value());
}

TEST_F(AppendSessionTest, StoppingAnswersWhatIsInFlightAndTakesNothingMore) {
  const auto client = Open();
  ASSERT_TRUE(client->Send(Appends(10)));
  sessions_.Stop();
  ASSERT_TRUE(client->Send(Appends(5, 11)));
  Settle(*client);
  EXPECT_EQ(Ids(*client).size(), 10u);
  EXPECT_EQ(on_.All().size(), 10u);
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_EQ(ReasonOf(*client->finished), "STOPPING");
  EXPECT_EQ(ReasonOf(sessions_.Open({}, std::make_shared<SessionClient>()).status()), "STOPPING");
}

TEST_F(AppendSessionTest, MoreThanTheServerAllowsAreRefusedWithADelay) {
  std::vector<std::shared_ptr<Session>> open;
  for (std::size_t i = 0; i < kSessionsMax; ++i)
    open.push_back(*sessions_.Open({}, std::make_shared<SessionClient>()));
  const auto refused = sessions_.Open({}, std::make_shared<SessionClient>());
  EXPECT_EQ(ReasonOf(refused.status()), "TOO_MANY_SESSIONS");
  EXPECT_TRUE(refused.status().GetPayload(ToAbsl(kRetryInfoUrl)).has_value());
}

}  // namespace
}  // namespace leftfold
