#include "reactor/lanes.h"

#include <utility>

#include "core/status.h"

namespace leftfold {

ReactorLanes::LanePtr ReactorLanes::Find(std::string_view key) {
  LanePtr& lane = lanes_[ToAbsl(key)];
  if (lane == nullptr) {
    lane = std::make_shared<Lane>();
    lane->key = key;
  }
  return lane;
}

void ReactorLanes::MakeReady(const LanePtr& lane) {
  const bool held = lane->running != 0 || lane->delayed != 0 || lane->parked != 0;
  if (lane->queued || held || lane->rows.empty()) return;
  lane->queued = true;
  ready_.push_back(lane);
}

void ReactorLanes::DropIfEmpty(const LanePtr& lane) {
  if (lane->rows.empty() && lane->behind == 0) lanes_.erase(lane->key);
}

void ReactorLanes::Add(std::int64_t id, std::string_view key, bool unreacted) {
  const LanePtr lane = Find(key);
  if (!lane->rows.insert(id).second) return;
  if (unreacted) lane->unreacted.insert(id);
  keys_.emplace(id, lane);
  if (lane->parked != 0) ++held_;
  MakeReady(lane);
}

bool ReactorLanes::GoesBehind(std::string_view key) const {
  const auto it = lanes_.find(ToAbsl(key));
  return it != lanes_.end() &&
         (it->second->parked != 0 || it->second->behind > 0 || !it->second->unreacted.empty());
}

std::optional<std::int64_t> ReactorLanes::TakeReady() {
  while (!ready_.empty()) {
    const LanePtr lane = std::move(ready_.front());
    ready_.pop_front();
    lane->queued = false;
    const bool held = lane->running != 0 || lane->delayed != 0 || lane->parked != 0;
    if (held || lane->rows.empty()) continue;
    return lane->running = *lane->rows.begin();
  }
  return std::nullopt;
}

void ReactorLanes::SetRunning(std::int64_t id) {
  const auto it = keys_.find(id);
  if (it != keys_.end()) it->second->running = id;
}

void ReactorLanes::Finish(std::int64_t id) {
  const auto it = keys_.find(id);
  if (it == keys_.end()) return;
  const LanePtr lane = it->second;
  if (lane->parked != 0) --held_;
  keys_.erase(it);
  lane->rows.erase(id);
  lane->unreacted.erase(id);
  if (lane->running == id) lane->running = 0;
  if (lane->delayed == id) lane->delayed = 0;
  MakeReady(lane);
  DropIfEmpty(lane);
}

void ReactorLanes::Delay(std::int64_t id) {
  Lane& lane = *keys_.at(id);
  lane.running = 0;
  lane.delayed = id;
}

void ReactorLanes::Undelay(std::int64_t id) {
  const auto it = keys_.find(id);
  if (it == keys_.end() || it->second->delayed != id) return;
  it->second->delayed = 0;
  MakeReady(it->second);
}

std::vector<std::int64_t> ReactorLanes::Delayed() const {
  std::vector<std::int64_t> rows;
  for (const auto& [key, lane] : lanes_) {
    if (lane->delayed != 0) rows.push_back(lane->delayed);
  }
  return rows;
}

void ReactorLanes::Park(std::int64_t id) {
  Lane& lane = *keys_.at(id);
  if (lane.running == id) lane.running = 0;
  if (lane.parked == 0) {
    ++parked_keys_;
    held_ += lane.rows.size();
  }
  lane.parked = id;
}

std::int64_t ReactorLanes::ParkedRow(std::string_view key) const {
  const auto it = lanes_.find(ToAbsl(key));
  return it == lanes_.end() ? 0 : it->second->parked;
}

void ReactorLanes::Unpark(std::string_view key) {
  const auto it = lanes_.find(ToAbsl(key));
  if (it == lanes_.end() || it->second->parked == 0) return;
  it->second->parked = 0;
  --parked_keys_;
  held_ -= it->second->rows.size();
  MakeReady(it->second);
}

void ReactorLanes::TakenFromBehind(std::string_view key, std::int64_t rows) {
  const LanePtr lane = Find(key);
  lane->behind -= rows;
  DropIfEmpty(lane);
}

bool ReactorLanes::NeedsBehind(std::string_view key) const {
  const auto it = lanes_.find(ToAbsl(key));
  return it != lanes_.end() && it->second->behind > 0 && it->second->rows.empty() &&
         it->second->parked == 0;
}

bool ReactorLanes::Remove(std::int64_t id) {
  const auto it = keys_.find(id);
  if (it == keys_.end()) return true;
  if (it->second->running == id || it->second->parked == id) return false;
  Finish(id);
  return true;
}

void ReactorTimers::Add(Timer timer, absl::Time due) {
  std::string name = timer.name;
  names_.emplace(std::move(name), times_.emplace(due, std::move(timer)));
}

std::int64_t ReactorTimers::Remove(std::string_view name) {
  const auto it = names_.find(ToAbsl(name));
  if (it == names_.end()) return 0;
  const std::int64_t id = it->second->second.id;
  times_.erase(it->second);
  names_.erase(it);
  return id;
}

std::vector<ReactorTimers::Timer> ReactorTimers::TakeDue(absl::Time now) {
  std::vector<Timer> due;
  while (!times_.empty() && times_.begin()->first <= now) {
    names_.erase(times_.begin()->second.name);
    due.push_back(std::move(times_.extract(times_.begin()).mapped()));
  }
  return due;
}

}  // namespace leftfold
