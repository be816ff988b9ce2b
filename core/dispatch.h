#ifndef CORE_DISPATCH_H_
#define CORE_DISPATCH_H_

#include <absl/container/flat_hash_map.h>
#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <array>
#include <bitset>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/event.h"
#include "core/types.h"

// Hands stored events to typed code. What does not depend on the types is in dispatch.cc, once, and
// not in every domain's object files.
namespace leftfold {

// Decodes bytes as one type and calls `each` with the messages that stand for them: one, or for an
// old type those of today, in order. False when the bytes do not decode.
using ReadMessages = bool (*)(std::string_view bytes,
                              absl::FunctionRef<void(const google::protobuf::Message&)> each);

// Reads an event of an old type as those that stand for it now.
struct Upcaster {
  std::vector<const google::protobuf::Descriptor*> gives;  // Types of what it may give.
  ReadMessages read;
};
using Upcasters = absl::flat_hash_map<std::string, Upcaster>;  // By the old type's full name.

namespace internal {

// The payload of a stored event, and what it is a message of.
struct StoredPayload {
  std::string_view type;
  std::string_view bytes;
  Encoding encoding;
};

// The types of a list, found by name.
class TypeIndex {
 public:
  struct Type {
    const google::protobuf::Descriptor* descriptor;
    ReadMessages read;
  };
  explicit TypeIndex(std::vector<Type> types);
  // Where the type stands in the list; nullopt when it is not in it.
  std::optional<std::size_t> Find(std::string_view full_name) const;
  const Type& at(std::size_t place) const { return types_[place]; }

 private:
  // Most events are of none of a list's types, and most of them say so by this.
  static std::size_t Mark(std::string_view full_name) {
    if (full_name.empty()) return 0;
    return (31 * full_name.size() + static_cast<unsigned char>(full_name[full_name.size() / 2])) %
           kMarks;
  }
  static constexpr std::size_t kMarks = 256;

  std::vector<Type> types_;
  std::bitset<kMarks> marks_;
  absl::flat_hash_map<std::string, std::size_t> places_;
};

// Gets a message and the place of its type in the list.
using TakeMessage = absl::FunctionRef<void(std::size_t, const google::protobuf::Message&)>;

// Hands `take` the payload as its own type; nullopt when the type is not in the list, false when it
// does not decode.
std::optional<bool> Read(const TypeIndex& types, const StoredPayload& payload, TakeMessage take);
// Hands `take` the event as its own type or else as those that stand for it now, as far as they are
// in the list; false when there is none, DATA_LOSS when it does not decode.
absl::StatusOr<bool> Read(const TypeIndex& types, const Upcasters& upcasters,
                          const RecordedEvent& event, TakeMessage take);
// Whether the latter would find one.
bool Knows(const TypeIndex& types, const Upcasters& upcasters, std::string_view type);

absl::Status Undecodable(const RecordedEvent& event);

template <class E>
bool ReadAs(std::string_view bytes,
            absl::FunctionRef<void(const google::protobuf::Message&)> each) {
  E event;
  if (!event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
  each(event);
  return true;
}

template <class Events>
const TypeIndex& IndexOf() {
  static const TypeIndex* const kIndex = [] {
    std::vector<TypeIndex::Type> types;
    Events::ForEach([&]<class E>() { types.push_back({E::descriptor(), ReadAs<E>}); });
    return new TypeIndex(std::move(types));
  }();
  return *kIndex;
}

template <class E, class F>
void CallWith(F& f, const google::protobuf::Message& message) {
  f(static_cast<const E&>(message));
}

// Calls `f` with the message as the type that stands at `place`.
template <class F, class... Es>
void CallAt(Types<Es...>, std::size_t place, const google::protobuf::Message& message, F& f) {
  using Call = void (*)(F&, const google::protobuf::Message&);
  static constexpr std::array<Call, sizeof...(Es)> kCalls{CallWith<Es, F>...};
  kCalls.at(place)(f, message);
}

// As the functions named Read, with `f` that takes each type of `Events`.
template <class Events, class F>
std::optional<bool> DispatchPayload(const StoredPayload& payload, F& f) {
  return Read(IndexOf<Events>(), payload, [&f](std::size_t place, const auto& message) {
    CallAt(Events(), place, message, f);
  });
}
template <class Events, class F>
absl::StatusOr<bool> Dispatch(const RecordedEvent& event, const Upcasters& upcasters, F&& f) {
  return Read(IndexOf<Events>(), upcasters, event, [&f](std::size_t place, const auto& message) {
    CallAt(Events(), place, message, f);
  });
}
// Old types are not looked at.
template <class Events, class F>
absl::StatusOr<bool> Dispatch(const RecordedEvent& event, F&& f) {
  const std::optional<bool> decoded =
      DispatchPayload<Events>({event.type, event.payload, event.encoding}, f);
  if (!decoded) return false;
  if (!*decoded) return Undecodable(event);
  return true;
}

}  // namespace internal
}  // namespace leftfold
#endif  // CORE_DISPATCH_H_
