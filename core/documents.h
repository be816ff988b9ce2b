#ifndef CORE_DOCUMENTS_H_
#define CORE_DOCUMENTS_H_

#include <absl/status/status.h>

#include <cstddef>
#include <string_view>

#include "core/status.h"
#include "core/view.h"

// What views that keep documents (serialized messages) in their rows have in common.
namespace leftfold {

// A page ends with the row that reaches this. With the largest document (0.3 MiB) it stays below
// the 4 MiB that gRPC clients take by default.
inline constexpr std::size_t kPageBytesMax = 2 << 20;

template <class Message>
bool Decode(std::string_view bytes, Message& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// A stored row, of a "room" for example, that does not decode.
inline absl::Status BrokenRow(std::string_view what, std::string_view id) {
  return Error(absl::StatusCode::kInternal,
               "the stored row of {} {} does not decode: rebuild the view", what, id);
}

// For folds: one that does not decode stops the view.
template <class Message>
bool DecodeOrFail(std::string_view bytes, std::string_view what, std::string_view id,
                  Message& message, WriteTx& tx) {
  const bool decoded = Decode(bytes, message);
  if (!decoded) tx.Fail(BrokenRow(what, id));
  return decoded;
}

}  // namespace leftfold
#endif  // CORE_DOCUMENTS_H_
