#ifndef TESTS_FUZZ_TARGET_H_
#define TESTS_FUZZ_TARGET_H_

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "tests/fuzz/proto_mutator.h"

// A fuzz target: fuzz_<surface>.cc defines the three functions below, libfuzzer.cc hands them to
// libFuzzer. LEFTFOLD_FUZZ_SEEDS=FOLDER build/fuzz/fuzz_<surface> writes the seeds as files into
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

// What the record holds; nullptr when it is none of its type, which the RPC layer has answered.
std::unique_ptr<google::protobuf::Message> ParseRecord(const google::protobuf::Descriptor& type,
                                                       const Record& record);
// "leftfold.rooms.v1.DeleteRoomRequest {room_id: 'oak'}"; dies when it is none.
std::unique_ptr<google::protobuf::Message> FromText(const std::string& step);
// A refusal has a reason; dies otherwise.
void ExpectReason(const absl::Status& status);

// Where a stream is written to: one write at a time, and one end. Base is its sink of the engine,
// Message what that writes.
template <class Base, class Message>
class StreamSink final : public Base {
 public:
  void Write(Message) override {
    if (writing || finished != 0) Die("a write while another is outstanding, or after the end");
    writing = true;
  }
  void Finish(const absl::Status& status) override {
    if (writing) Die("the end while a write is outstanding");
    ++finished;
    if (status.code() != absl::StatusCode::kCancelled) ExpectReason(status);
  }
  bool writing = false;
  int finished = 0;
};

}  // namespace leftfold::fuzz
#endif  // TESTS_FUZZ_TARGET_H_
