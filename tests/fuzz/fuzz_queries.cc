// Queries and watches of all domains, as gRPC brings them, over views that the real projector
// folded from a workflow of each domain. Each query is answered once and each watch ends once, as
// the contract wants it.
#include <google/protobuf/descriptor.h>

#include "sql/view_file.h"
#include "tests/fuzz/read_world.h"
#include "tests/fuzz/surfaces.h"

namespace leftfold::fuzz {
namespace {

namespace pb = google::protobuf;

// Besides kTrusted, which means nothing here.
constexpr std::uint8_t kLastToken = 0x40;    // The page after the one that was answered last.
constexpr std::uint8_t kNoTimeLeft = 0x01;   // The client's deadline has passed.
constexpr std::uint8_t kHeartbeats = 0x02;   // Time passes before the next record.
constexpr std::uint8_t kServedAnew = 0x04;   // The view switches to a rebuilt file.
constexpr std::uint8_t kClientGone = 0x08;   // A watch's first write does not come through.
constexpr std::uint8_t kCancelsSoon = 0x10;  // A watch is cancelled before anything runs.

constexpr std::size_t kSteps = 6;  // Of an input.

struct Choice {
  const ViewEntry* view;
  const QueryEntry* query;
  const WatchEntry* watch;
};

std::vector<Choice> Choices() {
  std::vector<Choice> choices;
  for (const ViewEntry& view : AllDomains().views()) {
    for (const QueryEntry& query : view.queries) choices.push_back({&view, &query, nullptr});
    for (const WatchEntry& watch : view.watches) choices.push_back({&view, nullptr, &watch});
  }
  return choices;
}

// Made once: views do not change by being asked.
class ReadSide {
 public:
  static ReadSide& Get() {
    static ReadSide made;
    return made;
  }

  const Surface& surface() const { return surface_; }

  void Run(const std::vector<Record>& records) {
    std::string token;
    for (const Record& record : records) {
      const Choice& choice = choices_[record.choice % choices_.size()];
      const Wire::Asks asks{.bytes = record.bytes,
                            .no_time_left = (record.flags & kNoTimeLeft) != 0,
                            .goes_away = (record.flags & kClientGone) != 0,
                            .cancels_soon = (record.flags & kCancelsSoon) != 0};
      if (choice.query != nullptr) {
        token = Ask(*choice.query, asks, (record.flags & kLastToken) != 0 ? token : "");
      } else {
        world_.log.wire.Open(RpcTaking(*choice.watch->request), asks);
      }
      if ((record.flags & kServedAnew) != 0) {
        world_.pool.OnServing(
            choice.view->name,
            sql::ViewPath(world_.folder.path(), choice.view->name, {choice.view->version, 1}));
      }
      world_.log.wire.Pass((record.flags & kHeartbeats) != 0 ? read_api::kHeartbeatInterval
                                                             : absl::ZeroDuration());
    }
    world_.log.wire.CloseAll();
    if (world_.hub.open_watches() != 0) Die("watches are left");
  }

 private:
  ReadSide() {
    choices_ = Choices();
    surface_.words = StepWords();
    surface_.records_max = kSteps;
    surface_.requests = RequestsOfQueries(AllDomains());
    for (const auto* request : surface_.requests) HasRpc(RpcTaking(*request));
    for (const Choice& choice : choices_) {
      if (choice.query != nullptr) AddToken(choice);
    }
  }

  void AddToken(const Choice& choice) {
    std::unique_ptr<pb::Message> request(
        pb::MessageFactory::generated_factory()->GetPrototype(choice.query->request)->New());
    const auto* size = choice.query->request->FindFieldByName("page_size");
    if (size == nullptr) return;
    request->GetReflection()->SetInt32(request.get(), size, 1);
    const std::string token = Ask(*choice.query, {.bytes = request->SerializeAsString()}, "");
    if (!token.empty()) surface_.words.push_back(token);
  }

  // Its next page token.
  std::string Ask(const QueryEntry& query, Wire::Asks asks, const std::string& token) {
    if (token != "") {
      Rewrite(*query.request, asks.bytes,
              [&](pb::Message& request) { SetText(request, "page_token", token); });
    }
    const auto answers = world_.log.wire.Call(RpcTaking(*query.request), asks);
    return answers.empty() ? "" : TextIn(*answers[0], "next_page_token");
  }

  ReadWorld world_;
  std::vector<Choice> choices_;
  Surface surface_;
};

std::vector<std::string> EachOf(bool watches) {
  std::vector<std::string> steps;
  for (const Choice& choice : Choices()) {
    if ((choice.watch != nullptr) == watches)
      AddStepsOf(*(watches ? choice.watch->request : choice.query->request), steps);
  }
  return steps;
}

}  // namespace

const Surface& TheSurface() { return ReadSide::Get().surface(); }

std::vector<Seed> Seeds() {
  std::vector<Seed> seeds = {
      {"behind",
       kNoTimeLeft,
       {"leftfold.rooms.v1.GetRoomRequest {room_id: 'oak' min_position: '1000'}",
        "leftfold.rooms.v1.GetRoomRequest {room_id: 'oak' as_of_position: '3'}"}}};
  AddSeeds("queries", kLastToken, EachOf(false), kSteps, seeds);
  AddSeeds("watches", kHeartbeats, EachOf(true), kSteps, seeds);
  AddSeeds("served_anew", kServedAnew, EachOf(true), kSteps, seeds);
  return seeds;
}

void Run(const std::vector<Record>& records) { ReadSide::Get().Run(records); }

}  // namespace leftfold::fuzz
