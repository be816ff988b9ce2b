#include "bench/append_sessions.h"

#include <absl/time/clock.h>

#include <atomic>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

#include "bench/load.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

constexpr int kSessions = 4;
constexpr int kAppendsPerMessage = 64;
constexpr int kMessagesUnanswered = 16;

class Session {
 public:
  Session(const std::shared_ptr<grpc::Channel>& channel, const NextAppend& next,
          const std::atomic<bool>& stopping)
      : stub_(store::v1::EventStoreService::NewStub(channel)),
        stream_(stub_->AppendSession(&context_)),
        writing_([this, &next, &stopping] { Write(next, stopping); }),
        reading_([this] { Read(); }) {}

  std::int64_t answered() const { return answered_; }
  // When all that was sent is answered.
  void Join() {
    writing_.join();
    reading_.join();
  }

 private:
  void Write(const NextAppend& next, const std::atomic<bool>& stopping) {
    std::uint64_t id = 0;
    while (!stopping) {
      store::v1::AppendSessionRequest message;
      for (int i = 0; i < kAppendsPerMessage; ++i) {
        room_.acquire();
        store::v1::SessionAppend& append = *message.add_appends();
        append.set_id(++id);
        *append.mutable_append() = next();
      }
      if (!stream_->Write(message)) Die("a session of appends broke");
    }
    stream_->WritesDone();
  }
  void Read() {
    store::v1::AppendSessionResponse message;
    while (stream_->Read(&message)) {
      for (const auto& result : message.results())
        if (!result.has_receipt())
          Die("an append of a session failed: " + result.error().message());
      room_.release(message.results_size());
      answered_ += message.results_size();
    }
    const grpc::Status status = stream_->Finish();
    if (!status.ok()) Die("a session of appends failed: " + status.error_message());
  }

  grpc::ClientContext context_;
  std::unique_ptr<store::v1::EventStoreService::Stub> stub_;
  std::unique_ptr<
      grpc::ClientReaderWriter<store::v1::AppendSessionRequest, store::v1::AppendSessionResponse>>
      stream_;
  std::counting_semaphore<> room_{kAppendsPerMessage * kMessagesUnanswered};
  std::atomic<std::int64_t> answered_ = 0;
  std::jthread writing_, reading_;
};

}  // namespace

LoadResult AppendThroughSessions(const std::string& address, const NextAppend& next,
                                 absl::Duration warm_up, absl::Duration duration,
                                 std::int64_t calls_min) {
  const auto channels = Connect(address, kSessions);
  std::atomic<bool> stopping = false;
  std::vector<std::unique_ptr<Session>> sessions;
  for (const auto& channel : channels)
    sessions.push_back(std::make_unique<Session>(channel, next, stopping));
  const auto answered = [&] {
    std::int64_t sum = 0;
    for (const auto& session : sessions) sum += session->answered();
    return sum;
  };
  absl::SleepFor(warm_up);
  const absl::Time start = absl::Now();
  const std::int64_t before = answered();
  absl::SleepFor(duration);
  while (answered() < calls_min) absl::SleepFor(absl::Milliseconds(1));
  LoadResult result;
  result.per_second =
      static_cast<double>(answered() - before) / absl::ToDoubleSeconds(absl::Now() - start);
  stopping = true;
  for (const auto& session : sessions) session->Join();
  result.calls = answered();
  return result;
}

}  // namespace leftfold::bench
