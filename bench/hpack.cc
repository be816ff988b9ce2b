#include "bench/hpack.h"

#include <array>

namespace leftfold::bench {
namespace {

constexpr std::uint64_t kStaticHeaders = 61;
// Of their names: what they take in the table.
constexpr std::array<std::uint8_t, kStaticHeaders> kStaticNameBytes = {
    10, 7,  7,  5,  5,  7,  7,  7,  7,  7,  7,  7, 7,  7,  14, 15, 15, 13, 6,  27, 3,
    5,  13, 13, 19, 16, 16, 14, 16, 13, 12, 6,  4, 4,  6,  7,  4,  4,  8,  17, 13, 8,
    19, 13, 4,  8,  12, 18, 19, 5,  7,  7,  11, 6, 10, 25, 17, 10, 4,  3,  16};
constexpr std::size_t kEntryBytes = 32;  // What the table counts for each beside its text.

constexpr std::uint8_t kIndexed = 0x80, kRemembered = 0x40, kTableSize = 0x20, kHuffman = 0x80;

void AppendInteger(std::uint64_t value, std::uint8_t pattern, int prefix_bits, std::string& out) {
  const std::uint64_t most = (1U << prefix_bits) - 1;
  if (value < most) return out.push_back(static_cast<char>(pattern | value));
  out.push_back(static_cast<char>(pattern | most));
  for (value -= most; value >= 0x80; value >>= 7)
    out.push_back(static_cast<char>(0x80 | (value & 0x7F)));
  out.push_back(static_cast<char>(value));
}

void AppendText(std::string_view text, std::string& out) {
  AppendInteger(text.size(), 0, 7, out);
  out += text;
}

std::optional<std::uint64_t> TakeInteger(std::string_view& block, int prefix_bits) {
  if (block.empty()) return std::nullopt;
  const std::uint64_t most = (1U << prefix_bits) - 1;
  std::uint64_t value = static_cast<std::uint8_t>(block.front()) & most;
  block.remove_prefix(1);
  if (value < most) return value;
  for (int shift = 0; shift < 28 && !block.empty(); shift += 7) {
    const auto byte = static_cast<std::uint8_t>(block.front());
    block.remove_prefix(1);
    value += static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  return std::nullopt;
}

bool TakeText(std::string_view& block, std::string& text) {
  if (block.empty() || (static_cast<std::uint8_t>(block.front()) & kHuffman) != 0) return false;
  const auto size = TakeInteger(block, 7);
  if (!size || *size > block.size()) return false;
  text = block.substr(0, *size);
  block.remove_prefix(*size);
  return true;
}

}  // namespace

CallHeaders EncodeCall(std::string_view authority, std::string_view path) {
  const std::string post_over_http = "\x83\x86";
  const std::pair<std::string_view, std::string_view> literals[] = {
      {":path", path},
      {":authority", authority},
      {"te", "trailers"},
      {"content-type", "application/grpc"},
      {"user-agent", "leftfold-bench"},
      {"grpc-accept-encoding", "identity, deflate, gzip"}};
  CallHeaders headers{post_over_http, post_over_http};
  std::uint64_t index = kStaticHeaders + std::size(literals);
  for (const auto& [name, value] : literals) {
    AppendInteger(0, kRemembered, 6, headers.first);
    AppendText(name, headers.first);
    AppendText(value, headers.first);
    AppendInteger(index--, kIndexed, 7, headers.later);
  }
  return headers;
}

std::optional<std::string> StatusReader::Read(std::string_view block) {
  std::string status;
  while (!block.empty()) {
    const auto front = static_cast<std::uint8_t>(block.front());
    if ((front & 0xE0) == kTableSize) {
      const auto size = TakeInteger(block, 5);
      if (!size) return std::nullopt;
      bytes_max_ = *size;
      Shrink(bytes_max_);
      continue;
    }
    const Header* header = Take(block);
    if (header == nullptr) return std::nullopt;
    if (header->first == "grpc-status") status = header->second;
  }
  return status;
}

const StatusReader::Header* StatusReader::Take(std::string_view& block) {
  const auto front = static_cast<std::uint8_t>(block.front());
  if ((front & kIndexed) != 0) {
    const auto index = TakeInteger(block, 7);
    return index ? At(*index) : nullptr;
  }
  const bool remember = (front & kRemembered) != 0;
  const auto name = TakeInteger(block, remember ? 6 : 4);
  if (!name) return nullptr;
  if (*name == 0) {
    if (!TakeText(block, taken_.first)) return nullptr;
  } else {
    const Header* known = At(*name);
    if (known == nullptr) return nullptr;
    taken_.first = known->first;
  }
  if (!TakeText(block, taken_.second)) return nullptr;
  if (remember) Remember(taken_);
  return &taken_;
}

const StatusReader::Header* StatusReader::At(std::uint64_t index) {
  if (index == 0 || index > kStaticHeaders + remembered_.size()) return nullptr;
  if (index > kStaticHeaders) return &remembered_[index - kStaticHeaders - 1];
  taken_ = {std::string(kStaticNameBytes[index - 1], '?'), ""};  // None of them is a status.
  return &taken_;
}

void StatusReader::Remember(const Header& header) {
  const std::size_t bytes = header.first.size() + header.second.size() + kEntryBytes;
  Shrink(bytes > bytes_max_ ? 0 : bytes_max_ - bytes);
  if (bytes > bytes_max_) return;
  remembered_.push_front(header);
  bytes_ += bytes;
}

void StatusReader::Shrink(std::size_t bytes_max) {
  while (bytes_ > bytes_max) {
    const Header& oldest = remembered_.back();
    bytes_ -= oldest.first.size() + oldest.second.size() + kEntryBytes;
    remembered_.pop_back();
  }
}

}  // namespace leftfold::bench
