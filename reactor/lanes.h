#ifndef REACTOR_LANES_H_
#define REACTOR_LANES_H_

#include <absl/container/btree_set.h>
#include <absl/container/flat_hash_map.h>
#include <absl/time/time.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace leftfold {

// Which row of an outbox may be delivered next: rows of one key one after the other, in the order
// of their ids; different keys side by side, those that are ready longest first. A key is held back
// while one of its rows is being delivered, waits to be tried again, or is parked. Not thread-safe.
class ReactorLanes {
 public:
  // `unreacted`: the row is an event that the reactor is still to react to.
  void Add(std::int64_t id, std::string_view key, bool unreacted);
  // A row that stays in the file, behind a parked one.
  void AddBehind(std::string_view key, std::int64_t rows = 1) { Find(key)->behind += rows; }
  // Events of this key are not reacted to before others are that came earlier.
  bool GoesBehind(std::string_view key) const;
  // The row is being delivered.
  void SetRunning(std::int64_t id);

  // The next row to deliver, which is being delivered from now on.
  std::optional<std::int64_t> TakeReady();
  // The row is done.
  void Finish(std::int64_t id);
  // The row was not delivered; its key is held back until Undelay.
  void Delay(std::int64_t id);
  void Undelay(std::int64_t id);
  // Rows that wait for Undelay.
  std::vector<std::int64_t> Delayed() const;
  // The key is held back until Unpark.
  void Park(std::int64_t id);
  // The parked row of the key, 0 when there is none.
  std::int64_t ParkedRow(std::string_view key) const;
  // Goes on with the parked row, which Finish may take out.
  void Unpark(std::string_view key);
  // Rows taken from behind are added with Add.
  void TakenFromBehind(std::string_view key, std::int64_t rows);
  // Whether the key has no rows left but those behind, and is not parked.
  bool NeedsBehind(std::string_view key) const;

  // False when it is being delivered: too late. True also when there is no such row.
  bool Remove(std::int64_t id);
  bool Has(std::int64_t id) const { return keys_.contains(id); }
  const std::string& KeyOf(std::int64_t id) const { return keys_.at(id)->key; }

  // Rows that can be delivered by and by; those of parked keys are none of them.
  std::size_t runnable() const { return keys_.size() - held_; }
  std::int64_t parked_keys() const { return parked_keys_; }

 private:
  struct Lane {
    std::string key;
    absl::btree_set<std::int64_t> rows;
    absl::btree_set<std::int64_t> unreacted;  // Of these.
    std::int64_t running = 0;                 // Ids; 0: none.
    std::int64_t delayed = 0;
    std::int64_t parked = 0;
    std::int64_t behind = 0;
    bool queued = false;  // In ready_.
  };
  using LanePtr = std::shared_ptr<Lane>;

  LanePtr Find(std::string_view key);
  void MakeReady(const LanePtr& lane);
  void DropIfEmpty(const LanePtr& lane);

  absl::flat_hash_map<std::string, LanePtr> lanes_;
  absl::flat_hash_map<std::int64_t, LanePtr> keys_;  // Of every row.
  std::deque<LanePtr> ready_;
  std::size_t held_ = 0;  // Rows of parked keys.
  std::int64_t parked_keys_ = 0;
};

// Rows that wait for their time, each under a name. Not thread-safe.
class ReactorTimers {
 public:
  struct Timer {
    std::string name;
    std::int64_t id;
    std::string key;
  };
  // Its name is not used.
  void Add(Timer timer, absl::Time due);
  // The id that waits under the name, which does so no longer; 0 when there is none.
  std::int64_t Remove(std::string_view name);
  // Those whose time has come, in the order of their times; they wait no longer.
  std::vector<Timer> TakeDue(absl::Time now);
  // InfiniteFuture when there is none.
  absl::Time next() const {
    return times_.empty() ? absl::InfiniteFuture() : times_.begin()->first;
  }
  std::size_t size() const { return names_.size(); }

 private:
  using Times = std::multimap<absl::Time, Timer>;
  Times times_;
  absl::flat_hash_map<std::string, Times::iterator> names_;
};

}  // namespace leftfold
#endif  // REACTOR_LANES_H_
