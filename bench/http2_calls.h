#ifndef BENCH_HTTP2_CALLS_H_
#define BENCH_HTTP2_CALLS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bench/hpack.h"

namespace leftfold::bench {

// Unary calls of one gRPC method over one HTTP/2 connection, whose bytes its owner moves. Answers
// are told apart by their status only.
class Http2Calls {
 public:
  // `status` is a grpc-status: "0" is OK; "" when the call ended without one.
  using Answered = std::function<void(std::uint32_t call, std::string_view status)>;

  Http2Calls(std::string_view authority, std::string_view path);

  // Whether the server takes one more call of so many bytes now.
  bool MayCall(std::size_t message_bytes) const;
  // Starts a call; its number comes back with its answer.
  std::uint32_t Call(std::string_view message);
  // Takes what came from the server, in pieces of any size. False when the connection is of no use
  // any more.
  bool Receive(std::string_view bytes, const Answered& answered);
  // Bytes that the owner is to send, and to take away.
  std::string& to_send() { return to_send_; }

 private:
  struct Frame;

  void Send(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload);
  bool Take(const Frame& frame, const Answered& answered);
  bool TakeHeaders(const Frame& frame, const Answered& answered);
  bool TakeSettings(const Frame& frame);
  void CountReceived(std::size_t bytes);
  void End(std::uint32_t stream, std::string_view status, const Answered& answered);

  const CallHeaders headers_;
  StatusReader status_reader_;
  std::string to_send_;
  std::string received_;  // The beginning of a frame.
  std::uint32_t next_stream_ = 1;
  std::int64_t open_ = 0, open_max_ = 100;
  std::int64_t window_ = 65'535, stream_window_ = 65'535;
  std::size_t received_bytes_ = 0;  // Since the server's window was opened last.
};

}  // namespace leftfold::bench
#endif  // BENCH_HTTP2_CALLS_H_
