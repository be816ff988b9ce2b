#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/status.h"
#include "leftfold/core/v1/event.pb.h"
#include "testing/event_store_contract.h"
#include "tools/log_line.h"

namespace leftfold::tools {
namespace {

using ::testing::HasSubstr;

RecordedEvent Sample() {
  core::v1::EventMetadata metadata;
  metadata.set_actor("ada");
  (*metadata.mutable_headers())["a"] = "b";
  RecordedEvent event;
  event.position = Position{7};
  event.stream = "room-oak";
  event.version = Version{0};
  event.event_id = NewUuidV7(absl::UnixEpoch());
  event.type = "nobody.knows.It";
  event.payload = std::string("\0\xFF\n\"", 4);
  event.metadata = metadata.SerializeAsString();
  event.tags = {{"key", "\u00e4"}, {"k2", ""}};
  event.recorded_at = absl::FromUnixMicros(1'767'225'600'123'456);
  event.category_previous = Position{3};
  event.leaf = {1, 2};
  event.chain = {3, 4};
  return event;
}

void ExpectSurvives(const RecordedEvent& event) {
  const auto line = ToLine(event);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->find('\n'), std::string::npos);
  const auto back = FromLine(*line);
  ASSERT_TRUE(back.ok()) << back.status() << *line;
  const auto& again = std::get<RecordedEvent>(*back);
  EXPECT_EQ(testing::Describe(again), testing::Describe(event));
  EXPECT_EQ(again.chain, event.chain);
}

TEST(LogLine, AValueThatIsThereTwiceIsAFaultAndNoException) {
  const auto content = FromLine(
      R"({"event": {"message": {"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "AA==", "value": "AA=="}}})");
  EXPECT_EQ(content.status().code(), absl::StatusCode::kInvalidArgument) << content.status();
}

TEST(LogLine, NothingOfAnEventIsLost) {
  RecordedEvent event = Sample();
  ExpectSurvives(event);
  event.payload.clear();
  ExpectSurvives(event);
  event.metadata = "\xFF no metadata";
  ExpectSurvives(event);
  event.metadata.clear();
  event.tags.clear();
  ExpectSurvives(event);
  event.encoding = Encoding::kJson;
  ExpectSurvives(event);
  event.payload = "{\"a\": \"\u20ac\U0001F600\\u0000 \"}";
  ExpectSurvives(event);
  event.type = "leftfold.core.v1.Tag";
  event.encoding = Encoding::kProtobuf;
  ExpectSurvives(event);
}

TEST(LogLine, WhatJsonCannotHoldIsRefusedWithThePosition) {
  RecordedEvent event = Sample();
  event.tags = {{"k", "\xC3"}};
  EXPECT_THAT(std::string(ToLine(event).status().message()), HasSubstr("position 7"));
  event.tags.clear();
  event.encoding = Encoding::kJson;
  for (const std::string no_utf8 :
       {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "a\xE2\x82"}) {
    event.payload = no_utf8;
    EXPECT_THAT(std::string(ToLine(event).status().message()), HasSubstr("position 7"));
  }
}

TEST(LogLine, HeadersAndCommandsSurvive) {
  const LogHeaderLine header{ToString(NewUuidV7(absl::UnixEpoch())), {Position{9}, {5}}};
  const auto header_again = FromLine(*ToLine(header));
  ASSERT_TRUE(header_again.ok()) << header_again.status();
  EXPECT_EQ(std::get<LogHeaderLine>(*header_again).store_id, header.store_id);
  EXPECT_EQ(std::get<LogHeaderLine>(*header_again).after.position, Position{9});
  EXPECT_EQ(std::get<LogHeaderLine>(*header_again).after.chain, header.after.chain);
  const NumberedCommand command{3, {{"c", {9}, "oak", "made"}, Version{-1}, Position{0}}};
  const auto command_again = FromLine(*ToLine(command));
  ASSERT_TRUE(command_again.ok()) << command_again.status();
  EXPECT_TRUE(SameCommand(std::get<NumberedCommand>(*command_again), command));
}

TEST(LogLine, WhatIsNoLineOfAnExportIsRefused) {
  std::string line = *ToLine(Sample());
  for (const std::string& wrong :
       {std::string(), std::string("{}"), std::string("[]"), line + "x",
        line.substr(0, line.size() - 1), "{\"more\":1," + line.substr(1)}) {
    EXPECT_EQ(FromLine(wrong).status().code(), absl::StatusCode::kInvalidArgument) << wrong;
  }
}

TEST(LogLine, WhatALineSaysTwiceMustBeTheSame) {
  std::string line = *ToLine(Sample());
  const std::size_t actor = line.find("\"actor\":\"ada\"");
  ASSERT_NE(actor, std::string::npos);
  line.replace(actor, 13, "\"actor\":\"bob\"");
  EXPECT_THAT(std::string(FromLine(line).status().message()), HasSubstr("actor"));
}

}  // namespace
}  // namespace leftfold::tools
