#ifndef TESTS_UNIT_WRITE_API_FIXTURE_H_
#define TESTS_UNIT_WRITE_API_FIXTURE_H_

#include <absl/strings/str_split.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/reject.h"
#include "event_store/memory/memory_snapshots.h"
#include "testing/counter_domain.h"
#include "testing/environment.h"
#include "testing/event_store_contract.h"
#include "testing/forwarding_store.h"
#include "testing/virtual_scheduler.h"
#include "write_api/command_handler.h"
#include "write_api/snapshotter.h"

// What the command handler's tests share: a store whose commits can be held back or made to fail,
// and a domain whose commands take and release a claim, or need the token.
namespace leftfold::writing {

// Takes and releases a value by name; holding it again is accepted, with no event.
struct Badge {
  static constexpr std::string_view kCategory = "badge";
  using Commands = Types<rooms::v1::AcceptInvitationRequest, rooms::v1::DeclineInvitationRequest,
                         rooms::v1::ChangeDescriptionRequest, rooms::v1::LinkExternalRoomRequest>;
  using Creates = Types<rooms::v1::AcceptInvitationRequest>;
  using Events = Types<rooms::v1::InvitationAccepted, rooms::v1::InvitationDeclined,
                       rooms::v1::ExternalRoomLinked>;
  struct State {
    std::string held;
  };
  static constexpr int kStateVersion = 1;
  using Decision = leftfold::Decision<Events>;

  template <class Command>
  static void Validate(const Command& command, Violations& violations) {
    if (command.id().empty()) {
      violations.Add(rooms::v1::ERROR_REASON_INVALID_INVITEE_ID, "id", "must not be empty");
    }
  }
  static void Validate(const rooms::v1::ChangeDescriptionRequest&, Violations&) {}
  static void Validate(const rooms::v1::LinkExternalRoomRequest&, Violations&) {}

  // Without an id: the badge that has the value.
  static ClaimName Named(const rooms::v1::AcceptInvitationRequest& command) {
    return {"badge_id", command.id()};
  }

  static Decision Decide(const rooms::v1::AcceptInvitationRequest& command, const State& state,
                         const CommandContext&) {
    const absl::Status taken =
        Reject(rooms::v1::ERROR_REASON_ALREADY_DECIDED, "another badge has it");
    if (state.held == command.id()) return Accept().Take("badge_id", command.id(), taken);
    rooms::v1::InvitationAccepted accepted;
    accepted.set_id(command.id());
    return Accept(accepted).Take("badge_id", command.id(), taken);
  }
  static Decision Decide(const rooms::v1::DeclineInvitationRequest& command, const State& state,
                         const CommandContext&) {
    if (state.held != command.id()) {
      return Reject(rooms::v1::ERROR_REASON_NOT_INVITED, "this badge does not have it");
    }
    return Accept(rooms::v1::InvitationDeclined()).Release("badge_id", command.id());
  }
  // "+7 -7": takes and releases values in this order, with no event.
  static Decision Decide(const rooms::v1::ChangeDescriptionRequest& command, const State&,
                         const CommandContext&) {
    auto accepted = Accept();
    for (const absl::string_view step : absl::StrSplit(command.description(), ' ')) {
      const std::string value(step.substr(1));
      if (step.front() == '+') {
        accepted = std::move(accepted).Take(
            "badge_id", value,
            Reject(rooms::v1::ERROR_REASON_ALREADY_DECIDED, "another badge has it"));
      } else {
        accepted = std::move(accepted).Release("badge_id", value);
      }
    }
    return accepted;
  }
  static Decision Decide(const rooms::v1::LinkExternalRoomRequest&, const State&,
                         const CommandContext&) {
    return Accept(rooms::v1::ExternalRoomLinked());
  }

  static void Evolve(State& state, const rooms::v1::InvitationAccepted& event) {
    state.held = event.id();
  }
  static void Evolve(State& state, const rooms::v1::InvitationDeclined&) { state.held.clear(); }
  static void Evolve(State&, const rooms::v1::ExternalRoomLinked&) {}
};

// Passes everything on, but appends may be held back, refused, or overtaken by another writer.
class GatedStore final : public testing::ForwardingStore {
 public:
  GatedStore(EventStore& inner, Executor& completions)
      : ForwardingStore(inner), completions_(completions) {}

  // From now on appends wait here.
  void Hold() { holding_ = true; }
  // The first `count` of those that wait go on; the others and later ones still wait.
  void Pass(std::size_t count) {
    for (; count > 0; --count) PassOn(Take());
  }
  // The first one that waits is answered with `status`; nothing of it is stored.
  void Fail(const absl::Status& status) {
    Held held = Take();
    if (held.request.broken != nullptr) *held.request.broken = true;
    completions_.Post([done = std::move(held.done), status] { done(status); });
  }
  // All go on, and later ones do not wait.
  void Release() {
    holding_ = false;
    Pass(held_.size());
  }
  std::size_t held() const { return held_.size(); }

  void Append(AppendRequest request, AppendDone done) override {
    ++appends;
    if (before_append) before_append();
    held_.push_back({std::move(request), std::move(done)});
    if (!holding_) Pass(1);
  }
  absl::StatusOr<std::vector<RecordedEvent>> ReadStream(std::string_view stream,
                                                        const ReadStreamOptions& options) override {
    ++reads;
    if (!read_failure.ok()) return read_failure;
    auto events = store_.ReadStream(stream, options);
    if (events.ok()) events_read += events->size();
    return events;
  }
  absl::StatusOr<Version> StreamVersion(std::string_view stream) override {
    if (!read_failure.ok()) return read_failure;
    return store_.StreamVersion(stream);
  }

  int appends = 0;
  int reads = 0;                        // Of streams.
  std::size_t events_read = 0;          // By them.
  absl::Status read_failure;            // Of every such read.
  std::function<void()> before_append;  // What another writer does just before.

 private:
  struct Held {
    AppendRequest request;
    AppendDone done;
  };
  Held Take() {
    if (held_.empty()) Die("no append waits");
    Held held = std::move(held_.front());
    held_.pop_front();
    return held;
  }
  void PassOn(Held held) { store_.Append(std::move(held.request), std::move(held.done)); }

  Executor& completions_;
  bool holding_ = false;
  std::deque<Held> held_;
};

// A command on its way: what it was told, and how often.
struct Sent {
  absl::StatusOr<core::v1::CommandReceipt> answer = absl::UnknownError("not answered");
  int answers = 0;

  const absl::Status& status() const { return answer.status(); }
  std::string reason() const { return ReasonOf(answer.status()); }
};
using SentPtr = std::shared_ptr<Sent>;

// "oak v0 p2", "oak v0 p2 again", "VERSION_CONFLICT", "-" while there is no answer.
inline std::string Told(const SentPtr& sent) {
  if (sent->answers == 0) return "-";
  if (sent->answers > 1) return fmt::format("{} answers", sent->answers);
  if (!sent->answer.ok())
    return sent->reason().empty() ? sent->status().ToString() : sent->reason();
  const core::v1::CommandReceipt& receipt = *sent->answer;
  return fmt::format("{} v{} p{}{}", receipt.aggregate_id(), receipt.version(), receipt.position(),
                     receipt.duplicate() ? " again" : "");
}

inline rooms::v1::CreateRoomRequest Create(const std::string& id, const std::string& name) {
  rooms::v1::CreateRoomRequest command;
  command.set_room_id(id);
  command.set_name(name);
  return command;
}
inline rooms::v1::RenameRoomRequest Rename(const std::string& id, const std::string& name) {
  rooms::v1::RenameRoomRequest command;
  command.set_room_id(id);
  command.set_name(name);
  return command;
}
inline rooms::v1::DeleteRoomRequest Delete(const std::string& id) {
  rooms::v1::DeleteRoomRequest command;
  command.set_room_id(id);
  return command;
}
// The badge `id` takes `value`.
inline rooms::v1::AcceptInvitationRequest TakeValue(const std::string& id,
                                                    const std::string& value) {
  rooms::v1::AcceptInvitationRequest command;
  command.set_room_id(id);
  command.set_id(value);
  return command;
}
inline rooms::v1::DeclineInvitationRequest ReleaseValue(const std::string& id,
                                                        const std::string& value) {
  rooms::v1::DeclineInvitationRequest command;
  command.set_room_id(id);
  command.set_id(value);
  return command;
}
// The badge `id` takes and releases values in one decision, "+7 -7".
inline rooms::v1::ChangeDescriptionRequest Claims(const std::string& id, const std::string& steps) {
  rooms::v1::ChangeDescriptionRequest command;
  command.set_room_id(id);
  command.set_description(steps);
  return command;
}
template <class Command>
Command At(std::int64_t expected_version, Command command) {
  command.set_expected_version(expected_version);
  return command;
}
template <class Command>
Command WithId(const std::string& command_id, Command command) {
  command.set_command_id(command_id);
  return command;
}

// A handler on a store on virtual executors.
class WriteApi : public ::testing::Test {
 protected:
  explicit WriteApi(const testing::StoreKind& kind = testing::MemoryStore())
      : base_(kind, testing::SeedOr(1)) {
    registry_.Add<testing::Counter>();
    registry_.Add<Badge>();
    Start();
  }
  void Stop() {
    background_.DropAll();
    handler_.reset();
    snapshotter_.reset();
    store_.reset();
  }
  // A new handler, as after a restart.
  void Start() {
    Stop();
    store_ = std::make_unique<GatedStore>(base_.store(), base_.scheduler().Pool());
    snapshotter_ = std::make_unique<Snapshotter>(*store_, *snapshots_, background_.Pool());
    handler_ = std::make_unique<CommandHandler>(registry_, *store_, base_.clock(),
                                                base_.scheduler().Pool(), snapshotter_.get());
  }

  // Hands the command over; nothing runs yet.
  template <class Command>
  SentPtr Send(const Command& command, Caller caller = {}) {
    return SendTo(*handler_, command, std::move(caller));
  }
  template <class Command>
  SentPtr SendTo(CommandHandler& handler, const Command& command, Caller caller = {}) {
    auto sent = std::make_shared<Sent>();
    handler.Handle(EntryOf(*Command::descriptor()), std::make_unique<Command>(command),
                   std::move(caller), [sent](auto answer) {
                     ++sent->answers;
                     sent->answer = std::move(answer);
                   });
    return sent;
  }
  // Hands it over and runs until nothing is left to do but snapshots.
  template <class Command>
  SentPtr Do(const Command& command, Caller caller = {}) {
    SentPtr sent = Send(command, std::move(caller));
    Run();
    return sent;
  }
  void Run() { base_.scheduler().RunUntilIdle(); }
  void TakeSnapshots() { background_.RunUntilIdle(); }
  // Another writer of the log.
  void AppendDirectly(AppendRequest request) {
    base_.store().Append(std::move(request), [](const absl::StatusOr<Receipt>& receipt) {
      EXPECT_TRUE(receipt.ok()) << receipt.status();
    });
  }
  // "counter-oak@0 RoomCreated" of each event; claims are left out.
  std::vector<std::string> Log() {
    std::vector<std::string> lines;
    for (const RecordedEvent& event : base_.All()) {
      if (event.stream.starts_with("claim_")) continue;
      lines.push_back(fmt::format("{}@{} {}", event.stream, event.version.value,
                                  event.type.substr(event.type.rfind('.') + 1)));
    }
    return lines;
  }
  GatedStore& store() { return *store_; }
  SnapshotStore& snapshots() { return *snapshots_; }
  Snapshotter& snapshotter() { return *snapshotter_; }
  testing::VirtualScheduler& background() { return background_; }
  // From the next Start on.
  void UseSnapshots(std::unique_ptr<SnapshotStore> snapshots) {
    Stop();
    snapshots_ = std::move(snapshots);
  }
  testing::StoreOnScheduler& base() { return base_; }
  const Registry& registry() const { return registry_; }

 private:
  const CommandEntry& EntryOf(const google::protobuf::Descriptor& type) {
    for (const CommandEntry& entry : registry_.commands()) {
      if (entry.request == &type) return entry;
    }
    Die(fmt::format("{} is not registered", type.full_name()));
  }

  Registry registry_;
  testing::StoreOnScheduler base_;
  testing::VirtualScheduler background_{1};  // Of the snapshots alone.
  std::unique_ptr<SnapshotStore> snapshots_ = std::make_unique<MemorySnapshots>();
  std::unique_ptr<GatedStore> store_;
  std::unique_ptr<Snapshotter> snapshotter_;
  std::unique_ptr<CommandHandler> handler_;
};

}  // namespace leftfold::writing
#endif  // TESTS_UNIT_WRITE_API_FIXTURE_H_
