// Mail of reactors against a real, small SMTP server of the machine.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/registry.h"
#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "server/app.h"
#include "server/smtp_client.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"
#include "tests/integration/started_app.h"

namespace leftfold {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Taken {
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
  Taken Wait() {
    std::unique_lock lock(mu_);
    wake_.wait(lock, [this] { return !taken_.empty(); });
    Taken taken = taken_.front();
    taken_.erase(taken_.begin());
    return taken;
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
    Taken mail;
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
  std::vector<Taken> taken_;  // Under mu_.
  int connections_ = 0;       // Under mu_.
  std::jthread thread_;
};

absl::Status Send(SmtpClient& client, const std::string& to, const std::string& message) {
  std::promise<absl::Status> sent;
  client.Send(to, message, [&](absl::Status status) { sent.set_value(std::move(status)); });
  return sent.get_future().get();
}

TEST(SmtpClientTest, HandsMailsOverOnOneConnectionByteForByte) {
  SmtpServer server;
  SmtpClient client({.url = server.url(), .from = "rooms@example.org"});
  const std::string message = "Subject: a\r\n\r\n.one\r\n..two\r\n";
  ASSERT_TRUE(Send(client, "ann@example.org", message).ok());
  ASSERT_TRUE(Send(client, "bob@example.org", message).ok());
  const Taken first = server.Wait();
  EXPECT_THAT(first.from, HasSubstr("<rooms@example.org>"));
  EXPECT_THAT(first.to, HasSubstr("<ann@example.org>"));
  EXPECT_EQ(first.data, message);
  EXPECT_THAT(server.Wait().to, HasSubstr("<bob@example.org>"));
  EXPECT_EQ(server.connections(), 1);
}

TEST(SmtpClientTest, TellsThatAServerRefusesOrIsNotThere) {
  std::string url;
  {
    SmtpServer server;
    SmtpClient client({.url = server.url(), .from = "rooms@example.org"});
    const absl::Status refused = Send(client, "nobody@example.org", "Subject: a\r\n\r\nb\r\n");
    EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("550"));
    // The next one goes through.
    EXPECT_TRUE(Send(client, "ann@example.org", "Subject: a\r\n\r\nb\r\n").ok());
    EXPECT_TRUE(absl::IsInvalidArgument(Send(client, "ann>\r\nDATA", "")));
    url = server.url();
  }
  SmtpClient client({.url = url, .from = "rooms@example.org"});
  EXPECT_TRUE(absl::IsUnavailable(Send(client, "ann@example.org", "")));
}

TEST(SmtpOptionsTest, AreCheckedAtTheStart) {
  const char* const environment[] = {"LEFTFOLD_SMTP_URL=smtp://mail:25",
                                     "LEFTFOLD_SMTP_FROM=rooms@example.org", "LEFTFOLD_SMTP_USER=u",
                                     "LEFTFOLD_SMTP_PASSWORD=p=1", nullptr};
  SmtpOptions options = SmtpOptionsOf(environment);
  EXPECT_EQ(options.url, "smtp://mail:25");
  EXPECT_EQ(options.from, "rooms@example.org");
  EXPECT_EQ(options.user, "u");
  EXPECT_EQ(options.password, "p=1");
  EXPECT_TRUE(CheckSmtp(options).ok());
  EXPECT_TRUE(CheckSmtp({}).ok());
  const auto refusal = [](SmtpOptions wrong) { return std::string(CheckSmtp(wrong).message()); };
  EXPECT_THAT(refusal({.url = "http://mail", .from = "a@b"}), HasSubstr("LEFTFOLD_SMTP_URL"));
  EXPECT_THAT(refusal({.url = "smtp://u:p@mail", .from = "a@b"}), HasSubstr("LEFTFOLD_SMTP_USER"));
  EXPECT_THAT(refusal({.url = "smtp://mail", .from = "me"}), HasSubstr("LEFTFOLD_SMTP_FROM"));
}

TEST(SmtpMail, OfAnInvitationReachesTheServer) {
  SmtpServer server;
  const testing::TemporaryFolder folder;
  Registry registry;
  RegisterAllDomains(registry);
  ServeOptions options = testing::OptionsOn(folder.path());
  options.smtp = {.url = server.url(), .from = "rooms@example.org"};
  const auto app = testing::StartedApp(registry, options);
  const auto rooms = rooms::v1::RoomCommandService::NewStub(
      grpc::CreateChannel(app->write_address(), grpc::InsecureChannelCredentials()));
  {
    grpc::ClientContext context;
    rooms::v1::CreateRoomResponse response;
    const auto request = testing::Parse<rooms::v1::CreateRoomRequest>(
        "room_id: 'oak' name: 'Caf\303\251' description: 'a\\nb'");
    ASSERT_TRUE(rooms->CreateRoom(&context, request, &response).ok());
  }
  grpc::ClientContext context;
  rooms::v1::InviteResponse response;
  const auto request = testing::Parse<rooms::v1::InviteRequest>(
      "room_id: 'oak' invitees { type: 'email' id: 'ann@example.org' }");
  ASSERT_TRUE(rooms->Invite(&context, request, &response).ok());
  const Taken mail = server.Wait();
  EXPECT_THAT(mail.to, HasSubstr("<ann@example.org>"));
  EXPECT_THAT(mail.data,
              AllOf(HasSubstr("From: rooms@example.org\r\n"), HasSubstr("Date: "),
                    ContainsRegex("Message-ID: <lf.invitation_mail.2-[0-9a-f]+.0@leftfold>\r\n"),
                    HasSubstr("To: ann@example.org\r\n"),
                    HasSubstr("Subject: =?UTF-8?B?SW52aXRhdGlvbiB0byBDYWbDqQ==?=\r\n"),
                    HasSubstr("\r\n\r\na\r\nb\r\n"), Not(HasSubstr("a\nb"))));
}

}  // namespace
}  // namespace leftfold
