// Earlier answers, folded from the log: the rooms' directory before a store in memory.
#include <gtest/gtest.h>

#include "core/registry.h"
#include "core/reject.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "read_api/as_of.h"
#include "testing/event_store_contract.h"

namespace leftfold::read_api {
namespace {

using rooms::v1::GetRoomRequest;
using rooms::v1::GetRoomResponse;

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

}  // namespace
}  // namespace leftfold::read_api
