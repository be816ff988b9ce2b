#include "bench/http2_calls.h"

#include <algorithm>

namespace leftfold::bench {
namespace {

constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7,
                       kWindowUpdate = 8, kContinuation = 9;
constexpr std::uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kPriority = 0x20;
constexpr std::uint16_t kStreamsSetting = 3, kWindowSetting = 4, kTrueBinarySetting = 0xFE03;
constexpr std::size_t kFrameHeaderBytes = 9, kFrameBytesMax = 16'384;
constexpr std::uint32_t kWindowMax = 0x7FFFFFFF, kWindowAtFirst = 65'535;
constexpr std::uint32_t kWindowStep = 1U << 30;

std::string BigEndian(std::uint64_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    text.push_back(static_cast<char>(value >> shift & 0xFF));
  return text;
}

std::uint32_t ToNumber(std::string_view big_endian) {
  std::uint32_t value = 0;
  for (const char byte : big_endian) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

}  // namespace

struct Http2Calls::Frame {
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;
  std::string_view payload;
};

Http2Calls::Http2Calls(std::string_view authority, std::string_view path)
    : headers_(EncodeCall(authority, path)) {
  to_send_ = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  // Binary details of errors come as they are then, without Huffman codes.
  Send(kSettings, 0, 0,
       BigEndian(kWindowSetting, 2) + BigEndian(kWindowMax, 4) + BigEndian(kTrueBinarySetting, 2) +
           BigEndian(1, 4));
  Send(kWindowUpdate, 0, 0, BigEndian(kWindowMax - kWindowAtFirst, 4));
}

bool Http2Calls::MayCall(std::size_t message_bytes) const {
  const auto bytes = static_cast<std::int64_t>(message_bytes) + 5;
  return open_ < open_max_ && bytes <= window_ && bytes <= stream_window_;
}

std::uint32_t Http2Calls::Call(std::string_view message) {
  const std::uint32_t stream = next_stream_;
  next_stream_ += 2;
  ++open_;
  Send(kHeaders, kEndHeaders, stream, stream == 1 ? headers_.first : headers_.later);
  std::string data = BigEndian(message.size(), 5);  // Not compressed, and its size.
  data += message;
  window_ -= static_cast<std::int64_t>(data.size());
  for (std::string_view left = data; !left.empty();) {
    const std::string_view piece = left.substr(0, kFrameBytesMax);
    left.remove_prefix(piece.size());
    Send(kData, left.empty() ? kEndStream : 0, stream, piece);
  }
  return stream;
}

bool Http2Calls::Receive(std::string_view bytes, const Answered& answered) {
  if (!received_.empty()) {
    received_ += bytes;
    bytes = received_;
  }
  while (bytes.size() >= kFrameHeaderBytes) {
    const std::size_t size = ToNumber(bytes.substr(0, 3));
    if (size > kFrameBytesMax) return false;
    if (bytes.size() < kFrameHeaderBytes + size) break;
    const Frame frame{static_cast<std::uint8_t>(bytes[3]), static_cast<std::uint8_t>(bytes[4]),
                      ToNumber(bytes.substr(5, 4)) & kWindowMax,
                      bytes.substr(kFrameHeaderBytes, size)};
    if (!Take(frame, answered)) return false;
    bytes.remove_prefix(kFrameHeaderBytes + size);
  }
  received_ = std::string(bytes);
  return true;
}

bool Http2Calls::Take(const Frame& frame, const Answered& answered) {
  switch (frame.type) {
    case kData:
      CountReceived(frame.payload.size());
      if ((frame.flags & kEndStream) != 0) End(frame.stream, "", answered);
      return true;
    case kHeaders:
      return TakeHeaders(frame, answered);
    case kReset:  // 0: the answer was complete.
      if (ToNumber(frame.payload) != 0) End(frame.stream, "", answered);
      return true;
    case kSettings:
      return (frame.flags & kAck) != 0 || TakeSettings(frame);
    case kPing:
      if ((frame.flags & kAck) == 0) Send(kPing, kAck, 0, frame.payload);
      return true;
    case kWindowUpdate:
      if (frame.stream == 0) window_ += ToNumber(frame.payload);
      return true;
    case kGoAway:
    case kContinuation:
      return false;
    default:
      return true;
  }
}

bool Http2Calls::TakeHeaders(const Frame& frame, const Answered& answered) {
  if ((frame.flags & kEndHeaders) == 0 || (frame.flags & (kPadded | kPriority)) != 0) return false;
  const auto status = status_reader_.Read(frame.payload);
  if (!status) return false;
  if ((frame.flags & kEndStream) != 0) End(frame.stream, *status, answered);
  return true;
}

bool Http2Calls::TakeSettings(const Frame& frame) {
  for (std::string_view left = frame.payload; left.size() >= 6; left.remove_prefix(6)) {
    const std::uint32_t value = ToNumber(left.substr(2, 4));
    if (ToNumber(left.substr(0, 2)) == kStreamsSetting) open_max_ = value;
    if (ToNumber(left.substr(0, 2)) == kWindowSetting) stream_window_ = value;
  }
  Send(kSettings, kAck, 0, "");
  return true;
}

void Http2Calls::CountReceived(std::size_t bytes) {
  received_bytes_ += bytes;
  if (received_bytes_ < kWindowStep) return;
  Send(kWindowUpdate, 0, 0, BigEndian(received_bytes_, 4));
  received_bytes_ = 0;
}

void Http2Calls::End(std::uint32_t stream, std::string_view status, const Answered& answered) {
  --open_;
  answered(stream, status);
}

void Http2Calls::Send(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                      std::string_view payload) {
  const std::size_t size = payload.size();
  const char header[kFrameHeaderBytes] = {static_cast<char>(size >> 16 & 0xFF),
                                          static_cast<char>(size >> 8 & 0xFF),
                                          static_cast<char>(size & 0xFF),
                                          static_cast<char>(type),
                                          static_cast<char>(flags),
                                          static_cast<char>(stream >> 24 & 0xFF),
                                          static_cast<char>(stream >> 16 & 0xFF),
                                          static_cast<char>(stream >> 8 & 0xFF),
                                          static_cast<char>(stream & 0xFF)};
  to_send_.append(header, sizeof header);
  to_send_ += payload;
}

}  // namespace leftfold::bench
