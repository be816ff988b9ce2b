#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "core/json.h"

namespace leftfold {
namespace {

TEST(Utf8, IsWhatRfc3629AllowsAndNothingElse) {
  for (const std::string text :
       {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "z\xc3\xa9z"})
    EXPECT_TRUE(IsUtf8(text)) << text;
  EXPECT_TRUE(IsUtf8(std::string("\0", 1)));
  for (const std::string text :
       {"\x80", "\xc1\xbf", "\xc2", "\xc2z", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xf0\x90\x80"})
    EXPECT_FALSE(IsUtf8(text)) << text;
}

TEST(Json, EveryKindOfValueIsTaken) {
  for (const char* text : {"null", "true", "false", "0", "-0", "12", "-1.5e+10", "1E-2", "0.1",
                           R"("")", R"("ä\n\u00e4\\")", "[]", "[1, [2], {}]", "{}",
                           R"( {"a": {"b": [1, null]}, "a": 2} )", "\t\r\n1\n"}) {
    EXPECT_TRUE(IsJson(text)) << text;
  }
}

TEST(Json, WhatSomeReadersWouldNotTakeIsRefused) {
  for (const char* text : {"",        " ",       "nul",         "True",         "01",         "-",
                           "1.",      ".5",      "1e",          "+1",           "NaN",        "'a'",
                           R"("a)",   R"("\x")", R"("\u00g0")", "\"a\nb\"",     "[1,]",       "[1",
                           "[,1]",    "{a: 1}",  R"({"a"})",    R"({"a": 1,})", R"({"a": 1)", "1 2",
                           "// x\n1", R"("\)",   R"("\u12)"}) {
    EXPECT_FALSE(IsJson(text)) << text;
  }
  EXPECT_FALSE(IsJson(std::string("1\0", 2)));
}

TEST(Json, NestingHasALimit) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_TRUE(IsJson(nested(kJsonDepthMax)));
  EXPECT_FALSE(IsJson(nested(kJsonDepthMax + 1)));
  EXPECT_FALSE(IsJson(std::string(1'000'000, '[')));
}

std::string Shown(std::string_view text) {
  const auto parts = JsonParts(text);
  if (!parts) return "none";
  std::string shown;
  for (const JsonPart& part : *parts) shown += fmt::format("<{}:{}>", part.name, part.value);
  return shown;
}

TEST(Json, HasPartsAsTheyStandInTheText) {
  EXPECT_EQ(Shown(R"( {"a" : 1e3 ,"b\"":{"c":[1, 2]}, "":null} )"),
            R"(<a:1e3><b\":{"c":[1, 2]}><:null>)");
  EXPECT_EQ(Shown(R"([[1], {"x": 2},"y" ])"), R"(<:[1]><:{"x": 2}><:"y">)");
  EXPECT_EQ(Shown("{}"), "");
  EXPECT_EQ(Shown(" [ ] "), "");
  for (const char* none : {"", " ", "1", "\"a\"", "[1", "[1]]", "{\"a\"}", "{\"a\": 1,}"})
    EXPECT_EQ(Shown(none), "none") << none;
}

TEST(Json, StringsReadAsTheText) {
  EXPECT_EQ(JsonString("a\"b\\c\n\x01é"), "\"a\\\"b\\\\c\\u000a\\u0001é\"");
  EXPECT_EQ(JsonString("a\xff"), "\"a?\"");
  EXPECT_EQ(JsonString(std::string(100, 'a'), 20), "\"" + std::string(12, 'a') + "\"");
  EXPECT_TRUE(IsUtf8(JsonString("ééééééééé", 13)));
}

}  // namespace
}  // namespace leftfold
