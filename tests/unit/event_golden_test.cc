#include <gtest/gtest.h>

#include <string>

#include "core/event.h"
#include "core/ids.h"

// Never change a value here: logs that exist were written with them.
namespace leftfold {
namespace {

std::string Hex(const Digest& digest) { return ToHex(AsBytes(digest)); }

const std::vector<Tag> kTags = {{"user", "ann"}, {"empty", ""}, {"k", "\xc3\xa9"}};

RecordedEvent GoldenEvent() {
  RecordedEvent event;
  event.position = Position{7};
  event.stream = "room-oak";
  event.version = Version{3};
  event.recorded_at = absl::FromUnixMicros(1'767'225'600'123'456);
  event.category_previous = Position{5};
  event.leaf.fill(0xAB);
  return event;
}

TEST(EventGolden, EncodedTagsNeverChange) {
  EXPECT_EQ(ToHex(EncodeTags(kTags)),
            "040000007573657203000000616e6e05000000656d7074790000000001000000"
            "6b02000000c3a9");
  EXPECT_EQ(EncodeTags({}), "");
}

TEST(EventGolden, EncodedTagsDecodeToThemselves) {
  EXPECT_EQ(DecodeTags(EncodeTags(kTags)), kTags);
}

TEST(EventGolden, LeavesNeverChange) {
  Uuid id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(Hex(LeafOf(id, Encoding::kProtobuf, "a.B", "payload", "meta", EncodeTags(kTags))),
            "90971e6f8508de0190f88fb7320f528329bb7dc76929afe7f066f4db4091f47d");
  EXPECT_EQ(Hex(LeafOf(id, Encoding::kJson, "a.B", "{}", "", "")),
            "c7d380d9252314a2e46bcc1435fb7315d8b95101a200e31edb0ebfac8dfde255");
}

TEST(EventGolden, ChainValuesNeverChange) {
  EXPECT_EQ(Hex(FirstChain("store-1")),
            "274ba1e1931896d64dbf628230c70ae64db6b4d63bf9d3065b22a257707a861a");
  EXPECT_EQ(Hex(ChainOf(FirstChain("store-1"), GoldenEvent())),
            "0438493e1003b6bfbbfe0d90900842114805e49884175fcb66279071b4d931a1");
}

TEST(EventGolden, DerivedIdsNeverChange) {
  EXPECT_EQ(ToString(DerivedUuid("seed", 0)), "3dd09213-a24a-82bf-af83-41a7cca89e22");
  EXPECT_EQ(ToString(DerivedUuid("seed", -1)), "df19d1d5-0199-8de0-a52a-b6348a350512");
  EXPECT_EQ(ToString(DerivedUuid("019b76da-a800-7abc-8def-0123456789ab", 1)),
            "019b76da-a800-7b65-aa10-05bdf1819c0d");
}

}  // namespace
}  // namespace leftfold
