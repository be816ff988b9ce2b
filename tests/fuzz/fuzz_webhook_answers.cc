// What a webhook's function may answer: JSON with commands, whole or damaged, through the webhook's
// own parser and then the real handler. What is taken is allowed and answered once; what is refused
// has a reason.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include "core/json.h"
#include "reactor/webhook.h"
#include "tests/fuzz/world.h"

namespace leftfold::fuzz {
namespace {

// The record's text is put as it is between the commands before and after it.
constexpr std::uint8_t kBare = 0x01;
// The type of a command is cut.
constexpr std::uint8_t kWrongType = 0x02;
// The webhook allows every second type only.
constexpr std::uint8_t kNotAllowed = 0x04;

std::string EntryOf(const google::protobuf::Message& command, const Record& record) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = (record.flags & 0x08) != 0;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(command, &json, options).ok()) json = "{}";
  std::string type = command.GetDescriptor()->full_name();
  if ((record.flags & kWrongType) != 0) type.resize(type.size() / 2);
  return fmt::format(R"({{"type": "{}", "command": {}}})", type, json);
}

}  // namespace

const Surface& TheSurface() {
  static const Surface surface = [] {
    Surface made;
    made.requests.push_back(nullptr);
    for (const CommandEntry& command : AllDomains().commands())
      made.requests.push_back(command.request);
    made.words = StepWords();
    for (const char* word : {"{\"commands\": []}", "{\"commands\": [{}]}", "null", "[]", "{}",
                             "\"\\u0000\"", "{\"type\": \"leftfold.rooms.v1.CreateRoomRequest\"}",
                             "{\"commands\": {}}", "\"commands\"", "1e999", "\"\\ud800\""}) {
      made.words.emplace_back(word);
    }
    return made;
  }();
  return surface;
}

std::vector<Seed> Seeds() {
  return {
      {"rooms", 0, RoomSteps()},
      {"not_allowed", kNotAllowed, RoomSteps()},
      {"orders", 0x08, OrderSteps()},
      {"empty", 0, {""}},
      {"text",
       0,
       {R"({"commands": [{"type": "leftfold.rooms.v1.CreateRoomRequest", "command": {"room_id": "oak"}}]})"}},
      {"bare", kBare, {R"({"type": 1})", "null"}}};
}

void Run(const std::vector<Record>& records) {
  const Registry& registry = AllDomains();
  admin::v1::Webhook webhook;
  bool allow_all = true;
  std::string whole;
  std::string entries;
  for (const Record& record : records) {
    allow_all = allow_all && (record.flags & kNotAllowed) == 0;
    const std::size_t choice = record.choice % TheSurface().requests.size();
    std::string entry = record.bytes;
    if (choice == 0) {
      if ((record.flags & kBare) == 0) {
        whole = record.bytes;
        continue;
      }
    } else {
      const auto command = ParseRecord(*TheSurface().requests[choice], record);
      if (command == nullptr) continue;
      entry = EntryOf(*command, record);
    }
    entries += (entries.empty() ? "" : ", ") + entry;
  }
  bool allowed = false;
  for (const CommandEntry& command : registry.commands()) {
    allowed = allow_all || !allowed;
    if (allowed) webhook.add_commands(command.request->full_name());
  }
  const std::string reply = whole.empty() ? "{\"commands\": [" + entries + "]}" : whole;
  auto commands = CommandsOf(reply, webhook, registry);
  ExpectReason(commands.status());
  if (!commands.ok()) return;
  if (!reply.empty() && !IsUtf8(reply)) Die("a reply that is no UTF-8 was taken");
  LogWorld world;
  CommandHandler handler(registry, *world.store, world.clock, world.scheduler.Pool());
  for (auto& command : *commands) {
    const std::string& type = command->GetDescriptor()->full_name();
    const auto& all = webhook.commands();
    if (std::find(all.begin(), all.end(), type) == all.end()) Die("not allowed: " + type);
    SendCommand(world, handler, *registry.FindCommand(type), std::move(command), Caller());
  }
  world.ExpectWhole();
}

}  // namespace leftfold::fuzz
