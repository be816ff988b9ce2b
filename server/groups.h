#ifndef SERVER_GROUPS_H_
#define SERVER_GROUPS_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/mutex.h"
#include "event_store/event_store.h"
#include "leftfold/store/v1/consumers.pb.h"
#include "reactor/consumers.h"
#include "reactor/reactors.h"

namespace leftfold {

// The consumer groups of a data folder: DATA/consumer_groups.json, and a reactor for each. What is
// changed is on the disk before it is in effect, and then at once. GROUP_NOT_FOUND where there is
// no group of a name. Thread-safe; calls block.
class Groups {
 public:
  // All must outlive it.
  struct Parts {
    EventStore& store;
    Reactors& reactors;
    Consumers& consumers;
    std::string data;
  };
  // Adds a reactor for each group of the file, if there is one. FAILED_PRECONDITION that names the
  // file when it cannot be used.
  static absl::StatusOr<std::unique_ptr<Groups>> Open(const Parts& parts);

  // INVALID_FIELDS with all violations; GROUP_EXISTS; LIMIT_EXCEEDED: kGroupsMax.
  absl::StatusOr<store::v1::GroupStatus> Create(const store::v1::ConsumerGroup& group);
  absl::Status Delete(std::string_view name);
  absl::StatusOr<store::v1::GroupStatus> Reset(const store::v1::ResetGroupRequest& request);
  // By name.
  std::vector<store::v1::GroupStatus> List();
  // What the group is called among reactors.
  absl::StatusOr<std::string> ReactorOfGroup(std::string_view name);

 private:
  using File = store::v1::ConsumerGroupFile;
  using Entry = File::Entry;
  explicit Groups(const Parts& parts)
      : parts_(parts), path_(parts.data + "/consumer_groups.json") {}
  // Gives the group a reactor's name that no other ever had.
  void NameReactor(File& file, Entry& entry);
  absl::Status Store(File changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // From now on it delivers.
  absl::Status Run(const Entry& entry);
  store::v1::GroupStatus StatusOf(const Entry& entry);

  const Parts parts_;
  const std::string path_;
  Mutex mu_;  // Held while the file is written: changes are rare, and come one after the other.
  File file_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // SERVER_GROUPS_H_
