#ifndef CORE_TRACEPARENT_H_
#define CORE_TRACEPARENT_H_

#include <string_view>

namespace leftfold {

// Whether `text` is printable ASCII, as the value of a header should be.
bool IsPrintable(std::string_view text);

// Whether `text` is a traceparent of W3C Trace Context (https://www.w3.org/TR/trace-context):
// version-traceid-parentid-flags in lower-case hexadecimal. Versions after 00 may be longer.
bool IsTraceparent(std::string_view text);

// Its trace id, 32 hexadecimal digits; "" when `text` is none.
std::string_view TraceIdOf(std::string_view text);

}  // namespace leftfold
#endif  // CORE_TRACEPARENT_H_
