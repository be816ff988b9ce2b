#ifndef CORE_SERIALIZE_H_
#define CORE_SERIALIZE_H_

#include <google/protobuf/message.h>

#include <string>

namespace leftfold {

// The same bytes for the same message: maps in the order of their keys. For hashes.
std::string DeterministicBytes(const google::protobuf::Message& message);

}  // namespace leftfold
#endif  // CORE_SERIALIZE_H_
