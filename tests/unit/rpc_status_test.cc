// What of a status goes over the wire.
#include <absl/strings/cord.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/reject.h"
#include "core/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "rpc/status.h"
#include "testing/grpc_error.h"

namespace leftfold::rpc {
namespace {

using ::leftfold::testing::ErrorOf;
using ::leftfold::testing::GrpcError;

TEST(RpcStatus, OkIsOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

TEST(RpcStatus, ARejectionKeepsItsReasonItsMetadataAndItsOtherDetails) {
  const absl::Status status = WithRetryAfter(
      Reject(core::v1::ERROR_REASON_QUEUE_FULL, "the queue is full", {{"limit", "8"}}),
      absl::Seconds(1));
  const GrpcError error = ErrorOf(ToGrpc(status));
  EXPECT_EQ(error.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(error.message, "the queue is full");
  EXPECT_EQ(error.reason, "QUEUE_FULL");
  EXPECT_EQ(error.domain, "leftfold.core.v1");
  EXPECT_EQ(error.metadata.at("limit"), "8");
  EXPECT_TRUE(error.has_retry_info);
}

TEST(RpcStatus, AnEnginesOwnStatusGetsErrorInfoAndShowsNothingOfItsText) {
  const GrpcError error =
      ErrorOf(ToGrpc(absl::InternalError("SQLite error 11: /var/lib/leftfold/views/x.db")));
  EXPECT_EQ(error.code, grpc::StatusCode::INTERNAL);
  EXPECT_EQ(error.reason, "INTERNAL");
  EXPECT_EQ(error.domain, "leftfold.core.v1");
  EXPECT_EQ(error.message.find("/var"), std::string::npos);
  EXPECT_EQ(error.message.find("SQLite"), std::string::npos);
}

TEST(RpcStatus, EveryCodeWithoutErrorInfoGetsItsNameAsReason) {
  for (int code = 1; code <= 16; ++code) {
    const auto status = absl::Status(static_cast<absl::StatusCode>(code), "secret");
    const GrpcError error = ErrorOf(ToGrpc(status));
    EXPECT_EQ(static_cast<int>(error.code), code);
    EXPECT_EQ(error.reason, absl::StatusCodeToString(status.code()));
    EXPECT_EQ(error.message.find("secret"), std::string::npos);
  }
}

TEST(RpcStatus, PayloadsOfAnEnginesOwnStatusStayInside) {
  absl::Status status = absl::InternalError("x");
  status.SetPayload("type.googleapis.com/secret", absl::Cord("secret"));
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(ToGrpc(status).error_details()));
  EXPECT_EQ(details.details_size(), 1);
}

TEST(RpcStatus, AHugeErrorStillFitsIntoTheTrailers) {
  Violations violations;
  for (int i = 0; i < 10'000; ++i)
    violations.Add(fmt::format("invitees[{}].name", i), "is too long, use at most 80 characters");
  const grpc::Status status = ToGrpc(violations.ToStatus());
  EXPECT_LE(status.error_details().size(), kStatusDetailsBytesMax);
  EXPECT_LE(status.error_message().size(), kStatusMessageBytesMax + 3);  // "…"
  const GrpcError error = ErrorOf(status);
  EXPECT_EQ(error.reason, "INVALID_FIELDS");
  EXPECT_GT(error.field_violations, 5);
}

TEST(RpcStatus, MessageAndMetadataNameEveryMalformedFieldOnce) {
  Violations violations;
  violations.Add("name", "must not be empty");
  violations.Add(core::v1::ERROR_REASON_LIMIT_EXCEEDED, "note", "is too long", {{"maximum", "9"}});
  violations.Add("note", "must be one line");
  violations.Add(core::v1::ERROR_REASON_LIMIT_EXCEEDED, "tags", "are many", {{"maximum", "3"}});
  const GrpcError error = ErrorOf(ToGrpc(violations.ToStatus()));
  EXPECT_EQ(error.reason, "INVALID_FIELDS") << "the first one's";
  EXPECT_EQ(error.message,
            "name: must not be empty; note: is too long; note: must be one line; tags: are many");
  EXPECT_EQ(error.metadata,
            (std::map<std::string, std::string>{{"fields", "name, note, tags"}, {"maximum", "9"}}));
  EXPECT_EQ(error.field_violations, 4);
}

TEST(RpcStatus, ALongTextIsCutBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 1'000; ++i) text += "äö";
  const std::string message =
      ToGrpc(Reject(core::v1::ERROR_REASON_INVALID_FIELDS, "x" + text)).error_message();
  google::rpc::Status utf8;
  utf8.set_message(message);
  EXPECT_TRUE(
      utf8.ParseFromString(utf8.SerializeAsString()));  // proto3 refuses a broken character.
}

}  // namespace
}  // namespace leftfold::rpc
