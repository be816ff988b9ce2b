#include "core/ids.h"

#include <absl/strings/str_cat.h>
#include <openssl/rand.h>
#include <pthread.h>

#include <algorithm>
#include <array>

#include "core/sha256.h"
#include "core/status.h"

namespace leftfold {
namespace {

Uuid Stamped(Uuid uuid, int version) {
  uuid[6] = static_cast<std::uint8_t>((uuid[6] & 0x0F) | (version << 4));
  uuid[8] = static_cast<std::uint8_t>((uuid[8] & 0x3F) | 0x80);
  return uuid;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Random bytes for the thread's next ids, which cost OpenSSL as much as those of one: locks, and a
// look whether the process was forked.
struct RandomIds {
  std::array<Uuid, 32> ids;
  std::size_t used = ids.size();
};
thread_local RandomIds random_ids;

Uuid NextRandomId() {
  // A forked process would give out the ids that are left here.
  static const int kForgottenByForks =
      pthread_atfork(nullptr, nullptr, [] { random_ids.used = random_ids.ids.size(); });
  if (kForgottenByForks != 0) Die("no memory for a handler of forks");
  if (random_ids.used == random_ids.ids.size()) {
    if (RAND_bytes(random_ids.ids.front().data(), sizeof random_ids.ids) != 1)
      Die("no random bytes from OpenSSL");
    random_ids.used = 0;
  }
  return random_ids.ids[random_ids.used++];
}

bool IsDash(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

}  // namespace

Uuid NewUuidV7(absl::Time now) {
  Uuid uuid = NextRandomId();
  const auto millis = static_cast<std::uint64_t>(absl::ToUnixMillis(now));
  for (std::size_t i = 0; i < 6; ++i) uuid[i] = static_cast<std::uint8_t>(millis >> (8 * (5 - i)));
  return Stamped(uuid, 7);
}

Uuid DerivedUuid(std::string_view seed, int n) {
  const Digest digest = Sha256().Add("leftfold id").AddLengthPrefixed(seed).AddInt64(n).Finish();
  Uuid uuid;
  std::copy_n(digest.begin(), uuid.size(), uuid.begin());
  const std::optional<Uuid> base = ParseUuid(seed);
  if (!base || ((*base)[6] >> 4) != 7) return Stamped(uuid, 8);
  std::copy_n(base->begin(), 6, uuid.begin());
  return Stamped(uuid, 7);
}

char* WriteUuid(const Uuid& uuid, char* at) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const char* begin = at;
  for (const std::uint8_t byte : uuid) {
    if (IsDash(static_cast<std::size_t>(at - begin))) *at++ = '-';
    *at++ = kDigits[byte >> 4];
    *at++ = kDigits[byte & 15];
  }
  return at;
}

std::string ToString(const Uuid& uuid) {
  std::string out(kUuidTextSize, '\0');
  WriteUuid(uuid, out.data());
  return out;
}

std::optional<Uuid> ParseUuid(std::string_view text) {
  if (text.size() != kUuidTextSize) return std::nullopt;
  Uuid uuid{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (IsDash(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int value = HexValue(text[i]);
    if (value < 0) return std::nullopt;
    uuid[digits / 2] = static_cast<std::uint8_t>((uuid[digits / 2] << 4) | value);
    ++digits;
  }
  return uuid;
}

bool IsCommandId(std::string_view id) {
  return id.size() <= kCommandIdBytesMax &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

bool IsAggregateId(std::string_view id) {
  return !id.empty() && id.size() <= kAggregateIdBytesMax &&
         std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '~' || c == '-';
         });
}

bool IsCategory(std::string_view category) {
  return !category.empty() && category.size() <= kCategoryBytesMax && category[0] >= 'a' &&
         category[0] <= 'z' && std::all_of(category.begin(), category.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

bool IsStreamName(std::string_view stream) {
  const std::size_t dash = stream.find('-');
  return dash != std::string_view::npos && IsCategory(stream.substr(0, dash)) &&
         IsAggregateId(stream.substr(dash + 1));
}

std::string StreamName(std::string_view category, std::string_view id) {
  return absl::StrCat(ToAbsl(category), "-", ToAbsl(id));
}

std::string_view CategoryOf(std::string_view stream) { return stream.substr(0, stream.find('-')); }

std::string_view AggregateIdOf(std::string_view stream) {
  const std::size_t dash = stream.find('-');
  return dash == std::string_view::npos ? std::string_view() : stream.substr(dash + 1);
}

}  // namespace leftfold
