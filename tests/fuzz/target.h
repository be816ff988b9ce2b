#ifndef TESTS_FUZZ_TARGET_H_
#define TESTS_FUZZ_TARGET_H_

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/fuzz/proto_mutator.h"

// A fuzz target: fuzz_<surface>.cc defines the three functions below, libfuzzer.cc hands them to
// libFuzzer. LEFTFOLD_FUZZ_SEEDS=FOLDER build/asan/fuzz_<surface> writes the seeds as files into
// FOLDER/fuzz_<surface> instead of fuzzing: that is how tests/fuzz/corpus came about.
namespace leftfold::fuzz {

// A file of the corpus. Each step is a request as "leftfold.rooms.v1.DeleteRoomRequest {room_id:
// 'oak'}", in protobuf's text form, or, for a target that takes text, just that. `flags` are of all
// its records.
struct Seed {
  std::string name;
  std::uint8_t flags = 0;
  std::vector<std::string> steps;
};

// Made at the first call.
const Surface& TheSurface();
std::vector<Seed> Seeds();
// Dies of what must not be.
void Run(const std::vector<Record>& records);

// For targets.

// What the record holds; nullptr when it is none of its type.
std::unique_ptr<google::protobuf::Message> ParseRecord(const google::protobuf::Descriptor& type,
                                                       const Record& record);
// Changes the request that the bytes are; what is none of the type stays as it is.
void Rewrite(const google::protobuf::Descriptor& type, std::string& bytes,
             const std::function<void(google::protobuf::Message& request)>& change);
// "leftfold.rooms.v1.DeleteRoomRequest {room_id: 'oak'}"; dies when it is none.
std::unique_ptr<google::protobuf::Message> FromText(const std::string& step);
// A refusal has a reason; dies otherwise.
void ExpectReason(const absl::Status& status);

}  // namespace leftfold::fuzz
#endif  // TESTS_FUZZ_TARGET_H_
