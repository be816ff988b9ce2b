#include <algorithm>
#include <atomic>
#include <utility>

#include "core/event_wire.h"
#include "core/status.h"
#include "core/timestamp.h"
#include "event_store/readers.h"
#include "event_store/reading.h"

namespace leftfold {
namespace {

class Subscription final : public Feed {
 public:
  Subscription(Feeds& feeds, store::v1::SubscribeRequest request, EventFilter filter,
               std::shared_ptr<FeedSink> sink)
      : Feed(feeds, std::move(sink)),
        request_(std::move(request)),
        filter_(std::move(filter)),
        whole_(filter_.MatchesAll()),
        events_(store::v1::EventBatch::kEventsFieldNumber, request_.raw_metadata()) {}

 private:
  absl::StatusOr<Next> Step() override {
    message_.Clear();
    absl::StatusOr<Next> next = started_ ? GoOn() : Begin();
    if (next.ok() && *next == Next::kWrite) polls_ = 0;
    return next;
  }
  std::string TakeMessage() override {
    if (events_.count() == 0) return message_.SerializeAsString();
    std::string message;
    AppendField(message_.kEventsFieldNumber, events_.TakeWith(message_.events()), message);
    return message;
  }
  bool HasMore() const override { return through_ < head_; }
  Position waits_past() const override { return Position{waits_past_}; }
  bool OnPoll(Position head) override {
    ++polls_;
    return head > waits_past() || HeartbeatDue();
  }
  bool HeartbeatDue() const {
    return polls_.load() * kReaderPollInterval >= kSubscriptionHeartbeat;
  }

  absl::StatusOr<Next> Begin() {
    const Head head = store().GetHead();
    head_ = head.position;
    if (request_.has_end()) {
      through_ = head.position;
    } else if (request_.has_time()) {
      const auto before = store().PositionBefore(FromProto(request_.time()));
      if (!before.ok()) return before.status();
      through_ = std::min(*before, head.position);  // What came since is for later.
    } else {
      through_ = Position{request_.after_position()};
    }
    if (through_ > head.position)
      return reading::Diverged(through_, head.position, "the log does not reach that far");
    const auto chain = ChainAt(through_, head);
    if (!chain.ok()) return chain.status();
    if (!request_.after_chain().empty() && request_.after_chain() != *chain)
      return reading::Diverged(through_, head.position, "the chain has another value there");
    started_ = true;
    told_ = through_;
    store::v1::Started& started = *message_.mutable_started();
    started.set_position(through_.value);
    started.set_chain(*chain);
    started.set_store_id(store().StoreId());
    started.set_head_position(head.position.value);
    return Next::kWrite;
  }

  absl::StatusOr<Next> GoOn() {
    const Head head = store().GetHead();
    head_ = head.position;
    if (through_ >= head.position) return AtEnd(head);
    if (request_.without_events()) return PassedOver(head.position, head);
    if (live_ && head.position.value - through_.value > kFellBehindEvents) {
      live_ = false;
      told_ = through_;
      message_.mutable_fell_behind()->set_position(through_.value);
      message_.mutable_fell_behind()->set_head_position(head.position.value);
      return Next::kWrite;
    }
    Position last = through_;
    bool dense = true;
    const auto through = store().VisitAll(
        reading::BatchOptions(through_, Direction::kForward, filter_), [&](const EventView& event) {
          dense = !whole_ || event.position == last.Next();
          if (!dense || !events_.Add(event)) return false;
          last = event.position;
          return true;
        });
    if (!through.ok()) return through.status();
    if (!dense || *through <= through_) return reading::HoleAt(last.Next());
    if (events_.count() == 0) return PassedOver(*through, head);
    through_ = *through;
    told_ = last;
    message_.mutable_events()->set_position(told_.value);
    message_.mutable_events()->set_head_position(std::max(head.position, told_).value);
    return Next::kWrite;
  }

  // Nothing up to `through` is wanted.
  absl::StatusOr<Next> PassedOver(Position through, const Head& head) {
    through_ = through;
    if (!request_.without_events() && through_.value - told_.value < kCheckpointEvents)
      return Next::kAgain;
    const auto chain = ChainAt(through_, head);
    if (!chain.ok()) return chain.status();
    told_ = through_;
    message_.mutable_checkpoint()->set_position(through_.value);
    message_.mutable_checkpoint()->set_chain(*chain);
    return Next::kWrite;
  }

  absl::StatusOr<Next> AtEnd(const Head& head) {
    if (!std::exchange(live_, true)) {
      const auto chain = ChainAt(through_, head);
      if (!chain.ok()) return chain.status();
      told_ = through_;
      message_.mutable_caught_up()->set_position(through_.value);
      message_.mutable_caught_up()->set_chain(*chain);
      return Next::kWrite;
    }
    if (HeartbeatDue()) {
      told_ = through_;
      message_.mutable_heartbeat()->set_position(through_.value);
      message_.mutable_heartbeat()->set_head_position(std::max(head.position, through_).value);
      return Next::kWrite;
    }
    waits_past_ = through_.value;
    return Next::kWait;
  }

  absl::StatusOr<std::string> ChainAt(Position position, const Head& head) {
    if (position == head.position) return std::string(AsBytes(head.chain));
    if (position == kBeforeFirst) return std::string(AsBytes(FirstChain(store().StoreId())));
    const auto read = store().ReadAll({.from = Position{position.value - 1}, .events_max = 1});
    if (!read.ok()) return read.status();
    if (read->events.empty() || read->events.front().position != position)
      return reading::HoleAt(position);
    return std::string(AsBytes(read->events.front().chain));
  }

  const store::v1::SubscribeRequest request_;
  const EventFilter filter_;
  const bool whole_;  // No filter: positions must be dense.
  // Of the step that runs.
  store::v1::SubscribeResponse message_;  // Without its events.
  reading::EventsField events_;
  bool started_ = false;
  bool live_ = false;
  Position through_;  // All up to here was sent or is not wanted.
  Position told_;     // The position that the client has last been told.
  Position head_;     // As it was at the last step.
  // A poll looks at them while no step runs, or one that was hinted beside it.
  std::atomic<std::int64_t> waits_past_ = 0;
  std::atomic<int> polls_ = 0;  // Since the last message.
};

}  // namespace

absl::StatusOr<std::shared_ptr<Feed>> OpenSubscription(Feeds& feeds,
                                                       const store::v1::SubscribeRequest& request,
                                                       std::shared_ptr<FeedSink> sink) {
  Violations violations;
  reading::CheckPartition(request.partition(), violations);
  if (request.after_position() < 0) violations.Add("after_position", "must be 0 or more");
  if (request.has_time()) reading::CheckTime(request.time(), violations);
  if (!request.after_chain().empty() && request.from_case() != request.kAfterPosition)
    violations.Add("after_chain", "goes with after_position only");
  if (!request.after_chain().empty() && request.after_chain().size() != Digest{}.size())
    violations.Add("after_chain", "must have 32 bytes");
  EventFilter filter = reading::ToFilter(request.filter(), violations);
  if (request.without_events() && !filter.MatchesAll())
    violations.Add("filter", "goes with events only");
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  auto subscription =
      std::make_shared<Subscription>(feeds, request, std::move(filter), std::move(sink));
  LEFTFOLD_RETURN_IF_ERROR(feeds.Admit(subscription));
  return subscription;
}

}  // namespace leftfold
