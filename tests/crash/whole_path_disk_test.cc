// The simulation of the whole path on a disk: log, views and the reactor's file live through
// several processes, each of which is killed, loses the power at some call, or has calls that fail.
// What clients were told, and what the reactor did outside, is remembered beside the disk; a last
// process without failures must bear it all out.

#include <fmt/ostream.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "testing/environment.h"
#include "tests/crash/faulty_disk.h"
#include "tests/property/whole_path_story.h"

namespace leftfold::whole_path {
namespace {

using testing::DiskWork;
using testing::PreparedDisk;
using testing::Schedule;

constexpr int kActsOfALife = 250;
constexpr int kFailuresTold = 5;

void TellLogTo(Diary& diary, WholePathStory& story) {
  const std::vector<std::string> log = LogInWords(story.store());
  const std::size_t hash = std::hash<std::string>()(fmt::to_string(fmt::join(log, " ")));
  diary.Write({"log", fmt::to_string(log.size()), fmt::to_string(hash)});
}

// Its seed is of the story and of how many lives there were.
void LiveOnce(const std::string& disk, std::uint64_t seed, std::ostream& answers) {
  Diary diary(PreparedDisk::AnswersBeside(disk), answers);
  const auto lives = std::count_if(diary.past().begin(), diary.past().end(),
                                   [](const Diary::Line& line) { return line[0] == "life"; });
  diary.Write({"life"});
  WholePathStory story(seed * 100 + static_cast<std::uint64_t>(lives), disk, disk + "/data",
                       {.ids_always = true, .diary = &diary, .fails = true});
  TellLogTo(diary, story);
  story.LiveOn(kActsOfALife);
  if (::testing::Test::HasFailure()) _exit(1);
}

std::string BearOut(const std::string& disk, std::uint64_t seed, std::istream&) {
  std::ofstream answers(PreparedDisk::AnswersBeside(disk), std::ios::app);
  Diary diary(PreparedDisk::AnswersBeside(disk), answers);
  ::testing::TestPartResultArray found;
  {
    const ::testing::ScopedFakeTestPartResultReporter all(&found);
    WholePathStory story(seed, disk, disk + "/data", {.ids_always = true, .diary = &diary});
    TellLogTo(diary, story);
    story.ExpectAll();
  }
  std::string wrong;
  for (int i = 0; i < std::min(found.size(), kFailuresTold); ++i)
    wrong += fmt::format("{}\n", fmt::streamed(found.GetTestPartResult(i)));
  return wrong;
}

void PrepareLog(const std::string& disk, std::uint64_t seed) {
  const auto made = testing::InSeparateProcess([&] {
    WholePathStory(seed, disk, disk + "/data", {}).LiveOn(0);
    return "";
  });
  if (made.code != 0) Die(made.errors);
}

const DiskWork kStory = {PrepareLog, LiveOnce, BearOut};

TEST(WholePathDisk, WhateverTheDiskDoesAcknowledgedMeansOnceInLogViewsAndEffects) {
  const std::uint64_t first = testing::Seed();
  const std::uint64_t stories = testing::HasSeed() ? 1 : testing::Cases("LEFTFOLD_STORIES", 200);
  for (std::uint64_t seed = first; seed < first + stories && !HasFailure(); ++seed) {
    SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    const Schedule schedule = ScheduleOf(kStory, seed);
    FailRepeatedly(schedule, random);
  }
  fmt::print("{} stories from seed {}\n", stories, first);
}

// The same lives on copies of one disk, with the same faults.
TEST(WholePathDisk, TheSameSeedGivesTheSameFaultsLogAndAnswers) {
  const std::uint64_t seed = testing::Seed();
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  const Schedule schedule = ScheduleOf(kStory, seed);
  std::vector<std::string> told;
  for (int n = 0; n < 2; ++n) {
    std::mt19937_64 random(seed);
    const PreparedDisk disk = schedule.disk;
    FailOnAndOn(disk, schedule.calls, random);
    told.push_back(disk.Answers());
  }
  EXPECT_GT(told[0].size(), 1'000);
  EXPECT_EQ(told[0], told[1]);
  fmt::print("it gives trace {:x}\n", std::hash<std::string>()(told[0]));
}

// The tests above can see.
TEST(WholePathDiskControl, ADiskThatLiesAboutSyncsIsFound) {
  EXPECT_GT(FoundOnALyingDisk(kStory, testing::DiskFault::SyncLies::kAll, 8, 4), 0);
}

}  // namespace
}  // namespace leftfold::whole_path
