// Webhooks: events go out as signed CloudEvents, in order for each stream, and what the replies
// name is done; on the virtual scheduler, with the real engine and command handler.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>

#include "core/webhook_signature.h"
#include "reactor/webhook.h"
#include "server/webhooks.h"
#include "tests/unit/reactor_fixture.h"

namespace leftfold::reacting {
namespace {

using admin::v1::Webhook;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kCreated[] = "leftfold.rooms.v1.RoomCreated";
constexpr char kRenamed[] = "leftfold.rooms.v1.RoomRenamed";
constexpr char kRename[] = "leftfold.rooms.v1.RenameRoomRequest";
constexpr char kSecret[] = "a-secret-of-twenty-5";
constexpr char kHeaderSecret[] = "Bearer not-for-your-eyes";

std::string TextOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string HeaderOf(const HttpRequest& request, std::string_view name) {
  for (const auto& [key, value] : request.headers) {
    if (key == name) return value;
  }
  return "";
}

google::protobuf::Struct Parsed(const std::string& json) {
  google::protobuf::Struct parsed;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  return parsed;
}

class WebhookEngine : public ::testing::Test {
 protected:
  explicit WebhookEngine(std::uint64_t seed = 1) : f(seed) { Open(); }

  void Open() {
    auto webhooks = Webhooks::Open({.registry = f.registry(),
                                    .store = f.store(),
                                    .reactors = f.reactors(),
                                    .data = f.folder()});
    ASSERT_TRUE(webhooks.ok()) << webhooks.status();
    webhooks_ = *std::move(webhooks);
  }
  // A crash, and what a process does at its start.
  void Restart() {
    webhooks_.reset();
    f.Restart();
    Open();
  }

  static Webhook Hook(const std::string& name = "hook") {
    Webhook webhook;
    webhook.set_name(name);
    webhook.add_event_types(kCreated);
    webhook.add_event_types(kRenamed);
    webhook.set_url("http://test/" + name);
    webhook.add_commands(kRename);
    webhook.mutable_retry()->set_attempts(3);
    return webhook;
  }
  Webhook Create(const Webhook& webhook = Hook()) {
    const auto created = webhooks_->Create(webhook);
    EXPECT_TRUE(created.ok()) << created.status();
    return created.value_or(Webhook());
  }
  void RenameTo(const std::string& id, const std::string& name) {
    f.Send(std::make_unique<rooms::v1::RenameRoomRequest>(Rename(id, name)));
  }
  // Streams and names of the calls that were made, in their order.
  std::vector<std::string> Calls() {
    std::vector<std::string> calls;
    for (const HttpRequest& request : f.deliverer().requests) {
      const auto event = Parsed(request.body);
      calls.push_back(event.fields().at("subject").string_value() + " " +
                      event.fields().at("data").struct_value().fields().at("name").string_value());
    }
    return calls;
  }
  ReactorStatus StatusOf(const std::string& reactor) {
    for (const ReactorStatus& status : f.reactors().List()) {
      if (status.name == reactor) return status;
    }
    return {};
  }
  // The only parked delivery.
  core::v1::DeliveryParked Parked(const std::string& reactor = "webhook.hook.1") {
    const auto parked = f.reactors().ListParked(reactor, 0, 10);
    EXPECT_TRUE(parked.ok()) << parked.status();
    EXPECT_EQ(parked->size(), 1U);
    return parked->empty() ? core::v1::DeliveryParked() : parked->front().parked;
  }
  absl::StatusOr<Position> Retry(const std::string& key) {
    absl::StatusOr<Position> recorded = absl::UnknownError("not answered");
    f.reactors().Retry("webhook.hook.1", key, "ann",
                       [&](absl::StatusOr<Position> p) { recorded = p; });
    f.Settle();
    return recorded;
  }
  std::string Path() const { return f.folder() + "/webhooks.json"; }

  ReactorFixture f;
  std::unique_ptr<Webhooks> webhooks_;
};

// --- what is sent --------------------------------------------------------------------------------

// RFC 4231, test cases 1, 2 and 6.
TEST(HmacSha256, IsThatOfTheStandard) {
  const auto hex = [](std::string_view key, std::string_view message) {
    return ToHex(AsBytes(HmacSha256(key, message)));
  };
  EXPECT_EQ(hex(std::string(20, '\x0b'), "Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// Made with: printf '1767225600.{}' | openssl dgst -sha256 -hmac a-secret-of-twenty-5
TEST(WebhookSignature, CoversTheTimeAndTheBody) {
  const absl::Time now = absl::FromUnixSeconds(1'767'225'600) + absl::Milliseconds(900);
  EXPECT_EQ(WebhookSignature(kSecret, now, "{}"),
            "t=1767225600,v1=7e4acff2d4f9988599d6715a2181e2134998c2b1be4a6d438c2213549784c819");
  EXPECT_NE(WebhookSignature(kSecret, now, "{} "), WebhookSignature(kSecret, now, "{}"));
}

RecordedEvent Event(const std::string& type, const std::string& payload, Encoding encoding) {
  RecordedEvent event;
  event.position = {42};
  event.stream = "room-oak";
  event.version = {7};
  event.event_id = *ParseUuid("01a1fcfe-3b7a-7287-9a88-0b933bee3b46");
  event.type = type;
  event.payload = payload;
  event.encoding = encoding;
  event.recorded_at = absl::FromUnixMicros(1'767'225'600'000'001);
  core::v1::EventMetadata metadata;
  metadata.set_command_id("rename-1");
  metadata.set_correlation_id("order \"7\"");
  metadata.set_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  event.metadata = metadata.SerializeAsString();
  return event;
}

class CloudEvents : public WebhookEngine {
 protected:
  std::string Of(const RecordedEvent& event) {
    const auto body = CloudEventOf(event, f.registry(), "5d0e");
    return body.ok() ? *body : body.status().ToString();
  }
  static std::string Head(const std::string& type) {
    return R"({"specversion":"1.0","id":"01a1fcfe-3b7a-7287-9a88-0b933bee3b46",)"
           R"("source":"leftfold/5d0e","type":")" +
           type +
           R"(","subject":"room-oak","time":"2026-01-01T00:00:00.000001Z","position":"42",)"
           R"("version":"7","commandid":"rename-1","correlationid":"order \"7\"",)"
           R"("traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",)";
  }
};

TEST_F(CloudEvents, HaveThePayloadAsJson) {
  rooms::v1::RoomRenamed renamed;
  renamed.set_name("Oak \"2\"");
  EXPECT_EQ(
      Of(Event(kRenamed, renamed.SerializeAsString(), Encoding::kProtobuf)),
      Head(kRenamed) + R"("datacontenttype":"application/json","data":{"name":"Oak \"2\""}})");
  EXPECT_EQ(Of(Event("shop.Sold", R"({ "big": 12345678901234567890 })", Encoding::kJson)),
            Head("shop.Sold") +
                R"("datacontenttype":"application/json","data":{ "big": 12345678901234567890 }})");
}

TEST_F(CloudEvents, HaveBytesThatNobodyHereKnowsAsBase64) {
  EXPECT_EQ(
      Of(Event("shop.Sold", "\xff\x01", Encoding::kProtobuf)),
      Head("shop.Sold") + R"("datacontenttype":"application/protobuf","data_base64":"/wE="})");
  EXPECT_EQ(Of(Event("shop.Sold", "{\"a\": \xff}", Encoding::kJson)),
            Head("shop.Sold") +
                R"("datacontenttype":"application/octet-stream","data_base64":"eyJhIjog/30="})");
}

TEST_F(CloudEvents, AreNotMadeOfWhatDoesNotDecode) {
  EXPECT_THAT(Of(Event(kRenamed, "\xff\xff", Encoding::kProtobuf)), HasSubstr("DATA_LOSS"));
}

TEST_F(WebhookEngine, PostsEveryEventOfItsTypesSignedWhenItIsSent) {
  Webhook webhook = Hook();
  webhook.set_secret(kSecret);
  auto& header = *webhook.add_headers();
  header.set_name("X-Team");
  header.set_value("rooms");
  webhook.mutable_retry()->mutable_timeout()->set_seconds(3);
  EXPECT_EQ(Create(webhook).reactor(), "webhook.hook.1");
  f.deliverer().replies["/hook"] = {500, 200};
  f.Create("a", "plain");
  f.RunFor(absl::Seconds(5));
  ASSERT_THAT(f.deliverer().requests, SizeIs(2));
  const HttpRequest& first = f.deliverer().requests[0];
  const HttpRequest& second = f.deliverer().requests[1];
  EXPECT_EQ(second.method, "POST");
  EXPECT_EQ(second.url, "http://test/hook");
  EXPECT_EQ(second.timeout, absl::Seconds(3));
  EXPECT_EQ(HeaderOf(second, "Content-Type"), kCloudEventType);
  EXPECT_EQ(HeaderOf(second, "X-Team"), "rooms");
  EXPECT_EQ(HeaderOf(second, "Idempotency-Key"), f.IdOfLogs("webhook.hook.1", 0));
  EXPECT_EQ(first.body, second.body);
  EXPECT_EQ(HeaderOf(first, "Idempotency-Key"), HeaderOf(second, "Idempotency-Key"));
  // About a second later, so signed anew.
  const std::string signature = HeaderOf(second, "X-Leftfold-Signature");
  EXPECT_NE(signature, HeaderOf(first, "X-Leftfold-Signature"));
  EXPECT_TRUE(signature == WebhookSignature(kSecret,
                                            testing::SchedulerClock::kStart + absl::Seconds(1),
                                            second.body) ||
              signature == WebhookSignature(kSecret, testing::SchedulerClock::kStart, second.body))
      << signature;
}

TEST_F(WebhookEngine, GetsOnlyEventsOfItsTypesAndStreams) {
  Webhook webhook = Hook();
  webhook.clear_event_types();
  webhook.add_event_types(kRenamed);
  webhook.set_stream_prefix("counter-a");
  Create(webhook);
  f.Create("a", "plain");
  f.Create("b", "plain2");
  RenameTo("a", "1");
  RenameTo("b", "2");
  f.Settle();
  EXPECT_THAT(Calls(), ElementsAre("counter-a 1"));
  EXPECT_THAT(HeaderOf(f.deliverer().requests[0], "X-Leftfold-Signature"), IsEmpty());
}

TEST_F(WebhookEngine, BeginsWhereItWasTold) {
  f.Create("a", "plain");
  Create(Hook("now"));
  Webhook all = Hook("all");
  all.set_start(Webhook::START_BEGINNING);
  Create(all);
  RenameTo("a", "1");
  f.Settle();
  std::vector<std::string> paths;
  for (const HttpRequest& request : f.deliverer().requests) paths.push_back(request.url);
  EXPECT_THAT(paths, ::testing::UnorderedElementsAre("http://test/now", "http://test/all",
                                                     "http://test/all"));
}

// --- retries and order ---------------------------------------------------------------------------

TEST_F(WebhookEngine, TriesAgainWhateverIsNo2xxAndKeepsTheOrderOfAStream) {
  Create();
  f.deliverer().replies["/hook"] = {404, 302, 204};
  f.Create("a", "plain");
  RenameTo("a", "1");
  f.RunFor(absl::Seconds(30));
  EXPECT_THAT(Calls(),
              ElementsAre("counter-a plain", "counter-a plain", "counter-a plain", "counter-a 1"));
  EXPECT_EQ(f.deliverer().requests[0].timeout, kWebhookRetry.timeout);
  EXPECT_EQ(StatusOf("webhook.hook.1").retries, 2);
}

TEST_F(WebhookEngine, ParksTheStreamAloneAfterTheLastAttemptAndGoesOnWhenAnOperatorSaysSo) {
  Create();
  f.deliverer().replies["/hook"] = {410, 410, 410, 200};
  f.Create("a", "plain");
  f.RunFor(absl::Seconds(30));
  RenameTo("a", "1");
  f.Create("b", "plain2");
  f.RunFor(absl::Seconds(30));
  EXPECT_THAT(Calls(), ElementsAre("counter-a plain", "counter-a plain", "counter-a plain",
                                   "counter-b plain2"));
  EXPECT_EQ(Parked().error(), "the server said 410");
  EXPECT_EQ(Parked().what(), "http POST webhook:hook");
  EXPECT_EQ(Parked().attempts(), 3);
  EXPECT_TRUE(Retry("counter-a").ok());
  f.RunFor(absl::Seconds(1));
  EXPECT_THAT(Calls(), ElementsAre("counter-a plain", "counter-a plain", "counter-a plain",
                                   "counter-b plain2", "counter-a plain", "counter-a 1"));
}

TEST_F(WebhookEngine, HasFewCallsUnderWayAtOnce) {
  Create();
  for (int i = 0; i < 40; ++i) {
    f.deliverer().held["counter-c" + fmt::to_string(i)];
    f.Create("c" + fmt::to_string(i), "plain" + fmt::to_string(i));
  }
  f.Settle();
  EXPECT_EQ(f.deliverer().log.size(), kWebhookCallsMax);
}

TEST_F(WebhookEngine, GoesOnAfterARestartWithWhatItsFileSays) {
  Webhook webhook = Hook();
  webhook.set_secret(kSecret);
  Create(webhook);
  f.deliverer().replies["/hook"] = {0};
  f.Create("a", "plain");
  f.Settle();
  ASSERT_THAT(Calls(), SizeIs(1));
  f.deliverer().replies["/hook"] = {200};
  Restart();
  f.RunFor(absl::Seconds(5));
  EXPECT_THAT(Calls(), ElementsAre("counter-a plain", "counter-a plain"));
  EXPECT_THAT(HeaderOf(f.deliverer().requests[1], "X-Leftfold-Signature"), HasSubstr(",v1="));
  Restart();
  f.RunFor(absl::Seconds(5));
  EXPECT_THAT(Calls(), SizeIs(2));
}

class WebhookSchedules : public WebhookEngine, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  WebhookSchedules() : WebhookEngine(GetParam()) {}
};

TEST_P(WebhookSchedules, KeepTheOrderOfEachStreamWhateverFailsAndEnds) {
  std::mt19937_64 random(GetParam());
  Webhook webhook = Hook();
  webhook.mutable_retry()->set_attempts(100);
  Create(webhook);
  std::map<std::string, std::vector<std::string>> expected;
  for (int i = 0; i < 60; ++i) {
    const std::string id(1, static_cast<char>('a' + random() % 4));
    const std::string name = fmt::format("{}{}", id, i);
    expected.contains(id) ? RenameTo(id, name) : void(f.Create(id, name));
    expected[id].push_back(name);
    constexpr int kStatuses[] = {200, 200, 500, 404, 0, 302};
    f.deliverer().replies["/hook"] = {kStatuses[random() % std::size(kStatuses)]};
    if (random() % 3 == 0) f.RunFor(absl::Milliseconds(static_cast<int>(random() % 3'000)));
    if (random() % 12 == 0) Restart();
    if (random() % 12 == 0) {
      EXPECT_TRUE(webhooks_->Update(webhook).ok());
    }
  }
  f.deliverer().replies["/hook"] = {200};
  f.RunFor(absl::Hours(1));
  std::map<std::string, std::vector<std::string>> seen;  // Without repetitions.
  for (const std::string& call : Calls()) {
    const auto [stream, name] =
        std::pair<std::string, std::string>(absl::StrSplit(call, absl::MaxSplits(' ', 1)));
    std::vector<std::string>& names = seen[stream.substr(stream.find('-') + 1)];
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  EXPECT_EQ(seen, expected);
}

INSTANTIATE_TEST_SUITE_P(Seeds, WebhookSchedules, ::testing::Range<std::uint64_t>(1, 11));

// --- replies -------------------------------------------------------------------------------------

std::string Reply(const std::string& id, const std::vector<std::string>& names) {
  std::string commands;
  for (const std::string& name : names) {
    commands += (commands.empty() ? "" : ",") +
                fmt::format(R"({{"type": "{}", "command": {{"room_id": "{}", "name": "{}"}}}})",
                            kRename, id, name);
  }
  return R"({"commands": [)" + commands + "]}\n";
}

Webhook OnCreation() {
  Webhook webhook;
  webhook.set_name("hook");
  webhook.add_event_types(kCreated);
  webhook.set_url("http://test/hook");
  webhook.add_commands(kRename);
  return webhook;
}

TEST_F(WebhookEngine, SendsTheCommandsOfAReplyInTheirOrder) {
  Create(OnCreation());
  f.deliverer().bodies["/hook"] = Reply("a", {"1", "2", "3"});
  f.Create("a", "plain");
  f.Settle();
  EXPECT_THAT(f.Names("a"), ElementsAre("plain", "1", "2", "3"));
  const auto events = f.store().ReadStream("counter-a", {});
  const core::v1::EventMetadata metadata = EventMeta{events->back()}.metadata();
  EXPECT_EQ(metadata.command_id(), f.IdOfLogs("webhook.hook.1", 3));
  EXPECT_EQ(metadata.actor(), "reactor:webhook.hook.1");
  EXPECT_EQ(metadata.causation_id(), ToString(events->front().event_id));
  EXPECT_EQ(StatusOf("webhook.hook.1").delivered, 4);
}

TEST_F(WebhookEngine, DoesNotReadRepliesWhereNoCommandIsAllowed) {
  Webhook webhook = OnCreation();
  webhook.clear_commands();
  Create(webhook);
  f.deliverer().bodies["/hook"] = Reply("a", {"1"});
  f.Create("a", "plain");
  f.deliverer().bodies["/hook"] = "<html>ok</html>";
  f.Create("b", "plain2");
  f.Settle();
  EXPECT_THAT(f.Names("a"), ElementsAre("plain"));
  EXPECT_EQ(StatusOf("webhook.hook.1").delivered, 2);
}

TEST_F(WebhookEngine, TakesARejectionAsAResultAndGoesOn) {
  Create(OnCreation());
  f.deliverer().bodies["/hook"] = R"({"commands": [
      {"type": "leftfold.rooms.v1.RenameRoomRequest", "command": {"roomId": "gone", "name": "x"}},
      {"type": "leftfold.rooms.v1.RenameRoomRequest", "command": {"roomId": "a", "name": "x"}}]})";
  ::testing::internal::CaptureStderr();
  f.Create("a", "plain");
  f.RunFor(absl::Minutes(5));
  const std::string logged = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(logged, AllOf(HasSubstr("a webhook's command was refused"), HasSubstr("webhook=hook"),
                            HasSubstr("command_id=" + f.IdOfLogs("webhook.hook.1", 1)),
                            HasSubstr("reason=ROOM_NOT_FOUND")));
  EXPECT_THAT(f.Names("a"), ElementsAre("plain", "x"));
  EXPECT_EQ(StatusOf("webhook.hook.1").rejections, 1);
  EXPECT_EQ(StatusOf("webhook.hook.1").retries, 0);
}

TEST_F(WebhookEngine, ParksACommandThatIsMalformed) {
  Create(OnCreation());
  f.deliverer().bodies["/hook"] = Reply("no id!", {"1"});
  f.Create("a", "plain");
  f.RunFor(absl::Minutes(5));
  EXPECT_EQ(Parked().delivery_id(), f.IdOfLogs("webhook.hook.1", 1));
  EXPECT_EQ(Parked().what(), kRename);
  EXPECT_EQ(Parked().attempts(), 1);
}

struct BadReply {
  const char* name;
  std::string body;
  const char* error;
};

class WebhookBadReply : public WebhookEngine, public ::testing::WithParamInterface<BadReply> {};

TEST_P(WebhookBadReply, ParksAtOnceWithAnErrorThatSaysWhatIsWrong) {
  Create(OnCreation());
  f.deliverer().bodies["/hook"] = GetParam().body;
  f.Create("a", "plain");
  f.RunFor(absl::Minutes(5));
  EXPECT_THAT(Calls(), SizeIs(1));
  EXPECT_THAT(Parked().error(), HasSubstr(GetParam().error));
  EXPECT_THAT(f.Names("a"), ElementsAre("plain"));
  f.deliverer().bodies["/hook"] = "";
  EXPECT_TRUE(Retry("counter-a").ok());
  EXPECT_EQ(StatusOf("webhook.hook.1").parked_keys, 0);
}

std::string OneCommand(const std::string& text) { return R"({"commands": [)" + text + "]}"; }

INSTANTIATE_TEST_SUITE_P(
    Replies, WebhookBadReply,
    ::testing::Values(
        BadReply{"NoJson", "ok", "it is no JSON"}, BadReply{"NoUtf8", "{\"\xff\": 1}", "no JSON"},
        BadReply{"CutOff", R"({"commands": [)", "it is no JSON"},
        BadReply{"AnotherMember", R"({"commands": [], "comands": []})", "and nothing else"},
        BadReply{"NoCommands", R"({"ok": true})", "it must have commands"},
        BadReply{"AnArray", "[]", "it must have commands"},
        BadReply{"NoArray", R"({"commands": {}})", "commands must be an array"},
        BadReply{"NoObject", OneCommand("7"), "commands[0] must be an object"},
        BadReply{"NoType", OneCommand(R"({"command": {}})"), "with type and command"},
        BadReply{"TypeIsANumber", OneCommand(R"({"type": 7, "command": {}})"), "be a string"},
        BadReply{"UnknownType", OneCommand(R"({"type": "x.\"Y", "command": {}})"), "is none of"},
        BadReply{"NotAllowed",
                 OneCommand(R"({"type": "leftfold.rooms.v1.DeleteRoomRequest", "command": {}})"),
                 "commands[0].type, \"leftfold.rooms.v1.DeleteRoomRequest\", is none of"},
        BadReply{"CommandIsNull",
                 OneCommand(R"({"type": "leftfold.rooms.v1.RenameRoomRequest", "command": null})"),
                 "commands[0].command is no leftfold.rooms.v1.RenameRoomRequest"},
        BadReply{
            "UnknownField",
            OneCommand(
                R"({"type": "leftfold.rooms.v1.RenameRoomRequest", "command": {"colour": 1}})"),
            "colour"},
        BadReply{
            "CommandId",
            OneCommand(
                R"({"type": "leftfold.rooms.v1.RenameRoomRequest", "command": {"commandId": "x"}})"),
            "must not have a command_id"},
        BadReply{"SecondOneIsBad",
                 R"({"commands": [{"type": "leftfold.rooms.v1.RenameRoomRequest", "command":
                     {"room_id": "a", "name": "1"}}, 7]})",
                 "commands[1]"},
        BadReply{"TooMany", Reply("a", std::vector<std::string>(kWebhookCommandsMax + 1, "x")),
                 "it has 101 commands"}),
    [](const auto& tested) { return tested.param.name; });

// --- changes -------------------------------------------------------------------------------------

TEST_F(WebhookEngine, DeliversNothingAfterItsDeletionAndBeginsAnewUnderANewNumber) {
  Create();
  f.deliverer().replies["/hook"] = {500};
  f.Create("a", "plain");
  f.Settle();
  ASSERT_THAT(Calls(), SizeIs(1));
  EXPECT_TRUE(std::filesystem::exists(f.folder() + "/webhook.hook.1.db"));
  EXPECT_TRUE(webhooks_->Delete("hook").ok());
  EXPECT_FALSE(std::filesystem::exists(f.folder() + "/webhook.hook.1.db"));
  RenameTo("a", "1");
  f.RunFor(absl::Minutes(30));
  EXPECT_THAT(Calls(), SizeIs(1));
  EXPECT_EQ(StatusOf("webhook.hook.1").name, "");
  EXPECT_EQ(ReasonOf(webhooks_->Delete("hook")), "WEBHOOK_NOT_FOUND");

  f.deliverer().replies["/hook"] = {200};
  Webhook again = Hook();
  again.set_start(Webhook::START_BEGINNING);
  const std::string reactor = Create(again).reactor();
  EXPECT_NE(reactor, "webhook.hook.1");
  f.Settle();
  EXPECT_THAT(Calls(), ElementsAre("counter-a plain", "counter-a plain", "counter-a 1"));
  EXPECT_EQ(HeaderOf(f.deliverer().requests[1], "Idempotency-Key"), f.IdOfLogs(reactor, 0));
  Restart();
  EXPECT_THAT(webhooks_->List(), SizeIs(1));
}

TEST_F(WebhookEngine, DeliversWhatWaitsByItsNewConfiguration) {
  Webhook webhook = Hook();
  webhook.set_secret(kSecret);
  webhook.set_start(Webhook::START_BEGINNING);
  auto& header = *webhook.add_headers();
  header.set_name("X-Key");
  header.set_value("kept");
  Create(webhook);
  f.deliverer().replies["/hook"] = {500};
  f.Create("a", "plain");
  f.Settle();
  Webhook changed = Hook();
  changed.set_url("http://test/elsewhere");
  changed.add_headers()->set_name("x-key");
  const auto updated = webhooks_->Update(changed);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->reactor(), "webhook.hook.1");
  EXPECT_EQ(updated->start(), Webhook::START_BEGINNING);
  EXPECT_TRUE(updated->is_signed());
  f.Settle();
  EXPECT_THAT(Calls(), ElementsAre("counter-a plain", "counter-a plain"));
  const HttpRequest& request = f.deliverer().requests.back();
  EXPECT_EQ(request.url, "http://test/elsewhere");
  EXPECT_EQ(HeaderOf(request, "x-key"), "kept");
  EXPECT_THAT(HeaderOf(request, "X-Leftfold-Signature"), HasSubstr(",v1="));
  changed.set_secret("");
  ASSERT_TRUE(webhooks_->Update(changed).ok());
  EXPECT_FALSE(webhooks_->List()[0].is_signed());
  changed.add_headers()->set_name("X-New");
  EXPECT_THAT(webhooks_->Update(changed).status().message(), HasSubstr("headers[1].value"));
  EXPECT_EQ(ReasonOf(webhooks_->Update(Hook("other")).status()), "WEBHOOK_NOT_FOUND");
}

TEST_F(WebhookEngine, IsRefusedWithAllThatIsWrongAndNothingChanges) {
  Create();
  const std::string before = TextOf(Path());
  EXPECT_EQ(ReasonOf(webhooks_->Create(Hook()).status()), "WEBHOOK_EXISTS");
  Webhook bad;
  bad.set_name("Bad");
  bad.set_url("ftp://x");
  bad.set_secret("short");
  bad.mutable_retry()->set_attempts(0);
  const absl::Status refused = webhooks_->Create(bad).status();
  EXPECT_EQ(ReasonOf(refused), "INVALID_FIELDS");
  EXPECT_EQ(MetadataOf(refused, "fields"),
            "webhook.name, webhook.event_types, webhook.url, webhook.secret, "
            "webhook.retry.attempts");
  bad = Hook();
  bad.set_url("");
  EXPECT_EQ(ReasonOf(webhooks_->Update(bad).status()), "INVALID_FIELDS");
  EXPECT_EQ(TextOf(Path()), before);
  EXPECT_THAT(webhooks_->List(), SizeIs(1));
  EXPECT_THAT(f.reactors().List(), SizeIs(2));
}

TEST_F(WebhookEngine, IsOneOfAtMostAHundred) {
  for (int i = 0; i < kWebhooksMax; ++i) Create(Hook("hook" + fmt::to_string(i)));
  EXPECT_EQ(ReasonOf(webhooks_->Create(Hook()).status()), "LIMIT_EXCEEDED");
}

TEST_F(WebhookEngine, IsNotThereWhenItsReactorCannotBeOpened) {
  std::filesystem::create_directory(f.folder() + "/webhook.hook.1.db");
  EXPECT_FALSE(webhooks_->Create(Hook()).ok());
  EXPECT_THAT(webhooks_->List(), IsEmpty());
  EXPECT_THAT(f.reactors().List(), SizeIs(1));
  EXPECT_EQ(Create().reactor(), "webhook.hook.2");
}

TEST_F(WebhookEngine, ShowsItsSecretsNowhereButInItsFile) {
  ::testing::internal::CaptureStderr();
  Webhook webhook = Hook();
  webhook.set_secret(kSecret);
  auto& header = *webhook.add_headers();
  header.set_name("Authorization");
  header.set_value(kHeaderSecret);
  webhook.set_url("http://test/hook?key=url-secret");
  std::string told = Create(webhook).ShortDebugString();
  f.deliverer().replies["/hook?key=url-secret"] = {500};
  f.Create("a", "plain");
  f.RunFor(absl::Minutes(5));
  ASSERT_THAT(Calls(), SizeIs(3));
  EXPECT_EQ(HeaderOf(f.deliverer().requests[0], "Authorization"), kHeaderSecret);
  for (const Webhook& shown : webhooks_->List()) told += shown.ShortDebugString();
  told += webhooks_->Create(webhook).status().ToString();
  told += webhooks_->Update(webhook)->ShortDebugString();
  webhook.set_start(static_cast<Webhook::Start>(7));
  told += webhooks_->Update(webhook).status().ToString();
  told += ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, AllOf(HasSubstr("Authorization"), HasSubstr("is_signed")));
  std::string stored = Parked().ShortDebugString();
  for (const char* suffix : {"", "-wal"})
    stored += TextOf(f.folder() + "/webhook.hook.1.db" + suffix);
  const auto log = f.store().ReadAll({});
  for (const RecordedEvent& event : log->events) stored += event.payload + event.metadata;
  EXPECT_THAT(stored, HasSubstr("specversion"));
  for (const char* secret : {kSecret, kHeaderSecret, "not-for-your-eyes"}) {
    EXPECT_THAT(told, Not(HasSubstr(secret)));
    EXPECT_THAT(stored, Not(HasSubstr(secret)));
  }
  EXPECT_THAT(stored, Not(HasSubstr("url-secret")));
  EXPECT_THAT(TextOf(Path()), HasSubstr(kSecret));
  using std::filesystem::perms;
  EXPECT_EQ(std::filesystem::status(Path()).permissions(), perms::owner_read | perms::owner_write);
}

// --- the file ------------------------------------------------------------------------------------

class WebhookFiles : public WebhookEngine {
 protected:
  absl::Status OpenWith(const std::string& text) {
    std::ofstream(Path()) << text;
    auto webhooks = Webhooks::Open({.registry = f.registry(),
                                    .store = f.store(),
                                    .reactors = f.reactors(),
                                    .data = f.folder()});
    if (!webhooks.ok()) return webhooks.status();
    webhooks_ = *std::move(webhooks);
    return absl::OkStatus();
  }
};

TEST_F(WebhookFiles, MayBeWrittenByHand) {
  ASSERT_TRUE(OpenWith(R"({"webhooks": [{"name": "hook", "event_types": [")" +
                       std::string(kCreated) +
                       R"("], "url": "http://test/hook", "retry": {"first_delay": "0.5s"}}]})")
                  .ok());
  EXPECT_EQ(webhooks_->List()[0].reactor(), "webhook.hook.1");
  f.Create("a", "plain");
  f.Settle();
  EXPECT_THAT(Calls(), SizeIs(1));
  Restart();
  EXPECT_EQ(webhooks_->List()[0].reactor(), "webhook.hook.1");
}

TEST_F(WebhookFiles, AreNotNeededToMakeNumbersThatNoOtherHad) {
  Create();
  f.Create("a", "plain");
  ASSERT_TRUE(webhooks_->Delete("hook").ok());
  std::filesystem::remove(Path());
  Restart();
  EXPECT_NE(Create().reactor(), "webhook.hook.1");
}

TEST_F(WebhookFiles, AreRefusedWithAllThatIsWrong) {
  EXPECT_THAT(OpenWith("{").message(), HasSubstr("webhooks.json cannot be used: it is no JSON"));
  const absl::Status unknown = OpenWith(R"({"webhooks": [{"secrets": "a-secret-of-twenty-5"}]})");
  EXPECT_THAT(unknown.message(), HasSubstr("names a field that it has not"));
  EXPECT_THAT(unknown.message(), Not(HasSubstr(kSecret)));
  const std::string good = R"("event_types": ["x.Y"], "url": "http://test/")";
  const absl::Status refused =
      OpenWith(R"({"webhooks": [{"name": "a", )" + good + R"(}, {"name": "a", )" + good +
               R"(, "reactor": "webhook.a.../../x.1"}, {"name": "b"}]})");
  EXPECT_THAT(refused.message(),
              AllOf(HasSubstr("webhooks[1].name"), HasSubstr("webhooks[1].reactor"),
                    HasSubstr("webhooks[2].event_types"), HasSubstr("webhooks[2].url")));
  EXPECT_THAT(f.reactors().List(), SizeIs(1));
}

// --- configuration -------------------------------------------------------------------------------

struct BadWebhook {
  const char* name;
  void (*spoil)(Webhook&);
  const char* violation;
};

class WebhookCheck : public ::testing::TestWithParam<BadWebhook> {
 protected:
  WebhookCheck() { RegisterAllDomains(registry_); }
  std::string Wrong(const Webhook& webhook) {
    Violations violations;
    CheckWebhook(webhook, registry_, "", violations);
    return violations.empty() ? "" : std::string(violations.ToStatus().message());
  }
  static Webhook Good() {
    Webhook webhook = OnCreation();
    webhook.add_event_types("shop.v1.Sold");  // A JSON payload's.
    auto& header = *webhook.add_headers();
    header.set_name("X-Key");
    header.set_value("value");
    webhook.set_secret(kSecret);
    webhook.set_url("HTTPS://example.com:8443/a?b=%20@c");
    *webhook.mutable_retry()->mutable_timeout() =
        google::protobuf::util::TimeUtil::MinutesToDuration(10);
    return webhook;
  }
  Registry registry_;
};

TEST_P(WebhookCheck, NamesTheFieldAndWhatItMustBe) {
  Webhook webhook = Good();
  EXPECT_EQ(Wrong(webhook), "");
  GetParam().spoil(webhook);
  EXPECT_THAT(Wrong(webhook), HasSubstr(GetParam().violation));
}

// What is not allowed by configuration is not sent either, whatever an outbox has.
TEST(WebhookTrust, SystemCommandsOfAWebhookAreRefused) {
  testing::VirtualScheduler scheduler(1);
  testing::SchedulerClock clock(scheduler);
  Registry registry;
  RegisterAllDomains(registry);
  const auto store = NewMemoryEventStore(scheduler.Serial(), scheduler.Pool(), clock);
  CommandHandler commands(registry, *store, clock, scheduler.Pool(), nullptr);
  ScriptedDeliverer deliverer(registry, commands, clock, scheduler.Pool());
  ReactorEntry reactor = ReactorOf(OnCreation(), registry, "5d0e");
  rooms::v1::StartSessionRequest command;
  command.set_room_id("oak");
  command.set_schedule_id("01a1fcfe-3b7a-7287-9a88-0b933bee3b46");
  const Delivery delivery{.id = "lf:webhook.hook.1:1:1",
                          .reactor = reactor.name,
                          .type = command.GetDescriptor()->full_name(),
                          .payload = command.SerializeAsString()};
  const auto reason = [&] {
    std::string told = "not answered";
    deliverer.Deliver(reactor, delivery,
                      [&](const DeliveryOutcome& o) { told = ReasonOf(o.result.status); });
    scheduler.RunReady();
    return told;
  };
  EXPECT_EQ(reason(), "TOKEN_REQUIRED");
  reactor.trusted = true;
  EXPECT_EQ(reason(), "INVALID_TIME");  // It came as far as the domain.
}

using google::protobuf::util::TimeUtil;

INSTANTIATE_TEST_SUITE_P(
    Fields, WebhookCheck,
    ::testing::Values(
        BadWebhook{"NameWithADot", [](Webhook& w) { w.set_name("a.b"); }, "name"},
        BadWebhook{"LongName", [](Webhook& w) { w.set_name(std::string(65, 'a')); }, "name"},
        BadWebhook{"NoTypes", [](Webhook& w) { w.clear_event_types(); }, "event_types"},
        BadWebhook{"ManyTypes",
                   [](Webhook& w) {
                     for (int i = 0; i < 100; ++i) w.add_event_types("x.Y");
                   },
                   "event_types"},
        BadWebhook{"EmptyType", [](Webhook& w) { w.add_event_types(""); }, "event_types[2]"},
        BadWebhook{"MisspeltType",
                   [](Webhook& w) { w.add_event_types("leftfold.rooms.v1.RoomRenamd"); },
                   "event_types[2]"},
        BadWebhook{"LongPrefix", [](Webhook& w) { w.set_stream_prefix(std::string(194, 'a')); },
                   "stream_prefix"},
        BadWebhook{"NoUrl", [](Webhook& w) { w.clear_url(); }, "url: must begin with http"},
        BadWebhook{"FileUrl", [](Webhook& w) { w.set_url("file:///etc/passwd"); }, "url"},
        BadWebhook{"UrlWithoutHost", [](Webhook& w) { w.set_url("http:///a"); }, "name a host"},
        BadWebhook{"UrlWithPassword", [](Webhook& w) { w.set_url("http://a:b@c/"); }, "a password"},
        BadWebhook{"UrlWithABlank", [](Webhook& w) { w.set_url("http://a/b c"); }, "blanks"},
        BadWebhook{"UrlWithALineEnd", [](Webhook& w) { w.set_url("http://a/b\r\nx: y"); },
                   "printable"},
        BadWebhook{"LongUrl", [](Webhook& w) { w.set_url("http://a/" + std::string(2'048, 'b')); },
                   "at most 2048"},
        BadWebhook{"HeaderName", [](Webhook& w) { w.mutable_headers(0)->set_name("a b"); },
                   "headers[0].name: is no name"},
        BadWebhook{"OwnHeader",
                   [](Webhook& w) { w.mutable_headers(0)->set_name("x-leftfold-SIGNATURE"); },
                   "is set by Leftfold"},
        BadWebhook{"HeaderValue", [](Webhook& w) { w.mutable_headers(0)->set_value("a\nb"); },
                   "headers[0].value"},
        BadWebhook{"HeaderTwice", [](Webhook& w) { *w.add_headers() = w.headers(0); },
                   "is there twice"},
        BadWebhook{"LongHeaders",
                   [](Webhook& w) { w.mutable_headers(0)->set_value(std::string(4'096, 'a')); },
                   "at most 4096 bytes"},
        BadWebhook{"ManyHeaders",
                   [](Webhook& w) {
                     for (int i = 0; i < 16; ++i) w.add_headers();
                   },
                   "headers: must be at most 16"},
        BadWebhook{"ShortSecret", [](Webhook& w) { w.set_secret("0123456789abcde"); }, "secret"},
        BadWebhook{"LongSecret", [](Webhook& w) { w.set_secret(std::string(257, 'a')); }, "secret"},
        BadWebhook{"Attempts", [](Webhook& w) { w.mutable_retry()->set_attempts(101); },
                   "retry.attempts: must be 1 to 100"},
        BadWebhook{"FirstDelay",
                   [](Webhook& w) {
                     *w.mutable_retry()->mutable_first_delay() = TimeUtil::SecondsToDuration(-1);
                   },
                   "retry.first_delay: must be 1ms to 24h"},
        // Between the limits by its value, but no duration: it has no JSON form.
        BadWebhook{
            "Nanoseconds",
            [](Webhook& w) { w.mutable_retry()->mutable_first_delay()->set_nanos(1'000'000'000); },
            "retry.first_delay"},
        BadWebhook{"Signs",
                   [](Webhook& w) {
                     w.mutable_retry()->mutable_first_delay()->set_seconds(1);
                     w.mutable_retry()->mutable_first_delay()->set_nanos(-1);
                   },
                   "retry.first_delay"},
        BadWebhook{"Ceiling",
                   [](Webhook& w) {
                     *w.mutable_retry()->mutable_ceiling() = TimeUtil::HoursToDuration(25);
                   },
                   "retry.ceiling"},
        BadWebhook{"Timeout",
                   [](Webhook& w) {
                     *w.mutable_retry()->mutable_timeout() = TimeUtil::MinutesToDuration(11);
                   },
                   "retry.timeout: must be 1ms to 10m"},
        BadWebhook{"Multiplier",
                   [](Webhook& w) { w.mutable_retry()->set_multiplier(std::nan("")); },
                   "retry.multiplier: must be 1 to 10"},
        BadWebhook{"Jitter", [](Webhook& w) { w.mutable_retry()->set_jitter(1.5); },
                   "retry.jitter: must be 0 to 1"},
        BadWebhook{"UnknownCommand", [](Webhook& w) { w.add_commands("x.Y"); },
                   "commands[1]: is no command"},
        BadWebhook{"SystemCommand",
                   [](Webhook& w) { w.add_commands("leftfold.rooms.v1.StartSessionRequest"); },
                   "commands[1]: is a system command"},
        BadWebhook{"ManyCommands",
                   [](Webhook& w) {
                     for (int i = 0; i < 100; ++i) w.add_commands(kRename);
                   },
                   "commands: must be at most 100"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace leftfold::reacting
