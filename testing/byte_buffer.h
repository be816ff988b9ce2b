#ifndef TESTING_BYTE_BUFFER_H_
#define TESTING_BYTE_BUFFER_H_

#include <grpcpp/support/byte_buffer.h>

#include <string>

namespace leftfold::testing {

// A message of gRPC that has these bytes.
inline grpc::ByteBuffer BufferOf(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

}  // namespace leftfold::testing
#endif  // TESTING_BYTE_BUFFER_H_
