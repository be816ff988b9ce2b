#ifndef EVENT_STORE_CONTINUITY_H_
#define EVENT_STORE_CONTINUITY_H_

#include <absl/status/status.h>

#include <optional>
#include <string>

#include "core/event.h"
#include "leftfold/store/v1/event_store.pb.h"

namespace leftfold {

// A subscriber's own proof that nothing was skipped, repeated, swapped or altered on the way (I12):
// give it every message as it comes. What it trusts is where it begins (Started, or what it kept
// from the session before); the server is not trusted.
//   Without filter: positions go up by one, and each chain value is the hash of the one before and
//   of the event. Chain values in Checkpoint and CaughtUp must agree too.
//   With a filter of one category and nothing else: each category_previous is the position of the
//   event before.
//   With any other filter: positions go up; nothing is proved.
// Not thread-safe.
class ContinuityChecker {
 public:
  explicit ContinuityChecker(const store::v1::EventFilter& filter);

  // Goes on where another session ended: for a category the position of its last event then, else
  // the position and the chain value.
  void ResumeAfter(Position position, const Digest& chain);
  void ResumeCategoryAfter(Position category_last) { category_last_ = category_last; }

  // DATA_LOSS that names the position where it does not go on; every later call says the same.
  absl::Status Check(const store::v1::SubscribeResponse& message);
  absl::Status Check(const core::v1::RecordedEvent& event);

  // What to keep for the next session.
  Position position() const { return position_; }
  const std::optional<Digest>& chain() const { return chain_; }
  std::optional<Position> category_last() const { return category_last_; }

 private:
  absl::Status Begin(const store::v1::Started& started);
  // `chain` may be empty.
  absl::Status Reach(std::int64_t position, const std::string& chain);
  absl::Status CheckWhole(const core::v1::RecordedEvent& event);
  absl::Status CheckCategory(const core::v1::RecordedEvent& event);
  absl::Status Fail(std::string_view what, std::int64_t position);

  enum class Proof { kWhole, kCategory, kNone };
  const Proof proof_;
  bool resumed_ = false;
  Position position_;
  std::optional<Digest> chain_;
  std::optional<Position> category_last_;
  absl::Status failed_;
};

}  // namespace leftfold
#endif  // EVENT_STORE_CONTINUITY_H_
