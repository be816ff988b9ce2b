// Services that reactors call by name: from the environment into requests.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http_services.h"

namespace leftfold {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const char* const kEnvironment[] = {"HOME=/root",
                                    "LEFTFOLD_PAYMENTS_URL=http://127.0.0.1:50060//",
                                    "LEFTFOLD_PAYMENTS_API_KEY=sk=test",
                                    "LEFTFOLD_PAYMENTS_WEBHOOK_SECRET=whsec",
                                    "LEFTFOLD_MAIL_URL=http://mail",
                                    "LEFTFOLD_ALONE_API_KEY=no URL",
                                    "LEFTFOLD_EMPTY_URL=",
                                    "LEFTFOLD__URL=http://nobody",
                                    "LEFTFOLD_DATA=/srv",
                                    "URL=http://other",
                                    nullptr};

TEST(HttpServices, ComeFromTheEnvironment) {
  const HttpServices services = ServicesOf(kEnvironment);
  ASSERT_EQ(services.size(), 2U);
  EXPECT_EQ(services.at("payments").url, "http://127.0.0.1:50060");
  EXPECT_EQ(services.at("payments").api_key, "sk=test");
  EXPECT_EQ(services.at("payments").webhook_secret, "whsec");
  EXPECT_EQ(services.at("mail").url, "http://mail");
  EXPECT_EQ(services.at("mail").api_key, "");
}

TEST(HttpServices, PutUrlAndApiKeyIntoARequest) {
  HttpRequest request{.url = "service:payments/v1/charges?x=/"};
  ASSERT_TRUE(ResolveService(ServicesOf(kEnvironment), request).ok());
  EXPECT_EQ(request.url, "http://127.0.0.1:50060/v1/charges?x=/");
  EXPECT_EQ(request.headers, (HttpHeaders{{"Authorization", "Bearer sk=test"}}));
  HttpRequest keyless{.url = "service:mail"};
  ASSERT_TRUE(ResolveService(ServicesOf(kEnvironment), keyless).ok());
  EXPECT_EQ(keyless.url, "http://mail");
  EXPECT_THAT(keyless.headers, IsEmpty());
}

TEST(HttpServices, LeaveOtherRequestsAlone) {
  HttpRequest request{.url = "http://payments/v1"};
  ASSERT_TRUE(ResolveService({}, request).ok());
  EXPECT_EQ(request.url, "http://payments/v1");
  EXPECT_THAT(request.headers, IsEmpty());
}

TEST(HttpServices, SayWhatToSet) {
  HttpRequest request{.url = "service:payments/v1/charges"};
  const absl::Status status = ResolveService({}, request);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("LEFTFOLD_PAYMENTS_URL"));
}

}  // namespace
}  // namespace leftfold
