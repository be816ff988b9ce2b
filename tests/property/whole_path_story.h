#ifndef TESTS_PROPERTY_WHOLE_PATH_STORY_H_
#define TESTS_PROPERTY_WHOLE_PATH_STORY_H_

#include <absl/strings/escaping.h>
#include <absl/strings/str_split.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/reject.h"
#include "domains/rooms/documents.h"
#include "domains/rooms/room.h"
#include "domains/rooms/room_fold.h"
#include "event_store/verify.h"
#include "leftfold/core/v1/reactions.pb.h"
#include "leftfold/rooms/v1/commands.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "tests/property/whole_path_fixture.h"
#include "tests/property/whole_path_reactor.h"

// Random stories of a server and its clients, and all that must be true of them.
namespace leftfold::rooms {
void Register(Registry& registry);
}

namespace leftfold::whole_path {

using testing::Must;
using testing::WholePath;

inline const Registry& Rooms() {
  static const Registry* const kRegistry = [] {
    auto* registry = new Registry;
    rooms::Register(*registry);
    return registry;
  }();
  return *kRegistry;
}

// All events. Of operators' decisions, which have no command id, without their random ids.
inline std::vector<std::string> LogInWords(EventStore& store) {
  std::vector<std::string> words;
  while (true) {
    const auto read = Must(store.ReadAll({.from = Position{std::ssize(words)}})).events;
    if (read.empty()) return words;
    for (const RecordedEvent& event : read) {
      const bool decided = event.type == core::v1::RetryRequested::descriptor()->full_name();
      words.push_back(fmt::format(
          "{} {} {} {} {} {} {}", event.stream, event.version.value, event.type,
          absl::FormatTime(event.recorded_at), decided ? "" : ToString(event.event_id),
          absl::BytesToHexString(event.payload), absl::BytesToHexString(event.metadata)));
    }
  }
}

// The log, folded beside the engines: each room after each of its events.
class Fold {
 public:
  explicit Fold(EventStore& store) {
    while (true) {
      auto read = Must(store.ReadAll({.from = Position{std::ssize(events)}})).events;
      if (read.empty()) break;
      std::move(read.begin(), read.end(), std::back_inserter(events));
    }
    for (std::size_t i = 0; i < events.size(); ++i) {
      const EventMeta meta{events[i]};
      EXPECT_EQ(events[i].position.value, i + 1);
      if (CategoryOf(events[i].stream) != rooms::Room::kCategory) continue;
      auto& states = rooms_[std::string(meta.aggregate_id())];
      EXPECT_EQ(events[i].version.value, states.size()) << events[i].stream;
      rooms::v1::Room room;
      if (!states.empty()) room = states.back().room;
      EXPECT_TRUE(Must(internal::Dispatch<rooms::Room::Events>(
          events[i], [&](const auto& event) { rooms::fold::Apply(room, event); })));
      rooms::Stamp(meta, room);
      states.push_back({meta.position(), std::move(room)});
      if (meta.metadata().actor() != Clerk::kActor)
        by_label_[meta.metadata().correlation_id()].push_back(&events[i]);
      TakeForClerk(events[i], meta);
    }
  }

  // The room when all up to `position` has been folded, if it is in use then.
  std::optional<rooms::v1::Room> InUseAt(const std::string& id, Position position) const {
    std::optional<rooms::v1::Room> found;
    for (const State& state : StatesOf(id)) {
      if (state.position <= position) found = state.room;
    }
    if (found && found->deleted()) found.reset();
    return found;
  }
  // Was the room out of use at some moment from `from` to `to`?
  bool MissingBetween(const std::string& id, Position from, Position to) const {
    if (!InUseAt(id, from)) return true;
    for (const State& state : StatesOf(id)) {
      if (state.position > from && state.position <= to && state.room.deleted()) return true;
    }
    return false;
  }
  const rooms::v1::Room* At(const std::string& id, std::int64_t version) const {
    const auto& states = StatesOf(id);
    return version >= 0 && version < std::ssize(states)
               ? &states[static_cast<std::size_t>(version)].room
               : nullptr;
  }
  std::map<std::string, std::string> AllInUse() const {
    std::map<std::string, std::string> all;
    for (const auto& [id, states] : rooms_) {
      if (!states.back().room.deleted()) all[id] = states.back().room.SerializeAsString();
    }
    return all;
  }
  // The events of the command with this label.
  std::vector<const RecordedEvent*> Of(const std::string& label) const {
    const auto it = by_label_.find(label);
    return it == by_label_.end() ? std::vector<const RecordedEvent*>() : it->second;
  }
  Position head() const { return Position{std::ssize(events)}; }

  std::deque<RecordedEvent> events;
  // What the clerk is to have done, and the rooms that it has made.
  struct Clerks {
    std::vector<std::string> rooms;
    std::vector<std::string> calls;
    std::map<std::string, std::vector<std::string>> in_order;  // Rooms made at once, by stream.
    std::vector<std::string> made;
  };
  const Clerks& clerks() const { return clerks_; }

 private:
  void TakeForClerk(const RecordedEvent& event, const EventMeta& meta) {
    const bool by_clerk = meta.metadata().actor() == Clerk::kActor;
    Clerk::Reacting::ForEach([&]<class Event>() {
      if (event.type != Event::descriptor()->full_name()) return;
      if constexpr (std::is_same_v<Event, rooms::v1::RoomCreated>) {
        if (by_clerk) clerks_.made.push_back(Parse<Event>(event).name());
      }
      if (by_clerk) return;
      clerks_.rooms.push_back(After(event.position));
      clerks_.in_order[event.stream].push_back(After(event.position));
      clerks_.calls.push_back(Called(event.position));
      if (std::is_same_v<Event, rooms::v1::RoomDeleted>)
        clerks_.rooms.push_back(Late(event.position));
      if (std::is_same_v<Event, rooms::v1::RoomRestored>)
        clerks_.rooms.push_back(Woken(event.position));
    });
  }
  template <class Event>
  static Event Parse(const RecordedEvent& event) {
    Event parsed;
    EXPECT_TRUE(parsed.ParseFromString(event.payload));
    return parsed;
  }
  struct State {
    Position position;
    rooms::v1::Room room;
  };
  const std::vector<State>& StatesOf(const std::string& id) const {
    static const std::vector<State> kNone;
    const auto it = rooms_.find(id);
    return it == rooms_.end() ? kNone : it->second;
  }

  std::map<std::string, std::vector<State>> rooms_;
  std::map<std::string, std::vector<const RecordedEvent*>> by_label_;
  Clerks clerks_;
};

// What clients know, in a file that outlives the process: lines of words.
class Diary {
 public:
  using Line = std::vector<std::string>;

  // With what was written before.
  Diary(const std::string& path, std::ostream& to) : to_(to) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) past_.push_back(absl::StrSplit(line, kTab));
  }
  const std::vector<Line>& past() const { return past_; }
  void Write(const Line& line) { to_ << fmt::format("{}", fmt::join(line, "\t")) << std::endl; }

  static std::unique_ptr<google::protobuf::Message> Message(const std::string& type,
                                                            const std::string& hex) {
    const auto* found =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(found)->New());
    EXPECT_TRUE(message->ParseFromString(absl::HexStringToBytes(hex)));
    return message;
  }
  template <class M>
  static M Message(const std::string& hex) {
    return static_cast<const M&>(*Message(M::descriptor()->full_name(), hex));
  }

 private:
  static constexpr char kTab = '\t';
  std::ostream& to_;
  std::vector<Line> past_;
};

// A command as a client knows it, sent once or more.
struct Sent {
  std::string label;  // In its events.
  std::string room;
  std::string id;  // "" when the server is to make one; then it is sent once.
  std::unique_ptr<google::protobuf::Message> command;
  int unanswered = 0;
  bool lost = false;  // An answer went down with a crash.
  std::optional<core::v1::CommandReceipt> receipt;
  int firsts = 0;  // Answers that say it was not a duplicate.
};

struct Asked {
  std::string room;
  Position min_position;
  Position head;  // When the answer came.
  Position applied;
  std::optional<rooms::v1::Room> answer;
};

// A client that watches one room or, as "", the list of all. It takes messages as the scheduler
// allows, and keeps what it has seen beyond a crash of the server.
class WatchClient final : public read_api::WatchSink,
                          public std::enable_shared_from_this<WatchClient> {
 public:
  struct Seen {
    rooms::v1::Room room;
    std::optional<Position> exactly;  // A document's is of its position; a list's may be newer.
  };

  WatchClient(std::string name, std::string room, std::vector<std::string>& trace, Diary* diary,
              bool may_fail)
      : name_(std::move(name)),
        room_(std::move(room)),
        trace_(trace),
        diary_(diary),
        may_fail_(may_fail) {}

  bool open() const { return watcher_ != nullptr; }
  const std::string& room() const { return room_; }
  const std::map<std::string, std::string>& documents() const { return documents_; }
  const std::vector<Seen>& seen() const { return seen_; }

  void Open(WholePath& path, bool resume) {
    path_ = &path;
    cancelled_ = false;
    const bool resumes = resume && last_ >= kBeforeFirst && !gone_;
    if (!resumes) {
      last_ = Position{-1};
      documents_.clear();
    }
    round_.clear();
    const std::string from = resumes ? fmt::to_string(last_.value) : "";
    if (room_.empty()) {
      rooms::v1::WatchRoomsRequest watch;
      watch.set_resume_position(from);
      watcher_ = path.Watch(watch, shared_from_this());
    } else {
      rooms::v1::WatchRoomRequest watch;
      watch.set_room_id(room_);
      watch.set_resume_position(from);
      watcher_ = path.Watch(watch, shared_from_this());
    }
    watcher_->Start();
  }
  void Cancel() {
    cancelled_ = true;
    watcher_->Cancel();
  }
  // The server is gone without a word.
  void Lose() {
    watcher_.reset();
    writing_ = false;
  }

  void Write(std::string_view message) override {
    EXPECT_TRUE(open()) << name_ << ": a message after the end";
    EXPECT_FALSE(writing_) << name_ << ": a second message at once";
    writing_ = true;
    const std::string bytes(message);
    if (room_.empty()) {
      rooms::v1::WatchRoomsResponse list;
      EXPECT_TRUE(list.ParseFromString(bytes));
      TakeOfList(list);
    } else {
      rooms::v1::WatchRoomResponse document;
      EXPECT_TRUE(document.ParseFromString(bytes));
      TakeDocument(document);
    }
    path_->scheduler().Pool().Post([self = shared_from_this(), watcher = watcher_] {
      self->writing_ = false;
      watcher->OnWritten(true);
    });
  }
  void Finish(const absl::Status& status) override {
    trace_.push_back(fmt::format("{} ends {}", name_, static_cast<int>(status.code())));
    EXPECT_TRUE(open()) << name_ << " ended twice";
    EXPECT_FALSE(writing_) << name_ << " ended during a write";
    const bool gone = !room_.empty() && (absl::IsNotFound(status) || status.ok());
    EXPECT_TRUE(gone || may_fail_ || (cancelled_ && absl::IsCancelled(status)))
        << name_ << ": " << status;
    EXPECT_FALSE(gone && documents_.contains(room_)) << name_ << " has not been told that it ends";
    gone_ = gone_ || gone;
    watcher_.reset();
  }

 private:
  void TakeDocument(const rooms::v1::WatchRoomResponse& message) {
    trace_.push_back(fmt::format("{} {}", name_, message.ShortDebugString()));
    const Position position{std::stoll(message.position())};
    if (message.heartbeat()) {
      EXPECT_GE(position, last_) << name_;
    } else {
      EXPECT_GT(position, last_) << name_;
      documents_.clear();
      gone_ = message.deleted();
      if (!gone_) Take(message.room(), position);
    }
    last_ = position;
  }
  void TakeOfList(const rooms::v1::WatchRoomsResponse& message) {
    trace_.push_back(fmt::format("{} {}", name_, message.ShortDebugString()));
    round_.push_back(message);
    if (message.position().empty()) return;
    const Position position{std::stoll(message.position())};
    EXPECT_GE(position, last_) << name_;
    last_ = position;
    if (message.snapshot_complete()) documents_.clear();
    for (const auto& part : std::exchange(round_, {})) {
      if (!part.removed_key().empty()) documents_.erase(part.removed_key());
      if (part.has_room()) Take(part.room(), std::nullopt);
    }
  }
  void Take(const rooms::v1::Room& room, std::optional<Position> exactly) {
    auto [version, is_new] = versions_.try_emplace(room.room_id(), room.version());
    EXPECT_GE(room.version(), version->second) << name_ << " went back";
    version->second = room.version();
    documents_[room.room_id()] = room.SerializeAsString();
    seen_.push_back({room, exactly});
    if (diary_ != nullptr) {
      diary_->Write({"seen", absl::BytesToHexString(room.SerializeAsString()),
                     exactly ? fmt::to_string(exactly->value) : ""});
    }
  }

  const std::string name_;
  const std::string room_;
  std::vector<std::string>& trace_;
  Diary* const diary_;
  const bool may_fail_;
  WholePath* path_ = nullptr;
  std::shared_ptr<read_api::Watcher> watcher_;
  bool writing_ = false;
  bool cancelled_ = false;
  bool gone_ = false;  // There is nothing to resume.
  Position last_{-1};
  std::vector<rooms::v1::WatchRoomsResponse> round_;  // Of a list, until its end.
  std::map<std::string, std::string> documents_;      // What the client believes.
  std::map<std::string, std::int64_t> versions_;      // The newest seen.
  std::vector<Seen> seen_;
};

// A server's data with all that happens to it.
class WholePathStory {
 public:
  struct Options {
    bool ids_always = false;  // Without ids of commands those of events are random.
    int switches = 0;         // So many views are rebuilt and rolled back, and 100 clients watch.
    WholePath::Through through = nullptr;
    bool* away = nullptr;  // Between each start and the end the log may be away.
    ReactorBug bug = ReactorBug::kNone;
    // The data is on a disk that may fail, and the story is one life of several: what clients were
    // told in all of them is in the diary.
    Diary* diary = nullptr;
    bool fails = false;
  };
  // All below `folder`; `start` is the data to begin with.
  WholePathStory(std::uint64_t seed, std::string folder, std::string start, Options options)
      : random_(seed), folder_(std::move(folder)), data_(std::move(start)), options_(options) {
    if (options_.diary != nullptr) Remember(options_.diary->past());
    Open();
    for (const char* room : {"", "", "ash", "elm", "oak", "oak"}) {
      clients_.push_back(
          std::make_shared<WatchClient>(fmt::format("watch{}:{}", clients_.size(), room), room,
                                        trace_, options_.diary, options_.fails));
    }
    while (options_.switches > 0 && clients_.size() < 100) {
      const std::string room = Chance(4) ? "" : RandomRoom();
      clients_.push_back(
          std::make_shared<WatchClient>(fmt::format("watch{}:{}", clients_.size(), room), room,
                                        trace_, options_.diary, options_.fails));
    }
  }
  ~WholePathStory() { Drop(); }

  void Live() {
    for (int i = 0; i < 400 || switched_ < options_.switches; ++i) {
      if (::testing::Test::HasFailure()) return;
      Act();
    }
    ExpectAll();
  }
  // Without an end, as a process lives until it is killed.
  void LiveOn(int acts) {
    while (acts-- > 0 && !::testing::Test::HasFailure()) Act();
  }
  // Nothing fails any more: all that was ever answered, shown or done is true.
  void ExpectAll() {
    stepped_.reset();
    if (options_.away != nullptr) *options_.away = false;
    Settle();
    LetClerkFinish();
    const Fold fold(path_->store());
    ExpectEffectsOnce(fold);
    for (const auto& client : clients_) ExpectUpToDate(*client, fold);
    for (const auto& client : clients_) {
      if (!client->open()) client->Open(*path_, Chance(2));
    }
    Settle();
    ExpectTrue(seen_before_, fold);
    for (const auto& client : clients_) {
      const bool stays =
          client->room().empty() || fold.InUseAt(client->room(), fold.head()).has_value();
      EXPECT_EQ(client->open(), stays) << "watch of '" << client->room() << "'";
      ExpectUpToDate(*client, fold);
      ExpectTrue(client->seen(), fold);
    }
    ExpectLogAsAcknowledged(fold);
    ExpectSameAnswersAgain(fold);
    ExpectAnswersAsFolded(fold);
    ExpectViewsAsRebuilt();
    ExpectIdle();
  }

  const std::vector<std::string>& trace() const { return trace_; }
  EventStore& store() { return path_->store(); }
  int crashes() const { return crashes_; }
  std::size_t effects() const { return outside_.done().size(); }
  std::size_t answers() const { return asked_.size(); }

 private:
  std::uint64_t Pick(std::uint64_t n) { return random_() % n; }
  bool Chance(std::uint64_t one_in) { return Pick(one_in) == 0; }

  void Open() {
    if (options_.away != nullptr) *options_.away = false;
    path_ = std::make_unique<WholePath>(Rooms(), clock_, data_, random_(), options_.through);
    clock_.Follow(&path_->scheduler());
    clerk_ = std::make_unique<ReactorSide>(
        *path_, Rooms(), clock_, data_ + "/reactors", random_(), options_.bug,
        [this](const std::string& key, const std::string& what) {
          trace_.push_back(fmt::format("outside {} {}", key, what));
          Tell({"done", key, what});
          outside_.Take(key, what);
        });
    if (options_.away != nullptr) *options_.away = true;
  }
  void Crash() {
    ++crashes_;
    if (Chance(2) && options_.diary == nullptr) {
      // The files as a killed process leaves them: nothing was closed.
      const std::string left = fmt::format("{}/left-{}", folder_, crashes_);
      std::filesystem::copy(data_, left, std::filesystem::copy_options::recursive);
      data_ = left;
    }
    Drop();
  }
  void Drop() {
    stepped_.reset();
    clock_.Follow(nullptr);
    if (path_ != nullptr) path_->scheduler().DropAll();
    clerk_.reset();
    path_.reset();
    for (const auto& client : clients_) client->Lose();
    for (Sent& sent : sent_) sent.lost |= std::exchange(sent.unanswered, 0) > 0;
    queries_open_ = 0;
  }

  void Act() {
    switch (Pick(42)) {
      case 0:
        if (!Chance(3)) return;
        trace_.emplace_back("crash");
        Crash();
        return Open();
      case 1:
        return clock_.Advance(absl::Milliseconds(static_cast<std::int64_t>(Pick(90'000)) - 20'000));
      case 2:
      case 3:
        return ActAsWatcher(*clients_[Pick(clients_.size())]);
      case 4:
        if (options_.switches == 0 && !Chance(3)) return;
        return StartRebuild();
      case 5:
        return Ask(RandomRoom(), acknowledged_);
      case 6:
      case 7:
      case 8:
        return SendAgain();
      case 9:
      case 10:
      case 11:
      case 12:
      case 13:
      case 14:
        return SendNew();
      case 15:
        if (options_.switches > 0) return StepRollback();
        return Step();
      case 16:
        return clerk_->RetryAll();
      default:
        return Step();
    }
  }
  void Step() { path_->scheduler().RunOne(); }

  void ActAsWatcher(WatchClient& client) {
    if (!client.open()) {
      client.Open(*path_, Chance(2));
    } else if (Chance(4)) {
      client.Cancel();
    }
  }

  std::string RandomRoom() {
    static constexpr const char* kRooms[] = {"ash", "elm", "oak"};
    return kRooms[Pick(std::size(kRooms))];
  }
  std::string RandomName() { return fmt::format("name {}", Pick(3)); }

  template <class Command>
  std::unique_ptr<Command> To(const std::string& room, const std::string& id) {
    auto command = std::make_unique<Command>();
    command->set_room_id(room);
    command->set_command_id(id);
    if (Chance(5)) command->set_expected_version(versions_[room] - (Chance(3) ? 1 : 0));
    return command;
  }
  std::unique_ptr<google::protobuf::Message> RandomCommand(const std::string& room,
                                                           const std::string& id) {
    switch (Pick(12)) {
      case 0: {
        auto create = To<rooms::v1::CreateRoomRequest>(room, id);
        create->set_name(RandomName());
        return create;
      }
      case 1: {
        auto schedule = To<rooms::v1::ScheduleSessionRequest>(room, id);
        if (id.empty() || Chance(2)) schedule->set_schedule_id(fmt::format("s{}", Pick(3)));
        schedule->set_cron(fmt::format("0 {} * * *", Pick(24)));
        schedule->set_duration_minutes(Chance(2) ? 30 : 90);
        return schedule;
      }
      case 2:
      case 3: {
        auto invite = To<rooms::v1::InviteRequest>(room, id);
        for (auto n = 1 + Pick(3); n > 0; --n) {
          rooms::v1::Invitee& invitee = *invite->add_invitees();
          invitee.set_type("user");
          invitee.set_id(fmt::format("u{}", Pick(6)));
        }
        return invite;
      }
      case 4:
      case 5: {
        auto accept = To<rooms::v1::AcceptInvitationRequest>(room, id);
        accept->set_type("user");
        accept->set_id(fmt::format("u{}", Pick(6)));
        return accept;
      }
      case 6:
        return To<rooms::v1::DeleteRoomRequest>(room, id);
      case 7:
      case 8:
        return To<rooms::v1::RestoreRoomRequest>(room, id);
      default: {
        auto rename = To<rooms::v1::RenameRoomRequest>(room, id);
        rename->set_name(RandomName());
        return rename;
      }
    }
  }

  void SendNew() {
    Sent& sent = sent_.emplace_back();
    sent.label = fmt::format("c{}", sent_.size());
    sent.room = RandomRoom();
    if (options_.ids_always || !Chance(4)) sent.id = "id-" + sent.label;
    // With other content: at most one of the two may be carried out.
    const bool reused = Chance(20);
    if (reused) sent.id = sent_[Pick(sent_.size())].id;
    sent.command = sent_.size() <= 3 ? CreateFirst(sent) : RandomCommand(sent.room, sent.id);
    if (reused && SentBefore(sent)) return sent_.pop_back();
    Send(sent);
  }
  std::unique_ptr<google::protobuf::Message> CreateFirst(const Sent& sent) {
    auto create = std::make_unique<rooms::v1::CreateRoomRequest>();
    create->set_room_id(sent.room);
    create->set_command_id(sent.id);
    create->set_name(RandomName());
    return create;
  }
  bool SentBefore(const Sent& sent) const {
    return std::any_of(sent_.begin(), std::prev(sent_.end()), [&](const Sent& other) {
      return other.command->GetDescriptor() == sent.command->GetDescriptor() &&
             other.command->SerializeAsString() == sent.command->SerializeAsString();
    });
  }
  void SendAgain() {
    if (sent_.empty()) return;
    Sent& sent = sent_[sent_.size() - 1 - Pick(std::min<std::size_t>(sent_.size(), 12))];
    if (!sent.id.empty()) Send(sent);
  }
  void Send(Sent& sent) {
    ++sent.unanswered;
    Tell({"sent", sent.label, sent.room, sent.id, sent.command->GetDescriptor()->full_name(),
          absl::BytesToHexString(sent.command->SerializeAsString())});
    Caller caller;
    caller.correlation_id = sent.label;
    path_->Command(*sent.command, caller, [this, &sent](auto answer) { Answered(sent, answer); });
  }
  void Answered(Sent& sent, const absl::StatusOr<core::v1::CommandReceipt>& answer) {
    --sent.unanswered;
    Tell({"answered", sent.label,
          answer.ok() ? absl::BytesToHexString(answer->SerializeAsString()) : ""});
    trace_.push_back(
        fmt::format("{} {}", sent.label,
                    answer.ok() ? answer->ShortDebugString() : ToStd(answer.status().message())));
    const std::int64_t durable = Must(path_->store().StreamVersion("room-" + sent.room)).value;
    if (!answer.ok()) {
      const bool failed = options_.fails && ReasonOf(answer.status()) == "";
      EXPECT_TRUE(failed || ReasonOf(answer.status()) != "") << answer.status();
      // A disk that fails may keep the receipt from who asks for it again.
      EXPECT_TRUE(failed || !sent.receipt.has_value())
          << sent.label << " was accepted: " << answer.status();
      // Nobody is refused for what may still not come true.
      if (ReasonOf(answer.status()) == "ROOM_EXISTS") {
        EXPECT_GE(durable, 0) << sent.label;
      } else if (ReasonOf(answer.status()) == "VERSION_CONFLICT") {
        EXPECT_GE(durable, std::stoll(MetadataOf(answer.status(), "actual"))) << sent.label;
      }
      return;
    }
    const Position position{std::stoll(answer->position())};
    EXPECT_LE(position, path_->store().GetHead().position) << sent.label << " is not durable";
    EXPECT_LE(answer->version(), durable) << sent.label << " is not durable";
    Accepted(sent, *answer);
    if (Chance(2)) Ask(sent.room, position, answer->version());
  }

  void Accepted(Sent& sent, const core::v1::CommandReceipt& receipt) {
    if (!sent.receipt) sent.receipt = receipt;
    EXPECT_EQ(receipt.position(), sent.receipt->position()) << sent.label;
    EXPECT_EQ(receipt.version(), sent.receipt->version()) << sent.label;
    if (!receipt.duplicate()) ++sent.firsts;
    std::int64_t& version = versions_.try_emplace(sent.room, -1).first->second;
    version = std::max(version, receipt.version());
    acknowledged_ = std::max(acknowledged_, Position{std::stoll(receipt.position())});
  }

  // Of earlier lives.
  void Remember(const std::vector<Diary::Line>& past) {
    for (const Diary::Line& line : past) {
      if (line[0] == "life") clock_.Advance(absl::Minutes(1));
      if (line[0] == "done") outside_.Take(line[1], line[2]);
      if (line[0] == "seen") {
        seen_before_.push_back({Diary::Message<rooms::v1::Room>(line[1]), std::nullopt});
        if (line[2] != "") seen_before_.back().exactly = Position{std::stoll(line[2])};
      }
      if (line[0] != "sent" && line[0] != "answered") continue;
      const auto known = std::find_if(sent_.begin(), sent_.end(),
                                      [&](const Sent& sent) { return sent.label == line[1]; });
      Sent& sent = known != sent_.end() ? *known : sent_.emplace_back();
      if (line[0] == "sent") {
        sent.label = line[1];
        sent.room = line[2];
        sent.id = line[3];
        sent.command = Diary::Message(line[4], line[5]);
        ++sent.unanswered;
      } else {
        --sent.unanswered;
        if (line[2] != "") Accepted(sent, Diary::Message<core::v1::CommandReceipt>(line[2]));
      }
    }
    for (Sent& sent : sent_) sent.lost = std::exchange(sent.unanswered, 0) > 0;
  }
  void Tell(const Diary::Line& line) {
    if (options_.diary != nullptr) options_.diary->Write(line);
  }

  // At `min_position` the room has at least this version.
  void Ask(const std::string& room, Position min_position, std::int64_t version = -1) {
    rooms::v1::GetRoomRequest get;
    get.set_room_id(room);
    get.set_min_position(fmt::to_string(min_position.value));
    ++queries_open_;
    path_->Query(get, [=, this](absl::StatusOr<Answer> answer) {
      --queries_open_;
      Asked asked{room, min_position, path_->store().GetHead().position, kBeforeFirst, {}};
      trace_.push_back(fmt::format(
          "get {} {}", room,
          answer.ok() ? (*answer)->ShortDebugString() : ToStd(answer.status().message())));
      if (answer.ok()) {
        const auto& found = static_cast<const rooms::v1::GetRoomResponse&>(**answer);
        asked.answer = found.room();
        asked.applied = Position{std::stoll(found.applied_position())};
        EXPECT_GE(found.room().version(), version) << room << " at " << min_position.value;
      } else if (ReasonOf(answer.status()) != "ROOM_NOT_FOUND") {
        EXPECT_TRUE(options_.fails) << answer.status();
        return;
      }
      asked_.push_back(std::move(asked));
    });
  }

  // Queries and watches go on meanwhile.
  void StartRebuild() {
    const std::string view(Rooms().views()[Pick(Rooms().views().size())].name);
    const RebuildAction action = Chance(3) ? RebuildAction::kVerify : RebuildAction::kSwitch;
    const auto done = [this, view, action](const absl::StatusOr<RebuildProgress>& progress) {
      trace_.push_back(fmt::format("rebuilt {}", view));
      if (options_.away != nullptr && ReasonOf(progress.status()) == "STORE_UNREACHABLE") return;
      if (options_.fails && !progress.ok()) return;
      ASSERT_TRUE(progress.ok()) << view << ": " << progress.status();
      EXPECT_EQ(progress->difference, "") << view;
      if (action == RebuildAction::kSwitch) ++switched_;
    };
    const auto started = path_->projector().StartRebuild(view, action, kBeforeFirst,
                                                         {[](const RebuildProgress&) {}, done});
    if (!started.ok() && !options_.fails &&
        !(options_.away != nullptr && absl::IsUnavailable(started.status()))) {
      EXPECT_EQ(ReasonOf(started.status()), "REBUILD_RUNNING") << started.status();
    }
  }

  // Back to the generation before, where there is one.
  void StepRollback() {
    if (stepped_ == nullptr) {
      const std::string_view view = Rooms().views()[Pick(Rooms().views().size())].name;
      auto rollback = path_->projector().NewRollback(view);
      if (rollback.ok()) stepped_ = *std::move(rollback);
      return;
    }
    const auto progress = stepped_->Step();
    ASSERT_TRUE(progress.ok()) << progress.status();
    if (!progress->finished) return;
    ++switched_;
    stepped_.reset();
  }

  // Until only heartbeats are left.
  void Settle() {
    path_->scheduler().RunFor(absl::Minutes(1));
    for (const Sent& sent : sent_) EXPECT_EQ(sent.unanswered, 0) << sent.label;
    EXPECT_EQ(queries_open_, 0);
  }

  // Nothing more gets lost, and operators have all retried that is parked.
  void LetClerkFinish() {
    constexpr int kRounds = 30;
    clerk_->CalmDown();
    for (int round = 0; round < kRounds; ++round) {
      clerk_->RetryAll();
      Settle();
      const ReactorStatus status = clerk_->Status();
      if (status.waiting == 0 && status.timers == 0 && status.parked_keys == 0) break;
    }
    const ReactorStatus status = clerk_->Status();
    EXPECT_EQ(status.state, ReactorState::kLive) << status.reason;
    EXPECT_EQ(status.checkpoint, path_->store().GetHead().position);
    EXPECT_EQ(status.waiting + status.timers + status.parked_keys, 0);
  }
  // In the log, outside, and in what the clerk was told.
  void ExpectEffectsOnce(const Fold& fold) {
    const auto sorted = [](std::vector<std::string> all) {
      std::sort(all.begin(), all.end());
      return all;
    };
    const Fold::Clerks& clerks = fold.clerks();
    EXPECT_EQ(sorted(clerks.made), sorted(clerks.rooms));
    EXPECT_EQ(sorted(outside_.done()), sorted(clerks.calls));
    std::vector<std::string> told = clerks.rooms;
    told.insert(told.end(), clerks.calls.begin(), clerks.calls.end());
    EXPECT_EQ(sorted(clerk_->Notes()), sorted(told));
    for (const auto& [stream, in_order] : clerks.in_order) {
      std::vector<std::string> made;
      for (const std::string& name : clerks.made) {
        if (std::find(in_order.begin(), in_order.end(), name) != in_order.end())
          made.push_back(name);
      }
      EXPECT_EQ(made, in_order) << stream;
    }
  }

  void ExpectUpToDate(const WatchClient& client, const Fold& fold) {
    if (!client.open()) return;
    std::map<std::string, std::string> expected = fold.AllInUse();
    if (!client.room().empty()) {
      std::erase_if(expected, [&](const auto& room) { return room.first != client.room(); });
    }
    EXPECT_EQ(client.documents(), expected) << "watch of '" << client.room() << "'";
  }
  // All that a client has ever seen was so.
  void ExpectTrue(const std::vector<WatchClient::Seen>& seen, const Fold& fold) {
    for (const auto& [room, exactly] : seen) {
      const rooms::v1::Room* folded = fold.At(room.room_id(), room.version());
      ASSERT_NE(folded, nullptr) << room.ShortDebugString();
      EXPECT_EQ(room.SerializeAsString(), folded->SerializeAsString());
      if (!exactly) continue;
      const auto then = fold.InUseAt(room.room_id(), *exactly);
      ASSERT_TRUE(then.has_value()) << room.ShortDebugString();
      EXPECT_EQ(room.version(), then->version()) << "at " << exactly->value;
    }
  }

  void ExpectLogAsAcknowledged(const Fold& fold) {
    const absl::Status verified = VerifyLog(path_->store(), [](std::int64_t, std::int64_t) {});
    EXPECT_TRUE(verified.ok()) << verified;
    std::map<std::string, std::string> carried_out;  // Label by command id.
    for (const Sent& sent : sent_) {
      SCOPED_TRACE(fmt::format("{}: {}", sent.label, sent.command->ShortDebugString()));
      const auto events = fold.Of(sent.label);
      const bool accepted = sent.receipt.has_value();
      if (!accepted) {
        EXPECT_TRUE(sent.lost || events.empty()) << "refused, but in the log";
      }
      if (!accepted && events.empty()) continue;
      EXPECT_LE(sent.firsts, 1) << "carried out twice";
      if (!sent.id.empty()) {
        EXPECT_TRUE(carried_out.try_emplace(sent.id, sent.label).second)
            << "the id was carried out for " << carried_out[sent.id];
        const auto stored = Must(path_->store().FindCommand(sent.id));
        ASSERT_TRUE(stored.has_value());
        if (accepted) {
          EXPECT_EQ(fmt::to_string(stored->receipt.position.value), sent.receipt->position());
        }
      }
      const Version last =
          events.empty() ? Version{sent.receipt->version()} : events.back()->version;
      if (accepted) {
        EXPECT_EQ(last.value, sent.receipt->version());
        if (!events.empty()) {
          EXPECT_EQ(fmt::to_string(events.back()->position.value), sent.receipt->position());
        }
      }
      ExpectDecidedAgain(sent, last, events, fold);
    }
  }
  // The command, decided on what was before its events, leads to these events: all of them, once.
  void ExpectDecidedAgain(const Sent& sent, Version last,
                          const std::vector<const RecordedEvent*>& events, const Fold& fold) {
    const auto& all = Rooms().commands();
    const auto entry = std::find_if(all.begin(), all.end(), [&](const CommandEntry& e) {
      return e.request == sent.command->GetDescriptor();
    });
    ErasedState state = entry->aggregate->new_state();
    const std::int64_t before = last.value - std::ssize(events);
    for (const RecordedEvent& event : fold.events) {
      if (event.stream == "room-" + sent.room && event.version.value <= before) {
        ASSERT_TRUE(entry->aggregate->evolve(state.get(), event).ok());
      }
    }
    const auto decision =
        entry->decide(state.get(), *sent.command, {clock_.Now(), "anonymous", sent.room, sent.id});
    ASSERT_TRUE(decision.ok()) << decision.status();
    ASSERT_EQ(events.size(), decision->events.size());
    for (std::size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(events[i]->version.value, before + 1 + static_cast<std::int64_t>(i));
      EXPECT_EQ(events[i]->type, decision->events[i].type);
      EXPECT_EQ(events[i]->payload, decision->events[i].payload);
    }
  }

  // Of all that was carried out, also when the first answer was lost.
  void ExpectSameAnswersAgain(const Fold& fold) {
    for (Sent& sent : sent_) {
      if (!sent.id.empty() && (sent.receipt || !fold.Of(sent.label).empty())) Send(sent);
    }
    Settle();
    for (const Sent& sent : sent_) {
      EXPECT_TRUE(sent.id.empty() || sent.receipt || fold.Of(sent.label).empty()) << sent.label;
    }
    EXPECT_EQ(path_->store().GetHead().position, fold.head());
  }

  void ExpectAnswersAsFolded(const Fold& fold) {
    for (const Asked& asked : asked_) {
      if (!asked.answer) {
        EXPECT_TRUE(fold.MissingBetween(asked.room, asked.min_position, asked.head)) << asked.room;
        continue;
      }
      EXPECT_GE(asked.applied, asked.min_position);
      const auto then = fold.InUseAt(asked.room, asked.applied);
      ASSERT_TRUE(then.has_value()) << asked.room << " at " << asked.applied.value;
      EXPECT_EQ(asked.answer->SerializeAsString(), then->SerializeAsString());
    }
    for (const char* room : {"ash", "elm", "oak"}) {
      const std::size_t before = asked_.size();
      Ask(room, fold.head());
      Settle();
      ASSERT_EQ(asked_.size(), before + 1);
      const auto last = fold.InUseAt(room, fold.head());
      ASSERT_EQ(asked_.back().answer.has_value(), last.has_value()) << room;
      if (last) {
        EXPECT_EQ(asked_.back().answer->SerializeAsString(), last->SerializeAsString());
      }
    }
  }

  void ExpectViewsAsRebuilt() {
    for (const ViewStatus& status : path_->projector().ListViews()) {
      EXPECT_EQ(status.state, ViewState::kLive) << status.name << " " << status.reason;
      EXPECT_EQ(status.checkpoint, path_->store().GetHead().position) << status.name;
      EXPECT_EQ(status.duplicates_ignored, 0) << status.name;
      const auto rebuild =
          Must(path_->projector().NewRebuild(status.name, RebuildAction::kVerify, kBeforeFirst));
      for (bool finished = false; !finished;) {
        const RebuildProgress progress = Must(rebuild->Step());
        EXPECT_EQ(progress.difference, "") << status.name;
        finished = progress.finished;
      }
    }
  }

  void ExpectIdle() {
    for (const auto& client : clients_) {
      if (client->open()) client->Cancel();
    }
    path_->scheduler().RunUntilIdle(1'000);
    EXPECT_EQ(path_->watches().open_watches(), 0);
  }

  std::mt19937_64 random_;
  const std::string folder_;
  std::string data_;
  int crashes_ = 0;
  int switched_ = 0;
  const Options options_;
  StoryClock clock_;
  std::vector<std::string> trace_;  // All answers, in order.
  std::deque<Sent> sent_;
  std::vector<Asked> asked_;
  std::vector<WatchClient::Seen> seen_before_;  // In earlier lives.
  int queries_open_ = 0;
  std::map<std::string, std::int64_t> versions_;  // The newest acknowledged.
  Position acknowledged_;
  std::vector<std::shared_ptr<WatchClient>> clients_;
  Outside outside_;
  std::unique_ptr<WholePath> path_;
  std::unique_ptr<ReactorSide> clerk_;
  std::unique_ptr<Rebuild> stepped_;
};

}  // namespace leftfold::whole_path
#endif  // TESTS_PROPERTY_WHOLE_PATH_STORY_H_
