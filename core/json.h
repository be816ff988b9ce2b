#ifndef CORE_JSON_H_
#define CORE_JSON_H_

#include <string_view>

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

}  // namespace leftfold
#endif  // CORE_JSON_H_
