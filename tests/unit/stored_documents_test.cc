// Folds that read what they stored: a document that does not decode stops the view, for the event
// would be passed over silently.
#include <gmock/gmock.h>

#include <set>

#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/payments/v1/events.pb.h"
#include "testing/temporary_folder.h"
#include "tests/unit/projector_fixture.h"

namespace leftfold::projecting {
namespace {

using ::testing::HasSubstr;

const Registry& AllDomains() {
  static const Registry* const kRegistry = [] {
    auto* registry = new Registry;
    RegisterAllDomains(*registry);
    return registry;
  }();
  return *kRegistry;
}

std::vector<std::string> BlobColumnsOf(sql::Connection& view) {
  std::vector<std::string> updates;
  for (Rows rows(view.Prepare(
           "SELECT 'UPDATE \"' || t.name || '\" SET \"' || c.name || '\" = x''FF''' "
           "FROM pragma_table_list AS t, pragma_table_info(t.name) AS c "
           "WHERE t.schema = 'main' AND t.type = 'table' AND c.type = 'BLOB' "
           "AND t.name NOT LIKE 'leftfold\\_%' ESCAPE '\\' AND t.name NOT LIKE 'room_text%'"));
       rows.Next();) {
    updates.push_back(rows.Text(0));
  }
  return updates;
}

class StoredDocuments : public ::testing::Test {
 protected:
  // Adds the event whose fold reads what those before it have stored.
  template <class Event>
  void ExpectStopAt(const std::string& view, const std::string& stream, const Event& event) {
    SCOPED_TRACE(view);
    tried_.insert(view);
    const testing::TemporaryFolder folder;
    auto opened = ViewRunner::Open(*AllDomains().FindView(view), store_, folder.path() + "/view.db",
                                   ViewRunner::Mode::kServing);
    ASSERT_TRUE(opened.ok()) << opened.status();
    ViewRunner& runner = **opened;
    const Position before = store_.GetHead().position;
    ASSERT_EQ(runner.Step(), ViewRunner::Progress::kFolded) << runner.stopped();
    const auto damages = BlobColumnsOf(runner.connection());
    EXPECT_FALSE(damages.empty());
    for (const std::string& damage : damages)
      ASSERT_TRUE(runner.connection().Run(damage).ok()) << runner.connection().status();
    store_.Add(stream, event);
    EXPECT_EQ(runner.Step(), ViewRunner::Progress::kStopped) << "it is passed over";
    EXPECT_THAT(std::string(runner.stopped().message()), HasSubstr("does not decode"));
    EXPECT_EQ(runner.checkpoint(), before);
    EXPECT_EQ(runner.parked_events(), 0) << "it is not the event's fault";
  }

  FakeStore store_;
  std::set<std::string> tried_;
};

TEST_F(StoredDocuments, ThatDoNotDecodeStopTheirView) {
  store_.AddNames({"oak"});
  ExpectStopAt("room_directory", "room-oak", rooms::v1::RoomRenamed());
  constexpr int kEventsBeforeAState = 256 - 1;
  store_.AddNames({"ash"});
  for (int i = 1; i < kEventsBeforeAState; ++i) store_.Add("room-ash", rooms::v1::RoomRenamed());
  ExpectStopAt("room_history", "room-ash", rooms::v1::RoomRenamed());
  store_.Add("order-o1", orders::v1::OrderPlaced());
  ExpectStopAt("order_directory", "order-o1", orders::v1::OrderPaid());
  store_.Add("order-o2", orders::v1::OrderPaymentDeclined());
  ExpectStopAt("order_errors", "order-o2", orders::v1::OrderPaymentDeclined());
  store_.Add("order-o3", orders::v1::OrderPaymentDeclined());
  ExpectStopAt("order_errors", "order-o3", orders::v1::OrderPaid());
  store_.Add("payment-p1", payments::v1::PaymentInitiated());
  ExpectStopAt("payment_directory", "payment-p1", payments::v1::PaymentSucceeded());

  // Whose folds write documents and never read one.
  tried_.insert({"agents", "restaurant_queue"});
  for (const ViewEntry& view : AllDomains().views()) {
    const auto memory = sql::OpenViewInMemory(view, Digest{});
    ASSERT_TRUE(memory.ok()) << memory.status();
    EXPECT_TRUE(BlobColumnsOf(**memory).empty() || tried_.contains(std::string(view.name)))
        << view.name << " stores documents: try it here";
  }
}

}  // namespace
}  // namespace leftfold::projecting
