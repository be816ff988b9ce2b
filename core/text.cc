#include "core/text.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace leftfold {
namespace {

struct CodePoints {
  char32_t first;
  char32_t last;
};
constexpr CodePoints kControls[] = {
    {0x0000, 0x001F}, {0x007F, 0x009F}, {0x2028, 0x202E}, {0x2066, 0x2069}};
constexpr CodePoints kBlanks[] = {{0x0020, 0x0020}, {0x00A0, 0x00A0}, {0x00AD, 0x00AD},
                                  {0x1680, 0x1680}, {0x2000, 0x200F}, {0x202F, 0x202F},
                                  {0x205F, 0x2064}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

template <std::size_t kSize>
bool IsOneOf(const CodePoints (&ranges)[kSize], char32_t code_point) {
  return std::any_of(std::begin(ranges), std::end(ranges), [&](const CodePoints& range) {
    return range.first <= code_point && code_point <= range.last;
  });
}

// Takes the first character off `text`, which is UTF-8 and not empty: protobuf refuses other
// strings.
char32_t TakeCodePoint(std::string_view& text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t size = std::min<std::size_t>(lead < 0xC0   ? 1
                                                 : lead < 0xE0 ? 2
                                                 : lead < 0xF0 ? 3
                                                               : 4,
                                                 text.size());
  char32_t code_point = size == 1 ? lead : lead & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    code_point = (code_point << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
  }
  text.remove_prefix(size);
  return code_point;
}

}  // namespace

bool HasControlCharacter(std::string_view text, std::string_view allowed) {
  while (!text.empty()) {
    const char first = text.front();
    if (IsOneOf(kControls, TakeCodePoint(text)) && allowed.find(first) == std::string_view::npos) {
      return true;
    }
  }
  return false;
}

bool IsBlank(std::string_view text) {
  while (!text.empty()) {
    const char32_t code_point = TakeCodePoint(text);
    if (!IsOneOf(kBlanks, code_point) && !IsOneOf(kControls, code_point)) return false;
  }
  return true;
}

bool IsEmailAddress(std::string_view text) {
  const std::size_t at = text.find('@');
  return at != std::string_view::npos && at > 0 && at + 1 < text.size() && at == text.rfind('@') &&
         text.find_first_of(" <>") == std::string_view::npos && !HasControlCharacter(text);
}

}  // namespace leftfold
