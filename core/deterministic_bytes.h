#ifndef CORE_DETERMINISTIC_BYTES_H_
#define CORE_DETERMINISTIC_BYTES_H_

#include <google/protobuf/message.h>

#include <string>

namespace leftfold {

// The message's bytes, the same for equal messages of this binary: maps are sorted.
std::string DeterministicBytes(const google::protobuf::Message& message);

}  // namespace leftfold
#endif  // CORE_DETERMINISTIC_BYTES_H_
