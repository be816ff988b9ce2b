// What the fuzz targets' mutator does to their inputs.
#include <gmock/gmock.h>
#include <google/protobuf/any.pb.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/store/v1/event_store.pb.h"
#include "tests/fuzz/proto_mutator.h"

namespace leftfold::fuzz {
namespace {

Surface TheAppends() {
  Surface surface;
  surface.requests = {store::v1::AppendRequest::descriptor(), nullptr};
  surface.words = {"note-1"};
  surface.records_max = 7;
  surface.payloads = {&orders::v1::PlaceOrderRequest::default_instance()};
  return surface;
}

std::vector<Record> SplitString(const std::string& joined) {
  return Split(reinterpret_cast<const std::uint8_t*>(joined.data()), joined.size());
}

TEST(FuzzMutator, RecordsSurviveJoinAndSplitAndAnyBytesAreSplit) {
  const std::vector<Record> records = {{1, 2, "abc"}, {3, 4, ""}, {5, 6, std::string(70'000, 'x')}};
  const auto again = SplitString(Join(records));
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(again[0].choice, 1);
  EXPECT_EQ(again[0].flags, 2);
  EXPECT_EQ(again[0].bytes, "abc");
  EXPECT_EQ(again[1].bytes, "");
  EXPECT_EQ(again[2].bytes.size(), kRecordBytesMax);
  EXPECT_EQ(SplitString("").size(), 0U);
  EXPECT_EQ(SplitString("\1\2\3").size(), 0U);
  const auto cut = SplitString(std::string("\1\2\xff\xff", 4) + "ab");
  ASSERT_EQ(cut.size(), 1U);
  EXPECT_EQ(cut[0].bytes, "ab");
}

TEST(FuzzMutator, TheSameSeedGivesTheSameInput) {
  const Surface surface = TheAppends();
  std::set<std::string> different;
  for (unsigned seed = 1; seed <= 100; ++seed) {
    std::vector<Record> one = {{0, 0, ""}};
    std::vector<Record> other = one;
    Mutator(surface, seed, nullptr).Mutate(one, 4'096);
    Mutator(surface, seed, nullptr).Mutate(other, 4'096);
    EXPECT_EQ(Join(one), Join(other)) << "seed " << seed;
    different.insert(Join(one));
  }
  EXPECT_GT(different.size(), 50U);
}

// Names of the fields that are set anywhere in the message.
void Collect(const google::protobuf::Message& message, std::set<std::string>& names) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  const auto& reflection = *message.GetReflection();
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    names.insert(field->full_name());
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      Collect(reflection.GetMessage(message, field), names);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      Collect(reflection.GetRepeatedMessage(message, field, i), names);
  }
}

// Of the type and those in it.
void CollectAll(const google::protobuf::Descriptor& type, std::set<std::string>& names) {
  for (int i = 0; i < type.field_count(); ++i) {
    const auto* field = type.field(i);
    const bool added = names.insert(field->full_name()).second;
    if (added && field->message_type() != nullptr) CollectAll(*field->message_type(), names);
  }
}

TEST(FuzzMutator, EveryFieldIsSetAtSomeTimeAndMostInputsParse) {
  const google::protobuf::LogSilencer silencer;  // Invalid UTF-8 is meant.
  const Surface surface = TheAppends();
  std::set<std::string> expected;
  CollectAll(*store::v1::AppendRequest::descriptor(), expected);
  std::set<std::string> seen;
  bool packed = false;
  int parsed = 0;
  int all = 0;
  std::vector<Record> records;
  for (unsigned seed = 1; seed <= 20'000; ++seed) {
    Mutator(surface, seed, nullptr).Mutate(records, 2'048);
    ASSERT_LE(Join(records).size(), 2'048U);
    ASSERT_LE(records.size(), 7U);
    for (const Record& record : records) {
      if (record.choice % 2 != 0) continue;
      store::v1::AppendRequest request;
      ++all;
      if (!request.ParseFromString(record.bytes)) continue;
      ++parsed;
      Collect(request, seen);
      for (const auto& one : request.records())
        packed = packed || one.message().Is<orders::v1::PlaceOrderRequest>();
    }
  }
  for (const std::string& name : seen) expected.erase(name);
  EXPECT_THAT(expected, ::testing::IsEmpty());
  EXPECT_TRUE(packed);
  EXPECT_GT(parsed, all / 3) << "of " << all;
}

TEST(FuzzMutator, NowAndThenAMessageHasAFieldThatItsTypeDoesNotKnow) {
  const Surface surface = TheAppends();
  int unknown = 0;
  for (unsigned seed = 1; seed <= 1'000; ++seed) {
    store::v1::AppendRequest request;
    Mutator(surface, seed, nullptr).Mutate(request);
    if (!request.GetReflection()->GetUnknownFields(request).empty()) ++unknown;
  }
  EXPECT_GT(unknown, 0);
  EXPECT_LT(unknown, 100);
}

TEST(FuzzMutator, ACrossingHasRecordsOfBoth) {
  const Surface surface = TheAppends();
  const std::vector<Record> one(5, {0, 1, "one"});
  const std::vector<Record> other(5, {0, 2, "other"});
  bool mixed = false;
  for (unsigned seed = 1; seed <= 100; ++seed) {
    const auto crossed = Mutator(surface, seed, nullptr).Cross(one, other, 60);
    ASSERT_LE(Join(crossed).size(), 60U);
    mixed = mixed || (crossed.size() > 1 && crossed.front().bytes == "one" &&
                      crossed.back().bytes == "other");
  }
  EXPECT_TRUE(mixed);
}

}  // namespace
}  // namespace leftfold::fuzz
