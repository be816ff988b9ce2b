#include "server/retry_parked.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/mutex.h"

namespace leftfold {
namespace {

// Decisions that are being recorded. Thread-safe.
class Retry {
 public:
  using Done = std::function<void(absl::StatusOr<RetriedKeys>)>;
  Retry(std::size_t decisions, Done done) : done_(std::move(done)), left_(decisions) {}

  void OnRecorded(const absl::StatusOr<Position>& recorded) {
    absl::StatusOr<RetriedKeys> answer;
    {
      MutexLock lock(mu_);
      if (recorded.ok()) {
        ++retried_.keys;
        retried_.position = std::max(retried_.position, *recorded);
      } else {
        failure_ = recorded.status();
      }
      if (--left_ > 0) return;
      if (retried_.keys > 0) {
        answer = retried_;
      } else {
        answer = failure_;
      }
    }
    done_(std::move(answer));
  }

 private:
  const Done done_;
  Mutex mu_;
  std::size_t left_ ABSL_GUARDED_BY(mu_);
  RetriedKeys retried_ ABSL_GUARDED_BY(mu_);
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

void RetryParkedKeys(Reactors& reactors, const std::string& reactor, const std::string& key,
                     const std::string& actor,
                     std::function<void(absl::StatusOr<RetriedKeys>)> done) {
  std::vector<std::string> keys = {key};
  if (key.empty()) {
    keys.clear();
    const auto parked = reactors.ListParked(reactor, 0, kRetryKeysMax);
    if (!parked.ok()) return done(parked.status());
    for (const ParkedDelivery& delivery : *parked) keys.push_back(delivery.parked.key());
    if (keys.empty()) return done(RetriedKeys());
  }
  const auto retry = std::make_shared<Retry>(keys.size(), std::move(done));
  for (const std::string& one : keys) {
    reactors.Retry(reactor, one, actor, [retry](const absl::StatusOr<Position>& recorded) {
      retry->OnRecorded(recorded);
    });
  }
}

}  // namespace leftfold
