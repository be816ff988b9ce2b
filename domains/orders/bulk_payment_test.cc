#include "domains/orders/bulk_payment.h"

#include <gtest/gtest.h>

#include "domains/orders/bulk_payments.h"
#include "testing/given.h"
#include "testing/no_money.h"
#include "testing/parse.h"

namespace leftfold::orders {
namespace {

using testing::Given;
using testing::GoldenFold;
using testing::Parse;

v1::PayAllOrdersRequest Wish() {
  return Parse<v1::PayAllOrdersRequest>(
      "customer_id: 'ada' method_type: 'card' payment_token: 'tok_1' card_last4: '4242'");
}
v1::BulkPaymentRequested Requested() {
  return Parse<v1::BulkPaymentRequested>(
      "customer_id: 'ada' method_type: 'card' payment_token: 'tok_1' card_last4: '4242'");
}
const char kCounts[] = "orders_begun: 3 orders_refused: 2 orders_left: 1";

TEST(BulkPayment, IsAskedForOnceWhoeverTheCustomerIs) {
  Given<BulkPayment>().When(Wish()).Then(Requested());
  const auto refusal =
      Given<BulkPayment>(Requested()).When(Wish()).ThenRejected("BULK_PAYMENT_EXISTS");
  EXPECT_EQ(refusal.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(refusal.metadata("bulk_payment_id"), "id-1");
}

TEST(BulkPayment, WantsACustomerAndAMethodThatIsNoCardNumber) {
  auto wish = Wish();
  wish.clear_customer_id();
  Given<BulkPayment>().When(wish).ThenInvalid("INVALID_ID");
  wish = Wish();
  for (const std::string& token : testing::NoPaymentTokens()) {
    wish.set_payment_token(token);
    Given<BulkPayment>().When(wish).ThenInvalid("INVALID_PAYMENT_METHOD");
  }
}

TEST(BulkPayment, HasItsCountsRecordedOnce) {
  const auto record = Parse<v1::RecordBulkPaymentBegunRequest>(kCounts);
  const auto begun = Parse<v1::BulkPaymentBegun>(kCounts);
  Given<BulkPayment>(Requested()).When(record).Then(begun);
  Given<BulkPayment>(Requested(), begun).When(record).Then();
  Given<BulkPayment>().When(record).ThenRejected("BULK_PAYMENT_NOT_FOUND");
}

TEST(BulkPayment, FoldsAsSnapshotsHaveIt) {
  GoldenFold<BulkPayment> fold;
  fold.Add(Requested()).Add(Parse<v1::BulkPaymentBegun>(kCounts));
  EXPECT_EQ(fold.Value(), "742775088e3c334c")
      << "Evolve or the state has changed: bump kStateVersion, then put the new value here";
  EXPECT_EQ(BulkPayment::kStateVersion, 1) << "bumped: put the number and the new value here";
}

TEST(BulkPayments, TellHowManyOrdersAWishReached) {
  testing::ViewFixture<BulkPayments> view("bulk_payment");
  const auto get = Parse<v1::GetBulkPaymentRequest>("bulk_payment_id: 'b1'");
  EXPECT_EQ(ReasonOf(view.Ask(get).status()), "BULK_PAYMENT_NOT_FOUND");
  view.Fold("b1", Requested());
  EXPECT_EQ(view.Ask(get)->bulk_payment().ShortDebugString(),
            "bulk_payment_id: \"b1\" customer_id: \"ada\" status: BULK_PAYMENT_STATUS_REQUESTED");
  view.Fold("b2", Requested());
  view.Fold("b1", Parse<v1::BulkPaymentBegun>(kCounts));
  EXPECT_EQ(view.Ask(get)->bulk_payment().ShortDebugString(),
            "bulk_payment_id: \"b1\" version: 1 customer_id: \"ada\" "
            "status: BULK_PAYMENT_STATUS_BEGUN orders_begun: 3 orders_refused: 2 orders_left: 1");
}

}  // namespace
}  // namespace leftfold::orders
