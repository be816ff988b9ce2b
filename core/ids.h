#ifndef CORE_IDS_H_
#define CORE_IDS_H_

#include <absl/time/time.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace leftfold {

// 16 bytes of a UUID (RFC 9562).
using Uuid = std::array<std::uint8_t, 16>;

// Version 7: 48 bits of milliseconds, then random bits.
Uuid NewUuidV7(absl::Time now);
// Stable: the same seed and n give the same id. When `seed` is itself a UUIDv7 in text form its
// time is kept and the result is a version 7, so that ids derived from time-ordered command ids are
// time-ordered; otherwise a version 8.
Uuid DerivedUuid(std::string_view seed, int n);
// 36 characters, lower case.
std::string ToString(const Uuid& uuid);
// The same, kUuidTextSize characters, written to `at`; returns their end.
inline constexpr std::size_t kUuidTextSize = 36;
char* WriteUuid(const Uuid& uuid, char* at);
// nullopt unless 36 characters of the canonical form.
std::optional<Uuid> ParseUuid(std::string_view text);

inline constexpr std::size_t kAggregateIdBytesMax = 128;
inline constexpr std::size_t kCategoryBytesMax = 64;
inline constexpr std::size_t kCommandIdBytesMax = 128;

// Printable ASCII without spaces, at most kCommandIdBytesMax bytes; "" too.
bool IsCommandId(std::string_view id);
// [A-Za-z0-9._~-]{1,128}
bool IsAggregateId(std::string_view id);
// [a-z][a-z0-9_]{0,63}
bool IsCategory(std::string_view category);
// `<category>-<id>`, split at the first '-'.
bool IsStreamName(std::string_view stream);
std::string StreamName(std::string_view category, std::string_view id);
std::string_view CategoryOf(std::string_view stream);
std::string_view AggregateIdOf(std::string_view stream);

}  // namespace leftfold
#endif  // CORE_IDS_H_
