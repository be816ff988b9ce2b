#ifndef CORE_AGGREGATE_H_
#define CORE_AGGREGATE_H_

#include <absl/status/statusor.h>
#include <absl/time/time.h>

#include <concepts>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "core/event.h"
#include "core/reject.h"
#include "core/types.h"

namespace leftfold {

// Everything a decision may depend on besides state and command. No clock, no randomness.
struct CommandContext {
  absl::Time now;
  std::string actor;
  std::string aggregate_id;
  std::string command_id;  // The client's, or one made for this command.
  // The n-th id that this command makes: a UUID derived from command_id, the same when the command
  // is decided again.
  std::string NewId(int n) const { return ToString(DerivedUuid(command_id, n)); }
};

// A value that is unique across aggregates: an append to the reservation stream
// `claim_<scope>-<value>` in the same transaction. `taken` is what the client hears when another
// aggregate holds the value.
struct Claim {
  enum class Kind { kTake, kRelease };
  Kind kind = Kind::kTake;
  std::string scope;  // [a-z][a-z0-9_]*, for example "account_email"
  std::string value;  // Any bytes; normalise it first.
  absl::Status taken;
};

// The scope and value of a claim.
struct ClaimName {
  std::string scope;
  std::string value;
};

// What an accepted command leads to. No events: it was so already.
template <class Events>
struct Decided {
  typename Events::List events;
  std::vector<leftfold::Claim> claims;
  std::vector<leftfold::Tag> tags;  // Put on every event.
  std::string created_id;
};

template <class Events>
using Decision = absl::StatusOr<Decided<Events>>;

// Builds a Decided: `return Accept(event).Created(id);`, `return Accept(event).Take("email", e,
// Reject(…));`, `return Accept();` when there is nothing to do.
template <class... Es>
class Acceptance {
 public:
  explicit Acceptance(Es... events) : events_(std::move(events)...) {}
  Acceptance Take(std::string scope, std::string value, absl::Status taken) && {
    claims_.push_back({Claim::Kind::kTake, std::move(scope), std::move(value), std::move(taken)});
    return std::move(*this);
  }
  Acceptance Release(std::string scope, std::string value) && {
    claims_.push_back(
        {Claim::Kind::kRelease, std::move(scope), std::move(value), absl::OkStatus()});
    return std::move(*this);
  }
  Acceptance Tagged(std::string key, std::string value) && {
    tags_.push_back({std::move(key), std::move(value)});
    return std::move(*this);
  }
  Acceptance Created(std::string id) && {
    created_id_ = std::move(id);
    return std::move(*this);
  }
  template <class... All>
  operator Decided<Types<All...>>() && {  // NOLINT(google-explicit-constructor): it reads as a
                                          // return value.
    Decided<Types<All...>> decided;
    decided.events.reserve(sizeof...(Es));
    std::apply([&](Es&... event) { (decided.events.emplace_back(std::move(event)), ...); },
               events_);
    decided.claims = std::move(claims_);
    decided.tags = std::move(tags_);
    decided.created_id = std::move(created_id_);
    return decided;
  }

 private:
  std::tuple<Es...> events_;
  std::vector<Claim> claims_;
  std::vector<Tag> tags_;
  std::string created_id_;
};

template <class... Es>
Acceptance<Es...> Accept(Es... events) {
  return Acceptance<Es...>(std::move(events)...);
}

// The aggregate is a struct of static overloads:
//   kCategory; Commands, Creates (the commands that may leave the id empty), Events
//   State, kStateVersion: with a protobuf message as State there are snapshots of it, and
//     kStateVersion says what their bytes mean: bump it when Evolve or a field's meaning changes
//   Validate(const Command&, Violations&): form only, all violations at once
//   Decide(const Command&, const State&, const CommandContext&): pure
//   Evolve(State&, const Event&): total, it accepts every event in every state
// And, for commands of Creates that leave the id empty because a value names the aggregate:
//   Named(const Command&) -> ClaimName: the command goes to the aggregate that holds the claim, and
//     while nobody does to a new one, the same for all such commands of this name; its Decide takes
//     the claim then
// And, where events that are in logs are no longer written:
//   Upcasts: their types, none of them in Events
//   Upcast(const OldEvent&) -> Types<…>::List: pure and total, the events of Events that stand for
//     the old one now, in order; several where it was split, none where it no longer means anything
// The fold of the aggregate, of views and of reactors then gets these in its place, all of them
// with its position, version and metadata; what is stored never changes (docs/adr/0010).
template <class A, class Command>
concept Validates = requires(const Command& c, Violations& v) {
  { A::Validate(c, v) } -> std::same_as<void>;
};
template <class A, class Command>
concept Decides = requires(const Command& c, const typename A::State& s, const CommandContext& x) {
  { A::Decide(c, s, x) } -> std::same_as<Decision<typename A::Events>>;
};
template <class A, class Event>
concept Evolves = requires(typename A::State& s, const Event& e) {
  { A::Evolve(s, e) } -> std::same_as<void>;
};

template <class A, class Command>
concept NamesByClaim = requires(const Command& c) {
  { A::Named(c) } -> std::same_as<ClaimName>;
};

namespace internal {

template <class A>
struct UpcastsOf {
  using Type = Types<>;
};
template <class A>
requires requires { typename A::Upcasts; }
struct UpcastsOf<A> {
  using Type = typename A::Upcasts;
};

template <class List, class Events>
inline constexpr bool kIsListOf = false;
template <class... Es, class Events>
inline constexpr bool kIsListOf<std::vector<std::variant<Es...>>, Events> =
    (Events::template kContains<Es> && ...);

}  // namespace internal

// Types<> where A has no Upcasts.
template <class A>
using UpcastsOf = typename internal::UpcastsOf<A>::Type;
// Every type that may be in a stream of A.
template <class A>
using StoredEvents = Concat<typename A::Events, UpcastsOf<A>>;

template <class A, class Old>
concept UpcastsEvent = requires(const Old& e) {
  requires internal::kIsListOf<decltype(A::Upcast(e)), typename A::Events>;
};

template <class A>
concept Aggregate = std::default_initializable<typename A::State> &&
    std::convertible_to<decltype(A::kCategory), std::string_view> &&
    std::convertible_to<decltype(A::kStateVersion), int> && requires {
  typename A::Commands;
  typename A::Creates;
  typename A::Events;
};

// The compiler's message names the one overload that is missing.
template <Aggregate A>
constexpr void CheckComplete() {
  A::Commands::ForEach([]<class Command>() {
    static_assert(Validates<A, Command>,
                  "listed in Commands, but Validate(const Command&, Violations&) is missing");
    static_assert(Decides<A, Command>,
                  "listed in Commands, but Decide(const Command&, const State&, const "
                  "CommandContext&) is missing");
  });
  A::Events::ForEach([]<class Event>() {
    static_assert(Evolves<A, Event>,
                  "listed in Events, but Evolve(State&, const Event&) is missing");
  });
  UpcastsOf<A>::ForEach([]<class Old>() {
    static_assert(!A::Events::template kContains<Old>, "listed in both Events and Upcasts");
    static_assert(UpcastsEvent<A, Old>,
                  "listed in Upcasts, but Upcast(const Old&) -> Types<…>::List, all of them of "
                  "Events, is missing");
  });
}

// Folds one event into the state: an old one as those that stand for it now.
template <class A, class Event>
void EvolveBy(typename A::State& state, const Event& event) {
  if constexpr (UpcastsOf<A>::template kContains<Event>) {
    for (const auto& current : A::Upcast(event)) {
      std::visit([&](const auto& e) { A::Evolve(state, e); }, current);
    }
  } else {
    A::Evolve(state, event);
  }
}

}  // namespace leftfold
#endif  // CORE_AGGREGATE_H_
