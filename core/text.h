#ifndef CORE_TEXT_H_
#define CORE_TEXT_H_

#include <string_view>

namespace leftfold {

// Text that people write: UTF-8, as protobuf has made sure.

// Controls of ASCII and Latin-1, separators of lines, and what turns the direction of writing: text
// with these does not look like what it is.
bool HasControlCharacter(std::string_view text, std::string_view allowed = "");
// Nothing that can be seen: empty, or only blanks of Unicode and marks without width.
bool IsBlank(std::string_view text);
// Looks like one e-mail address: something, one '@', something; no blank, angle or control.
bool IsEmailAddress(std::string_view text);

}  // namespace leftfold
#endif  // CORE_TEXT_H_
