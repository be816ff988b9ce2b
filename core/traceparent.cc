#include "core/traceparent.h"

#include <algorithm>
#include <cstddef>

namespace leftfold {
namespace {

constexpr std::size_t kTraceId = 3;
constexpr std::size_t kTraceIdDigits = 32;

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f'); });
}

bool IsZero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

}  // namespace

bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool IsTraceparent(std::string_view text) {
  constexpr std::size_t kParentId = 36, kFlags = 53, kEnd = 55;
  constexpr std::size_t kBytesMax = 256;  // Ours: of versions to come.
  if (text.size() < kEnd || text.size() > kBytesMax || !IsPrintable(text)) return false;
  const std::string_view version = text.substr(0, 2);
  const std::string_view trace_id = text.substr(kTraceId, kTraceIdDigits);
  const std::string_view parent_id = text.substr(kParentId, 16);
  if (!IsLowerHex(version) || !IsLowerHex(trace_id) || !IsLowerHex(parent_id) ||
      !IsLowerHex(text.substr(kFlags, 2))) {
    return false;
  }
  for (const std::size_t dash : {kTraceId - 1, kParentId - 1, kFlags - 1}) {
    if (text[dash] != '-') return false;
  }
  if (version == "ff" || IsZero(trace_id) || IsZero(parent_id)) return false;
  return text.size() == kEnd || (version != "00" && text[kEnd] == '-');
}

std::string_view TraceIdOf(std::string_view text) {
  return IsTraceparent(text) ? text.substr(kTraceId, kTraceIdDigits) : std::string_view();
}

}  // namespace leftfold
