#ifndef CORE_TYPES_H_
#define CORE_TYPES_H_

#include <compare>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace leftfold {

// A 64-bit number that does not mix with other numbers.
template <class Tag>
struct Number {
  std::int64_t value = 0;
  constexpr Number Next() const { return {value + 1}; }
  friend constexpr auto operator<=>(const Number&, const Number&) = default;
};

// Place in the whole log: 1, 2, 3 … with no hole. 0 is "before the first event".
using Position = Number<struct PositionTag>;
// Place in a stream: 0, 1, 2 … -1 is "no event yet".
using Version = Number<struct VersionTag>;

inline constexpr Position kBeforeFirst{0};
inline constexpr Version kNoEventYet{-1};

// A compile-time list of message types: `Types<RoomCreated, RoomRenamed>`.
template <class... Ts>
struct Types {
  using Variant = std::variant<Ts...>;
  using List = std::vector<Variant>;
  static constexpr std::size_t kSize = sizeof...(Ts);
  template <class T>
  static constexpr bool kContains = (std::is_same_v<T, Ts> || ...);
  // Calls `f.template operator()<T>()` for each type, in order.
  template <class F>
  static void ForEach(F&& f) {
    (f.template operator()<Ts>(), ...);
  }
};

template <>
struct Types<> {
  static constexpr std::size_t kSize = 0;
  template <class T>
  static constexpr bool kContains = false;
  template <class F>
  static void ForEach(F&&) {}
};

namespace internal {

template <class A, class B>
struct Concatenated;
template <class... As, class... Bs>
struct Concatenated<Types<As...>, Types<Bs...>> {
  using Type = Types<As..., Bs...>;
};

}  // namespace internal

// The types of both lists, those of `A` first.
template <class A, class B>
using Concat = typename internal::Concatenated<A, B>::Type;

}  // namespace leftfold
#endif  // CORE_TYPES_H_
