#include <algorithm>
#include <limits>
#include <utility>

#include "core/ids.h"
#include "core/status.h"
#include "core/timestamp.h"
#include "event_store/readers.h"
#include "event_store/reading.h"

namespace leftfold {
namespace {

Direction ToDirection(store::v1::Direction direction) {
  return direction == store::v1::DIRECTION_BACKWARD ? Direction::kBackward : Direction::kForward;
}

void CheckDirection(store::v1::Direction direction, Violations& violations) {
  if (!store::v1::Direction_IsValid(direction))
    violations.Add("direction", "must be DIRECTION_FORWARD or DIRECTION_BACKWARD");
}

// How many events may still be sent.
std::int64_t Limit(std::int64_t max_count) {
  return max_count == 0 ? std::numeric_limits<std::int64_t>::max() : max_count;
}

class ReadAllFeed final : public Feed {
 public:
  ReadAllFeed(Feeds& feeds, store::v1::ReadAllRequest request, EventFilter filter,
              std::shared_ptr<FeedSink> sink)
      : Feed(feeds, std::move(sink)),
        request_(std::move(request)),
        filter_(std::move(filter)),
        whole_(filter_.MatchesAll()),
        forward_(ToDirection(request_.direction()) == Direction::kForward),
        left_(Limit(request_.max_count())),
        events_(message_.kEventsFieldNumber, request_.raw_metadata()) {}

 private:
  absl::StatusOr<Next> Step() override {
    message_.Clear();
    if (!begun_) LEFTFOLD_RETURN_IF_ERROR(Begin());
    if (AtEnd()) {
      if (told_ == through_) return Next::kEnd;
      return Tell(through_);
    }
    ReadAllOptions options = reading::BatchOptions(
        through_, forward_ ? Direction::kForward : Direction::kBackward, filter_);
    options.events_max = std::min(options.events_max, static_cast<std::size_t>(left_));
    Position last = through_;
    bool dense = true;
    const auto through = store().VisitAll(options, [&](const EventView& event) {
      dense = !whole_ || event.position == After(last);
      // What was appended after the read began is left out.
      if (!dense || (forward_ && event.position > head_) || !events_.Add(event)) return false;
      last = event.position;
      --left_;
      return true;
    });
    if (!through.ok()) return through.status();
    if (!dense || *through == through_) return reading::HoleAt(After(last));
    return Took(*through, last);
  }
  std::string TakeMessage() override { return events_.TakeWith(message_); }
  bool HasMore() const override { return !AtEnd(); }

  absl::Status Begin() {
    head_ = store().GetHead().position;
    switch (request_.from_case()) {
      case store::v1::ReadAllRequest::kPosition:
        through_ = Position{request_.position()};
        break;
      case store::v1::ReadAllRequest::kTime: {
        const auto before = store().PositionBefore(FromProto(request_.time()));
        if (!before.ok()) return before.status();
        through_ = forward_ ? std::min(*before, head_) : before->Next();
        break;
      }
      case store::v1::ReadAllRequest::FROM_NOT_SET:
        through_ = forward_ ? kBeforeFirst : head_.Next();
    }
    if (forward_ && through_ > head_)
      return reading::Diverged(through_, head_, "the log does not reach that far");
    through_ = std::min(through_, head_.Next());
    begun_ = true;
    return absl::OkStatus();
  }

  Position After(Position position) const { return Position{position.value + (forward_ ? 1 : -1)}; }
  bool AtEnd() const { return left_ == 0 || (forward_ ? through_ >= head_ : through_.value <= 1); }

  // Events up to `last`, of those up to `through`.
  absl::StatusOr<Next> Took(Position through, Position last) {
    through_ = forward_ ? std::min(through, head_) : through;
    if (events_.count() == 0) {
      const std::int64_t untold = std::abs(through_.value - told_.value_or(Position{0}).value);
      return untold < kCheckpointEvents || AtEnd() ? Next::kAgain : Tell(through_);
    }
    // With the last one wanted the read ends, wherever the next one would have been looked for.
    if (left_ == 0) through_ = last;
    return Tell(through_);
  }

  Next Tell(Position position) {
    told_ = position;
    message_.set_position(position.value);
    message_.set_head_position(head_.value);
    return Next::kWrite;
  }

  const store::v1::ReadAllRequest request_;
  const EventFilter filter_;
  const bool whole_;  // No filter: positions must be dense.
  const bool forward_;
  std::int64_t left_;
  store::v1::ReadAllResponse message_;  // Without its events.
  reading::EventsField events_;
  bool begun_ = false;
  Position head_;
  Position through_;
  std::optional<Position> told_;
};

class ReadStreamFeed final : public Feed {
 public:
  ReadStreamFeed(Feeds& feeds, store::v1::ReadStreamRequest request, std::shared_ptr<FeedSink> sink)
      : Feed(feeds, std::move(sink)),
        request_(std::move(request)),
        forward_(ToDirection(request_.direction()) == Direction::kForward),
        left_(Limit(request_.max_count())),
        events_(message_.kEventsFieldNumber, request_.raw_metadata()) {}

 private:
  absl::StatusOr<Next> Step() override {
    message_.Clear();
    if (!begun_) LEFTFOLD_RETURN_IF_ERROR(Begin());
    message_.set_stream_version(last_.value);
    if (!HasMore()) return std::exchange(told_, true) ? Next::kEnd : Next::kWrite;
    auto events = store().ReadStream(
        request_.stream(), {.from = next_,
                            .direction = forward_ ? Direction::kForward : Direction::kBackward,
                            .events_max = kReaderMessageEvents,
                            .bytes_max = kReaderMessageBytes / 2});
    if (!events.ok()) return events.status();
    if (events->empty() || events->front().version != next_)
      return Reject(core::v1::ERROR_REASON_DATA_LOSS,
                    fmt::format("the stream {} lacks version {}; run `leftfold verify`",
                                request_.stream(), next_.value),
                    {{"stream", request_.stream()}, {"version", fmt::to_string(next_.value)}});
    return Take(*events);
  }
  std::string TakeMessage() override { return events_.TakeWith(message_); }
  bool HasMore() const override { return left_ > 0 && next_ >= Version{0} && next_ <= last_; }

  absl::Status Begin() {
    const auto last = store().StreamVersion(request_.stream());
    if (!last.ok()) return last.status();
    last_ = *last;
    if (request_.from_case() == store::v1::ReadStreamRequest::kVersion) {
      next_ = Version{request_.version()};
      if (!forward_) next_ = std::min(next_, last_);
    } else if (request_.has_time()) {
      const auto first = FirstSince(FromProto(request_.time()));
      if (!first.ok()) return first.status();
      next_ = forward_ ? *first : Version{first->value - 1};
    } else {
      next_ = forward_ ? Version{0} : last_;
    }
    begun_ = true;
    return absl::OkStatus();
  }

  // Version of the first event recorded at `time` or later; the one after the last if there is
  // none. Times never decrease along a stream.
  absl::StatusOr<Version> FirstSince(absl::Time time) {
    std::int64_t low = 0;
    std::int64_t high = last_.value + 1;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      const auto event =
          store().ReadStream(request_.stream(), {.from = Version{middle}, .events_max = 1});
      if (!event.ok()) return event.status();
      if (!event->empty() && event->front().recorded_at < time) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return Version{low};
  }

  absl::StatusOr<Next> Take(const std::vector<RecordedEvent>& read) {
    const auto& types = request_.types();
    const auto is_wanted = [&types](const RecordedEvent& event) {
      return types.empty() || std::find(types.begin(), types.end(), event.type) != types.end();
    };
    for (const RecordedEvent& event : read) {
      if (event.version > last_ || left_ == 0) break;
      if (is_wanted(event)) {
        if (!events_.Add(ViewOf(event))) break;
        --left_;
      }
      next_ = Version{event.version.value + (forward_ ? 1 : -1)};
    }
    if (events_.count() == 0) return Next::kAgain;
    told_ = true;
    return Next::kWrite;
  }

  const store::v1::ReadStreamRequest request_;
  const bool forward_;
  std::int64_t left_;                      // That may still be sent.
  store::v1::ReadStreamResponse message_;  // Without its events.
  reading::EventsField events_;
  bool begun_ = false;
  bool told_ = false;
  Version last_ = kNoEventYet;
  Version next_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Feed>> OpenReadAll(Feeds& feeds,
                                                  const store::v1::ReadAllRequest& request,
                                                  std::shared_ptr<FeedSink> sink) {
  Violations violations;
  reading::CheckPartition(request.partition(), violations);
  reading::CheckCount(request.max_count(), violations);
  CheckDirection(request.direction(), violations);
  if (request.position() < 0) violations.Add("position", "must be 0 or more");
  if (request.has_time()) reading::CheckTime(request.time(), violations);
  EventFilter filter = reading::ToFilter(request.filter(), violations);
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  auto feed = std::make_shared<ReadAllFeed>(feeds, request, std::move(filter), std::move(sink));
  LEFTFOLD_RETURN_IF_ERROR(feeds.Admit(feed));
  return feed;
}

absl::StatusOr<std::shared_ptr<Feed>> OpenReadStream(Feeds& feeds,
                                                     const store::v1::ReadStreamRequest& request,
                                                     std::shared_ptr<FeedSink> sink) {
  Violations violations;
  reading::CheckCount(request.max_count(), violations);
  CheckDirection(request.direction(), violations);
  if (!IsStreamName(request.stream()))
    violations.Add("stream",
                   "must be <category>-<id>, category [a-z][a-z0-9_]*, id [A-Za-z0-9._~-]{1,128}");
  if (request.version() < 0) violations.Add("version", "must be 0 or more");
  if (request.has_time()) reading::CheckTime(request.time(), violations);
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  auto feed = std::make_shared<ReadStreamFeed>(feeds, request, std::move(sink));
  LEFTFOLD_RETURN_IF_ERROR(feeds.Admit(feed));
  return feed;
}

}  // namespace leftfold
