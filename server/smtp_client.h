#ifndef SERVER_SMTP_CLIENT_H_
#define SERVER_SMTP_CLIENT_H_

#include <absl/status/status.h>
#include <absl/time/time.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace leftfold {

// E-mails that wait or are under way. One more is RESOURCE_EXHAUSTED.
inline constexpr std::size_t kSmtpMailsMax = 256;

struct SmtpOptions {
  std::string url = {};   // smtp://HOST:PORT or smtps://HOST:PORT; empty: no SMTP.
  std::string from = {};  // The sender's address.
  // Empty: without authentication.
  std::string user = {};
  std::string password = {};
  absl::Duration timeout = absl::Seconds(30);  // Of one mail.
};

// LEFTFOLD_SMTP_URL, LEFTFOLD_SMTP_FROM, LEFTFOLD_SMTP_USER and LEFTFOLD_SMTP_PASSWORD of an
// environment (`NAME=value`, a null at the end).
SmtpOptions SmtpOptionsOf(const char* const* environment);
// INVALID_ARGUMENT says which variable is wrong.
absl::Status CheckSmtp(const SmtpOptions& options);

// Hands e-mails to an SMTP server, over libcurl, one after the other on one thread ("lf-smtp") and
// one connection, which is kept. smtps:// checks certificates; with a user, and beyond loopback,
// there is no mail without TLS; else a server that does not offer TLS on smtp:// gets plain text.
class SmtpClient {
 public:
  explicit SmtpClient(SmtpOptions options);
  // What waits or is under way ends with CANCELLED.
  ~SmtpClient();
  const std::string& from() const { return options_.from; }

  // `message` is complete, headers and all, with CRLF at the ends of lines. `done` is called once,
  // on the client's thread: OK when the server has taken it, UNAVAILABLE when it could not be asked
  // or refused. After a failure it may have taken it all the same. Thread-safe.
  void Send(std::string to, std::string message, std::function<void(absl::Status)> done);

 private:
  struct Mail {
    std::string to;
    std::string message;
    std::function<void(absl::Status)> done;
  };
  class Connection;
  void Run(const std::stop_token& stop);

  const SmtpOptions options_;
  std::mutex mu_;
  std::condition_variable_any wake_;
  std::deque<Mail> mails_;  // Under mu_.
  std::jthread thread_;
};

}  // namespace leftfold
#endif  // SERVER_SMTP_CLIENT_H_
