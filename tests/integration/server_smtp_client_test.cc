// Mail of reactors against a real, small SMTP server of the machine.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>

#include "core/registry.h"
#include "leftfold/rooms/v1/commands.grpc.pb.h"
#include "server/app.h"
#include "server/smtp_client.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"
#include "tests/integration/smtp_server.h"
#include "tests/integration/started_app.h"

namespace leftfold {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SmtpServer;
using testing::TakenMail;

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
  const TakenMail first = server.Wait();
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
  const TakenMail mail = server.Wait();
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
