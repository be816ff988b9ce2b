#include "domains/orders/customer.h"

#include <gtest/gtest.h>

#include <string>

#include "testing/given.h"
#include "testing/parse.h"

namespace leftfold::orders {
namespace {

using testing::Given;
using testing::GoldenFold;

template <class Message>
Message OfCustomer(const std::string& username) {
  Message message;
  message.set_username(username);
  return message;
}

v1::CustomerRegistered AdaRegistered() { return OfCustomer<v1::CustomerRegistered>("Ada"); }

template <class Claims>
void ExpectTakes(const Claims& claims, const std::string& value) {
  ASSERT_EQ(claims.size(), 1U);
  EXPECT_EQ(claims[0].kind, Claim::Kind::kTake);
  EXPECT_EQ(claims[0].scope, "customer_username");
  EXPECT_EQ(claims[0].value, value);
  EXPECT_EQ(ReasonOf(claims[0].taken), "USERNAME_TAKEN");
  EXPECT_EQ(claims[0].taken.code(), absl::StatusCode::kAlreadyExists);
}

TEST(Customer, IsRegisteredOnceAndTakesTheUsernameInAnyCase) {
  const auto command = OfCustomer<v1::RegisterCustomerRequest>("Ada");
  const auto outcome = Given<Customer>().When(command);
  outcome.Then(AdaRegistered());
  ExpectTakes(outcome.decided().claims, "ada");
  const auto refusal =
      Given<Customer>(AdaRegistered()).When(command).ThenRejected("CUSTOMER_EXISTS");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refusal.metadata("customer_id"), "id-1");
}

TEST(Customer, MayHaveAnEmailAddress) {
  auto command = OfCustomer<v1::RegisterCustomerRequest>("Ada");
  auto registered = AdaRegistered();
  command.set_email("ada@example.org");
  registered.set_email("ada@example.org");
  Given<Customer>().When(command).Then(registered);
  for (const std::string& wrong :
       {std::string("ada"), std::string("a@b@c"), std::string("@example.org"), std::string("ada@"),
        std::string("ada@x\n"), std::string("<ada@x>"), std::string(kEmailBytesMax, 'x') + "@x"}) {
    command.set_email(wrong);
    Given<Customer>().When(command).ThenInvalid("INVALID_EMAIL");
  }
}

v1::CustomerEntered Entered(const std::string& session) {
  EXPECT_NE(session, "");
  v1::CustomerEntered entered;
  entered.set_session_id(session);
  return entered;
}

TEST(Customer, EntersUnderTheUsernameAndIsRegisteredTheFirstTime) {
  const auto first = Given<Customer>().When(OfCustomer<v1::EnterAppRequest>("Ada"));
  first.Then(AdaRegistered(), Entered(first.decided().created_id));
  ExpectTakes(first.decided().claims, "ada");
  const auto again = Given<Customer>(AdaRegistered(), v1::CustomerEntered())
                         .When(OfCustomer<v1::EnterAppRequest>("aDA"));
  again.Then(Entered(again.decided().created_id));
  EXPECT_TRUE(again.decided().claims.empty());
  Given<Customer>(AdaRegistered())
      .When(OfCustomer<v1::EnterAppRequest>("bob"))
      .ThenRejected("CUSTOMER_EXISTS");
  EXPECT_EQ(Customer::Named(OfCustomer<v1::EnterAppRequest>("aDA")).value, "ada");
  auto with_id = OfCustomer<v1::EnterAppRequest>("Ada");
  with_id.set_customer_id("c1");
  Given<Customer>().When(with_id).ThenInvalid("INVALID_FIELDS");
}

template <class Command>
void ExpectUsernameRules() {
  for (const char* username : {"", " ", "a b", "a\n", "\xC3\xA4", "a@b", "a/b"}) {
    Given<Customer>().When(OfCustomer<Command>(username)).ThenInvalid("INVALID_USERNAME");
  }
  const std::string longest(kUsernameBytesMax, 'x');
  EXPECT_TRUE(Given<Customer>().When(OfCustomer<Command>(longest)).result().ok());
  EXPECT_TRUE(Given<Customer>().When(OfCustomer<Command>("A.b_c-9")).result().ok());
  Given<Customer>().When(OfCustomer<Command>(longest + "x")).ThenInvalid("INVALID_USERNAME");
}

TEST(Customer, UsernamesAreChecked) {
  ExpectUsernameRules<v1::RegisterCustomerRequest>();
  ExpectUsernameRules<v1::EnterAppRequest>();
}

TEST(Customer, ItsStatesMeanWhatTheyMeantInSnapshots) {
  GoldenFold<Customer> fold;
  auto with_email = AdaRegistered();
  with_email.set_email("ada@example.org");
  fold.Add(with_email).Add(v1::CustomerEntered());
  EXPECT_EQ(fold.Value(), "c8aefcb05a50cacd")
      << "Evolve or the state has changed: bump kStateVersion, then put the new value here";
  EXPECT_EQ(Customer::kStateVersion, 2) << "bumped: put the number and the new value here";
}

}  // namespace
}  // namespace leftfold::orders
