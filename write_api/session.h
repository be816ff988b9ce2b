#ifndef WRITE_API_SESSION_H_
#define WRITE_API_SESSION_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/mutex.h"
#include "core/session_sink.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Sessions of a kind that are open at a time. Beyond: TOO_MANY_SESSIONS with RetryInfo.
inline constexpr std::size_t kSessionsMax = 1'000;
// Requests of a session that are not answered yet (an answer counts until it is through to the
// client). With as many or more, and with as many bytes, the next message is not read, which
// stops the client.
inline constexpr std::size_t kSessionRequestsMax = 4'096;
inline constexpr std::size_t kSessionBytesMax = 16 << 20;
// Answers in one message.
inline constexpr std::size_t kSessionAnswersMax = 512;

// What the messages of one session hold: requests, each with an id, and their answers. Thread-safe;
// lives as long as `done` of what it has started.
class SessionRequests {
 public:
  using Message = google::protobuf::Message;
  // Gets the answer to one request.
  using Done = std::function<void(std::unique_ptr<Message> answer)>;

  virtual ~SessionRequests() = default;
  // The bytes of each request in a message.
  virtual std::vector<std::size_t> Sizes(const Message& message) const = 0;
  // Starts one of them; the message lives during the call only. `done` comes once, at any time.
  virtual void Start(const Message& message, int index, Done done) = 0;
  // A message with these answers, in their order.
  virtual std::unique_ptr<Message> Pack(std::vector<std::unique_ptr<Message>> answers) const = 0;
};

// A kind of session. Thread-safe.
class SessionKind {
 public:
  virtual ~SessionKind() = default;
  virtual std::shared_ptr<SessionRequests> Begin(Caller caller) = 0;
  // Why no more than kSessionsMax may be open.
  virtual absl::Status TooMany() const = 0;
};

class Sessions;

// One session: starts requests as they come, in their order, and writes the answers that have come
// whenever the write before is through. Thread-safe; calls after the end do nothing.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Sessions& sessions, std::shared_ptr<SessionRequests> requests,
          std::shared_ptr<SessionSink> sink);
  // Asks for the first message. Once.
  void Start() { Pump(); }
  // nullptr: the client has closed its sending side. An error ends the session when what is in
  // flight is answered.
  void OnRead(const absl::StatusOr<const google::protobuf::Message*>& message);
  // false: the client is gone.
  void OnWritten(bool ok);
  void Cancel() { End(absl::CancelledError()); }
  // Reads no more; what is in flight is answered, unless the client is gone, then the session ends.
  void End(const absl::Status& status);

 private:
  struct Answer {
    std::unique_ptr<google::protobuf::Message> answer;
    std::size_t bytes;  // Of its request.
  };
  void OnAnswer(std::size_t bytes, std::unique_ptr<google::protobuf::Message> answer);
  // Calls the sink for all that is possible now; one thread at a time.
  void Pump();
  std::function<void()> NextCall() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::function<void()> NextWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Sessions& sessions_;
  const std::shared_ptr<SessionRequests> kind_;
  const std::shared_ptr<SessionSink> sink_;
  Mutex mu_;
  bool pumping_ ABSL_GUARDED_BY(mu_) = false;
  bool again_ ABSL_GUARDED_BY(mu_) = false;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool gone_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);  // Nothing more is read.
  std::size_t requests_ ABSL_GUARDED_BY(mu_) = 0;     // Not answered, or the answer not through.
  std::size_t bytes_ ABSL_GUARDED_BY(mu_) = 0;        // Theirs.
  std::vector<Answer> answers_ ABSL_GUARDED_BY(mu_);  // To be written.
  std::size_t writing_requests_ ABSL_GUARDED_BY(mu_) = 0;
  std::size_t writing_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

// What sessions of a kind share. Thread-safe; must outlive them.
class Sessions {
 public:
  explicit Sessions(SessionKind& kind) : kind_(kind) {}
  // TOO_MANY_SESSIONS, or STOPPING after Stop.
  absl::StatusOr<std::shared_ptr<Session>> Open(Caller caller, std::shared_ptr<SessionSink> sink);
  // Every session ends with STOPPING when what it has in flight is answered; none begins.
  void Stop();
  std::size_t open() const;

 private:
  friend class Session;
  void Close(Session* session);

  SessionKind& kind_;
  mutable Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<Session*, std::weak_ptr<Session>> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // WRITE_API_SESSION_H_
