// Queries and watches of all domains through the real handlers, over views that the real projector
// folded from a workflow of each domain. Each query is answered once and each watch ends once, with
// a reason where it is refused.
#include <google/protobuf/descriptor.h>

#include <atomic>

#include "projector/projector.h"
#include "read_api/query_handler.h"
#include "read_api/watch_hub.h"
#include "sql/view_file.h"
#include "testing/temporary_folder.h"
#include "tests/fuzz/world.h"
#include "tests/integration/read_api_fixture.h"

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
constexpr int kWritesMax = 1'000;            // Of a watch in one run; more would never end.

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

using Sink = StreamSink<read_api::WatchSink, std::string_view>;

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
    std::vector<Watch> open;
    for (const Record& record : records) {
      const Choice& choice = choices_[record.choice % choices_.size()];
      const pb::Descriptor& type =
          *(choice.query != nullptr ? choice.query->request : choice.watch->request);
      auto request = ParseRecord(type, record);
      if (request == nullptr) continue;
      const absl::Duration time_left =
          (record.flags & kNoTimeLeft) != 0 ? absl::ZeroDuration() : absl::InfiniteDuration();
      if (choice.query != nullptr) {
        const auto* page = type.FindFieldByName("page_token");
        if ((record.flags & kLastToken) != 0 && page != nullptr)
          request->GetReflection()->SetString(request.get(), page, token);
        token = Ask(*choice.view, *choice.query, std::move(request), time_left);
      } else {
        open.push_back(Open(choice, std::move(request), time_left, record.flags));
      }
      if ((record.flags & kServedAnew) != 0) {
        pool_.OnServing(choice.view->name, sql::ViewPath(folder_.path(), choice.view->name,
                                                         {choice.view->version, 1}));
      }
      if ((record.flags & kHeartbeats) != 0) executor_.Advance(read_api::kHeartbeatInterval);
      for (Watch& watch : open) Settle(watch);
    }
    for (Watch& watch : open) {
      watch.watcher->Cancel();
      Settle(watch);
      if (watch.sink->finished != 1) Die(fmt::format("{} ends of a watch", watch.sink->finished));
    }
    if (hub_.open_watches() != 0) Die("watches are left");
  }

 private:
  struct Watch {
    std::shared_ptr<Sink> sink;
    std::shared_ptr<read_api::Watcher> watcher;
  };

  ReadSide() {
    CommandHandler handler(AllDomains(), *log_.store, log_.clock, log_.scheduler.Pool());
    for (const auto& steps : {RoomSteps(), OrderSteps()}) {
      for (const std::string& step : steps) {
        auto command = FromText(step);
        const CommandEntry* entry = AllDomains().FindCommand(command->GetDescriptor()->full_name());
        Caller caller;
        caller.trusted = true;
        SendCommand(log_, handler, *entry, std::move(command), caller);
      }
    }
    pool_.ForwardTo(&hub_);
    auto projector = Projector::Open(AllDomains(), *log_.store, log_.scheduler.Pool(), log_.clock,
                                     &pool_, folder_.path());
    if (!projector.ok()) Die(projector.status().ToString());
    (*projector)->Start();
    log_.scheduler.RunFor(absl::Seconds(10));
    executor_.Run();
    for (const ViewStatus& view : (*projector)->ListViews()) {
      if (view.checkpoint != log_.store->GetHead().position) Die(view.name + ": " + view.reason);
    }
    (*projector)->Stop();
    choices_ = Choices();
    surface_.words = StepWords();
    surface_.records_max = kSteps;
    for (const Choice& choice : choices_) {
      surface_.requests.push_back(choice.query != nullptr ? choice.query->request
                                                          : choice.watch->request);
      if (choice.query != nullptr) AddToken(choice);
    }
  }

  void AddToken(const Choice& choice) {
    std::unique_ptr<pb::Message> request(
        pb::MessageFactory::generated_factory()->GetPrototype(choice.query->request)->New());
    const auto* size = choice.query->request->FindFieldByName("page_size");
    if (size == nullptr) return;
    request->GetReflection()->SetInt32(request.get(), size, 1);
    const std::string token =
        Ask(*choice.view, *choice.query, std::move(request), absl::InfiniteDuration());
    if (!token.empty()) surface_.words.push_back(token);
  }

  // Its next page token.
  std::string Ask(const ViewEntry& view, const QueryEntry& query,
                  std::unique_ptr<pb::Message> request, absl::Duration time_left) {
    int answers = 0;
    std::string token;
    handler_.Handle(
        view, query, std::move(request), time_left, [&](const absl::StatusOr<Answer>& answer) {
          ++answers;
          ExpectReason(answer.status());
          if (!answer.ok()) return;
          const pb::Message& message = **answer;
          const auto* next = message.GetDescriptor()->FindFieldByName("next_page_token");
          if (next != nullptr) token = message.GetReflection()->GetString(message, next);
        });
    executor_.Run();
    if (answers == 0) executor_.Advance(read_api::kFreshnessWaitMax);
    if (answers != 1) Die(fmt::format("{} answers to one query", answers));
    return token;
  }

  Watch Open(const Choice& choice, std::unique_ptr<pb::Message> request, absl::Duration time_left,
             std::uint8_t flags) {
    Watch watch;
    watch.sink = std::make_shared<Sink>();
    watch.watcher =
        hub_.Open(*choice.view, *choice.watch, std::move(request), time_left, watch.sink);
    watch.watcher->Start();
    if ((flags & kCancelsSoon) != 0) watch.watcher->Cancel();
    executor_.Run();
    if ((flags & kClientGone) != 0 && std::exchange(watch.sink->writing, false))
      watch.watcher->OnWritten(false);
    return watch;
  }

  void Settle(Watch& watch) {
    executor_.Run();
    for (int n = 0; std::exchange(watch.sink->writing, false); ++n) {
      if (n == kWritesMax) Die("a watch writes without end");
      watch.watcher->OnWritten(true);
      executor_.Run();
    }
  }

  LogWorld log_;
  testing::TemporaryFolder folder_{testing::FolderInMemory()};
  read_api::ManualExecutor executor_;
  read_api::ViewPool pool_{AllDomains(), executor_};
  read_api::WatchHub hub_{AllDomains(), pool_, executor_};
  std::atomic<EventStore*> store_ = log_.store.get();
  read_api::QueryHandler handler_{AllDomains(), pool_,
                                  read_api::QueryHandler::Log{store_, executor_}};
  std::vector<Choice> choices_;
  Surface surface_;
};

// Each request once: as it is when empty, and with all that names something.
std::vector<std::string> EachOf(bool watches) {
  std::vector<std::string> steps;
  for (const Choice& choice : Choices()) {
    if ((choice.watch != nullptr) != watches) continue;
    const pb::Descriptor& type =
        *(choice.query != nullptr ? choice.query->request : choice.watch->request);
    std::string fields;
    const std::pair<std::string, std::string> values[] = {
        {"room_id", "'oak'"},   {"order_id", "'o1'"},         {"customer_id", "'ann'"},
        {"agent_id", "'bo'"},   {"restaurant_id", "'luigi'"}, {"payment_id", "'p1'"},
        {"page_size", "1"},     {"bulk_payment_id", "'b1'"},  {"text", "'hall'"},
        {"min_position", "'3'"}};
    for (const auto& [name, value] : values) {
      if (type.FindFieldByName(name) != nullptr) fields += fmt::format("{}: {} ", name, value);
    }
    steps.push_back(type.full_name() + " {}");
    steps.push_back(type.full_name() + " {" + fields + "}");
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
  const auto add = [&seeds](const std::string& name, std::uint8_t flags, bool watches) {
    const std::vector<std::string> all = EachOf(watches);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (i % kSteps == 0) seeds.push_back({fmt::format("{}_{}", name, i / kSteps), flags, {}});
      seeds.back().steps.push_back(all[i]);
    }
  };
  add("queries", kLastToken, false);
  add("watches", kHeartbeats, true);
  add("served_anew", kServedAnew, true);
  return seeds;
}

void Run(const std::vector<Record>& records) { ReadSide::Get().Run(records); }

}  // namespace leftfold::fuzz
