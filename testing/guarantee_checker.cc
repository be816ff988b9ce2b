#include "testing/guarantee_checker.h"

#include <absl/strings/escaping.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <utility>

#include "core/ids.h"
#include "core/status.h"
#include "testing/event_store_contract.h"

namespace leftfold::testing {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

// Judges some of what was seen. Each rule is about a few things seen and the final stores, and
// holds nothing against what was not seen: what shows in fewer things shows in more of them too.
class Judge {
 public:
  // `only`: what is looked for, "" for all.
  Judge(const FinalStores& final, const LogContent& log, bool others, std::string only = "")
      : final_(final), log_(log), only_(std::move(only)) {
    if (others) history_.AllowOthers();
  }

  std::optional<Violation> Find(const std::vector<const Sight*>& sights) {
    for (const Sight* sight : sights) std::visit([this](const auto& what) { Take(what); }, *sight);
    history_.Check(log_, final_.log,
                   [this](const Violation& wrong) { Report(wrong.guarantee, wrong.text); });
    for (const std::string& id : to_the_end_) {
      if (!answered_.contains(id))
        Report(7, fmt::format("command {}: its outcome never became known", id));
    }
    for (const auto& [stream, attempts] : attempts_) CheckOrder(stream, attempts);
    for (const std::string& key : final_.owed.value_or(std::set<std::string>())) {
      if (!done_.contains(key)) Report(14, key + " was never done");
    }
    return found_;
  }

 private:
  void Report(int guarantee, const std::string& text) {
    if (!found_ && (only_.empty() || text == only_)) found_ = {guarantee, text};
  }

  void Take(const seen::Asked& asked) { history_.Asked(asked.request); }
  void Take(const seen::AskedToDecide& asked) { history_.AskedToDecide(asked.command_id); }
  void Take(const seen::Answered& answered) {
    answered_.insert(answered.command_id);
    if (history_.Knows(answered.command_id))
      history_.Answered(answered.command_id, answered.receipt);
    if (failed_.contains(answered.life)) {
      Report(12, fmt::format("command {}: {} answered it after its disk had failed",
                             answered.command_id, answered.life));
    }
  }
  void Take(const seen::Refused& refused) {
    answered_.insert(refused.command_id);
    if (history_.Knows(refused.command_id)) history_.Refused(refused.command_id);
  }
  void Take(const seen::AskedOtherwise& asked) {
    if (asked.accepted) {
      Report(6, fmt::format("command {}: it was accepted with other content", asked.command_id));
    }
  }
  void Take(const seen::AskedToTheEnd& asked) { to_the_end_.insert(asked.command_id); }
  void Take(const seen::Restarted&) { history_.ForgetRefusals(); }
  void Take(const seen::Attempted& attempted) {
    attempts_[attempted.stream].push_back(attempted.attempt);
  }
  void Take(const seen::Read& read) { CheckNext(4, read.by, "", read.after, read.event); }
  void Take(const seen::Delivered& delivered) {
    CheckNext(9, delivered.to, delivered.category, delivered.after, delivered.event);
  }
  void Take(const seen::Shown& shown) {
    if (shown.applied.value > std::ssize(log_.events)) {
      return Report(8, fmt::format("{} has applied {}, and the log ends with {}", shown.view,
                                   shown.applied.value, log_.events.size()));
    }
    if (final_.fold == nullptr) return;
    const std::string folded =
        final_.fold(shown, std::span(log_.events).first(PlaceAfter(shown.applied)));
    if (folded != shown.content) {
      Report(8, fmt::format("{} showed '{}' of {} at {}, and the fold has '{}'", shown.view,
                            shown.content, shown.key, shown.applied.value, folded));
    }
  }
  void Take(const seen::Folded& folded) {
    const auto [first, added] = folded_.try_emplace({folded.view, folded.position}, &folded);
    if (!added && first->second->hash != folded.hash) {
      Report(13, fmt::format("{} at {} is not the same {} and {}", folded.view,
                             folded.position.value, first->second->where, folded.where));
    }
  }
  void Take(const seen::Measured& measured) {
    if (measured.value > measured.limit) {
      Report(10, fmt::format("{}: {}, and at most {} is allowed", measured.what, measured.value,
                             measured.limit));
    }
  }
  void Take(const seen::DiskFailed& failed) { failed_.insert(failed.life); }
  void Take(const seen::Done& done) {
    if (done.by_rebuild) Report(14, done.key + " was done by a rebuild");
    if (!done_.insert(done.key).second) Report(14, done.key + " was done twice");
    if (final_.owed && !final_.owed->contains(done.key))
      Report(14, done.key + " was done for nothing");
  }
  void Take(const seen::WentOn& went) {
    Digest chain{};
    if (went.position == kBeforeFirst) {
      chain = FirstChain(final_.log.StoreId());
    } else if (went.position.value <= std::ssize(log_.events)) {
      chain = log_.events[PlaceAfter(went.position) - 1].chain;
    }
    if (went.chain != chain) {
      Report(15, fmt::format("{} went on at {} from another log's chain", went.who,
                             went.position.value));
    }
  }

  void CheckNext(int guarantee, const std::string& who, const std::string& category, Position after,
                 const RecordedEvent& event) {
    std::size_t next = PlaceAfter(after);
    while (next < log_.events.size() && !category.empty() &&
           CategoryOf(log_.events[next].stream) != category)
      ++next;
    if (next >= log_.events.size() || log_.events[next].position != event.position) {
      return Report(guarantee, fmt::format("{} stood at {} and got {}", who, after.value,
                                           event.position.value));
    }
    if (testing::Describe(event) != testing::Describe(log_.events[next]) ||
        event.chain != log_.events[next].chain) {
      Report(11, fmt::format("{} got other bytes at {}", who, event.position.value));
    }
  }
  // Versions that nobody is seen to have made somebody may have made at any time.
  void CheckOrder(const std::string& stream, std::vector<AppendAttempt> attempts) {
    std::set<std::int64_t> made;
    std::int64_t last = kNoEventYet.value;
    for (const AppendAttempt& attempt : attempts) {
      if (attempt.accepted && !made.insert(attempt.expected + 1).second)
        return Report(5, fmt::format("{}: two made version {}", stream, attempt.expected + 1));
      last = std::max(last, attempt.accepted ? attempt.expected + 1 : attempt.actual);
    }
    for (std::int64_t version = 0; version <= last; ++version) {
      if (made.contains(version)) continue;
      attempts.push_back({.called = std::numeric_limits<std::int64_t>::min(),
                          .returned = std::numeric_limits<std::int64_t>::max(),
                          .expected = version - 1,
                          .accepted = true});
    }
    const std::string wrong = NotLinearizable(std::move(attempts));
    if (!wrong.empty()) Report(5, fmt::format("{}: {}", stream, wrong));
  }

  static std::size_t PlaceAfter(Position position) {
    return static_cast<std::size_t>(position.value);
  }

  const FinalStores& final_;
  const LogContent& log_;
  const std::string only_;
  std::optional<Violation> found_;
  LogHistory history_;
  std::set<std::string> answered_, to_the_end_, failed_, done_;
  std::map<std::string, std::vector<AppendAttempt>> attempts_;  // By stream.
  std::map<std::pair<std::string, Position>, const seen::Folded*> folded_;
};

// Takes away what can be, half of it at a time, then a quarter, down to one by one, until nothing
// can be taken any more (Zeller and Hildebrandt 2002, delta debugging).
std::vector<std::size_t> Fewest(std::vector<std::size_t> places,
                                const std::function<bool(const std::vector<std::size_t>&)>& shows) {
  for (std::size_t size = std::max<std::size_t>(places.size() / 2, 1); !places.empty();) {
    bool taken = false;
    for (std::size_t begin = 0; begin < places.size();) {
      std::vector<std::size_t> fewer = places;
      const auto first = fewer.begin() + static_cast<std::ptrdiff_t>(begin);
      fewer.erase(first,
                  first + static_cast<std::ptrdiff_t>(std::min(size, places.size() - begin)));
      if (shows(fewer)) {
        places = std::move(fewer);
        taken = true;
      } else {
        begin += size;
      }
    }
    if (size == 1 && !taken) break;
    size = std::max<std::size_t>(size / 2, 1);
  }
  return places;
}

std::string Brief(const AppendRequest& request) {
  std::string streams;
  for (const StreamAppend& stream : request.streams)
    streams += fmt::format(" {}+{}", stream.stream, stream.events.size());
  return streams;
}

}  // namespace

std::string Describe(const Sight& sight) {
  using namespace seen;
  return std::visit(
      Overloaded{
          [](const Asked& s) {
            return fmt::format("asked {}:{}", s.request.command->command_id, Brief(s.request));
          },
          [](const AskedToDecide& s) { return "asked " + s.command_id; },
          [](const Answered& s) {
            return fmt::format("answered {}: version {}, position {} {}", s.command_id,
                               s.receipt.version.value, s.receipt.position.value, s.life);
          },
          [](const Refused& s) { return "refused " + s.command_id; },
          [](const AskedOtherwise& s) {
            return fmt::format("{} {} with other content", s.accepted ? "accepted" : "refused",
                               s.command_id);
          },
          [](const AskedToTheEnd& s) { return fmt::format("asked {} to the end", s.command_id); },
          [](const Restarted&) { return std::string("restarted"); },
          [](const Attempted& s) {
            return fmt::format(
                "[{}, {}] {} expected {}: {}", s.attempt.called, s.attempt.returned, s.stream,
                s.attempt.expected,
                s.attempt.accepted ? "made" : fmt::format("at {}", s.attempt.actual));
          },
          [](const Read& s) {
            return fmt::format("{} stood at {}, read {}", s.by, s.after.value, Describe(s.event));
          },
          [](const Delivered& s) {
            return fmt::format("{} stood at {}, got {}", s.to, s.after.value, Describe(s.event));
          },
          [](const Shown& s) {
            return fmt::format("{} showed of {} at {}: {}", s.view, s.key, s.applied.value,
                               s.content);
          },
          [](const Folded& s) {
            return fmt::format("{} folded {} at {}: {}", s.view, s.where, s.position.value, s.hash);
          },
          [](const Measured& s) { return fmt::format("{}: {} of {}", s.what, s.value, s.limit); },
          [](const DiskFailed& s) { return "the disk failed in " + s.life; },
          [](const Done& s) { return s.key + (s.by_rebuild ? " done by a rebuild" : " done"); },
          [](const WentOn& s) {
            return fmt::format("{} went on at {} with {}", s.who, s.position.value,
                               absl::BytesToHexString(ToAbsl(AsBytes(s.chain))));
          },
      },
      sight);
}

std::optional<Counterexample> GuaranteeChecker::Find(const FinalStores& final) const {
  const auto log = LogContent::Of(final.log);
  if (!log.ok()) return Counterexample{{11, std::string(log.status().message())}, {}};
  if (auto wrong = log->Find(final.log)) return Counterexample{*std::move(wrong), {}};
  const auto find = [&](const std::vector<std::size_t>& places, const std::string& only) {
    std::vector<const Sight*> sights;
    for (const std::size_t place : places) sights.push_back(&sights_[place]);
    return Judge(final, *log, others_, only).Find(sights);
  };
  std::vector<std::size_t> all(sights_.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  auto wrong = find(all, "");
  if (!wrong) return std::nullopt;
  auto fewest = Fewest(std::move(all), [&](const std::vector<std::size_t>& fewer) {
    return find(fewer, wrong->text).has_value();
  });
  return Counterexample{*std::move(wrong), std::move(fewest)};
}

std::string GuaranteeChecker::Check(const FinalStores& final) const {
  const auto found = Find(final);
  if (!found) return "";
  std::string text =
      fmt::format("R{}: {}\n{} of {} things seen show it:\n", found->violation.guarantee,
                  found->violation.text, found->sights.size(), sights_.size());
  for (const std::size_t place : found->sights)
    text += fmt::format("  {} {}\n", place, Describe(sights_[place]));
  return text;
}

}  // namespace leftfold::testing
