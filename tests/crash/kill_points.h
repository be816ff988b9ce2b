#ifndef TESTS_CRASH_KILL_POINTS_H_
#define TESTS_CRASH_KILL_POINTS_H_

#include <absl/strings/ascii.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>
#include <absl/time/clock.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/json_object.h"
#include "core/registry.h"
#include "core/status.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/parse.h"
#include "testing/temporary_folder.h"
#include "tests/crash/jumping_clock.h"

namespace leftfold::rooms {
void Register(Registry& registry);
}

// A real server that is killed at the steps of its reactors (core/kill_points.h) and started again.
namespace leftfold::testing {

struct Stage {
  std::function<bool()> act = [] { return true; };  // false: the server is gone. It is done again.
  std::map<std::string, int> timers = {};  // Of each reactor, when all is done; of others none.
  absl::Duration later = {};               // The clock goes on before it, while no server runs.
};

// In this stage of a story the server is killed at each point, in the order in which the reactor
// comes to them, each in the process after the one that the point before has killed.
struct KillCase {
  std::string story;
  std::size_t stage = 0;
  std::string reactor;
  std::vector<std::string> points;
};

inline std::size_t PointsOf(const std::vector<KillCase>& cases) {
  std::size_t points = 0;
  for (const KillCase& one : cases) points += one.points.size();
  return points;
}

inline std::set<std::string> ReactorsOf(const std::vector<KillCase>& cases) {
  std::set<std::string> names;
  for (const KillCase& one : cases) names.insert(one.reactor);
  return names;
}
inline std::set<std::string> ReactorsOf(void (*add)(Registry&)) {
  Registry registry;
  add(registry);
  std::set<std::string> names;
  for (const ReactorEntry& reactor : registry.reactors()) names.insert(reactor.name);
  return names;
}

// So many of all points, by chance, but one of each reactor at the least.
inline std::vector<KillCase> SomeOf(const std::vector<KillCase>& cases, std::uint64_t points,
                                    std::uint64_t seed) {
  std::vector<std::pair<std::size_t, std::size_t>> all;  // Case and point.
  for (std::size_t n = 0; n < cases.size(); ++n) {
    for (std::size_t point = 0; point < cases[n].points.size(); ++point) all.emplace_back(n, point);
  }
  std::shuffle(all.begin(), all.end(), std::mt19937_64(seed));
  std::set<std::string> reactors;
  std::set<std::pair<std::size_t, std::size_t>> chosen;
  for (const auto& one : all) {
    if (reactors.insert(cases[one.first].reactor).second || chosen.size() < points)
      chosen.insert(one);
  }
  std::vector<KillCase> some = cases;
  for (KillCase& one : some) one.points.clear();
  for (const auto& [n, point] : chosen) some[n].points.push_back(cases[n].points[point]);
  std::erase_if(some, [](const KillCase& one) { return one.points.empty(); });
  return some;
}

// Every story is told once without a kill; what the log and the mails say of one that was told with
// kills is the same.
class KilledStories : public ::testing::Test {
 protected:
  // So many of their points.
  void TellSome(const std::vector<KillCase>& cases, std::uint64_t points) {
    Tell(SomeOf(cases, points, Seed()));
  }
  void Tell(const std::vector<KillCase>& cases) {
    ASSERT_NO_FATAL_FAILURE(Start(""));
    ASSERT_TRUE(Prepare());
    for (const KillCase& one : cases) {
      if (!unkilled_.contains(one.story)) {
        ASSERT_NO_FATAL_FAILURE(TellOne({one.story, 0, "", {}}, unkilled_[one.story] = NewId()));
      }
      killed_.emplace_back(one, NewId());
      ASSERT_NO_FATAL_FAILURE(TellOne(one, killed_.back().second));
    }
    server_->process.Kill(SIGTERM);
    ASSERT_EQ(server_->process.Wait(), 0);
    ReadLog();
    for (const auto& [one, id] : killed_) {
      EXPECT_EQ(absl::StrJoin(WhatIsToldOf(id), "\n"),
                absl::StrJoin(WhatIsToldOf(unkilled_[one.story]), "\n"))
          << one.story << ", " << one.reactor << " was killed at stage " << one.stage << " at "
          << ::testing::PrintToString(one.points);
    }
    CheckIdentities();
    const Ran verified = RunShell(LEFTFOLD_BINARY " verify --data " + Data());
    EXPECT_EQ(verified.exit_code, 0) << verified.output;
  }

  // What the server's environment has besides.
  virtual std::vector<std::string> Environment() { return {}; }
  virtual void Connect(const std::shared_ptr<grpc::Channel>& write) = 0;
  // What all stories need.
  virtual bool Prepare() { return true; }
  virtual std::vector<Stage> StagesOf(const std::string& story, const std::string& id) = 0;

  // false: the server is gone. What it had decided before is not decided again.
  template <class Stub, class Request, class Response>
  bool Do(Stub& stub, grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
          const std::string& of, const std::string& text) {
    auto request = Parse<Request>(text);
    request.set_command_id(of + "-" + Request::descriptor()->name());  // Each is sent once.
    grpc::ClientContext context;
    SetDeadline(context);
    Response response;
    const grpc::Status status = (stub.*rpc)(&context, request, &response);
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE)
        << text << ": " << status.error_message();
    return status.ok();
  }

  // How many stories were told for which it holds.
  template <class Holds>
  std::int64_t CountStories(Holds holds) const {
    return std::count_if(killed_.begin(), killed_.end(),
                         [&](const auto& one) { return holds(one.first.story); }) +
           std::count_if(unkilled_.begin(), unkilled_.end(),
                         [&](const auto& one) { return holds(one.first); });
  }
  std::int64_t CountEvents(const std::string& type) const {
    return std::count_if(log_.begin(), log_.end(),
                         [&](const Recorded& event) { return event.type == type; });
  }
  // Sorted: "TYPE by ACTOR" of its events, and its mails.
  std::vector<std::string> WhatIsToldOf(const std::string& id) const {
    std::vector<std::string> told;
    for (const Recorded& event : log_) {
      if (event.about.find(id) != std::string::npos)
        told.push_back(fmt::format("{} by {}", event.type, event.actor));
    }
    for (const auto& [name, text] : mails_) {
      if (text.find(id) == std::string::npos) continue;
      std::string others = absl::StrReplaceAll(text.substr(text.find('\n') + 1), {{id, "ID"}});
      std::replace_if(others.begin(), others.end(), absl::ascii_isdigit, '#');  // Of times.
      told.push_back(std::move(others));
    }
    std::sort(told.begin(), told.end());
    return told;
  }
  std::vector<std::string> Stories() const {
    std::vector<std::string> stories;
    for (const auto& [story, id] : unkilled_) stories.push_back(story);
    return stories;
  }
  // How often it is told without a kill.
  std::int64_t CountTold(const std::string& story, std::string_view what) {
    const auto told = WhatIsToldOf(unkilled_.at(story));
    return std::count_if(told.begin(), told.end(), [&](const std::string& line) {
      return line.find(what) != std::string::npos;
    });
  }

  JumpingClock clock_;

 private:
  // Bounds what never comes.
  static constexpr absl::Duration kPatience = absl::Seconds(60);

  struct Recorded {
    std::string event_id;
    std::string type;
    std::string actor;
    std::string command_id;
    std::string about;  // Stream and message.
  };

  std::string Data() const { return folder_.path() + "/data"; }
  std::string NewId() { return fmt::format("told-{:03}", ++ids_); }
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  }

  void Start(const std::string& kill_at) {
    std::vector<std::string> command = {"/usr/bin/env", "LEFTFOLD_KILL_AT=" + kill_at};
    for (const std::string& variable : Environment()) command.push_back(variable);
    const auto serve = ServerProcess::CommandOf(LEFTFOLD_BINARY, Data(), "write,react");
    command.insert(command.end(), serve.begin(), serve.end());
    server_ = ServerProcess::TryStart(clock_.With(command), &exit_code_);
    if (server_ == nullptr) return;  // Reactors go on at once: it may be killed before it serves.
    const auto credentials = grpc::InsecureChannelCredentials();
    Connect(grpc::CreateChannel(server_->write_address, credentials));
    reactors_ = admin::v1::ReactorService::NewStub(
        grpc::CreateChannel(server_->admin_address, credentials));
  }
  // How it has ended, or ends now.
  int End(int signal) {
    if (server_ == nullptr) return exit_code_;
    server_->process.Kill(signal);
    return server_->process.Wait();
  }

  void TellOne(const KillCase& one, const std::string& id) {
    std::size_t killed = 0;
    const auto next = [&]() -> std::string {
      if (killed == one.points.size()) return "";
      const std::string& point = one.points[killed];
      const bool of_file = point == "file_written";  // Its owner is the file, a mail with any name.
      return of_file ? point : one.reactor + "/" + point;
    };
    std::size_t n = 0;
    for (const Stage& stage : StagesOf(one.story, id)) {
      const bool kills = n++ == one.stage && !one.points.empty();
      if (kills || stage.later > absl::ZeroDuration()) {
        ASSERT_EQ(End(SIGKILL), 128 + SIGKILL);
        clock_.GoOn(stage.later);
        Start(kills ? next() : "");
      }
      while (server_ == nullptr || !stage.act() || !AwaitRest(stage.timers)) {
        ASSERT_TRUE(kills && killed < one.points.size()) << one.story << " stops in stage " << n;
        ASSERT_EQ(End(SIGTERM), 128 + SIGKILL) << next();
        ++killed;
        Start(next());
      }
      ASSERT_TRUE(!kills || killed == one.points.size()) << "it did not come to " << next();
    }
  }

  // Waits until all reactors have done what there is to do but for these timers. false: the server
  // is gone.
  bool AwaitRest(const std::map<std::string, int>& timers) {
    std::string before;  // A reactor may have acted after another one was looked at.
    const absl::Time end = absl::Now() + kPatience;
    admin::v1::ListReactorsResponse all;
    while (absl::Now() < end) {
      grpc::ClientContext context;
      SetDeadline(context);
      if (!reactors_->ListReactors(&context, {}, &all).ok()) return false;
      const bool rests =
          std::all_of(all.reactors().begin(), all.reactors().end(), [&](const auto& reactor) {
            const auto waits_for = timers.find(reactor.name());
            return reactor.lag_events() == 0 && reactor.waiting() == 0 &&
                   reactor.timers() == (waits_for == timers.end() ? 0 : waits_for->second);
          });
      const std::string now = all.SerializeAsString();
      if (rests && now == before) return true;
      before = now;
    }
    ADD_FAILURE() << "not as it should be: " << all.ShortDebugString();
    return false;
  }

  void ReadLog() {
    const Ran ran = RunShell(LEFTFOLD_BINARY " tail --data " + Data());
    ASSERT_EQ(ran.exit_code, 0) << ran.output;
    for (const absl::string_view line : absl::StrSplit(ran.output, '\n', absl::SkipEmpty())) {
      const auto event = ParseJsonObject(ToStd(line));
      ASSERT_TRUE(event) << line;
      log_.push_back({.event_id = TextField(*event, "eventId"),
                      .type = TextField(*event, "type"),
                      .actor = TextField(*event, "actor"),
                      .command_id = TextField(*event, "commandId"),
                      .about = std::string(line.substr(0, line.find("\"recordedAt\"")))});
      EXPECT_NE(log_.back().type, "leftfold.core.v1.DeliveryParked") << line;
    }
    for (const auto& file : std::filesystem::directory_iterator(Data() + "/mail")) {
      std::ifstream text(file.path());
      mails_[file.path().filename().string()] = {std::istreambuf_iterator<char>(text), {}};
    }
  }

  // What reactors did has the id `lf:<reactor>:<event>:<n>` of one event of the log, a mail as its
  // name.
  void CheckIdentities() {
    std::set<std::string> causes;  // "<position>-<end of the event's id>".
    for (std::size_t i = 0; i < log_.size(); ++i)
      causes.insert(fmt::format("{}-{}", i + 1, log_[i].event_id.substr(24)));
    const auto check = [&](const std::vector<std::string>& id, const std::string& reactor) {
      ASSERT_EQ(id.size(), 4U) << ::testing::PrintToString(id);
      EXPECT_EQ(id[0], "lf");
      EXPECT_TRUE(reactor.empty() || id[1] == reactor) << id[1];
      EXPECT_TRUE(causes.contains(id[2])) << "no event has led to " << ::testing::PrintToString(id);
      EXPECT_LE(id[3].size(), 2U) << "so much no event leads to: " << ::testing::PrintToString(id);
    };
    for (const Recorded& event : log_) {
      if (!event.actor.starts_with("reactor:")) continue;
      check(absl::StrSplit(event.command_id, ':'), event.actor.substr(8));
    }
    for (const auto& [name, text] : mails_) {
      EXPECT_TRUE(name.ends_with(".eml")) << name;
      const std::string id = name.substr(0, name.size() - 4);
      check(absl::StrSplit(id, '.'), "");
      EXPECT_TRUE(text.starts_with("Message-ID: <" + id + "@leftfold>\r\n")) << text;
    }
  }

  const TemporaryFolder folder_{FolderInMemory()};  // A kill takes nothing from the machine.
  std::unique_ptr<ServerProcess> server_;
  int exit_code_ = 0;  // Where it did not come to serve.
  std::unique_ptr<admin::v1::ReactorService::Stub> reactors_;
  int ids_ = 0;
  std::map<std::string, std::string> unkilled_;           // Stories, with their ids.
  std::vector<std::pair<KillCase, std::string>> killed_;  // With their ids.
  std::vector<Recorded> log_;                             // By position.
  std::map<std::string, std::string> mails_;              // By the names of the files.
};

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_KILL_POINTS_H_
