#ifndef DOMAINS_ORDERS_CUSTOMER_H_
#define DOMAINS_ORDERS_CUSTOMER_H_

#include <cstddef>
#include <string_view>

#include "core/aggregate.h"
#include "core/reject.h"
#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/state.pb.h"

namespace leftfold::orders {

inline constexpr std::size_t kUsernameBytesMax = 32;
inline constexpr std::size_t kEmailBytesMax = 254;
// Scope of the claim on usernames, in small letters. Never change: it is stored.
inline constexpr std::string_view kUsernameScope = "customer_username";

// Somebody who orders. The username is a claim: no two customers have the same.
struct Customer {
  static constexpr std::string_view kCategory = "customer";
  using Commands = Types<v1::RegisterCustomerRequest, v1::EnterAppRequest>;
  using Creates = Types<v1::RegisterCustomerRequest, v1::EnterAppRequest>;
  using Events = Types<v1::CustomerRegistered, v1::CustomerEntered>;
  using State = v1::CustomerState;
  static constexpr int kStateVersion = 2;  // Bump it when Evolve or the state's meaning changes.
  using Decision = leftfold::Decision<Events>;

  static void Validate(const v1::RegisterCustomerRequest& command, Violations& violations);
  static void Validate(const v1::EnterAppRequest& command, Violations& violations);

  // Who enters the app is found by the username.
  static ClaimName Named(const v1::EnterAppRequest& command);

  static Decision Decide(const v1::RegisterCustomerRequest& command, const State& state,
                         const CommandContext& context);
  static Decision Decide(const v1::EnterAppRequest& command, const State& state,
                         const CommandContext& context);

  static void Evolve(State& state, const v1::CustomerRegistered& event);
  static void Evolve(State& state, const v1::CustomerEntered& event);
};

}  // namespace leftfold::orders
#endif  // DOMAINS_ORDERS_CUSTOMER_H_
