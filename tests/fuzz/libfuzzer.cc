// What libFuzzer calls, for each fuzz target.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>
#include <sanitizer/lsan_interface.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/reject.h"
#include "core/status.h"
#include "rpc/services.h"
#include "tests/fuzz/target.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

// Of threads that gRPC begins and ends while leaks are looked for.
const char* __lsan_default_suppressions() {
  return "leak:grpc::ThreadManager\nleak:grpc_core::Thread::Thread\n";
}

namespace leftfold::fuzz {
namespace {

namespace pb = google::protobuf;

// The place of the type in the surface; -1 where it has none.
int ChoiceOf(const pb::Descriptor* type) {
  const auto& requests = TheSurface().requests;
  const auto found = std::find(requests.begin(), requests.end(), type);
  return found == requests.end() ? -1 : static_cast<int>(found - requests.begin());
}

const pb::Descriptor* TypeOf(const std::string& step) {
  return pb::DescriptorPool::generated_pool()->FindMessageTypeByName(
      step.substr(0, step.find(" {")));
}

Record ToRecord(const std::string& step, std::uint8_t flags) {
  const pb::Descriptor* type = TypeOf(step);
  const int choice = ChoiceOf(type);
  if (choice < 0) Die("not of this surface: " + step);
  return {static_cast<std::uint8_t>(choice), flags,
          type == nullptr ? step : FromText(step)->SerializeAsString()};
}

void WriteSeeds(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  for (const Seed& seed : Seeds()) {
    std::vector<Record> records;
    for (const std::string& step : seed.steps) records.push_back(ToRecord(step, seed.flags));
    std::ofstream(folder / seed.name, std::ios::binary) << Join(records);
  }
}

std::size_t Give(const std::vector<Record>& records, std::uint8_t* data, std::size_t size_max) {
  const std::string joined = Join(records);
  const std::size_t size = std::min(joined.size(), size_max);
  std::memcpy(data, joined.data(), size);
  return size;
}

}  // namespace

std::unique_ptr<pb::Message> ParseRecord(const pb::Descriptor& type, const Record& record) {
  auto message = rpc::RequestParser(type).Parse(record.bytes);
  if (message.ok()) return *std::move(message);
  ExpectReason(message.status());
  return nullptr;
}

void Rewrite(const pb::Descriptor& type, std::string& bytes,
             const std::function<void(pb::Message& request)>& change) {
  const auto request = rpc::RequestParser(type).Parse(bytes);
  if (!request.ok()) return;
  change(**request);
  bytes = (*request)->SerializeAsString();
}

std::unique_ptr<pb::Message> FromText(const std::string& step) {
  const pb::Descriptor* type = TypeOf(step);
  if (type == nullptr) Die("no request: " + step);
  const std::size_t brace = step.find(" {");
  std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  const std::string fields = step.substr(brace + 2, step.size() - brace - 3);
  if (!pb::TextFormat::ParseFromString(fields, message.get())) Die("not parsed: " + step);
  return message;
}

void ExpectReason(const absl::Status& status) {
  if (!status.ok() && ReasonOf(status).empty())
    Die("a refusal without reason: " + status.ToString());
}

}  // namespace leftfold::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char*** arguments) {
  google::protobuf::SetLogHandler(nullptr);  // A line for each invalid UTF-8 drowns what counts.
  const char* folder = std::getenv("LEFTFOLD_FUZZ_SEEDS");
  if (folder != nullptr) {
    leftfold::fuzz::WriteSeeds(std::filesystem::path(folder) /
                               std::filesystem::path(**arguments).filename());
    std::exit(0);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  leftfold::fuzz::Run(leftfold::fuzz::Split(data, size));
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t size_max, unsigned seed) {
  namespace fuzz = leftfold::fuzz;
  std::vector<fuzz::Record> records = fuzz::Split(data, size);
  fuzz::Mutator(fuzz::TheSurface(), seed, LLVMFuzzerMutate).Mutate(records, size_max);
  return fuzz::Give(records, data, size_max);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* one, std::size_t one_size,
                                                 const std::uint8_t* other, std::size_t other_size,
                                                 std::uint8_t* out, std::size_t out_max,
                                                 unsigned seed) {
  namespace fuzz = leftfold::fuzz;
  return fuzz::Give(fuzz::Mutator(fuzz::TheSurface(), seed, LLVMFuzzerMutate)
                        .Cross(fuzz::Split(one, one_size), fuzz::Split(other, other_size), out_max),
                    out, out_max);
}
