#ifndef BENCH_COPIES_H_
#define BENCH_COPIES_H_

#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "core/registry.h"
#include "domains/rooms/room_directory.h"

namespace leftfold::bench {

inline constexpr int kCopiesMax = 50;

// The n-th view with the fold of room_directory, "copy-07"; nobody asks it.
template <int kNumber>
struct Copy : rooms::RoomDirectory {
  static constexpr std::array<char, 7> kText = {
      'c', 'o', 'p', 'y', '-', '0' + kNumber / 10, '0' + kNumber % 10};
  static constexpr std::string_view kName{kText.data(), kText.size()};
  using Queries = Types<>;
  using Watches = Types<>;
};

// The first so many of kCopiesMax.
inline void AddCopies(Registry& registry, int copies) {
  const auto add = [&]<int... kNumbers>(std::integer_sequence<int, kNumbers...>) {
    ((kNumbers < copies ? registry.Add<Copy<kNumbers>>() : void()), ...);
  };
  add(std::make_integer_sequence<int, kCopiesMax>());
}

}  // namespace leftfold::bench
#endif  // BENCH_COPIES_H_
