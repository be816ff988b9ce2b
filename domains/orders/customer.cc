#include "domains/orders/customer.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/text.h"

namespace leftfold::orders {
namespace {

void CheckUsername(const std::string& username, Violations& violations) {
  const bool valid = !username.empty() && username.size() <= kUsernameBytesMax &&
                     std::all_of(username.begin(), username.end(), [](unsigned char c) {
                       return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
                     });
  if (valid) return;
  violations.Add(v1::ERROR_REASON_INVALID_USERNAME, "username",
                 fmt::format("must be 1 to {} characters of A-Z a-z 0-9 . _ -", kUsernameBytesMax));
}

// With `more` events after the first one.
template <class... Es>
auto Registered(const std::string& username, const std::string& email, Es... more) {
  v1::CustomerRegistered registered;
  registered.set_username(username);
  registered.set_email(email);
  return Accept(std::move(registered), std::move(more)...)
      .Take(std::string(kUsernameScope), absl::AsciiStrToLower(username),
            Reject(v1::ERROR_REASON_USERNAME_TAKEN,
                   fmt::format("the username {} is taken; choose another", username),
                   {{"username", username}}));
}

absl::Status CustomerExists(const CommandContext& context) {
  return Reject(
      v1::ERROR_REASON_CUSTOMER_EXISTS,
      fmt::format("there is a customer {} already; take another id", context.aggregate_id),
      {{"customer_id", context.aggregate_id}});
}

}  // namespace

void Customer::Validate(const v1::RegisterCustomerRequest& command, Violations& violations) {
  CheckUsername(command.username(), violations);
  const std::string& email = command.email();
  if (email.empty() || (email.size() <= kEmailBytesMax && IsEmailAddress(email))) return;
  violations.Add(
      v1::ERROR_REASON_INVALID_EMAIL, "email",
      fmt::format("must be an e-mail address of at most {} bytes, or empty", kEmailBytesMax));
}

void Customer::Validate(const v1::EnterAppRequest& command, Violations& violations) {
  CheckUsername(command.username(), violations);
  if (!command.customer_id().empty()) {
    violations.Add("customer_id", "must be empty: the username finds the customer");
  }
}

ClaimName Customer::Named(const v1::EnterAppRequest& command) {
  return {std::string(kUsernameScope), absl::AsciiStrToLower(command.username())};
}

Customer::Decision Customer::Decide(const v1::RegisterCustomerRequest& command, const State& state,
                                    const CommandContext& context) {
  if (!state.username().empty()) return CustomerExists(context);
  return Registered(command.username(), command.email());
}

Customer::Decision Customer::Decide(const v1::EnterAppRequest& command, const State& state,
                                    const CommandContext& context) {
  v1::CustomerEntered entered;
  entered.set_session_id(context.NewId(0));
  const std::string session = entered.session_id();
  if (state.username().empty())
    return Registered(command.username(), "", std::move(entered)).Created(session);
  if (!absl::EqualsIgnoreCase(state.username(), command.username())) return CustomerExists(context);
  return Accept(std::move(entered)).Created(session);
}

void Customer::Evolve(State& state, const v1::CustomerRegistered& event) {
  state.set_username(event.username());
  state.set_email(event.email());
}

void Customer::Evolve(State&, const v1::CustomerEntered&) {}

}  // namespace leftfold::orders
