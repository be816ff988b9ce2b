// The raw log: appends, alone and in sessions, reads and subscriptions, through what the RPCs are
// served from over a log in memory. Each request is answered once, a refusal has a reason, what is
// read is what was asked for, and the log stays whole.
#include <google/protobuf/descriptor.h>

#include <set>

#include "event_store/readers.h"
#include "leftfold/rooms/v1/events.pb.h"
#include "rpc/status.h"
#include "server/store_service.h"
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
    0x04;                          // Else they are taken away, so that most appends pass.
constexpr int kWritesMax = 1'000;  // Of a feed in one run; more would never end.

using Sink = StreamSink<FeedSink, std::string>;

class AppendClient final : public SessionSink {
 public:
  void Read() override { reading = true; }
  void Write(const google::protobuf::Message& message) override {
    if (std::exchange(writing, true)) Die("a write while another is outstanding");
    for (const v1::SessionResult& result :
         static_cast<const v1::AppendSessionResponse&>(message).results()) {
      const auto it = awaited.find(result.id());
      if (it == awaited.end()) Die("an answer to no append, or a second one");
      awaited.erase(it);
    }
  }
  void Finish(const absl::Status&) override { ++finished; }
  bool reading = false;
  bool writing = false;
  int finished = 0;
  std::multiset<std::uint64_t> awaited;
};

class StoreWorld : public LogWorld {
 public:
  ~StoreWorld() { scheduler.DropAll(); }

  void Take(const google::protobuf::Message& request, const Record& record) {
    const auto* type = request.GetDescriptor();
    if (type == v1::AppendRequest::descriptor())
      return Append(As<v1::AppendRequest>(request), record);
    if (type == v1::AppendSessionRequest::descriptor())
      return Send(As<v1::AppendSessionRequest>(request), record);
    if (type == v1::GetCommandRequest::descriptor())
      return ExpectReason(GetCommand(*store, As<v1::GetCommandRequest>(request)).status());
    if (type == v1::GetHeadRequest::descriptor())
      return ExpectReason(GetHead(*store, As<v1::GetHeadRequest>(request)).status());
    if (type == v1::GetStreamRequest::descriptor())
      return ExpectReason(GetStream(*store, As<v1::GetStreamRequest>(request)).status());
    if (type == v1::ListStreamsRequest::descriptor())
      return List(As<v1::ListStreamsRequest>(request), record);
    if (type == v1::ReadStreamRequest::descriptor())
      return Read(OpenReadStream, As<v1::ReadStreamRequest>(request), record);
    if (type == v1::ReadAllRequest::descriptor())
      return Read(OpenReadAll, As<v1::ReadAllRequest>(request), record);
    Subscribe(As<v1::SubscribeRequest>(request), record);
  }

  void Settle() {
    scheduler.RunReady();
    for (Open& open : open_) {
      for (int n = 0; std::exchange(open.sink->writing, false); ++n) {
        if (n == kWritesMax) Die("a feed writes without end");
        open.feed->OnWritten(true);
        scheduler.RunReady();
      }
    }
  }

  void End() {
    for (Open& open : open_) open.feed->Cancel();
    Settle();
    for (const Open& open : open_) {
      if (open.sink->finished != 1) Die(fmt::format("{} ends of a feed", open.sink->finished));
    }
    if (feeds_.open() != 0) Die("feeds are left");
    ExpectWhole();
  }

 private:
  struct Open {
    std::shared_ptr<Sink> sink;
    std::shared_ptr<Feed> feed;
  };

  template <class Request>
  static const Request& As(const google::protobuf::Message& message) {
    return static_cast<const Request&>(message);
  }

  void Append(v1::AppendRequest request, const Record& record) {
    if ((record.flags & kEngineFields) == 0) request.clear_engine();
    int answers = 0;
    appender_.Append(request, CallerOf(record),
                     [&](const absl::StatusOr<v1::AppendReceipt>& receipt) {
                       ++answers;
                       ExpectReason(receipt.status());
                     });
    scheduler.RunReady();
    if (answers != 1) Die(fmt::format("{} answers to one append", answers));
  }

  // A session of one message, closed while it is answered.
  void Send(v1::AppendSessionRequest request, const Record& record) {
    AppendClient client;
    if ((record.flags & kEngineFields) == 0) {
      for (auto& append : *request.mutable_appends()) append.mutable_append()->clear_engine();
    }
    for (const auto& append : request.appends()) client.awaited.insert(append.id());
    auto session = sessions_.Open(CallerOf(record), {std::shared_ptr<void>(), &client});
    if (!session.ok()) return ExpectReason(session.status());
    (*session)->Start();
    if (!std::exchange(client.reading, false)) Die("a session that does not read");
    (*session)->OnRead(&request);
    if (std::exchange(client.reading, false)) (*session)->OnRead(nullptr);
    scheduler.RunReady();
    while (std::exchange(client.writing, false)) {
      (*session)->OnWritten(true);
      if (std::exchange(client.reading, false)) (*session)->OnRead(nullptr);
      scheduler.RunReady();
    }
    if (!client.awaited.empty()) Die("appends of a session without answer");
    if (client.finished != 1) Die(fmt::format("{} ends of a session", client.finished));
  }

  void List(v1::ListStreamsRequest request, const Record& record) {
    if ((record.flags & kLastToken) != 0) request.set_page_token(token_);
    const auto response = ListStreams(*store, request);
    ExpectReason(response.status());
    if (response.ok()) token_ = response->next_page_token();
  }

  template <class Request>
  void Read(absl::StatusOr<std::shared_ptr<Feed>> (*open)(Feeds&, const Request&,
                                                          std::shared_ptr<FeedSink>),
            const Request& request, const Record& record) {
    auto sink = std::make_shared<Sink>();
    auto feed = open(feeds_, request, sink);
    if (!feed.ok()) {
      if (sink->finished != 0 || sink->writing) Die("a refused feed that writes");
      return ExpectReason(feed.status());
    }
    (*feed)->Start();
    scheduler.RunReady();
    if ((record.flags & kClientGone) != 0 && std::exchange(sink->writing, false))
      (*feed)->OnWritten(false);
    open_.push_back({sink, *feed});
    Settle();
    if ((record.flags & kTimePasses) == 0) return;
    scheduler.RunFor(kSubscriptionHeartbeat);
    Settle();
  }

  void Subscribe(v1::SubscribeRequest request, const Record& record) {
    if ((record.flags & kFromHere) != 0) {
      const Head head = store->GetHead();
      request.set_after_position(head.position.value);
      request.set_after_chain(std::string(AsBytes(head.chain)));
    }
    Read(OpenSubscription, request, record);
  }

  RawAppender appender_{AllDomains(), *store, scheduler.Pool()};
  Feeds feeds_{*store, scheduler.Pool()};
  AppendSessionKind kind_{appender_, [](const absl::Status& status) {
                            ExpectReason(status);
                            return rpc::ToRpcStatus(status);
                          }};
  Sessions sessions_{kind_};
  std::vector<Open> open_;
  std::string token_;
};

}  // namespace

const Surface& TheSurface() {
  static const Surface surface = [] {
    Surface made;
    made.requests = {v1::AppendRequest::descriptor(),     v1::AppendSessionRequest::descriptor(),
                     v1::ReadStreamRequest::descriptor(), v1::ReadAllRequest::descriptor(),
                     v1::SubscribeRequest::descriptor(),  v1::GetCommandRequest::descriptor(),
                     v1::GetStreamRequest::descriptor(),  v1::ListStreamsRequest::descriptor(),
                     v1::GetHeadRequest::descriptor()};
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
  StoreWorld world;
  for (const Record& record : records) {
    const auto& requests = TheSurface().requests;
    const auto request = ParseRecord(*requests[record.choice % requests.size()], record);
    if (request == nullptr) continue;
    world.Take(*request, record);
    world.Settle();
  }
  world.End();
}

}  // namespace leftfold::fuzz
