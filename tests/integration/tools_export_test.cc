// Export and import with real files: cut and killed anywhere, and with lines that were changed.
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "testing/environment.h"
#include "tests/integration/tools_transfer_fixture.h"
#include "tools/backup.h"
#include "tools/export.h"
#include "tools/restore.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;
using testing::AppendOf;
using testing::ContentOf;
using testing::DecidedCommand;
using ::testing::HasSubstr;
using testing::LogOnDisk;
using testing::Tamper;

class Exports : public Transfer {
 protected:
  Exports() {
    AppendRequest unknown = DecidedCommand("room-a", {std::string("\0\xFF\n", 3)}, "c7");
    unknown.streams.front().events.front().type = "nobody.knows.It";
    log_.Append(std::move(unknown));
    AppendRequest json = AppendOf("room-j", {"{\"a\": \"\u20ac\"}"});
    json.streams.front().events.front().encoding = Encoding::kJson;
    log_.Append(std::move(json));
    log_.Append(DecidedCommand("room-a", {}, "c8"));
  }
  absl::Status ExportTo(const std::string& file, std::int64_t from = 0) {
    return ExportLog({.data = log_.data(), .to = Path(file), .from = from, .sizes = kSmall},
                     kNoSteps)
        .status();
  }
  absl::Status ImportFrom(const std::string& file, const std::string& data,
                          const Steps& steps = kNoSteps) {
    return ImportLog({.data = Path(data), .from = Path(file), .sizes = kSmall}, steps).status();
  }
  std::string Read(const std::string& file) const {
    std::ifstream in(Path(file), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Write(const std::string& file, const std::string& text) const {
    std::ofstream(Path(file), std::ios::binary | std::ios::trunc) << text;
  }
};

TEST_F(Exports, AnImportedExportIsTheSameLog) {
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  ASSERT_EQ(ImportFrom("log.jsonl", "data"), absl::OkStatus());
  EXPECT_EQ(ContentOf(Path("data/log")), Content());
  EXPECT_EQ(Verified(Path("data")), absl::OkStatus());
  EXPECT_EQ(ImportFrom("log.jsonl", "data"), absl::OkStatus());
  EXPECT_EQ(ContentOf(Path("data/log")), Content());
}

TEST_F(Exports, AnExportThatWasCutAnywhereIsContinued) {
  ASSERT_EQ(ExportTo("whole.jsonl"), absl::OkStatus());
  const std::string whole = Read("whole.jsonl");
  for (std::size_t cut = 0; cut <= whole.size(); cut += 97) {
    Write("cut.jsonl", whole.substr(0, cut));
    ASSERT_EQ(ExportTo("cut.jsonl"), absl::OkStatus()) << cut;
    ASSERT_EQ(Read("cut.jsonl"), whole) << cut;
  }
  for (std::size_t at = whole.find('\n'); at != std::string::npos; at = whole.find('\n', at + 1)) {
    for (const std::size_t cut : {at, at + 1}) {
      Write("cut.jsonl", whole.substr(0, cut));
      ASSERT_EQ(ExportTo("cut.jsonl"), absl::OkStatus()) << cut;
      ASSERT_EQ(Read("cut.jsonl"), whole) << cut;
    }
  }
}

TEST_F(Exports, AnExportGoesOnWithWhatCameSince) {
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  log_.Append(DecidedCommand("room-a", {}, "later-1"));
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  log_.Append(DecidedCommand("room-b", {"later"}, "later-2"));
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  ASSERT_EQ(ExportTo("anew.jsonl"), absl::OkStatus());
  EXPECT_EQ(Read("log.jsonl"), Read("anew.jsonl"));
}

TEST_F(Exports, AFileThatIsNoExportOfThisLogIsLeftAlone) {
  for (const std::string text : {"mine\n", "mine", "{\"header\":{}}\n", "{\"header\":1}\n"}) {
    Write("file", text);
    EXPECT_EQ(ExportTo("file").code(), absl::StatusCode::kFailedPrecondition) << text;
    EXPECT_EQ(Read("file"), text);
  }
  LogOnDisk other;
  other.Fill();
  ASSERT_TRUE(ExportLog({.data = other.data(), .to = Path("other")}, kNoSteps).ok());
  EXPECT_EQ(ExportTo("other").code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  EXPECT_EQ(ExportTo("log.jsonl", 3).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(Exports, APartGoesIntoALogThatHasWhatIsBefore) {
  ASSERT_TRUE(BackupLog({.data = log_.data(), .to = Path("data")}, kNoSteps).ok());
  log_.Append(DecidedCommand("room-a", {}, "no-op at 10"));
  log_.Append(DecidedCommand("room-c", {"eleven"}, "c9"));
  log_.Append(DecidedCommand("room-a", {"twelve"}, "c10"));
  for (const std::int64_t from : {1, 4, 11}) {
    ASSERT_EQ(ExportTo("from.jsonl", from), absl::OkStatus());
    ASSERT_TRUE(
        RestoreLog({.from = Path("data"), .data = Path("copy"), .replace = true}, kNoSteps).ok());
    EXPECT_EQ(ImportFrom("from.jsonl", "copy"), absl::OkStatus()) << from;
    EXPECT_EQ(ContentOf(Path("copy/log")), Content()) << from;
    fs::remove(Path("from.jsonl"));
  }
  ASSERT_EQ(ExportTo("gap.jsonl", 12), absl::OkStatus());
  EXPECT_EQ(ImportFrom("gap.jsonl", "data").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ImportFrom("gap.jsonl", "nothing").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(fs::exists(Path("nothing/log")));
  EXPECT_EQ(ExportTo("beyond.jsonl", 14).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(Exports, LinesOfAnotherStoreAreRefused) {
  LogOnDisk other;
  other.Fill();
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  other.Close();
  const Lines before = ContentOf(other.log());
  const auto result = ImportLog({.data = other.data(), .from = Path("log.jsonl")}, kNoSteps);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(result), HasSubstr("line 1: "));
  EXPECT_EQ(ContentOf(other.log()), before);
}

TEST_F(Exports, AChangedLineIsRefusedWithItsNumberAndWhatIsStoredIsStillTrue) {
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  const std::string whole = Read("log.jsonl");
  const Lines content = Content();
  const std::uint64_t seed = testing::SeedOr(1);
  SCOPED_TRACE("LEFTFOLD_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  constexpr int kChanges = 200;
  for (int i = 0; i < kChanges; ++i) {
    const std::size_t at = std::uniform_int_distribution<std::size_t>(0, whole.size() - 1)(random);
    std::string changed = whole;
    const char other = static_cast<char>('!' + random() % 90);
    if (changed[at] == other) continue;
    changed[at] = other;
    Write("changed.jsonl", changed);
    fs::remove_all(Path("data"));
    const absl::Status status = ImportFrom("changed.jsonl", "data");
    if (fs::exists(Path("data/log"))) {
      const Lines now = ContentOf(Path("data/log"));
      // The request hash and the created id of a command are sealed by nothing, nor is a command
      // without events.
      if (status.ok()) {
        const std::string line = changed.substr(changed.rfind('\n', at - 1) + 1);
        ASSERT_TRUE(now == content || line.starts_with("{\"command\""))
            << "at " << at << ": " << line.substr(0, line.find('\n'));
      } else if (!status.ok() && now.size() > 1) {
        EXPECT_EQ(VerifyLogFile(Path("data/log"), {}).status(), absl::OkStatus()) << at;
      }
    }
    if (status.ok()) continue;
    const auto line =
        std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at), '\n') + 1;
    std::int64_t told = 0;
    ASSERT_EQ(std::sscanf(Message(status).c_str(), "line %ld: ", &told), 1) << status;
    // A missing or changed record of a command is noticed at the event after it.
    EXPECT_GE(told, line) << status;
    EXPECT_LE(told, line + 2) << status;
  }
}

TEST_F(Exports, LinesThatWereTakenOutOrMovedAreRefused) {
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  Lines lines = absl::StrSplit(Read("log.jsonl"), '\n', absl::SkipEmpty());
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    Lines without = lines;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    Write("without.jsonl", absl::StrJoin(without, "\n") + "\n");
    EXPECT_FALSE(ImportFrom("without.jsonl", "without-" + std::to_string(i)).ok()) << lines[i];
    Lines swapped = lines;
    std::swap(swapped[i], swapped[i + 1]);
    Write("swapped.jsonl", absl::StrJoin(swapped, "\n") + "\n");
    EXPECT_FALSE(ImportFrom("swapped.jsonl", "swapped-" + std::to_string(i)).ok()) << lines[i];
  }
}

TEST_F(Exports, AnImportThatWasCutAnywhereIsContinued) {
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  const std::string whole = Read("log.jsonl");
  for (std::size_t cut = whole.find('\n') + 1; cut < whole.size(); cut += 211) {
    Write("cut.jsonl", whole.substr(0, cut));
    fs::remove_all(Path("data"));
    const absl::Status status = ImportFrom("cut.jsonl", "data");
    if (whole[cut - 1] != '\n') {
      EXPECT_THAT(Message(status), HasSubstr("cut off"));
    }
    EXPECT_TRUE(IsPrefix(ContentOf(Path("data/log")), Content()));
    ASSERT_EQ(ImportFrom("log.jsonl", "data"), absl::OkStatus()) << cut;
    EXPECT_EQ(ContentOf(Path("data/log")), Content()) << cut;
  }
}

TEST_F(Exports, AnImportThatWasKilledAnywhereIsContinued) {
  ASSERT_EQ(ExportTo("log.jsonl"), absl::OkStatus());
  log_.Close();
  const int kills =
      KillEverywhere([&](const Steps& steps) { return ImportFrom("log.jsonl", "data", steps); },
                     [&](int n) {
                       EXPECT_EQ(Verified(Path("data")), absl::OkStatus()) << n;
                       EXPECT_TRUE(IsPrefix(ContentOf(Path("data/log")), Content())) << n;
                     });
  EXPECT_GT(kills, 10);
  EXPECT_EQ(ContentOf(Path("data/log")), Content());
  EXPECT_EQ(Verified(Path("data")), absl::OkStatus());
}

TEST_F(Exports, AFaultyLogIsExportedUpToTheFault) {
  log_.Close();
  Tamper(log_.log(), "UPDATE events SET payload = x'00' WHERE position = 5");
  const absl::Status status = ExportTo("log.jsonl");
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(status), HasSubstr("at position 5: "));
}

}  // namespace
}  // namespace leftfold::tools
