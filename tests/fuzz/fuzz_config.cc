// Configuration: the file of flags in TOML, and the files of webhooks and consumer groups in JSON,
// through the readers that the server has. What is wrong is said, and what is taken can be used.
#include <google/protobuf/descriptor.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "leftfold/admin/v1/webhooks.pb.h"
#include "leftfold/store/v1/consumers.pb.h"
#include "reactor/consumer_group.h"
#include "reactor/webhook.h"
#include "server/json_file.h"
#include "testing/temporary_folder.h"
#include "tests/fuzz/world.h"
#include "tools/config.h"
#include "tools/json.h"

namespace leftfold::fuzz {
namespace {

// A file of text is one of webhooks instead of flags.
constexpr std::uint8_t kWebhooks = 0x01;

const std::string& PathOfFile() {
  static const testing::TemporaryFolder folder{testing::FolderInMemory()};
  static const std::string path = folder.path() + "/file";
  return path;
}

void ExpectWords(const absl::Status& status) {
  if (!status.ok() && status.message().empty()) Die("refused without a word");
}

// As server's flags are: text, numbers with bounds, one that must be a switch.
void ReadFlags() {
  CLI::App app;
  std::string data = "./data";
  int seconds = 10;
  bool on = false;
  for (const char* name : {"serve", "tail"}) {
    CLI::App* command = app.add_subcommand(name);
    command->add_option("--data", data)->capture_default_str();
    command->add_option("--write-listen", data);
    command->add_option("--drain-seconds", seconds)->check(CLI::Range(0, 3'600));
    command->add_flag("--follow", on);
  }
  ExpectWords(tools::ReadConfigFile(PathOfFile(), app));
}

void ReadWebhooks() {
  admin::v1::WebhookFile file;
  const absl::Status read = ReadJsonFile(PathOfFile(), file);
  ExpectWords(read);
  if (!read.ok()) return;
  for (const admin::v1::Webhook& webhook : file.webhooks()) {
    Violations violations;
    CheckWebhook(webhook, AllDomains(), "webhook.", violations);
    ExpectReason(violations.ToStatus());
    if (violations.empty()) ReactorOf(webhook, AllDomains(), "store");
  }
}

void ReadGroups() {
  store::v1::ConsumerGroupFile file;
  const absl::Status read = ReadJsonFile(PathOfFile(), file);
  ExpectWords(read);
  if (!read.ok()) return;
  for (const auto& entry : file.groups()) {
    Violations violations;
    CheckGroup(entry.group(), Position{10}, violations);
    ExpectReason(violations.ToStatus());
  }
}

}  // namespace

const Surface& TheSurface() {
  static const Surface surface = [] {
    Surface made;
    made.requests = {nullptr, admin::v1::WebhookFile::descriptor(),
                     store::v1::ConsumerGroupFile::descriptor()};
    made.words = {"data = \"/x\"\n",
                  "[serve]\n",
                  "[[serve]]\n",
                  "write-listen = '127.0.0.1:0'\n",
                  "drain_seconds=",
                  "10",
                  "[a.b]\n",
                  "follow = true\n",
                  "= \"",
                  "\"\"\"",
                  "# a comment\n",
                  "[1, 2]",
                  "serve.data = 'x'",
                  "hook",
                  "group",
                  "http://127.0.0.1:1/hook",
                  "https://[::1]/",
                  "http://user:pw@x/",
                  "0123456789abcdef",
                  "X-Header",
                  "Content-Length",
                  "leftfold.rooms.v1.RoomCreated",
                  "leftfold.rooms.v1.RenameRoomRequest",
                  "{\"webhooks\": [{\"name\": \"hook\"}]}"};
    return made;
  }();
  return surface;
}

std::vector<Seed> Seeds() {
  return {
      {"flags",
       0,
       {"data = \"/srv/leftfold\"\n[serve]\nwrite-listen = \"127.0.0.1:0\"\ndrain_seconds = 5\n"}},
      {"faults", 0, {"data = [1, 2]\n", "[serve\n", "serve.data = 'x\n", "nothing = 1\n"}},
      {"webhooks",
       kWebhooks,
       {"{\"webhooks\": [{\"name\": \"hook\", \"url\": \"http://127.0.0.1:1/hook\", "
        "\"eventTypes\": "
        "[\"leftfold.rooms.v1.RoomCreated\"], \"secret\": \"0123456789abcdef\"}], \"lastNumber\": "
        "\"1\"}",
        "leftfold.admin.v1.WebhookFile {webhooks {name: 'hook' url: 'http://127.0.0.1:1/hook' "
        "event_types: 'leftfold.rooms.v1.RoomCreated' headers {name: 'X-Header' value: 'a'} retry "
        "{attempts: 3 first_delay {seconds: 1} multiplier: 2}}}"}},
      {"groups",
       0,
       {"leftfold.store.v1.ConsumerGroupFile {groups {group {name: 'group' filter {categories: "
        "'room'} end {} key: KEY_STREAM ack_timeout {seconds: 30} max_in_flight: 10} reactor: "
        "'group.group.1'} last_number: 1}"}}};
}

void Run(const std::vector<Record>& records) {
  for (const Record& record : records) {
    const auto* type = TheSurface().requests[record.choice % TheSurface().requests.size()];
    std::string text = record.bytes;
    if (type != nullptr) {
      const std::unique_ptr<google::protobuf::Message> message(
          google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
      message->ParsePartialFromString(record.bytes);
      text = tools::ToJson(*message, {});
    }
    std::ofstream(PathOfFile(), std::ios::binary) << text;
    if (type == store::v1::ConsumerGroupFile::descriptor()) {
      ReadGroups();
    } else if (type != nullptr || (record.flags & kWebhooks) != 0) {
      ReadWebhooks();
    } else {
      ReadFlags();
    }
  }
}

}  // namespace leftfold::fuzz
