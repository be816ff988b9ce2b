#include <gtest/gtest.h>

#include "server/http_server.h"
#include "testing/reserved_port.h"

namespace leftfold::testing {
namespace {

TEST(ReservedPort, ServersListenOnItOneAfterTheOtherAndNobodyGetsItTwice) {
  const ReservedPort port, other;
  EXPECT_NE(port.number(), other.number());
  for (int round = 0; round < 2; ++round) {
    const auto server = leftfold::HttpServer::Start({.listen = port.address(), .threads = 1},
                                                    [](const HttpRequest&) { return HttpReply(); });
    ASSERT_TRUE(server.ok()) << server.status();
    EXPECT_EQ((*server)->address(), port.address());
    EXPECT_FALSE(
        leftfold::HttpServer::Start({.listen = port.address(), .threads = 1}, nullptr).ok());
  }
}

}  // namespace
}  // namespace leftfold::testing
