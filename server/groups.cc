#include "server/groups.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "core/reject.h"
#include "core/status.h"
#include "leftfold/store/v1/errors.pb.h"
#include "reactor/consumer_group.h"
#include "server/json_file.h"

namespace leftfold {
namespace {

using store::v1::ConsumerGroup;
using store::v1::ConsumerGroupFile;
using store::v1::GroupStatus;

// nullptr when there is none.
ConsumerGroupFile::Entry* Find(ConsumerGroupFile& file, std::string_view name) {
  auto& all = *file.mutable_groups();
  const auto found = std::find_if(
      all.begin(), all.end(),
      [&](const ConsumerGroupFile::Entry& entry) { return entry.group().name() == name; });
  return found == all.end() ? nullptr : &*found;
}

// What is wrong with a file, all at once.
void CheckFile(const ConsumerGroupFile& file, Violations& violations) {
  // A group that had gone further than a log that was restored is stopped, and not the server.
  constexpr Position kAnyHead{std::numeric_limits<std::int64_t>::max()};
  std::set<std::string> names;
  for (const ConsumerGroupFile::Entry& entry : file.groups()) {
    CheckGroup(entry.group(), kAnyHead, violations);
    CheckStart(entry.start(), kAnyHead, "start", violations);
    if (!names.insert(entry.group().name()).second) violations.Add("group.name", "is there twice");
    if (entry.reactor().empty()) violations.Add("reactor", "must be given");
  }
}

template <class Message>
std::int64_t StartOf(const Message& message, Position head) {
  return message.has_end() ? head.value : message.after_position();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Groups>> Groups::Open(const Parts& parts) {
  std::unique_ptr<Groups> groups(new Groups(parts));
  MutexLock lock(groups->mu_);
  LEFTFOLD_RETURN_IF_ERROR(ReadJsonFile(groups->path_, groups->file_));
  Violations violations;
  CheckFile(groups->file_, violations);
  if (!violations.empty()) return CannotUse(groups->path_, ToStd(violations.ToStatus().message()));
  for (const Entry& entry : groups->file_.groups()) {
    groups->Run(entry).IgnoreError();  // It is stopped, and ListGroups says why.
  }
  return groups;
}

void Groups::NameReactor(File& file, Entry& entry) {
  // Ids of deliveries have the number in them. The head counts too, because the file may be lost
  // while the log is not.
  const std::int64_t number =
      std::max(file.last_number() + 1, parts_.store.GetHead().position.value);
  file.set_last_number(number);
  entry.set_reactor(GroupReactorName(entry.group().name(), number));
}

absl::Status Groups::Store(File changed) {
  LEFTFOLD_RETURN_IF_ERROR(WriteJsonFile(path_, changed));
  file_ = std::move(changed);
  return absl::OkStatus();
}

absl::Status Groups::Run(const Entry& entry) {
  parts_.consumers.SetGroup(entry.group(), entry.reactor());
  return parts_.reactors.Add(ReactorOf(entry));
}

absl::StatusOr<GroupStatus> Groups::Create(const ConsumerGroup& group) {
  const Position head = parts_.store.GetHead().position;
  Violations violations;
  CheckGroup(group, head, violations);
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  MutexLock lock(mu_);
  if (const Entry* const there = Find(file_, group.name())) {
    if (google::protobuf::util::MessageDifferencer::Equals(there->group(), group))
      return StatusOf(*there);
    return Reject(store::v1::ERROR_REASON_GROUP_EXISTS,
                  fmt::format("there is a consumer group {} with other settings; ListGroups shows "
                              "them; delete it first",
                              group.name()),
                  {{"group", group.name()}});
  }
  if (file_.groups_size() >= kGroupsMax) {
    return Reject(core::v1::ERROR_REASON_LIMIT_EXCEEDED,
                  fmt::format("there are {} consumer groups; delete one first", kGroupsMax),
                  {{"limit", "kGroupsMax"},
                   {"maximum", fmt::to_string(kGroupsMax)},
                   {"actual", fmt::to_string(kGroupsMax + 1)}});
  }
  File before = file_;
  File changed = file_;
  Entry& entry = *changed.add_groups();
  *entry.mutable_group() = group;
  entry.set_start(StartOf(group, head));
  NameReactor(changed, entry);
  before.set_last_number(changed.last_number());
  const Entry added = entry;
  LEFTFOLD_RETURN_IF_ERROR(Store(std::move(changed)));
  if (const absl::Status runs = Run(added); !runs.ok()) {
    parts_.consumers.RemoveGroup(group.name());
    parts_.reactors.Delete(added.reactor());
    LEFTFOLD_RETURN_IF_ERROR(Store(std::move(before)));
    return runs;
  }
  return StatusOf(added);
}

absl::Status Groups::Delete(std::string_view name) {
  MutexLock lock(mu_);
  File changed = file_;
  auto& all = *changed.mutable_groups();
  const auto place = std::find_if(all.begin(), all.end(),
                                  [&](const Entry& entry) { return entry.group().name() == name; });
  if (place == all.end()) return GroupNotFound(name);
  const std::string reactor = place->reactor();
  all.erase(place);
  LEFTFOLD_RETURN_IF_ERROR(Store(std::move(changed)));
  parts_.reactors.Delete(reactor);
  parts_.consumers.RemoveGroup(name);
  return absl::OkStatus();
}

absl::StatusOr<GroupStatus> Groups::Reset(const store::v1::ResetGroupRequest& request) {
  const Position head = parts_.store.GetHead().position;
  Violations violations;
  CheckStart(request.after_position(), head, "after_position", violations);
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  MutexLock lock(mu_);
  File changed = file_;
  Entry* const entry = Find(changed, request.group());
  if (entry == nullptr) return GroupNotFound(request.group());
  const std::string before = entry->reactor();
  entry->set_start(StartOf(request, head));
  NameReactor(changed, *entry);
  const Entry reset = *entry;
  LEFTFOLD_RETURN_IF_ERROR(Store(std::move(changed)));
  parts_.reactors.Delete(before);
  LEFTFOLD_RETURN_IF_ERROR(Run(reset));
  return StatusOf(reset);
}

std::vector<GroupStatus> Groups::List() {
  std::vector<GroupStatus> all;
  MutexLock lock(mu_);
  for (const Entry& entry : file_.groups()) all.push_back(StatusOf(entry));
  std::sort(all.begin(), all.end(), [](const GroupStatus& a, const GroupStatus& b) {
    return a.group().name() < b.group().name();
  });
  return all;
}

absl::StatusOr<std::string> Groups::ReactorOfGroup(std::string_view name) {
  MutexLock lock(mu_);
  const Entry* const entry = Find(file_, name);
  if (entry == nullptr) return GroupNotFound(name);
  return entry->reactor();
}

GroupStatus Groups::StatusOf(const Entry& entry) {
  GroupStatus status;
  *status.mutable_group() = entry.group();
  status.set_reactor(entry.reactor());
  parts_.consumers.Describe(entry.reactor(), status);
  for (const ReactorStatus& reactor : parts_.reactors.List()) {
    if (reactor.name != entry.reactor()) continue;
    status.set_checkpoint(reactor.checkpoint.value);
    status.set_lag_events(reactor.lag_events);
    status.set_waiting(reactor.waiting);
    status.set_parked_keys(reactor.parked_keys);
    status.set_acknowledged(reactor.delivered);
    status.set_retries(reactor.retries);
    status.set_reason(reactor.reason);
  }
  return status;
}

}  // namespace leftfold
