// The cheap client's frames and headers, byte by byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "bench/hpack.h"
#include "bench/http2_calls.h"

namespace leftfold::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::Pair;
using namespace std::string_literals;

std::string FrameOf(char type, char flags, char stream, const std::string& payload) {
  return "\0\0"s + static_cast<char>(payload.size()) + type + flags + "\0\0\0"s + stream + payload;
}

const std::string kOkTrailers = "\x40\x0bgrpc-status\x01"s + "0";
const std::string kSameTrailers = "\xbe";  // The newest that was remembered.

// What a connection hears.
struct Answers {
  std::vector<std::pair<std::uint32_t, std::string>> all;
  Http2Calls::Answered take = [this](std::uint32_t call, std::string_view status) {
    all.emplace_back(call, status);
  };
};

TEST(BenchHpack, AStatusIsReadFromALiteralAndFromWhatWasRemembered) {
  StatusReader reader;
  EXPECT_EQ(reader.Read("\x88\x5f\x10"s + "application/grpc"), "");
  EXPECT_EQ(reader.Read(kOkTrailers), "0");
  EXPECT_EQ(reader.Read(kSameTrailers), "0");
  EXPECT_EQ(reader.Read("\x40\x01"s + "a\x01" + "b"), "");
  EXPECT_EQ(reader.Read("\xbf"), "0");                   // One has come before it.
  EXPECT_EQ(reader.Read("\x7f\x00\x02"s + "13"), "13");  // The remembered name, another value.
  EXPECT_EQ(reader.Read("\x00\x0bgrpc-status\x01"s + "5"), "5");
}

TEST(BenchHpack, TheOldestIsForgottenWhenTheTableIsFull) {
  StatusReader reader;
  ASSERT_EQ(reader.Read(kOkTrailers), "0");  // 11 + 1 + 32 bytes.
  ASSERT_EQ(reader.Read("\x3f\x1e"s), "");   // A table of 61 bytes.
  EXPECT_EQ(reader.Read("\xbe"), "0");
  ASSERT_EQ(reader.Read("\x40\x01"s + "a\x01" + "b"), "");
  EXPECT_EQ(reader.Read("\xbf"), std::nullopt);
}

TEST(BenchHpack, WhatCannotBeReadIsSaid) {
  for (const std::string& block :
       {"\x80"s, "\xbe"s, "\x40"s, "\x40\x05"s + "abc", "\x40\x81\x1f\x01"s + "0", "\xff\xff"s}) {
    EXPECT_EQ(StatusReader().Read(block), std::nullopt) << ::testing::PrintToString(block);
  }
}

TEST(BenchHttp2, TheFirstCallHasItsHeadersInFullAndTheNextAnIndexEach) {
  Http2Calls calls("host:1", "/a.B/C");
  calls.to_send().clear();
  EXPECT_EQ(calls.Call("abc"), 1U);
  EXPECT_THAT(calls.to_send(), ::testing::HasSubstr("\x40\x05:path\x06/a.B/C"));
  EXPECT_THAT(calls.to_send(), EndsWith(FrameOf(0, 1, 1, "\0\0\0\0\x03"s + "abc")));
  calls.to_send().clear();
  EXPECT_EQ(calls.Call("d"), 3U);
  EXPECT_EQ(calls.to_send(), FrameOf(1, 4, 3, "\x83\x86\xc3\xc2\xc1\xc0\xbf\xbe") +
                                 FrameOf(0, 1, 3, "\0\0\0\0\x01"s + "d"));
}

TEST(BenchHttp2, AnswersAreToldApartByTheirStatusInPiecesOfAnySize) {
  Http2Calls calls("host:1", "/a.B/C");
  for (int i = 0; i < 4; ++i) calls.Call("");
  const std::string came = FrameOf(1, 4, 1, "\x88") + FrameOf(0, 0, 1, "\0\0\0\0\0"s) +
                           FrameOf(1, 5, 1, kOkTrailers) + FrameOf(1, 5, 3, "\x7e\x02"s + "13") +
                           FrameOf(3, 0, 5, "\0\0\0\x02"s) + FrameOf(3, 0, 1, "\0\0\0\0"s) +
                           FrameOf(0, 1, 7, "");
  Answers answers;
  for (const char byte : came) ASSERT_TRUE(calls.Receive({&byte, 1}, answers.take));
  EXPECT_THAT(answers.all, ElementsAre(Pair(1, "0"), Pair(3, "13"), Pair(5, ""), Pair(7, "")));
}

TEST(BenchHttp2, PingsAndSettingsAreAcknowledged) {
  Http2Calls calls("host:1", "/a.B/C");
  calls.to_send().clear();
  Answers answers;
  ASSERT_TRUE(calls.Receive(FrameOf(6, 0, 0, "12345678") + FrameOf(4, 0, 0, "") +
                                FrameOf(6, 1, 0, "12345678") + FrameOf(4, 1, 0, ""),
                            answers.take));
  EXPECT_EQ(calls.to_send(), FrameOf(6, 1, 0, "12345678") + FrameOf(4, 1, 0, ""));
}

TEST(BenchHttp2, NoMoreIsSentThanTheServerTakes) {
  Http2Calls calls("host:1", "/a.B/C");
  Answers answers;
  ASSERT_TRUE(calls.Receive(FrameOf(4, 0, 0, "\0\x03\0\0\0\x02"s), answers.take));
  calls.Call("");
  EXPECT_TRUE(calls.MayCall(0));
  calls.Call(std::string(65'535 - 20, 'x'));
  EXPECT_FALSE(calls.MayCall(0)) << "two streams are open";
  ASSERT_TRUE(calls.Receive(FrameOf(1, 5, 1, kOkTrailers), answers.take));
  EXPECT_TRUE(calls.MayCall(5));
  EXPECT_FALSE(calls.MayCall(6)) << "the connection's window has 10 bytes";
  ASSERT_TRUE(calls.Receive(FrameOf(8, 0, 0, "\0\0\0\x01"s), answers.take));
  EXPECT_TRUE(calls.MayCall(6));
  ASSERT_TRUE(calls.Receive(FrameOf(4, 0, 0, "\0\x04\0\0\0\x0a"s), answers.take));
  EXPECT_FALSE(calls.MayCall(6)) << "a stream's window has 10 bytes";
}

TEST(BenchHttp2, ABrokenConnectionIsSaid) {
  for (const std::string& came : {FrameOf(7, 0, 0, "12345678"), FrameOf(1, 4, 1, "\xbe"),
                                  FrameOf(1, 1, 1, "\x88"), "\xff\0\0\0\0\0\0\0\0"s}) {
    Http2Calls calls("host:1", "/a.B/C");
    Answers answers;
    EXPECT_FALSE(calls.Receive(came, answers.take));
  }
}

}  // namespace
}  // namespace leftfold::bench
