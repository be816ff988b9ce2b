// Small files on a disk that takes a part of what is written, or no more.
#include "sql/durable_file.h"

#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "tests/crash/faulty_disk.h"

namespace leftfold::testing {
namespace {

constexpr std::string_view kOldText = "an old text";
constexpr std::string_view kNewText = "a new and longer text";

std::string SmallFile(const std::string& disk) { return disk + "/SMALL"; }

// "" or what is wrong: the file is new where that was answered, and never something else.
std::string CheckSmallFile(const std::string& disk, std::uint64_t, std::istream& answers) {
  std::string answer;
  std::getline(answers, answer);
  const auto text = sql::ReadIfThere(SmallFile(disk));
  if (!text.ok()) return text.status().ToString();
  if (*text == kNewText || (*text == kOldText && answer != "OK")) return "";
  return fmt::format("after {}: {}", answer, text->value_or("nothing"));
}

const DiskWork kReplacing = {[](const std::string& disk, std::uint64_t) {
                               if (!sql::WriteDurably(SmallFile(disk), kOldText).ok())
                                 Die("no small file");
                             },
                             [](const std::string& disk, std::uint64_t, std::ostream& answers) {
                               const absl::Status replaced =
                                   sql::ReplaceDurably(SmallFile(disk), kNewText);
                               answers << replaced.ToString() << std::endl;
                               if (!replaced.ok() && !absl::IsResourceExhausted(replaced)) _exit(1);
                             },
                             CheckSmallFile};

DiskFault FullDisk(bool sticky) {
  DiskFault fault;
  fault.fails = DiskCall::kWrite;
  fault.code = SQLITE_FULL;
  fault.fail_at = 1;
  fault.sticky = sticky;
  return fault;
}

TEST(DurableFile, IsWrittenOnWhereTheDiskHasTakenAPart) {
  const PreparedDisk disk(kReplacing, 1);
  EXPECT_EQ(disk.Run(FullDisk(/*sticky=*/false)), 0);
  EXPECT_EQ(disk.Check(), "");
}

TEST(DurableFile, StaysAsItWasOnAFullDiskWhichIsToldAsSuch) {
  const PreparedDisk disk(kReplacing, 1);
  EXPECT_EQ(disk.Run(FullDisk(/*sticky=*/true)), 0);
  EXPECT_EQ(disk.Check(), "");
}

TEST(DurableFile, IsTheOldOrTheNewOneAfterAPowerLossAtEachCall) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    std::mt19937_64 random(seed);
    const Schedule schedule = ScheduleOf(kReplacing, seed);
    for (std::int64_t call = 1; call <= schedule.calls.changing; ++call) {
      LosePowerAt(schedule, call, random);
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace leftfold::testing
