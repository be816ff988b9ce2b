#include <fmt/format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <random>

#include "core/event_wire.h"
#include "testing/environment.h"

namespace leftfold {
namespace {

using google::protobuf::util::MessageDifferencer;

// The mapping in protobuf's own words.
core::v1::RecordedEvent Expected(const RecordedEvent& event,
                                 const core::v1::EventMetadata& metadata, bool raw_metadata) {
  core::v1::RecordedEvent out;
  out.set_position(event.position.value);
  out.set_stream(event.stream);
  out.set_version(event.version.value);
  out.set_event_id(ToString(event.event_id));
  out.set_type(event.type);
  if (event.encoding == Encoding::kJson) {
    out.set_json(event.payload);
  } else {
    out.mutable_message()->set_type_url("type.googleapis.com/" + event.type);
    out.mutable_message()->set_value(event.payload);
  }
  const std::int64_t micros = absl::ToUnixMicros(event.recorded_at);
  out.mutable_recorded_at()->set_seconds(micros / 1'000'000);
  out.mutable_recorded_at()->set_nanos(static_cast<std::int32_t>(micros % 1'000'000) * 1'000);
  out.set_actor(metadata.actor());
  out.set_command_id(metadata.command_id());
  out.set_correlation_id(metadata.correlation_id());
  out.set_causation_id(metadata.causation_id());
  out.set_traceparent(metadata.traceparent());
  *out.mutable_headers() = metadata.headers();
  for (const Tag& tag : event.tags) {
    auto* added = out.add_tags();
    added->set_key(tag.key);
    added->set_value(tag.value);
  }
  out.set_leaf(std::string(AsBytes(event.leaf)));
  out.set_chain(std::string(AsBytes(event.chain)));
  out.set_category_previous(event.category_previous.value);
  if (raw_metadata) out.set_raw_metadata(event.metadata);
  return out;
}

core::v1::RecordedEvent Parsed(const RecordedEvent& event, bool raw_metadata) {
  std::string bytes;
  AppendEvent(ViewOf(event), raw_metadata, bytes);
  core::v1::RecordedEvent parsed;
  EXPECT_TRUE(parsed.ParseFromString(bytes));
  return parsed;
}

class EventWire : public ::testing::Test {
 protected:
  std::string Text(std::size_t size_max) {
    std::string text;
    for (std::size_t n = Below(size_max + 1); text.size() < n;) text += Below(9) == 0 ? "é" : "q";
    return text;
  }
  std::size_t Below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }
  template <std::size_t kSize>
  void Fill(std::array<std::uint8_t, kSize>& bytes) {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(Below(256));
  }

  std::mt19937_64 random_{testing::Seed()};
};

TEST_F(EventWire, IsTheMessageThatProtobufWouldMake) {
  for (int i = 0; i < 2'000; ++i) {
    core::v1::EventMetadata metadata;
    if (Below(3) > 0) metadata.set_actor(Text(20));
    if (Below(3) > 0) metadata.set_command_id(Text(40));
    if (Below(3) == 0) metadata.set_correlation_id(Text(200));
    if (Below(3) == 0) metadata.set_causation_id(Text(40));
    if (Below(3) == 0) metadata.set_traceparent(Text(60));
    for (std::size_t n = Below(4); n > 2; --n) (*metadata.mutable_headers())[Text(9)] = Text(300);
    RecordedEvent event;
    event.position = Position{static_cast<std::int64_t>(1 + Below(1'000'000'000'000))};
    event.stream = "room-" + fmt::to_string(Below(1'000));
    event.version = Version{static_cast<std::int64_t>(Below(i % 2 == 0 ? 2 : 100'000))};
    Fill(event.event_id);
    event.type = "shop.v1.Event" + fmt::to_string(Below(30));
    event.payload = Text(i % 50 == 0 ? 40'000 : 300);
    event.encoding = Below(2) == 0 ? Encoding::kJson : Encoding::kProtobuf;
    event.metadata = metadata.SerializeAsString();
    for (std::size_t n = Below(4); n > 1; --n) event.tags.push_back({"k" + Text(9), Text(200)});
    event.recorded_at = absl::FromUnixMicros(static_cast<std::int64_t>(
        Below(4) == 0 ? Below(3) * 1'000'000 : Below(2'000'000'000'000'000)));
    event.category_previous = Position{static_cast<std::int64_t>(Below(3) * 1'000)};
    Fill(event.leaf);
    Fill(event.chain);
    const bool raw_metadata = Below(2) == 0;
    const auto expected = Expected(event, metadata, raw_metadata);
    ASSERT_TRUE(MessageDifferencer::Equals(Parsed(event, raw_metadata), expected))
        << expected.DebugString();
    if (!raw_metadata && metadata.headers().empty()) {
      std::string bytes;
      AppendEvent(ViewOf(event), false, bytes);
      ASSERT_EQ(bytes, expected.SerializeAsString());
    }
    if (raw_metadata) continue;
    ASSERT_TRUE(MessageDifferencer::Equals(ToProto(event), expected));
  }
}

TEST_F(EventWire, JsonThatIsNoTextGoesAsBytes) {
  RecordedEvent event;
  event.encoding = Encoding::kJson;
  event.payload = "\"\xff\"";
  EXPECT_EQ(Parsed(event, false).raw_json(), event.payload);
}

TEST_F(EventWire, MetadataThatCannotBeReadIsLeftOut) {
  core::v1::EventMetadata good;
  good.set_actor("ann");
  (*good.mutable_headers())["team"] = "blue";
  const std::string bytes = good.SerializeAsString();
  for (int i = 0; i < 20'000; ++i) {
    RecordedEvent event;
    event.metadata = bytes;
    for (std::size_t n = Below(4); n > 0; --n)
      event.metadata[Below(bytes.size())] = static_cast<char>(Below(256));
    event.metadata.resize(Below(2) == 0 ? bytes.size() : Below(bytes.size()));
    Parsed(event, false);  // A message in any case.
    if (event.metadata != bytes) continue;
    EXPECT_EQ(Parsed(event, false).headers().at("team"), "blue");
  }
  RecordedEvent event;
  event.metadata = "\x0a\x05short";
  event.metadata.pop_back();
  EXPECT_EQ(Parsed(event, true).actor(), "");
  EXPECT_EQ(Parsed(event, true).raw_metadata(), event.metadata);
}

}  // namespace
}  // namespace leftfold
