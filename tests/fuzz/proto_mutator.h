#ifndef TESTS_FUZZ_PROTO_MUTATOR_H_
#define TESTS_FUZZ_PROTO_MUTATOR_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

// Inputs of the fuzz targets, and how they are changed: by protobuf reflection, so that most are
// messages that parse and handlers are reached behind the parser.
namespace leftfold::fuzz {

inline constexpr std::size_t kRecordBytesMax = 0xffff;
// Records that an input has after a mutation, unless its target wants fewer; Split takes any
// number.
inline constexpr std::size_t kRecordsMax = 32;
// Messages within messages that a mutation makes or changes.
inline constexpr int kMutationDepthMax = 4;
// Elements that a mutation adds to a repeated field, and messages that one call changes in it.
inline constexpr int kRepeatedMax = 8;
// Records that are changed before an input is tried.
inline constexpr int kMutationsMax = 4;

// One step of an input. On the wire: choice, flags, length (2 bytes, the lower one first), bytes;
// what follows the last whole record belongs to it as far as it is there.
struct Record {
  std::uint8_t choice = 0;  // Which request; modulo their number.
  std::uint8_t flags = 0;   // As the target says.
  std::string bytes;        // A serialised request, or anything.
};
std::vector<Record> Split(const std::uint8_t* data, std::size_t size);
std::string Join(const std::vector<Record>& records);

// What a target takes.
struct Surface {
  // By choice; at most 256. nullptr where the bytes are text instead of a message.
  std::vector<const google::protobuf::Descriptor*> requests;
  // Values that mean something to it: ids of what is there, names of types, page tokens.
  std::vector<std::string> words;
  // What it expects in a google.protobuf.Any.
  std::vector<const google::protobuf::Message*> payloads;
  // Few where records do not build on each other: more inputs are tried in the same time.
  std::size_t records_max = kRecordsMax;
};

// Changes bytes in the buffer and says how many there are then; libFuzzer's own mutations.
using MutateBytes = std::size_t (*)(std::uint8_t* data, std::size_t size, std::size_t size_max);

// The same seed and input give the same output, if that is so of `mutate_bytes`.
class Mutator {
 public:
  // `surface` must outlive it.
  Mutator(const Surface& surface, unsigned seed, MutateBytes mutate_bytes)
      : surface_(surface), random_(seed), mutate_bytes_(mutate_bytes) {}

  // Changes some records: what is in one, their order or their number. At most `bytes_max` when
  // joined.
  void Mutate(std::vector<Record>& records, std::size_t bytes_max);
  // Some records of each, in their order.
  std::vector<Record> Cross(const std::vector<Record>& one, const std::vector<Record>& other,
                            std::size_t bytes_max);
  // Sets, clears, adds, removes or swaps something in the message; now and then it gets a field
  // that its type does not know.
  void Mutate(google::protobuf::Message& message, int depth = 0);
  // An own value for about half of the fields.
  void Fill(google::protobuf::Message& message, int depth = 0);

 private:
  std::size_t Below(std::size_t end) { return end == 0 ? 0 : random_() % end; }
  bool OneIn(std::size_t n) { return Below(n) == 0; }
  Record NewRecord();
  void MutateOne(Record& record);
  void MutateRepeated(google::protobuf::Message& message,
                      const google::protobuf::FieldDescriptor& field, int depth);
  // Sets the field, or adds an element to it.
  void Set(google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
           int depth);
  void SetUnknown(google::protobuf::Message& message);
  std::string MutatedBytes(std::string bytes);
  std::string NewString(std::string before);
  std::uint64_t NewInteger();
  double NewDouble();

  const Surface& surface_;
  std::minstd_rand random_;
  const MutateBytes mutate_bytes_;
};

}  // namespace leftfold::fuzz
#endif  // TESTS_FUZZ_PROTO_MUTATOR_H_
