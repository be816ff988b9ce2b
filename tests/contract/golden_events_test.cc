// Old bytes of every event still decode to what they meant. A new domain is covered without
// touching this file; CONTRIBUTING.md says how an event gets its files.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include "core/registry.h"
#include "leftfold/core/v1/claims.pb.h"
#include "leftfold/core/v1/event.pb.h"
#include "testing/golden.h"
#include "testing/source_folder.h"
#include "testing/temporary_folder.h"

namespace leftfold::testing {
namespace {

namespace fs = std::filesystem;
namespace pb = google::protobuf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class GoldenEvents : public ::testing::Test {
 protected:
  GoldenEvents() { RegisterAllDomains(registry_); }
  Registry registry_;
};

TEST_F(GoldenEvents, EveryEventHasFilesThatShowAllItsFields) {
  if (std::getenv("LEFTFOLD_GOLDEN_WRITE") != nullptr) {
    for (const std::string& path : WriteMissing(testing::SourceFolder(), registry_.events())) {
      fmt::print("wrote {}\n", path);
    }
  }
  EXPECT_THAT(MissingIn(ReadGoldens(testing::SourceFolder()), registry_.events()), IsEmpty())
      << "write them with LEFTFOLD_GOLDEN_WRITE=1 build/release/tests/leftfold_contract_test "
         "--gtest_filter='GoldenEvents.*', and look at what they say";
}

TEST_F(GoldenEvents, StillDecodeToTheSameJson) {
  for (const Golden& golden : ReadGoldens(testing::SourceFolder())) {
    SCOPED_TRACE(golden.name);
    const auto known = registry_.events().find(golden.type);
    if (known == registry_.events().end()) {
      ADD_FAILURE() << "no domain knows it any more; list it in its aggregate's Upcasts";
      continue;
    }
    const std::unique_ptr<pb::Message> message(known->second->New());
    EXPECT_TRUE(message->ParseFromString(golden.bytes));
    EXPECT_EQ(JsonOf(*message), golden.json);
  }
}

// The tool itself, on types whose fields are of many kinds.
class GoldenFiles : public ::testing::Test {
 protected:
  GoldenFiles() {
    Add<core::v1::ClaimTaken>();
    Add<core::v1::RecordedEvent>();
  }
  template <class Message>
  void Add() {
    types_.emplace(Message::descriptor()->full_name(), &Message::default_instance());
  }
  std::string Path(const std::string& file) const {
    return folder_.path() + "/core/golden/" + file;
  }

  TemporaryFolder folder_;
  EventTypes types_;
};

TEST_F(GoldenFiles, AreWrittenForAllFieldsAndEachOfAOneofOnce) {
  EXPECT_THAT(MissingIn(ReadGoldens(folder_.path()), types_),
              ElementsAre("leftfold.core.v1.ClaimTaken", "leftfold.core.v1.RecordedEvent"));
  EXPECT_THAT(WriteMissing(folder_.path(), types_),
              ElementsAre(Path("leftfold.core.v1.ClaimTaken.1.txt"),
                          Path("leftfold.core.v1.RecordedEvent.1.txt"),
                          Path("leftfold.core.v1.RecordedEvent.2.txt"),
                          Path("leftfold.core.v1.RecordedEvent.3.txt")));
  const std::vector<Golden> goldens = ReadGoldens(folder_.path());
  EXPECT_THAT(MissingIn(goldens, types_), IsEmpty());
  EXPECT_EQ(goldens.front().json, R"({"owner":"owner","value":"value"})");
  for (const Golden& golden : goldens) {
    const std::unique_ptr<pb::Message> message(types_.at(golden.type)->New());
    EXPECT_TRUE(message->ParseFromString(golden.bytes));
    EXPECT_EQ(JsonOf(*message), golden.json);
  }
  EXPECT_THAT(WriteMissing(folder_.path(), types_), IsEmpty());
}

TEST_F(GoldenFiles, ThatAreThereStayAsTheyAreWhenAFieldComesTo) {
  fs::create_directories(folder_.path() + "/core/golden");
  const std::string first = Path("leftfold.core.v1.ClaimTaken.1.txt");
  std::ofstream(first) << "0a0161\n{\"owner\":\"a\"}\n";
  types_.erase("leftfold.core.v1.RecordedEvent");
  EXPECT_THAT(MissingIn(ReadGoldens(folder_.path()), types_),
              ElementsAre("leftfold.core.v1.ClaimTaken: leftfold.core.v1.ClaimTaken.value"));
  EXPECT_THAT(WriteMissing(folder_.path(), types_),
              ElementsAre(Path("leftfold.core.v1.ClaimTaken.2.txt")));
  EXPECT_EQ(ReadGoldens(folder_.path()).front().json, R"({"owner":"a"})");
  EXPECT_THAT(MissingIn(ReadGoldens(folder_.path()), types_), IsEmpty());
}

}  // namespace
}  // namespace leftfold::testing
