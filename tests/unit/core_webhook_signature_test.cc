#include <gtest/gtest.h>

#include <string>

#include "core/webhook_signature.h"

namespace leftfold {
namespace {

const absl::Time kAt = absl::FromUnixSeconds(1'767'225'600);

// As `printf '1767225600.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test` computes it.
constexpr char kBody[] = R"({"id":"evt_1"})";
constexpr char kSignature[] =
    "t=1767225600,v1=45b40331de0325606dc5400202ade162460fbe48daf9401adfdcd0d7b4f35470";

TEST(WebhookSignature, IsWhatEverybodyComputes) {
  EXPECT_EQ(WebhookSignature("whsec_test", kAt, kBody), kSignature);
}

TEST(WebhookSignature, HoldsForItsSecretBodyAndTime) {
  const std::string signature = kSignature;
  EXPECT_TRUE(IsSignedBy("whsec_test", signature, kBody, kAt));
  EXPECT_FALSE(IsSignedBy("whsec_other", signature, kBody, kAt));
  EXPECT_FALSE(IsSignedBy("whsec_test", signature, R"({"id":"evt_2"})", kAt));
  std::string moved = signature;
  moved.replace(moved.find("1767225600"), 10, "1767225601");
  EXPECT_FALSE(IsSignedBy("whsec_test", moved, kBody, kAt));
  std::string flipped = signature;
  flipped.back() = flipped.back() == '0' ? '1' : '0';
  EXPECT_FALSE(IsSignedBy("whsec_test", flipped, kBody, kAt));
}

TEST(WebhookSignature, EndsWithItsAgeAndIsNotOfTheFuture) {
  const absl::Duration second = absl::Seconds(1);
  for (const absl::Duration age : {kWebhookSignatureAgeMax, -kWebhookSignatureAgeMax})
    EXPECT_TRUE(IsSignedBy("whsec_test", kSignature, kBody, kAt + age));
  EXPECT_FALSE(IsSignedBy("whsec_test", kSignature, kBody, kAt + kWebhookSignatureAgeMax + second));
  EXPECT_FALSE(IsSignedBy("whsec_test", kSignature, kBody, kAt - kWebhookSignatureAgeMax - second));
}

TEST(WebhookSignature, IsOfOneFormOnly) {
  const std::string signature = kSignature;
  for (const std::string& other :
       {std::string(), std::string("t="), std::string("t=1767225600"), signature + " ",
        signature.substr(0, signature.size() - 1), "x" + signature, signature + ",v1=00",
        std::string("t=99999999999999999999,v1=00")}) {
    EXPECT_FALSE(IsSignedBy("whsec_test", other, kBody, kAt)) << other;
  }
}

}  // namespace
}  // namespace leftfold
