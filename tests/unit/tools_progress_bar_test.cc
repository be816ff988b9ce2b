#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "tools/progress_bar.h"

namespace leftfold::tools {
namespace {

using ::testing::HasSubstr;

class FakeClock final : public Clock {
 public:
  absl::Time Now() const override { return now_; }
  void Advance(absl::Duration by) { now_ += by; }

 private:
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

// A file in memory.
class Screen {
 public:
  Screen() : file_(open_memstream(&text_, &size_)) {}
  ~Screen() {
    std::fclose(file_);
    std::free(text_);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  std::FILE* file() const { return file_; }
  std::string text() const {
    std::fflush(file_);
    return {text_, size_};
  }

 private:
  char* text_ = nullptr;
  std::size_t size_ = 0;
  std::FILE* file_;
};

class ProgressBarTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  Screen screen_;
};

TEST_F(ProgressBarTest, ShowsDoneTotalRateAndTimeLeft) {
  ProgressBar bar("view", clock_, screen_.file(), false);
  clock_.Advance(absl::Seconds(2));
  bar.Show(1'000, 4'000);
  EXPECT_EQ(screen_.text(), "view [#######-----------------------] 1000/4000 500/s 6s left\n");
}

TEST_F(ProgressBarTest, PlainLinesComeOnceASecondAndTheLastOnce) {
  ProgressBar bar("view", clock_, screen_.file(), false);
  bar.Show(1, 4);
  for (int done = 2; done <= 3; ++done) {
    clock_.Advance(absl::Milliseconds(400));
    bar.Show(done, 4);
  }
  EXPECT_EQ(std::string::npos, screen_.text().find("3/4"));
  clock_.Advance(absl::Milliseconds(200));
  bar.Show(4, 4);
  const std::string shown = screen_.text();
  EXPECT_THAT(shown, HasSubstr("1/4"));
  EXPECT_THAT(shown, HasSubstr("4/4"));
  bar.Finish();
  EXPECT_EQ(screen_.text(), shown);
}

TEST_F(ProgressBarTest, TheLastStateIsShownHoweverSoonItComes) {
  ProgressBar bar("view", clock_, screen_.file(), false);
  bar.Show(1, 2);
  bar.Show(2, 2);
  bar.Finish();
  EXPECT_THAT(screen_.text(), HasSubstr("2/2"));
}

TEST_F(ProgressBarTest, OnATerminalOneLineIsWrittenOverAndEnded) {
  {
    ProgressBar bar("view", clock_, screen_.file(), true);
    bar.Show(1, 2);
    clock_.Advance(absl::Milliseconds(100));
    bar.Show(2, 2);
    EXPECT_EQ(screen_.text().find('\n'), std::string::npos);
    EXPECT_EQ(screen_.text().front(), '\r');
  }
  EXPECT_EQ(screen_.text().find('\n'), screen_.text().size() - 1);
}

TEST_F(ProgressBarTest, AnEmptyLogIsDoneAtOnce) {
  ProgressBar bar("view", clock_, screen_.file(), false);
  bar.Show(0, 0);
  EXPECT_THAT(screen_.text(), HasSubstr("[##############################] 0/0"));
}

}  // namespace
}  // namespace leftfold::tools
