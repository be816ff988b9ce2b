#ifndef TESTING_GOLDEN_H_
#define TESTING_GOLDEN_H_

#include <google/protobuf/message.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

// The bytes of events as they were released: they are in logs and must decode for ever. One sample
// a file, domains/<domain>/golden/<type>.<n>.txt (core/golden for the engines' own): the bytes in
// hexadecimal on the first line, the JSON that they mean on the second. Files are added, never
// changed. tests/contract/golden_events_test.cc reads them all.
namespace leftfold::testing {

struct Golden {
  std::string name;  // "leftfold.rooms.v1.RoomCreated.1"
  std::string type;  // "leftfold.rooms.v1.RoomCreated"
  std::string bytes;
  std::string json;
};

using EventTypes = std::map<std::string, const google::protobuf::Message*, std::less<>>;

// All below `root`, the source tree, in the order of their names. One that cannot be read fails the
// test.
std::vector<Golden> ReadGoldens(const std::string& root);
// The one of this name in this source tree.
Golden GoldenOf(const std::string& name);

// The message as JSON; fails the test when there is none.
std::string JsonOf(const google::protobuf::Message& message);

// What the samples do not show: types without any, as "type", and fields that no sample of the type
// sets, those of messages in it too, as "type: field".
std::vector<std::string> MissingIn(const std::vector<Golden>& goldens, const EventTypes& types);

// Writes samples below `root` until nothing is missing: with every field set, one for each field of
// a oneof; the files' paths. What is there is not touched.
std::vector<std::string> WriteMissing(const std::string& root, const EventTypes& types);

}  // namespace leftfold::testing
#endif  // TESTING_GOLDEN_H_
