#ifndef BENCH_HPACK_H_
#define BENCH_HPACK_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

// As much of HPACK (RFC 7541) as calls of one RPC need.
namespace leftfold::bench {

// The header block of a call: literals that the server remembers in the first of a connection, an
// index each in those after it.
struct CallHeaders {
  std::string first;
  std::string later;
};
CallHeaders EncodeCall(std::string_view authority, std::string_view path);

// Reads the header blocks of one connection, all of them in the order in which they came.
class StatusReader {
 public:
  // The block's grpc-status, "" when it has none; nullopt when it cannot be read, as one with
  // Huffman codes.
  std::optional<std::string> Read(std::string_view block);

 private:
  using Header = std::pair<std::string, std::string>;

  // Of the header at the front of the block, which is taken away; nullptr when it cannot be read.
  const Header* Take(std::string_view& block);
  const Header* At(std::uint64_t index);
  void Remember(const Header& header);
  void Shrink(std::size_t bytes_max);

  std::deque<Header> remembered_;  // The newest first.
  std::size_t bytes_ = 0;
  std::size_t bytes_max_ = 4'096;
  Header taken_;
};

}  // namespace leftfold::bench
#endif  // BENCH_HPACK_H_
