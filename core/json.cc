#include "core/json.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace leftfold {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Reads the text once. Each function takes what it is named after off the front and says whether it
// was there.
class Scanner {
 public:
  // What the text directly consists of goes to `parts`, if there is such a place.
  explicit Scanner(std::string_view text, std::vector<JsonPart>* parts = nullptr)
      : text_(text), parts_(parts) {}

  bool Value(int depth) {
    if (depth > kJsonDepthMax) return false;
    Space();
    switch (Peek()) {
      case '{':
        return Object(depth);
      case '[':
        return Array(depth);
      case '"':
        return String();
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }
  bool End() {
    Space();
    return at_ == text_.size();
  }

 private:
  // '\0' at the end, which no rule wants.
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Take(char c) {
    if (Peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void Space() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') ++at_;
  }
  bool Word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool Digits() {
    if (!IsDigit(Peek())) return false;
    while (IsDigit(Peek())) ++at_;
    return true;
  }
  bool Number() {
    Take('-');
    if (!Take('0') && !Digits()) return false;
    if (Take('.') && !Digits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      return Digits();
    }
    return true;
  }
  bool String() {
    if (!Take('"')) return false;
    while (at_ < text_.size() && Peek() != '"') {
      if (static_cast<unsigned char>(Peek()) < 0x20) return false;
      if (Take('\\') && !Escaped()) return false;
      ++at_;
    }
    return Take('"');
  }
  // Stays on the last character of it.
  bool Escaped() {
    if (Peek() == 'u') {
      for (int i = 0; i < 4; ++i) {
        ++at_;
        if (!IsHex(Peek())) return false;
      }
      return true;
    }
    return at_ < text_.size() &&
           std::string_view("\"\\/bfnrt").find(Peek()) != std::string_view::npos;
  }
  bool Array(int depth) {
    Take('[');
    Space();
    if (Take(']')) return true;
    do {
      if (!Part("", depth)) return false;
    } while (Take(','));
    return Take(']');
  }
  // A value in an array or object of this depth.
  bool Part(std::string_view name, int depth) {
    Space();
    const std::size_t begin = at_;
    if (!Value(depth + 1)) return false;
    if (depth == 1 && parts_ != nullptr)
      parts_->push_back({name, text_.substr(begin, at_ - begin)});
    Space();
    return true;
  }
  bool Object(int depth) {
    Take('{');
    Space();
    if (Take('}')) return true;
    do {
      Space();
      const std::size_t begin = at_;
      if (!String()) return false;
      const std::string_view name = text_.substr(begin + 1, at_ - begin - 2);
      Space();
      if (!Take(':') || !Part(name, depth)) return false;
    } while (Take(','));
    return Take('}');
  }

  const std::string_view text_;
  std::vector<JsonPart>* const parts_;
  std::size_t at_ = 0;
};

}  // namespace

bool IsAscii(std::string_view bytes) {
  std::uint64_t any = 0;
  for (; bytes.size() >= sizeof any; bytes.remove_prefix(sizeof any)) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof word);
    any |= word;
  }
  for (const char c : bytes) any |= static_cast<unsigned char>(c);
  return (any & 0x8080'8080'8080'8080) == 0;
}

bool IsUtf8(std::string_view bytes) {
  if (IsAscii(bytes)) return true;
  std::size_t at = 0;
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  while (at < bytes.size()) {
    const unsigned first = byte(at);
    const unsigned second = byte(at + 1);
    if (first < 0x80) {
      at += 1;
    } else if (first >= 0xC2 && first <= 0xDF) {
      if (!continues(at + 1)) return false;
      at += 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
      if (!continues(at + 1) || !continues(at + 2)) return false;
      // Overlong, and surrogates.
      if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return false;
      at += 3;
    } else if (first >= 0xF0 && first <= 0xF4) {
      if (!continues(at + 1) || !continues(at + 2) || !continues(at + 3)) return false;
      // Overlong, and beyond U+10FFFF.
      if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return false;
      at += 4;
    } else {
      return false;
    }
  }
  return true;
}

bool IsJson(std::string_view text) {
  Scanner scanner(text);
  return scanner.Value(1) && scanner.End();
}

std::optional<std::vector<JsonPart>> JsonParts(std::string_view text) {
  std::vector<JsonPart> parts;
  Scanner scanner(text, &parts);
  const std::size_t first = text.find_first_not_of(" \t\n\r");
  const bool has_parts =
      first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  if (!has_parts || !scanner.Value(1) || !scanner.End()) return std::nullopt;
  return parts;
}

std::string JsonString(std::string_view text, std::size_t room) {
  constexpr std::size_t kCharacterBytesMax = 8;  // As it is written here.
  const bool utf8 = IsUtf8(text);
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool begins = (byte & 0xC0) != 0x80 || !utf8;
    if (begins && quoted.size() + kCharacterBytesMax > room) break;
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (byte < 0x20) {
      quoted += fmt::format("\\u{:04x}", byte);
    } else {
      quoted += byte >= 0x80 && !utf8 ? '?' : c;
    }
  }
  return quoted + '"';
}

}  // namespace leftfold
