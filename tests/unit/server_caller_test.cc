// What of a call's headers goes into events, and which headers are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/reject.h"
#include "server/caller.h"

namespace leftfold {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using Lines = std::vector<rpc::HeaderLine>;

constexpr std::string_view kTraceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

Caller Read(const Lines& lines) {
  auto caller = CallerOf(lines, "Bearer secret");
  EXPECT_TRUE(caller.ok()) << caller.status();
  return caller.ok() ? *std::move(caller) : Caller();
}
absl::Status Refused(const Lines& lines) { return CallerOf(lines, "Bearer secret").status(); }

void ExpectInvalid(const Lines& lines, const std::string& reason, const std::string& header) {
  const absl::Status status = Refused(lines);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << header;
  EXPECT_EQ(ReasonOf(status), reason) << status;
  EXPECT_EQ(MetadataOf(status, "fields"), header);
  EXPECT_THAT(std::string(status.message()), HasSubstr(header));
}

TEST(CallerOf, KeepsIdsTraceAndFreeHeadersAndIgnoresTheRest) {
  const Caller caller = Read({{"user-agent", "grpc"},
                              {"x-correlation-id", "order 17"},
                              {"x-causation-id", "cart-3"},
                              {"traceparent", kTraceparent},
                              {"lf-meta-tenant", "acme"},
                              {"lf-meta-empty", ""},
                              {"x-other-bin", "\x01"}});
  EXPECT_EQ(caller.correlation_id, "order 17");
  EXPECT_EQ(caller.causation_id, "cart-3");
  EXPECT_EQ(caller.traceparent, kTraceparent);
  EXPECT_THAT(caller.headers, ElementsAre(Pair("tenant", "acme"), Pair("empty", "")));
  EXPECT_FALSE(caller.trusted);
}

TEST(CallerOf, MakesNothingUp) {
  const Caller caller = Read({});
  EXPECT_EQ(caller.correlation_id, "");
  EXPECT_EQ(caller.causation_id, "");
  EXPECT_EQ(caller.traceparent, "");
  EXPECT_THAT(caller.headers, ElementsAre());
}

TEST(CallerOf, TrustsWhoShowsTheToken) {
  EXPECT_TRUE(Read({{"authorization", "Bearer secret"}}).trusted);
  EXPECT_FALSE(Read({{"authorization", "Bearer Secret"}}).trusted);
}

TEST(CallerOf, RefusesIdsThatAreTooLongOrNotPrintable) {
  const std::string longest(kCorrelationIdBytesMax, 'x');
  EXPECT_EQ(Read({{"x-correlation-id", longest}}).correlation_id, longest);
  const std::string longer = longest + "x";
  for (const char* header : {"x-correlation-id", "x-causation-id"}) {
    for (const std::string_view value : {std::string_view(longer), std::string_view("a\tb"),
                                         std::string_view("é"), std::string_view("\x7f")}) {
      ExpectInvalid({{header, value}}, "INVALID_FIELDS", header);
    }
    ExpectInvalid({{header, "a"}, {header, "b"}}, "INVALID_FIELDS", header);
  }
}

TEST(CallerOf, IgnoresATraceparentThatIsNotOfTheStandardsForm) {
  const std::string good(kTraceparent);
  EXPECT_EQ(Read({{"traceparent", "cc" + good.substr(2) + "-more"}}).traceparent,
            "cc" + good.substr(2) + "-more");
  const std::string zeros(32, '0');
  for (const std::string& bad : std::vector<std::string>{
           "", "x", good.substr(1), good + "0", good + "-more", "ff" + good.substr(2),
           "cc" + good.substr(2) + "more", "0G" + good.substr(2), good.substr(0, 53) + "0X",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00-" + zeros + "-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
           "cc" + good.substr(2) + "-" + std::string(300, 'm'), "cc" + good.substr(2) + "-\x01"}) {
    EXPECT_EQ(Read({{"traceparent", bad}}).traceparent, "") << bad;
  }
  EXPECT_EQ(Read({{"traceparent", kTraceparent}, {"traceparent", kTraceparent}}).traceparent, "");
}

TEST(CallerOf, RefusesFreeHeadersThatItCouldNotGiveBack) {
  ExpectInvalid({{"lf-meta-", "a"}}, "INVALID_FIELDS", "lf-meta-");
  ExpectInvalid({{"lf-meta-key-bin", "a"}}, "INVALID_FIELDS", "lf-meta-key-bin");
  ExpectInvalid({{"lf-meta-name", "é"}}, "INVALID_FIELDS", "lf-meta-name");
  ExpectInvalid({{"lf-meta-name", "a"}, {"lf-meta-name", "a"}}, "INVALID_FIELDS", "lf-meta-name");
}

TEST(CallerOf, BoundsFreeHeadersByNumberAndBytes) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i <= kHeadersMax; ++i) names.push_back(fmt::format("lf-meta-{}", i));
  Lines lines;
  for (const std::string& name : names) lines.emplace_back(name, "v");
  const absl::Status many = Refused(lines);
  EXPECT_EQ(ReasonOf(many), "LIMIT_EXCEEDED");
  EXPECT_EQ(MetadataOf(many, "limit"), "kHeadersMax");
  EXPECT_EQ(MetadataOf(many, "maximum"), "16");
  EXPECT_EQ(MetadataOf(many, "actual"), "17");
  lines.pop_back();
  EXPECT_EQ(Read(lines).headers.size(), kHeadersMax);

  const std::string large(kHeadersBytesMax - 3, 'x');
  EXPECT_EQ(Read({{"lf-meta-abc", large}}).headers.size(), 1u);
  const absl::Status bytes = Refused({{"lf-meta-abcd", large}});
  EXPECT_EQ(ReasonOf(bytes), "LIMIT_EXCEEDED");
  EXPECT_EQ(MetadataOf(bytes, "limit"), "kHeadersBytesMax");
}

TEST(CallerOf, TakesTheNameOfAReactorFromTrustedCallersOnly) {
  EXPECT_EQ(Read({{"lf-reactor", "reactor:ticker"}, {"authorization", "Bearer secret"}}).actor,
            "reactor:ticker");
  EXPECT_EQ(Read({{"lf-reactor", "ann"}, {"authorization", "Bearer secret"}}).actor,
            Caller().actor);
  EXPECT_EQ(Read({{"lf-reactor", "reactor:ticker"}}).actor, Caller().actor);
}

TEST(CallerOf, NamesAllThatIsWrongAtOnce) {
  const std::string message(
      Refused({{"x-correlation-id", "\t"}, {"x-causation-id", "\t"}, {"lf-meta-key-bin", "a"}})
          .message());
  EXPECT_THAT(message, HasSubstr("x-correlation-id"));
  EXPECT_THAT(message, HasSubstr("x-causation-id"));
  EXPECT_THAT(message, HasSubstr("lf-meta-key-bin"));
}

}  // namespace
}  // namespace leftfold
