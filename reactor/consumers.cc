#include "reactor/consumers.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "core/event_wire.h"
#include "core/reject.h"
#include "core/status.h"
#include "core/traceparent.h"
#include "event_store/feed.h"
#include "event_store/follow.h"
#include "leftfold/store/v1/errors.pb.h"
#include "reactor/retry_policy.h"

namespace leftfold {
namespace {

using store::v1::ConsumeRequest;
using store::v1::ConsumeResponse;

constexpr absl::Duration kConsumersRetryDelay = absl::Seconds(1);

absl::Status NotHeld(const std::string& id) {
  return Reject(store::v1::ERROR_REASON_DELIVERY_NOT_HELD,
                fmt::format("this consumer does not hold the delivery {}: it never did, has "
                            "answered it, was too late, or its group has begun anew",
                            id),
                {{"delivery_id", id}});
}

// How well a key and a consumer go together: mixes the bits of both.
std::uint64_t Weight(std::size_t key, std::uint64_t consumer) {
  constexpr std::uint64_t kOdd = 0xD6E8'FEB8'6659'FD93;
  std::uint64_t x = key ^ (consumer * kOdd);
  for (int round = 0; round < 2; ++round) x = (x ^ (x >> 32)) * kOdd;
  return x ^ (x >> 32);
}

void CheckIds(std::string_view field,
              const google::protobuf::RepeatedPtrField<std::string>& delivery_ids,
              Violations& violations) {
  if (delivery_ids.size() > kConsumeIdsMax) {
    violations.Add(fmt::format("{}.delivery_ids", field),
                   fmt::format("must be at most {} in one message", kConsumeIdsMax));
  }
}

void CheckReason(std::string_view field, const std::string& reason, Violations& violations) {
  if (reason.size() > kConsumeReasonBytesMax)
    violations.Add(field, fmt::format("must be at most {} bytes", kConsumeReasonBytesMax));
}

// Of answers.
absl::Status CheckForm(const ConsumeRequest& request) {
  Violations violations;
  CheckIds("ack", request.ack().delivery_ids(), violations);
  CheckIds("nack", request.nack().delivery_ids(), violations);
  CheckIds("park", request.park().delivery_ids(), violations);
  CheckIds("extend", request.extend().delivery_ids(), violations);
  CheckReason("nack.reason", request.nack().reason(), violations);
  CheckReason("park.reason", request.park().reason(), violations);
  CheckDuration(DurationOf(request.nack().delay()), absl::ZeroDuration(), kRetryDelayMax,
                "nack.delay", violations);
  if (request.has_open()) violations.Add("open", "must be the first message only");
  if (request.content_case() == ConsumeRequest::CONTENT_NOT_SET)
    violations.Add("content", "must be ack, nack, park or extend");
  return violations.ToStatus();
}

std::string ReasonOr(const std::string& reason, std::string_view otherwise) {
  return reason.empty() ? std::string(otherwise) : reason;
}

}  // namespace

void Consumer::Start() {
  MutexLock lock(consumers_.mu_);
  consumers_.Hint(*this);
}

void Consumer::OnRead(const absl::StatusOr<const google::protobuf::Message*>& message) {
  consumers_.OnRead(*this, message);
}

void Consumer::OnWritten(bool ok) {
  MutexLock lock(consumers_.mu_);
  writing_ = false;
  stalled_ = false;
  if (!ok) {
    gone_ = true;
    consumers_.End(*this, absl::CancelledError());
  }
  if (const auto group = consumers_.GroupOf(*this)) consumers_.Assign(group);
  consumers_.Hint(*this);
}

void Consumer::Cancel() {
  MutexLock lock(consumers_.mu_);
  gone_ = true;
  consumers_.End(*this, absl::CancelledError());
}

void Consumers::Deliver(const ReactorEntry& reactor, const Delivery& delivery, Done done) {
  if (delivery.kind != DeliveryKind::kHandOver)
    return parts_.others.Deliver(reactor, delivery, std::move(done));
  AddToInbox(&Inbox::delivered, Held{delivery, std::move(done)});
}

template <class Entry>
void Consumers::AddToInbox(std::vector<Entry> Inbox::*where, Entry entry) {
  bool first = false;
  {
    MutexLock lock(inbox_mu_);
    first = inbox_.empty();
    (inbox_.*where).push_back(std::move(entry));
  }
  if (first) parts_.work.Post([this] { TakeInbox(); });
}

void Consumers::TakeInbox() {
  MutexLock lock(mu_);  // First: what came earlier is taken earlier.
  Inbox inbox;
  {
    MutexLock inbox_lock(inbox_mu_);
    std::swap(inbox, inbox_);
  }
  for (Stored& each : inbox.stored) {
    Consumer& consumer = *each.consumer;
    if (consumer.group_ != each.group || consumer.finished_) continue;
    consumer.unsettled_.erase(each.id);
    consumer.settled_.push_back(std::move(each.id));
    Hint(consumer);
  }
  std::vector<GroupPtr> groups;
  for (Held& held : inbox.delivered) {
    const auto found = groups_.find(held.delivery.reactor);
    if (found == groups_.end()) continue;  // It is gone: nobody waits for what comes of it.
    found->second->waiting.push_back(std::move(held));
    if (groups.empty() || groups.back() != found->second) groups.push_back(found->second);
  }
  for (const GroupPtr& group : groups) Assign(group);
}

void Consumers::SetGroup(const store::v1::ConsumerGroup& settings, const std::string& reactor) {
  MutexLock lock(mu_);
  GroupPtr group = FindByName(settings.name());
  if (group == nullptr) {
    group = std::make_shared<Group>();
  } else {
    Forget(*group);
    groups_.erase(group->reactor);
  }
  group->settings = settings;
  group->reactor = reactor;
  group->number = ++last_group_;
  for (const ConsumerPtr& consumer : group->consumers) {
    consumer->reactor_ = reactor;
    consumer->group_ = group->number;
  }
  groups_[reactor] = group;
}

void Consumers::RemoveGroup(std::string_view name) {
  MutexLock lock(mu_);
  const GroupPtr group = FindByName(name);
  if (group == nullptr) return;
  Forget(*group);
  for (const ConsumerPtr& consumer : std::vector<ConsumerPtr>(group->consumers))
    End(*consumer, GroupNotFound(name));
  groups_.erase(group->reactor);
}

void Consumers::Forget(Group& group) {
  group.waiting.clear();
  group.in_flight.clear();
  group.avoid.clear();
  for (const ConsumerPtr& consumer : group.consumers) {
    consumer->load_ = 0;
    consumer->to_send_.clear();
  }
  for (const auto& [pointer, weak] : open_) {
    if (pointer->group_ != group.number) continue;
    for (const std::string& id : pointer->unsettled_) Refuse(*pointer, id);  // Nobody will tell.
    pointer->unsettled_.clear();
    Hint(*pointer);
  }
}

void Consumers::Describe(std::string_view reactor, store::v1::GroupStatus& status) {
  MutexLock lock(mu_);
  const auto found = groups_.find(ToAbsl(reactor));
  if (found == groups_.end()) return;
  status.set_in_flight(static_cast<std::int64_t>(found->second->in_flight.size()));
  for (const ConsumerPtr& consumer : found->second->consumers) {
    auto& shown = *status.add_consumers();
    shown.set_name(consumer->name_);
    shown.set_window(static_cast<std::int32_t>(consumer->window_));
    shown.set_in_flight(static_cast<std::int32_t>(consumer->load_));
  }
}

Consumers::GroupPtr Consumers::FindByName(std::string_view name) {
  const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const auto& entry) {
    return entry.second->settings.name() == name;
  });
  return found == groups_.end() ? nullptr : found->second;
}

Consumers::GroupPtr Consumers::GroupOf(const Consumer& consumer) {
  const auto found = groups_.find(consumer.reactor_);
  return found == groups_.end() ? nullptr : found->second;
}

void Consumers::Assign(const GroupPtr& group) {
  while (!group->waiting.empty()) {
    const ConsumerPtr consumer = Choose(*group, group->waiting.front().delivery);
    if (consumer == nullptr) break;
    Held held = std::move(group->waiting.front());
    group->waiting.pop_front();
    group->avoid.erase(held.delivery.row);
    ++consumer->load_;
    consumer->to_send_.push_back(held.delivery.id);
    std::string id = held.delivery.id;
    group->in_flight[std::move(id)] = {std::move(held), consumer, false,
                                       group->tick + kAckTimeoutTicks + 1};
    Hint(*consumer);
  }
  if (!group->in_flight.empty()) StartClock(group);
}

Consumers::ConsumerPtr Consumers::Choose(Group& group, const Delivery& delivery) {
  const auto has_room = [](const Consumer& consumer) {
    return consumer.load_ < consumer.window_ && !consumer.stalled_;
  };
  std::size_t able = 0;
  std::size_t load = 0;
  for (const ConsumerPtr& consumer : group.consumers) {
    if (!has_room(*consumer)) continue;
    ++able;
    load += consumer->load_;
  }
  if (able == 0) return nullptr;
  const std::size_t bound = (5 * (load + 1) + 4 * able - 1) / (4 * able);  // 5/4 of the mean.
  const auto avoided = group.avoid.find(delivery.row);
  const std::size_t key = std::hash<std::string>()(delivery.key);
  ConsumerPtr best;
  for (const ConsumerPtr& consumer : group.consumers) {
    if (!has_room(*consumer)) continue;
    if (able > 1 && avoided != group.avoid.end() && avoided->second == consumer->id_) continue;
    const bool within = consumer->load_ < bound;
    const bool best_within = best != nullptr && best->load_ < bound;
    if (best == nullptr || (within && !best_within) ||
        (within == best_within && Weight(key, consumer->id_) > Weight(key, best->id_))) {
      best = consumer;
    }
  }
  return best;
}

Consumers::Held Consumers::Release(Group& group, const std::string& id) {
  auto node = group.in_flight.extract(id);
  --node.mapped().consumer->load_;
  return std::move(node.mapped().held);
}

void Consumers::Requeue(Group& group, std::vector<std::string> ids) {
  std::vector<Held> held;
  for (const std::string& id : ids) held.push_back(Release(group, id));
  std::sort(held.begin(), held.end(),
            [](const Held& a, const Held& b) { return a.delivery.row > b.delivery.row; });
  for (Held& one : held) group.waiting.push_front(std::move(one));
}

void Consumers::StartClock(const GroupPtr& group) {
  if (std::exchange(group->ticking, true)) return;
  parts_.work.PostAfter(AckTimeoutOf(group->settings) / kAckTimeoutTicks,
                        [this, group] { Tick(group); });
}

void Consumers::Tick(const GroupPtr& group) {
  std::vector<Held> late;
  absl::Duration timeout;
  {
    MutexLock lock(mu_);
    timeout = AckTimeoutOf(group->settings);
    group->ticking = false;
    ++group->tick;
    std::vector<std::string> unsent;
    std::vector<std::string> sent;
    for (const auto& [id, held] : group->in_flight) {
      if (held.deadline <= group->tick) (held.sent ? sent : unsent).push_back(id);
    }
    std::sort(sent.begin(), sent.end());  // The same in every run of a schedule.
    for (const std::string& id : sent) {
      const Consumer& consumer = *group->in_flight[id].consumer;
      group->in_flight[id].consumer->stalled_ = consumer.writing_;
      if (group->avoid.size() >= kGroupDeliveriesMax) group->avoid.clear();  // Hints only.
      group->avoid[group->in_flight[id].held.delivery.row] = consumer.id_;
      late.push_back(Release(*group, id));
    }
    for (const std::string& id : unsent) {
      Consumer& consumer = *group->in_flight[id].consumer;
      consumer.stalled_ = consumer.writing_;
      auto& queue = consumer.to_send_;
      queue.erase(std::remove(queue.begin(), queue.end(), id), queue.end());
    }
    Requeue(*group, std::move(unsent));
    Assign(group);
  }
  for (const Held& held : late) {
    held.done({.failure = Error(absl::StatusCode::kDeadlineExceeded, "no answer within {}",
                                absl::FormatDuration(timeout)),
               .delay = absl::ZeroDuration()});
  }
}

absl::StatusOr<std::shared_ptr<Consumer>> Consumers::Open(std::shared_ptr<SessionSink> sink) {
  MutexLock lock(mu_);
  if (stopping_) return ServerStopping("consume again later");
  if (open_.size() >= kConsumersMax) {
    return WithRetryAfter(
        Reject(store::v1::ERROR_REASON_TOO_MANY_SESSIONS,
               fmt::format("{} consumers are connected already; retry later", kConsumersMax),
               {{"maximum", fmt::to_string(kConsumersMax)}}),
        kConsumersRetryDelay);
  }
  auto consumer = std::make_shared<Consumer>(*this, ++last_consumer_, std::move(sink));
  open_.emplace(consumer.get(), consumer);
  return consumer;
}

void Consumers::Stop() {
  std::vector<ConsumerPtr> all;
  MutexLock lock(mu_);
  stopping_ = true;
  for (const auto& [pointer, weak] : open_) {
    if (auto consumer = weak.lock()) all.push_back(std::move(consumer));
  }
  for (const ConsumerPtr& consumer : all) End(*consumer, ServerStopping("consume again later"));
}

std::size_t Consumers::open() const {
  MutexLock lock(mu_);
  return open_.size();
}

void Consumers::OnRead(Consumer& consumer,
                       const absl::StatusOr<const google::protobuf::Message*>& message) {
  Calls calls;
  {
    MutexLock lock(mu_);
    consumer.reading_ = false;
    if (!message.ok()) {
      End(consumer, message.status());
    } else if (*message == nullptr) {
      End(consumer, absl::OkStatus());
    } else if (!consumer.end_) {
      const absl::Status taken =
          Take(consumer, static_cast<const ConsumeRequest&>(**message), calls);
      if (!taken.ok()) End(consumer, taken);
    }
    Hint(consumer);
  }
  for (const auto& call : calls) call();
}

absl::Status Consumers::Take(Consumer& consumer, const ConsumeRequest& request, Calls& calls) {
  if (!consumer.has_opened_) return TakeOpen(consumer, request.open());
  LEFTFOLD_RETURN_IF_ERROR(CheckForm(request));
  Answer(consumer, request.ack().delivery_ids(), {.failure = absl::OkStatus()}, calls);
  DeliveryOutcome again{.failure = absl::UnavailableError(ToAbsl(
                            ReasonOr(request.nack().reason(), "the consumer gave it back")))};
  if (request.nack().has_delay()) again.delay = DurationOf(request.nack().delay());
  Answer(consumer, request.nack().delivery_ids(), again, calls);
  Answer(consumer, request.park().delivery_ids(),
         {.failure = absl::FailedPreconditionError(
              ToAbsl(ReasonOr(request.park().reason(), "the consumer parked it")))},
         calls);
  Extend(consumer, request.extend().delivery_ids());
  return absl::OkStatus();
}

absl::Status Consumers::TakeOpen(Consumer& consumer, const ConsumeRequest::Open& open) {
  if (open.group().empty()) {
    Violations violations;
    violations.Add("open", "must be the first message, and name a group");
    return violations.ToStatus();
  }
  const GroupPtr group = FindByName(open.group());
  if (group == nullptr) return GroupNotFound(open.group());
  Violations violations;
  const int window_max = WindowMaxOf(group->settings);
  if (open.window() < 1 || open.window() > window_max) {
    violations.Add("open.window",
                   fmt::format("must be 1 to {}, the group's max_in_flight", window_max));
  }
  if (open.consumer().empty() || open.consumer().size() > kConsumerNameBytesMax ||
      !IsPrintable(open.consumer())) {
    violations.Add("open.consumer", fmt::format("must be 1 to {} printable ASCII characters",
                                                kConsumerNameBytesMax));
  }
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  consumer.has_opened_ = true;
  consumer.name_ = open.consumer();
  consumer.window_ = static_cast<std::size_t>(open.window());
  consumer.reactor_ = group->reactor;
  consumer.group_ = group->number;
  consumer.opened_.emplace();
  *consumer.opened_->mutable_ack_timeout() =
      google::protobuf::util::TimeUtil::NanosecondsToDuration(
          absl::ToInt64Nanoseconds(AckTimeoutOf(group->settings)));
  group->consumers.push_back(consumer.shared_from_this());
  Assign(group);
  return absl::OkStatus();
}

void Consumers::Refuse(Consumer& consumer, const std::string& id) {
  consumer.refused_.push_back(id.substr(0, kErrorValueBytesMax));
}

Consumers::InFlight* Consumers::FindHeld(Group& group, Consumer& consumer, const std::string& id) {
  const auto found = group.in_flight.find(id);
  if (found != group.in_flight.end() && found->second.consumer.get() == &consumer)
    return &found->second;
  Refuse(consumer, id);
  return nullptr;
}

void Consumers::Answer(Consumer& consumer, const Ids& ids, const DeliveryOutcome& outcome,
                       Calls& calls) {
  const GroupPtr group = GroupOf(consumer);
  for (const std::string& id : ids) {
    if (FindHeld(*group, consumer, id) == nullptr) continue;
    consumer.unsettled_.insert(id);
    DeliveryOutcome told = outcome;
    told.stored = [this, stored = Stored{consumer.shared_from_this(), group->number, id}] {
      AddToInbox(&Inbox::stored, stored);
    };
    calls.push_back([done = Release(*group, id).done, told = std::move(told)] { done(told); });
  }
  Assign(group);
}

void Consumers::Extend(Consumer& consumer, const Ids& ids) {
  const GroupPtr group = GroupOf(consumer);
  for (const std::string& id : ids) {
    InFlight* const held = FindHeld(*group, consumer, id);
    if (held != nullptr) held->deadline = group->tick + kAckTimeoutTicks + 1;
  }
}

void Consumers::End(Consumer& consumer, const absl::Status& status) {
  if (!consumer.end_ || consumer.end_->ok()) consumer.end_ = status;
  if (const GroupPtr group = GroupOf(consumer)) {
    const auto place = std::find_if(group->consumers.begin(), group->consumers.end(),
                                    [&](const auto& other) { return other.get() == &consumer; });
    const ConsumerPtr self = *place;
    group->consumers.erase(place);
    std::vector<std::string> held;
    for (const auto& [id, in_flight] : group->in_flight) {
      if (in_flight.consumer == self) held.push_back(id);
    }
    Requeue(*group, std::move(held));
    consumer.reactor_.clear();
    consumer.to_send_.clear();
    Assign(group);
  }
  Hint(consumer);
}

void Consumers::Hint(Consumer& consumer) {
  if (consumer.finished_ || std::exchange(consumer.running_, true)) return;
  parts_.work.Post([this, self = consumer.shared_from_this()] { Run(self); });
}

void Consumers::Run(const ConsumerPtr& consumer) {
  while (true) {
    Next next;
    {
      MutexLock lock(mu_);
      next = NextOf(*consumer);
      consumer->running_ = next.act != Act::kNothing;
    }
    switch (next.act) {
      case Act::kNothing:
        return;
      case Act::kRead:
        consumer->sink_->Read();
        break;
      case Act::kWrite:
        consumer->sink_->Write(next.message);
        break;
      case Act::kDeliver:
        Send(*consumer, next.deliveries);
        break;
      case Act::kFinish:
        return consumer->sink_->Finish(next.status);
    }
  }
}

Consumers::Next Consumers::NextOf(Consumer& consumer) {
  Next next;
  if (consumer.finished_) return next;
  const bool ended = consumer.end_.has_value();
  const std::size_t answers = consumer.settled_.size() + consumer.refused_.size();
  if (!consumer.writing_) {
    const bool tells = consumer.opened_ || answers > 0;
    const bool waits = ended && consumer.end_->ok() && !consumer.unsettled_.empty();
    if (ended && (consumer.gone_ || (!tells && !waits))) {
      consumer.finished_ = true;
      open_.erase(&consumer);
      next.act = Act::kFinish;
      next.status = *consumer.end_;
      return next;
    }
    if (tells || (!ended && !consumer.to_send_.empty())) {
      consumer.writing_ = true;
      next.act = tells ? Act::kWrite : Act::kDeliver;
      if (consumer.opened_) {
        *next.message.mutable_opened() = *std::exchange(consumer.opened_, std::nullopt);
      } else if (tells) {
        next.message = TakeSettled(consumer);
      } else {
        next.deliveries = TakeToSend(consumer);
      }
      return next;
    }
  }
  if (!ended && !consumer.reading_ && answers < kConsumeAnswersMax) {
    consumer.reading_ = true;
    next.act = Act::kRead;
  }
  return next;
}

ConsumeResponse Consumers::TakeSettled(Consumer& consumer) {
  const auto take = [](std::vector<std::string>& from, std::size_t count) {
    const auto end = from.begin() + static_cast<std::ptrdiff_t>(std::min(count, from.size()));
    std::vector<std::string> taken(std::make_move_iterator(from.begin()),
                                   std::make_move_iterator(end));
    from.erase(from.begin(), end);
    return taken;
  };
  ConsumeResponse message;
  auto& settled = *message.mutable_settled();
  for (std::string& id : take(consumer.settled_, kConsumeAnswersMax))
    settled.add_delivery_ids(std::move(id));
  const auto left = kConsumeAnswersMax - static_cast<std::size_t>(settled.delivery_ids_size());
  for (const std::string& id : take(consumer.refused_, left)) {
    auto& refused = *settled.add_refused();
    refused.set_delivery_id(id);
    *refused.mutable_error() = parts_.to_proto(NotHeld(id));
  }
  return message;
}

std::vector<Delivery> Consumers::TakeToSend(Consumer& consumer) {
  std::vector<Delivery> deliveries;
  const GroupPtr group = GroupOf(consumer);
  while (!consumer.to_send_.empty() && deliveries.size() < kConsumeDeliveriesMax) {
    const auto found = group->in_flight.find(consumer.to_send_.front());
    consumer.to_send_.pop_front();
    // What it has answered meanwhile, by an attempt before, is gone.
    if (found != group->in_flight.end()) deliveries.push_back(found->second.held.delivery);
  }
  return deliveries;
}

void Consumers::Send(Consumer& consumer, const std::vector<Delivery>& deliveries) {
  std::vector<absl::StatusOr<RecordedEvent>> events;
  for (std::size_t bytes = 0; events.size() < deliveries.size() && bytes < kReaderMessageBytes;) {
    events.push_back(ReadEventAt(parts_.store, deliveries[events.size()].position));
    if (events.back().ok()) bytes += events.back()->payload.size();
  }
  ConsumeResponse message;
  Calls calls;
  {
    MutexLock lock(mu_);
    const GroupPtr group = GroupOf(consumer);
    for (std::size_t i = deliveries.size(); i > events.size() && !consumer.end_; --i)
      consumer.to_send_.push_front(deliveries[i - 1].id);
    for (std::size_t i = 0; i < events.size() && group != nullptr; ++i) {
      const std::string& id = deliveries[i].id;
      const auto found = group->in_flight.find(id);
      if (found == group->in_flight.end() || found->second.consumer.get() != &consumer) continue;
      if (std::exchange(found->second.sent, true)) continue;
      found->second.deadline = group->tick + kAckTimeoutTicks + 1;
      if (!events[i].ok()) {
        calls.push_back([done = Release(*group, id).done, failure = events[i].status()] {
          done({.failure = failure});
        });
        continue;
      }
      auto& added = *message.mutable_deliveries()->add_deliveries();
      added.set_delivery_id(id);
      added.set_attempt(found->second.held.delivery.attempts + 1);
      added.set_key(deliveries[i].key);
      *added.mutable_event() = ToProto(*events[i]);
    }
    if (!message.has_deliveries()) {
      consumer.writing_ = false;
      consumer.stalled_ = false;
    }
    if (group != nullptr) Assign(group);  // It may have room again.
  }
  for (const auto& call : calls) call();
  if (message.has_deliveries()) consumer.sink_->Write(message);
}

}  // namespace leftfold
