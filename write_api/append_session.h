#ifndef WRITE_API_APPEND_SESSION_H_
#define WRITE_API_APPEND_SESSION_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/mutex.h"
#include "leftfold/store/v1/event_store.pb.h"
#include "write_api/raw_append.h"

namespace leftfold {

// Sessions open at a time. Beyond: TOO_MANY_SESSIONS with RetryInfo.
inline constexpr std::size_t kAppendSessionsMax = 1'000;
// Appends of a session that are not answered yet (an answer counts until it is through to the
// client). With as many or more, and with as many bytes, the next message is not read, which
// stops the client.
inline constexpr std::size_t kSessionAppendsMax = 4'096;
inline constexpr std::size_t kSessionBytesMax = 16 << 20;
// Answers in one message.
inline constexpr std::size_t kSessionAnswersMax = 512;

// Chains (EngineFields.chain) that broke, which a session remembers. A client keeps the ids of its
// unanswered appends closer together than that, so that it knows of a break before it is forgotten.
inline constexpr std::size_t kSessionBrokenChainsMax = 65'536;

// Where a session's messages come from and go; the server implements it over an RPC stream. None is
// called while another runs; none may block. Read: AppendSession::OnRead follows once. Write is
// called again only after OnWritten. Finish is called once, last, and not while a write is
// outstanding (a read may be).
class AppendSessionSink {
 public:
  virtual ~AppendSessionSink() = default;
  virtual void Read() = 0;
  virtual void Write(const google::protobuf::Message& message) = 0;
  virtual void Finish(const absl::Status& status) = 0;
};

class AppendSessions;

// One session: hands appends to the store as they come, in their order, and writes the answers that
// have come whenever the write before is through. Thread-safe; calls after the end do nothing.
class AppendSession : public std::enable_shared_from_this<AppendSession> {
 public:
  // How the error of one append is put into its answer.
  using ToStatus = std::function<google::rpc::Status(const absl::Status&)>;

  AppendSession(AppendSessions& sessions, Caller caller, std::shared_ptr<AppendSessionSink> sink);
  // Asks for the first message. Once.
  void Start() { Pump(); }
  // nullptr: the client has closed its sending side. An error ends the session when what is in
  // flight is answered.
  void OnRead(const absl::StatusOr<const store::v1::AppendSessionRequest*>& message);
  // false: the client is gone.
  void OnWritten(bool ok);
  void Cancel() { End(absl::CancelledError()); }
  // Reads no more; what is in flight is answered, unless the client is gone, then the session ends.
  void End(const absl::Status& status);

 private:
  struct Answer {
    store::v1::SessionResult result;
    std::size_t bytes;
  };
  struct Chain {
    std::shared_ptr<std::atomic<bool>> broken = std::make_shared<std::atomic<bool>>(false);
    std::size_t in_flight = 0;
    bool remembered = false;
  };
  void OnAnswer(std::uint64_t id, std::uint64_t chain, std::size_t bytes,
                const absl::StatusOr<store::v1::AppendReceipt>& receipt);
  // What appends of the chain share, nullptr without one; each is given back by LeaveChain.
  std::shared_ptr<std::atomic<bool>> EnterChain(const store::v1::EngineFields& engine);
  void LeaveChain(std::uint64_t number) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Calls the sink for all that is possible now; one thread at a time.
  void Pump();
  std::function<void()> NextCall() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::function<void()> NextWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  AppendSessions& sessions_;
  const Caller caller_;
  const std::shared_ptr<AppendSessionSink> sink_;
  Mutex mu_;
  bool pumping_ ABSL_GUARDED_BY(mu_) = false;
  bool again_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool gone_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);  // Nothing more is read.
  std::size_t appends_ ABSL_GUARDED_BY(mu_) = 0;      // Not answered, or the answer not through.
  std::size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;        // Theirs.
  std::vector<Answer> answers_ ABSL_GUARDED_BY(mu_);  // To be written.
  absl::flat_hash_map<std::uint64_t, Chain> chains_ ABSL_GUARDED_BY(mu_);
  std::deque<std::uint64_t> broken_chains_ ABSL_GUARDED_BY(mu_);  // In the order of their breaks.
  std::size_t writing_appends_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t writing_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

// What sessions share. Thread-safe; must outlive them.
class AppendSessions {
 public:
  AppendSessions(RawAppender& appender, AppendSession::ToStatus to_status)
      : appender_(appender), to_status_(std::move(to_status)) {}
  // TOO_MANY_SESSIONS, or STOPPING after Stop.
  absl::StatusOr<std::shared_ptr<AppendSession>> Open(Caller caller,
                                                      std::shared_ptr<AppendSessionSink> sink);
  // Every session ends with STOPPING when what it has in flight is answered; none begins.
  void Stop();
  std::size_t open() const;

 private:
  friend class AppendSession;
  void Close(AppendSession* session);

  RawAppender& appender_;
  const AppendSession::ToStatus to_status_;
  mutable Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<AppendSession*, std::weak_ptr<AppendSession>> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // WRITE_API_APPEND_SESSION_H_
