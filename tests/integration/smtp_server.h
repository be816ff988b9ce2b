#ifndef TESTS_INTEGRATION_SMTP_SERVER_H_
#define TESTS_INTEGRATION_SMTP_SERVER_H_

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace leftfold::testing {

struct TakenMail {
  std::string from;
  std::string to;
  std::string data;
};

// One connection after the other. Recipients whose address begins with "no" are refused.
class SmtpServer {
 public:
  SmtpServer() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }
  // Clients must be gone.
  ~SmtpServer() {
    thread_.request_stop();
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string url() const { return fmt::format("smtp://127.0.0.1:{}", port_); }
  TakenMail Wait() {
    std::unique_lock lock(mu_);
    wake_.wait(lock, [this] { return !taken_.empty(); });
    TakenMail taken = taken_.front();
    taken_.erase(taken_.begin());
    return taken;
  }
  // Those that Wait has not taken.
  std::vector<TakenMail> taken() {
    const std::lock_guard lock(mu_);
    return taken_;
  }
  int connections() {
    const std::lock_guard lock(mu_);
    return connections_;
  }

 private:
  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const int connection = accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      {
        const std::lock_guard lock(mu_);
        ++connections_;
      }
      Talk(connection);
      close(connection);
    }
  }
  // "" when the client is gone.
  static std::string TakeLine(int connection, std::string& bytes) {
    std::size_t end = 0;
    while ((end = bytes.find("\r\n")) == std::string::npos) {
      char buffer[1'024];
      const ssize_t got = recv(connection, buffer, sizeof buffer, 0);
      if (got <= 0) return "";
      bytes.append(buffer, static_cast<std::size_t>(got));
    }
    const std::string line = bytes.substr(0, end + 2);
    bytes.erase(0, end + 2);
    return line;
  }
  static void Say(int connection, const std::string& line) {
    const std::string bytes = line + "\r\n";
    EXPECT_EQ(send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL), std::ssize(bytes));
  }
  void Talk(int connection) {
    std::string bytes;
    TakenMail mail;
    Say(connection, "220 here");
    for (std::string line; !(line = TakeLine(connection, bytes)).empty();) {
      const std::string verb = line.substr(0, 4);
      if (verb == "MAIL") {
        mail = {.from = line, .to = {}, .data = {}};
      } else if (verb == "RCPT") {
        mail.to = line;
        if (line.find("<no") != std::string::npos) {
          Say(connection, "550 nobody of that name");
          continue;
        }
      } else if (verb == "DATA") {
        Say(connection, "354 go on");
        while ((line = TakeLine(connection, bytes)) != ".\r\n" && !line.empty())
          mail.data += line.starts_with(".") ? line.substr(1) : line;
        const std::lock_guard lock(mu_);
        taken_.push_back(mail);
        wake_.notify_all();
      } else if (verb == "QUIT") {
        return Say(connection, "221 bye");
      }
      Say(connection, "250 ok");
    }
  }

  int listener_ = -1;
  int port_ = 0;
  std::mutex mu_;
  std::condition_variable wake_;
  std::vector<TakenMail> taken_;  // Under mu_.
  int connections_ = 0;           // Under mu_.
  std::jthread thread_;
};

}  // namespace leftfold::testing
#endif  // TESTS_INTEGRATION_SMTP_SERVER_H_
