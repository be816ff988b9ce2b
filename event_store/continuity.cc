#include "event_store/continuity.h"

#include <algorithm>

#include "core/reject.h"
#include "core/timestamp.h"

namespace leftfold {
namespace {

std::optional<Digest> DigestOf(const std::string& bytes) {
  Digest digest;
  if (bytes.size() != digest.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

bool OnlyCategory(const store::v1::EventFilter& filter) {
  store::v1::EventFilter rest = filter;
  rest.clear_categories();
  return filter.categories_size() == 1 && rest.ByteSizeLong() == 0;
}

}  // namespace

ContinuityChecker::ContinuityChecker(const store::v1::EventFilter& filter)
    : proof_(filter.ByteSizeLong() == 0 ? Proof::kWhole
             : OnlyCategory(filter)     ? Proof::kCategory
                                        : Proof::kNone) {}

void ContinuityChecker::ResumeAfter(Position position, const Digest& chain) {
  resumed_ = true;
  position_ = position;
  chain_ = chain;
}

absl::Status ContinuityChecker::Check(const store::v1::SubscribeResponse& message) {
  LEFTFOLD_RETURN_IF_ERROR(failed_);
  switch (message.content_case()) {
    case store::v1::SubscribeResponse::kStarted:
      return Begin(message.started());
    case store::v1::SubscribeResponse::kEvents:
      for (const core::v1::RecordedEvent& event : message.events().events())
        LEFTFOLD_RETURN_IF_ERROR(Check(event));
      return absl::OkStatus();
    case store::v1::SubscribeResponse::kCaughtUp:
      return Reach(message.caught_up().position(), message.caught_up().chain());
    case store::v1::SubscribeResponse::kCheckpoint:
      return Reach(message.checkpoint().position(), message.checkpoint().chain());
    case store::v1::SubscribeResponse::kFellBehind:
      return Reach(message.fell_behind().position(), "");
    case store::v1::SubscribeResponse::kHeartbeat:
      return Reach(message.heartbeat().position(), "");
    case store::v1::SubscribeResponse::CONTENT_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

absl::Status ContinuityChecker::Begin(const store::v1::Started& started) {
  const std::optional<Digest> chain = DigestOf(started.chain());
  if (!chain) return Fail("the subscription begins without a chain value", started.position());
  if (started.position() == 0 && *chain != FirstChain(started.store_id()))
    return Fail("the chain does not begin with the store's id", 0);
  if (resumed_ && (started.position() != position_.value || chain != chain_))
    return Fail("the subscription does not begin where the one before ended", started.position());
  position_ = Position{started.position()};
  chain_ = chain;
  if (started.position() == 0) category_last_ = kBeforeFirst;
  return absl::OkStatus();
}

absl::Status ContinuityChecker::Reach(std::int64_t position, const std::string& chain) {
  if (position < position_.value || (proof_ == Proof::kWhole && position != position_.value))
    return Fail("events before this position were not delivered", position);
  const std::optional<Digest> there = DigestOf(chain);
  if (there && position == position_.value && chain_ && there != chain_)
    return Fail("the chain value is not that of the events", position);
  if (position > position_.value) chain_.reset();
  if (there) chain_ = there;
  position_ = Position{position};
  return absl::OkStatus();
}

absl::Status ContinuityChecker::Check(const core::v1::RecordedEvent& event) {
  LEFTFOLD_RETURN_IF_ERROR(failed_);
  if (proof_ == Proof::kWhole) return CheckWhole(event);
  if (event.position() <= position_.value) return Fail("positions do not go up", event.position());
  if (proof_ == Proof::kCategory) LEFTFOLD_RETURN_IF_ERROR(CheckCategory(event));
  position_ = Position{event.position()};
  chain_ = DigestOf(event.chain());
  return absl::OkStatus();
}

absl::Status ContinuityChecker::CheckWhole(const core::v1::RecordedEvent& event) {
  if (event.position() != position_.value + 1)
    return Fail("this position does not follow the one before", event.position());
  const std::optional<Digest> leaf = DigestOf(event.leaf());
  if (!chain_ || !leaf) return Fail("the event has no leaf", event.position());
  RecordedEvent linked;
  linked.position = Position{event.position()};
  linked.stream = event.stream();
  linked.version = Version{event.version()};
  linked.recorded_at = FromProto(event.recorded_at());
  linked.category_previous = Position{event.category_previous()};
  linked.leaf = *leaf;
  const Digest chain = ChainOf(*chain_, linked);
  if (chain != DigestOf(event.chain()))
    return Fail("the chain value does not follow from the one before", event.position());
  position_ = linked.position;
  chain_ = chain;
  return absl::OkStatus();
}

absl::Status ContinuityChecker::CheckCategory(const core::v1::RecordedEvent& event) {
  // Begun in the middle of the log: the first event can only be known not to skip one since.
  const bool follows = category_last_ ? event.category_previous() == category_last_->value
                                      : event.category_previous() <= position_.value;
  if (!follows)
    return Fail("the event before this one in its category was not delivered", event.position());
  category_last_ = Position{event.position()};
  return absl::OkStatus();
}

absl::Status ContinuityChecker::Fail(std::string_view what, std::int64_t position) {
  failed_ = Reject(core::v1::ERROR_REASON_DATA_LOSS,
                   fmt::format("position {}: {}; subscribe again after position {}", position, what,
                               position_.value),
                   {{"position", fmt::to_string(position)}});
  return failed_;
}

}  // namespace leftfold
