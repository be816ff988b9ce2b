// The raw log: appends, alone and in sessions, reads and subscriptions, as gRPC brings them, over a
// log in memory. Each request is answered once, as the contract wants it, and the log stays whole.
#include <google/protobuf/descriptor.h>

#include "event_store/readers.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "rpc/status.h"
#include "server/command_session.h"
#include "server/store_service.h"
#include "tests/fuzz/surfaces.h"
#include "tests/fuzz/world.h"
#include "write_api/append_session.h"

namespace leftfold::fuzz {
namespace {

namespace v1 = store::v1;

constexpr std::uint8_t kLastToken = 0x40;   // The page after the one that was answered last.
constexpr std::uint8_t kFromHere = 0x01;    // Subscribe: after the head, with its chain value.
constexpr std::uint8_t kTimePasses = 0x02;  // Polls and heartbeats come before the next record.
constexpr std::uint8_t kClientGone = 0x08;  // The first write does not come through.
constexpr std::uint8_t kEngineFields =
    0x04;  // Else they are taken away, so that most appends pass.

class Server : public LogWorld {
 public:
  Server() {
    const auto serve = [](const absl::Status& served) {
      if (!served.ok()) Die(served.ToString());
    };
    serve(ServeStore(
        {.store = *store, .appender = appender_, .feeds = feeds_, .work = scheduler.Pool()},
        Wire::kToken, services));
    serve(
        ServeSessions(*v1::AppendSessionRequest::descriptor(), sessions_, Wire::kToken, services));
  }
  ~Server() { scheduler.DropAll(); }

  void Take(const google::protobuf::Descriptor& type, const Record& record) {
    Wire::Asks asks{.bytes = record.bytes,
                    .trusted = (record.flags & kTrusted) != 0,
                    .goes_away = (record.flags & kClientGone) != 0};
    Rewrite(type, asks.bytes,
            [&](google::protobuf::Message& request) { Prepare(request, record.flags); });
    const auto& method = RpcTaking(type);
    if (method.server_streaming() && !method.client_streaming()) {
      wire.Open(method, asks);
    } else {
      Look(wire.Call(method, asks));
    }
    wire.Pass((record.flags & kTimePasses) != 0 ? kSubscriptionHeartbeat : absl::ZeroDuration());
  }

  void End() {
    wire.CloseAll();
    if (feeds_.open() != 0) Die("feeds are left");
    ExpectWhole();
  }

 private:
  void Prepare(google::protobuf::Message& request, std::uint8_t flags) {
    if (auto* append = dynamic_cast<v1::AppendRequest*>(&request);
        append != nullptr && (flags & kEngineFields) == 0)
      append->clear_engine();
    if (auto* session = dynamic_cast<v1::AppendSessionRequest*>(&request);
        session != nullptr && (flags & kEngineFields) == 0) {
      for (auto& append : *session->mutable_appends()) append.mutable_append()->clear_engine();
    }
    if (auto* list = dynamic_cast<v1::ListStreamsRequest*>(&request);
        list != nullptr && (flags & kLastToken) != 0)
      list->set_page_token(token_);
    if (auto* subscribe = dynamic_cast<v1::SubscribeRequest*>(&request);
        subscribe != nullptr && (flags & kFromHere) != 0) {
      const Head head = store->GetHead();
      subscribe->set_after_position(head.position.value);
      subscribe->set_after_chain(std::string(AsBytes(head.chain)));
    }
  }
  void Look(const Wire::Messages& answers) {
    for (const auto& answer : answers) {
      if (const auto* list = dynamic_cast<const v1::ListStreamsResponse*>(answer.get()))
        token_ = list->next_page_token();
    }
  }

  RawAppender appender_{AllDomains(), *store, scheduler.Pool()};
  Feeds feeds_{*store, scheduler.Pool()};
  AppendSessionKind kind_{appender_, rpc::ToRpcStatus};
  Sessions sessions_{kind_};
  std::string token_;
};

}  // namespace

const Surface& TheSurface() {
  static const Surface surface = [] {
    Surface made;
    made.requests = RequestsOfStore();
    for (const auto* request : made.requests) HasRpc(RpcTaking(*request));
    made.words = {"note-1",
                  "note-2",
                  "note",
                  "room-oak",
                  "room",
                  "n",
                  "NoteTaken",
                  "c1",
                  "c2",
                  "colour",
                  "red",
                  "\"text\"",
                  "{\"a\":1}",
                  "reserve-x",
                  "note-",
                  "leftfold.rooms.v1.RoomCreated",
                  "room_name-x",
                  "0198c0de-0000-7000-8000-000000000001",
                  std::string(32, 'h')};
    for (const auto& [name, event] : AllDomains().events()) {
      made.payloads.push_back(event);
    }
    return made;
  }();
  return surface;
}

std::vector<Seed> Seeds() {
  const std::vector<std::string> appends = {
      "leftfold.store.v1.AppendRequest {records {stream: 'note-1' type: 'NoteTaken' json: '1' tags "
      "{key: 'colour' value: 'red'}} command_id: 'c1'}",
      "leftfold.store.v1.AppendRequest {records {stream: 'note-1' type: 'NoteTaken' json: '2'} "
      "records {stream: 'note-2' type: 'NoteTaken' json: '{}'} checks {stream: 'note-1' exact: 0} "
      "checks {stream: 'note-2' no_stream {}}}",
      "leftfold.store.v1.AppendRequest {records {stream: 'note-1' type: 'NoteTaken' json: '3'} "
      "condition {fail_if_events_match {types: 'NoteTaken' tags {key: 'colour' value: 'red'}} "
      "after_position: 1}}",
      "leftfold.store.v1.AppendRequest {records {stream: 'room-oak' message "
      "{[type.googleapis.com/leftfold.rooms.v1.RoomCreated] {name: 'Oak'}}}}",
      "leftfold.store.v1.AppendSessionRequest {appends {id: 1 append {records {stream: 'note-1' "
      "type: 'NoteTaken' json: '4'} command_id: 'c2'}} appends {id: 2 append {}}}",
      "leftfold.store.v1.GetCommandRequest {command_id: 'c1'}",
      "leftfold.store.v1.GetHeadRequest {}",
      "leftfold.store.v1.GetStreamRequest {stream: 'note-1'}",
      "leftfold.store.v1.ListStreamsRequest {page_size: 1}",
      "leftfold.store.v1.ListStreamsRequest {category: 'note' page_size: 1}",
  };
  std::vector<std::string> reads(appends.begin(), appends.begin() + 2);
  for (const std::string step :
       {"leftfold.store.v1.ReadStreamRequest {stream: 'note-1' version: 1 types: 'NoteTaken'}",
        "leftfold.store.v1.ReadStreamRequest {stream: 'note-1' time {seconds: 1767225600} "
        "direction: DIRECTION_BACKWARD max_count: 1 raw_metadata: true}",
        "leftfold.store.v1.ReadAllRequest {position: 1 filter {categories: 'note' stream_prefix: "
        "'note-' tags {key: 'colour' value: 'red'}}}",
        "leftfold.store.v1.ReadAllRequest {direction: DIRECTION_BACKWARD filter {items {types: "
        "'NoteTaken'}}}",
        "leftfold.store.v1.SubscribeRequest {after_position: 0 filter {types: 'NoteTaken'}}",
        "leftfold.store.v1.SubscribeRequest {end {} without_events: true}",
        "leftfold.store.v1.SubscribeRequest {time {seconds: 1} filter {stream: 'note-1'}}"}) {
    reads.push_back(step);
  }
  reads.push_back(appends[1]);
  return {
      {"appends", kTrusted, appends},
      {"untrusted", 0, appends},
      {"reads", kTimePasses, reads},
      {"from_here", kFromHere, reads},
      {"engine",
       kTrusted | kEngineFields,
       {"leftfold.store.v1.AppendRequest {records {stream: 'note-1' type: 'NoteTaken' raw_json: "
        "'1'} command_id: 'c1' engine {request_hash: '01234567890123456789012345678901' "
        "aggregate_id: '1' created_id: 'x'}}"}}};
}

void Run(const std::vector<Record>& records) {
  Server server;
  const auto& requests = TheSurface().requests;
  for (const Record& record : records)
    server.Take(*requests[record.choice % requests.size()], record);
  server.End();
}

}  // namespace leftfold::fuzz
