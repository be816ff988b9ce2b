// Lines of `leftfold import`: whole ones, mutated ones and any text, through the tool's parser; and
// as a file, now and then, through the whole import into a log that is verified after it. What a
// line says survives being written and read again.
#include <google/protobuf/descriptor.h>

#include <filesystem>
#include <fstream>

#include "event_store/sqlite/log_file.h"
#include "leftfold/tools/v1/log_line.pb.h"
#include "testing/temporary_folder.h"
#include "tests/fuzz/world.h"
#include "tools/export.h"
#include "tools/json.h"
#include "tools/log_copy.h"
#include "tools/log_line.h"

namespace leftfold::fuzz {
namespace {

using tools::v1::LogLine;

// In place of the record's own, the line of a true export that stands at this place.
constexpr std::uint8_t kTrueLine = 0x01;
// Of the first record: all lines go through the whole import, which takes a while.
constexpr std::uint8_t kImport = 0x02;

const std::vector<std::string>& TrueLines() {
  static const std::vector<std::string> lines = [] {
    LogWorld world;
    CommandHandler handler(AllDomains(), *world.store, world.clock, world.scheduler.Pool());
    const Head before = world.store->GetHead();
    for (const std::string& step : RoomSteps()) {
      auto command = FromText(step);
      const CommandEntry* entry = AllDomains().FindCommand(command->GetDescriptor()->full_name());
      Caller caller;
      caller.trusted = true;
      SendCommand(world, handler, *entry, std::move(command), caller);
    }
    const auto events = world.store->ReadAll({});
    if (!events.ok()) Die(events.status().ToString());
    std::vector<std::string> made = {
        tools::ToLine(tools::LogHeaderLine{world.store->StoreId(), before}).value()};
    for (const RecordedEvent& event : events->events) made.push_back(tools::ToLine(event).value());
    return made;
  }();
  return lines;
}

std::string LineOf(const Record& record, std::size_t place) {
  if ((record.flags & kTrueLine) != 0 && place < TrueLines().size()) return TrueLines()[place];
  if (record.choice % TheSurface().requests.size() == 0) return record.bytes;
  LogLine line;
  if (!line.ParseFromString(record.bytes)) return record.bytes;
  return tools::ToJson(line, {});
}

void ReadLine(const std::string& line) {
  const auto content = tools::FromLine(line);
  if (!content.ok()) {
    if (content.status().code() != absl::StatusCode::kInvalidArgument ||
        content.status().message().empty())
      Die("refused otherwise: " + content.status().ToString());
    return;
  }
  const auto written = tools::ToLine(*content);
  if (!written.ok()) Die("read, but not written: " + written.status().ToString());
  const auto again = tools::FromLine(*written);
  if (!again.ok()) Die("not read again: " + again.status().ToString());
  if (tools::ToLine(*again).value() != *written) Die("another line the second time: " + *written);
}

void Import(const std::string& lines) {
  const testing::TemporaryFolder folder(testing::FolderInMemory());
  const std::string file = folder.path() + "/lines";
  std::ofstream(file, std::ios::binary) << lines;
  const std::string data = folder.path() + "/data";
  const tools::Steps no_steps = [](std::string_view, std::int64_t, std::int64_t) {};
  const auto imported = tools::ImportLog({.data = data, .from = file}, no_steps);
  if (!imported.ok() && imported.status().message().empty()) Die("a fault without a word");
  if (!std::filesystem::exists(data + "/log/events.db")) return;
  const auto reader = LogFileReader::Open(data + "/log");
  if (!reader.ok()) return;
  const auto extent = (*reader)->ReadExtent();
  if (!extent.ok()) Die(extent.status().ToString());
  if (imported.ok()) {
    const absl::Status whole = tools::VerifyCopy(data + "/log", imported->head, no_steps);
    if (!whole.ok()) Die("imported, but: " + whole.ToString());
  }
}

}  // namespace

const Surface& TheSurface() {
  static const Surface surface = [] {
    Surface made;
    made.requests = {nullptr, LogLine::descriptor()};
    made.words = StepWords();
    for (const std::string& line : TrueLines()) made.words.push_back(line);
    for (const auto& [type, event] : AllDomains().events()) made.payloads.push_back(event);
    return made;
  }();
  return surface;
}

std::vector<Seed> Seeds() {
  return {
      {"true", kTrueLine | kImport, TrueLines()},
      {"lines", 0, TrueLines()},
      {"import", kImport, TrueLines()},
      {"twice",
       0,
       {R"({"event": {"message": {"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "AA==", "value": "AA=="}}})"}},
      {"parts",
       0,
       {"leftfold.tools.v1.LogLine {header {format: 1 store_id: "
        "'0198c0de-0000-7000-8000-000000000001' chain: '01234567890123456789012345678901'}}",
        "leftfold.tools.v1.LogLine {command {number: 1 command_id: 'c1' request_hash: "
        "'01234567890123456789012345678901' aggregate_id: 'oak' version: 0 position: 1}}"}}};
}

void Run(const std::vector<Record>& records) {
  std::string lines;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::string line = LineOf(records[i], i);
    ReadLine(line);
    lines += line + '\n';
  }
  if (!records.empty() && (records.front().flags & kImport) != 0) Import(lines);
}

}  // namespace leftfold::fuzz
