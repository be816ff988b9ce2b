#ifndef CORE_JSON_H_
#define CORE_JSON_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace leftfold {

// Deepest nesting of arrays and objects in a JSON payload.
inline constexpr int kJsonDepthMax = 100;

bool IsAscii(std::string_view bytes);

// Whether `bytes` are well-formed UTF-8 (RFC 3629), as protobuf wants it in a string.
bool IsUtf8(std::string_view bytes);

// Whether `text`, which is UTF-8, is one JSON value as in RFC 8259, with white space around it and
// no deeper than kJsonDepthMax. Strict, unlike protobuf's parser: what it takes, every client can
// read.
bool IsJson(std::string_view text);

// What is directly in an object or array, as it stands in the text.
struct JsonPart {
  std::string_view name;  // Between the quotes, escapes and all; empty in an array.
  std::string_view value;
};
// The parts of the object or array that `text` is, in their order; nullopt when it is neither, or
// no JSON as above. They point into `text`.
std::optional<std::vector<JsonPart>> JsonParts(std::string_view text);

// A JSON string of at most about `room` bytes that reads as `text`; what is not UTF-8 becomes '?'.
std::string JsonString(std::string_view text, std::size_t room = std::string_view::npos);

}  // namespace leftfold
#endif  // CORE_JSON_H_
