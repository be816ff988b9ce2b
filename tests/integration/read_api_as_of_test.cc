// Earlier answers, folded from the log, before a store in memory.
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "core/reject.h"
#include "leftfold/orders/v1/events.pb.h"
#include "leftfold/orders/v1/queries.pb.h"
#include "leftfold/payments/v1/events.pb.h"
#include "leftfold/payments/v1/queries.pb.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "read_api/as_of.h"
#include "sql/view_file.h"
#include "testing/event_store_contract.h"
#include "testing/parse.h"

namespace leftfold::read_api {
namespace {

using rooms::v1::GetRoomRequest;
using rooms::v1::GetRoomResponse;
using testing::Parse;

class AsOf : public ::testing::Test {
 protected:
  AsOf() {
    RegisterAllDomains(registry_);
    view_ = registry_.FindView("room_directory");
    for (const QueryEntry& query : view_->queries) {
      if (query.request == GetRoomRequest::descriptor()) query_ = &query;
    }
  }

  template <class Event>
  static NewEvent Recorded(const Event& event) {
    NewEvent added;
    added.type = Event::descriptor()->full_name();
    added.payload = event.SerializeAsString();
    return added;
  }
  static NewEvent Created(const std::string& name) {
    rooms::v1::RoomCreated created;
    created.set_name(name);
    return Recorded(created);
  }
  static NewEvent Renamed(const std::string& name) {
    rooms::v1::RoomRenamed renamed;
    renamed.set_name(name);
    return Recorded(renamed);
  }
  void Append(const std::string& stream, std::vector<NewEvent> events) {
    AppendRequest request;
    request.streams.push_back({.stream = stream, .events = std::move(events)});
    ASSERT_TRUE(store_.Append(std::move(request)).ok());
  }
  absl::StatusOr<Answer> Ask(const std::string& id, std::int64_t as_of) {
    GetRoomRequest request;
    request.set_room_id(id);
    return AnswerAsOf(*view_, *query_, request, Position{as_of}, store_.store());
  }
  // "Oak 3" for name and version, else the reason.
  std::string Told(const std::string& id, std::int64_t as_of) {
    const auto answer = Ask(id, as_of);
    if (!answer.ok()) return ReasonOf(answer.status());
    const auto& room = static_cast<const GetRoomResponse&>(**answer).room();
    return fmt::format("{} {}", room.name(), room.version());
  }

  Registry registry_;
  const ViewEntry* view_ = nullptr;
  const QueryEntry* query_ = nullptr;
  testing::StoreOnScheduler store_{testing::MemoryStore()};
};

TEST_F(AsOf, IsTheStateAfterTheLastEventUpToThePosition) {
  Append("room-oak", {Created("Oak")});
  Append("room-elm", {Created("Elm"), Renamed("Big Elm")});
  Append("room-oak", {Renamed("Big Oak"), Recorded(rooms::v1::RoomDeleted())});
  EXPECT_EQ(Told("oak", 0), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told("oak", 1), "Oak 0");
  EXPECT_EQ(Told("oak", 3), "Oak 0");
  EXPECT_EQ(Told("oak", 4), "Big Oak 1");
  EXPECT_EQ(Told("oak", 5), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told("elm", 1), "ROOM_NOT_FOUND");
  EXPECT_EQ(Told("elm", 2), "Elm 0");
  EXPECT_EQ(Told("elm", 5), "Big Elm 1");
}

TEST_F(AsOf, BeyondTheLogIsBehind) {
  Append("room-oak", {Created("Oak")});
  EXPECT_EQ(Told("oak", 2), "READ_MODEL_BEHIND");
}

TEST_F(AsOf, AStreamMayHaveSoManyEventsAndNoMore) {
  Append("room-oak", {Created("Oak")});
  std::int64_t events = 1;
  for (; events < static_cast<std::int64_t>(kAsOfEventsMax); ++events)
    Append("room-oak", {Renamed(fmt::format("Oak {}", events))});
  EXPECT_EQ(Told("oak", events), fmt::format("Oak {} {}", events - 1, events - 1));
  Append("room-oak", {Renamed("one too many")});
  EXPECT_EQ(Told("oak", events + 1), "LIMIT_EXCEEDED");
  EXPECT_EQ(Told("oak", events), fmt::format("Oak {} {}", events - 1, events - 1));
}

TEST_F(AsOf, WhatDoesNotDecodeIsToldAndNotPassedOver) {
  NewEvent broken = Renamed("Big Oak");
  broken.payload = "\xff";
  Append("room-oak", {Created("Oak"), broken});
  EXPECT_EQ(Told("oak", 1), "Oak 0");
  EXPECT_EQ(Told("oak", 2), "DATA_LOSS");
}

// Every query of one document, at every position, beside the view itself.
class AsOfEach : public AsOf {
 protected:
  // Domains of two documents of each kind, event by event in turn.
  AsOfEach() {
    using namespace orders::v1;    // NOLINT(google-build-using-namespace)
    using namespace payments::v1;  // NOLINT(google-build-using-namespace)
    for (const char* id : {"a", "b"}) {
      const auto at = [id](const std::string& category) { return category + "-" + id; };
      Append(at("restaurant"),
             {Recorded(Parse<RestaurantRegistered>("name: 'Roma' currency: 'EUR'")),
              Recorded(RestaurantOpened())});
      Append(at("order"), {Recorded(Parse<OrderPlaced>("customer_id: 'ada' restaurant_id: 'roma' "
                                                       "lines { item_id: 'pizza' qty: 2 }"))});
      Append(at("restaurant"),
             {Recorded(Parse<MenuItemAdded>("item_id: 'pizza' name: 'P' price_minor: 900")),
              Recorded(RestaurantClosed())});
    }
    for (const char* id : {"b", "a"}) {
      const auto at = [id](const std::string& category) { return category + "-" + id; };
      Append(at("order"),
             {Recorded(Parse<OrderValidated>(
                  "total_minor: 1800 currency: 'EUR' priced_lines { item_id: 'pizza' qty: 2 }")),
              Recorded(Parse<PaymentRequested>(
                  "payment_id: 'p' attempt_no: 1 amount_minor: 1800 method_type: 'card'"))});
      Append(at("bulk_payment"), {Recorded(Parse<BulkPaymentRequested>("customer_id: 'ada'"))});
      Append(at("payment"), {Recorded(Parse<PaymentInitiated>(
                                "payer_id: 'ada' amount_minor: 1800 currency: 'EUR' "
                                "purpose { kind: 'order' ref_id: 'a' } method_type: 'card'"))});
      Append(at("bulk_payment"),
             {Recorded(Parse<BulkPaymentBegun>("orders_begun: 3 orders_refused: 1"))});
      Append(at("payment"),
             {Recorded(Parse<PaymentSucceeded>("provider_ref: 'ch1' amount_minor: 1800")),
              Recorded(Parse<RefundInitiated>("refund_id: 'r1' amount_minor: 800"))});
      Append(at("order"), {Recorded(Parse<OrderPaid>("payment_id: 'p' amount_minor: 1800")),
                           Recorded(Parse<OrderRejected>("by: 'roma' reason: 'no flour'"))});
    }
  }

  static std::string Describe(const absl::StatusOr<leftfold::Answer>& answer) {
    return answer.ok() ? (*answer)->ShortDebugString() : ReasonOf(answer.status());
  }
  // What the view, which has folded all up to there, answers.
  std::string Live(const ViewEntry& view, const QueryEntry& query,
                   const google::protobuf::Message& request, std::int64_t position) {
    auto connection = sql::OpenViewInMemory(view, Digest{});
    EXPECT_TRUE(connection.ok() && (*connection)->Begin().ok());
    sql::ConnectionWriteTx tx(**connection);
    for (const RecordedEvent& event : store_.All()) {
      if (event.position.value > position) break;
      EXPECT_TRUE(view.fold(event, tx).ok()) << event.type;
    }
    sql::ConnectionReadTx reader(**connection);
    return Describe(query.answer(request, reader));
  }
  // `answers` different ones from the first to the last position.
  template <class Request>
  void ExpectAsTheViewWas(const std::string& request_text, std::size_t answers) {
    const auto request = Parse<Request>(request_text);
    SCOPED_TRACE(Request::descriptor()->name());
    for (const ViewEntry& view : registry_.views()) {
      for (const QueryEntry& query : view.queries) {
        if (query.request != Request::descriptor()) continue;
        ASSERT_NE(query.stream, nullptr);
        std::set<std::string> different;
        for (std::int64_t at = 0; at <= store_.store().GetHead().position.value; ++at) {
          const auto answer = AnswerAsOf(view, query, request, Position{at}, store_.store());
          EXPECT_EQ(Describe(answer), Live(view, query, request, at)) << "at " << at;
          different.insert(Describe(answer));
        }
        EXPECT_EQ(different.size(), answers);
        asked_.insert(query.request);
      }
    }
  }

  std::set<const google::protobuf::Descriptor*> asked_;
};

TEST_F(AsOfEach, IsAnsweredAsTheViewWasAtEachPosition) {
  Append("room-a", {Created("Oak"), Renamed("Elm")});
  ExpectAsTheViewWas<GetRoomRequest>("room_id: 'a'", 3);
  ExpectAsTheViewWas<orders::v1::GetOrderRequest>("order_id: 'a'", 6);
  ExpectAsTheViewWas<orders::v1::GetTimelineRequest>("order_id: 'a'", 6);
  ExpectAsTheViewWas<orders::v1::GetRestaurantRequest>("restaurant_id: 'a'", 5);
  ExpectAsTheViewWas<orders::v1::GetBulkPaymentRequest>("bulk_payment_id: 'a'", 3);
  ExpectAsTheViewWas<payments::v1::GetPaymentRequest>("payment_id: 'a'", 4);
  for (const ViewEntry& view : registry_.views()) {
    for (const QueryEntry& query : view.queries)
      EXPECT_TRUE(query.stream == nullptr || asked_.contains(query.request))
          << query.request->full_name() << " is not tried";
  }
}

}  // namespace
}  // namespace leftfold::read_api
