#include "event_store/feed.h"

#include <utility>

#include "core/reject.h"
#include "leftfold/store/v1/errors.pb.h"

namespace leftfold {
namespace {

constexpr absl::Duration kReadersRetryDelay = absl::Seconds(1);

}  // namespace

EventStore& Feed::store() const { return feeds_.store(); }

void Feed::OnWritten(bool ok) {
  MutexLock lock(mu_);
  outstanding_ = false;
  if (!ok && !end_) end_ = absl::CancelledError();
  Post();
}

void Feed::End(absl::Status status) {
  MutexLock lock(mu_);
  if (!end_) end_ = std::move(status);
  Post();
}

void Feed::Hint() {
  MutexLock lock(mu_);
  Post();
}

void Feed::Post() {
  const bool may_step = reads_ahead_ && !ahead_ && !end_;
  if (finished_ || (Writing() && !may_step)) return;
  if (std::exchange(running_, true)) {
    again_ = true;
    return;
  }
  feeds_.work().Post([self = shared_from_this()] { self->Run(); });
}

void Feed::Run() {
  std::optional<absl::Status> end;
  std::optional<std::string> message;
  {
    MutexLock lock(mu_);
    again_ = false;
    if (Writing() && (end_ || ahead_)) {
      running_ = false;
      return;
    }
    end = end_;
    message.swap(ahead_);
  }
  if (end) return Finish(*end);
  if (message) return Write(*std::move(message));
  const absl::StatusOr<Next> next = Step();
  if (!next.ok()) return EndStep(next.status());
  if (*next == Next::kEnd) return EndStep(absl::OkStatus());
  if (*next == Next::kWrite) return Write(TakeMessage());
  if (*next == Next::kWait) feeds_.Wait(shared_from_this(), waits_past());
  MutexLock lock(mu_);
  running_ = false;
  if (*next == Next::kAgain || again_ || end_) Post();
}

void Feed::Write(std::string message) {
  {
    MutexLock lock(mu_);
    running_ = false;
    if (Writing()) {
      ahead_ = std::move(message);
      return;
    }
    calling_ = outstanding_ = true;
    reads_ahead_ = message.size() <= kReaderMessageBytes && HasMore();
    if (reads_ahead_) {
      // First, so that this thread goes on to read: the other must be woken, and may take its time.
      Post();
      auto sent = std::make_shared<std::string>(std::move(message));
      feeds_.work().Post([self = shared_from_this(), sent] { self->Send(std::move(*sent)); });
      return;
    }
  }
  Send(std::move(message));
}

void Feed::Send(std::string message) {
  feeds_.messages_.Add();
  sink_->Write(std::move(message));
  MutexLock lock(mu_);
  calling_ = false;
  Post();
}

void Feed::EndStep(const absl::Status& status) {
  {
    MutexLock lock(mu_);
    if (!end_) end_ = status;
    running_ = !Writing();
    if (!running_) return;
  }
  Finish(status);
}

void Feed::Finish(const absl::Status& status) {
  {
    MutexLock lock(mu_);
    finished_ = true;  // And running_ stays: nothing steps any more.
  }
  feeds_.Close(this);
  sink_->Finish(status);
}

Feeds::Feeds(EventStore& store, Executor& work) : store_(store), work_(work) {
  // Publishes what was built to Admit: calls come from gRPC's threads, and how those came about the
  // thread sanitizer does not see.
  MutexLock lock(mu_);
}

absl::Status Feeds::Admit(const std::shared_ptr<Feed>& feed) {
  MutexLock lock(mu_);
  if (stopping_) return ServerStopping("go on from your last position elsewhere or later");
  if (open_.size() >= kReadersMax) {
    return WithRetryAfter(
        Reject(store::v1::ERROR_REASON_TOO_MANY_READERS,
               fmt::format("{} reads and subscriptions are open already; retry later", kReadersMax),
               {{"maximum", fmt::to_string(kReadersMax)}}),
        kReadersRetryDelay);
  }
  open_.emplace(feed.get(), feed);
  return absl::OkStatus();
}

void Feeds::Close(Feed* feed) {
  MutexLock lock(mu_);
  open_.erase(feed);
}

std::size_t Feeds::open() const {
  MutexLock lock(mu_);
  return open_.size();
}

void Feeds::Stop() {
  std::vector<std::shared_ptr<Feed>> feeds;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    for (const auto& [pointer, weak] : open_) {
      if (auto feed = weak.lock()) feeds.push_back(std::move(feed));
    }
  }
  for (const auto& feed : feeds)
    feed->End(ServerStopping("go on from your last position elsewhere or later"));
}

void Feeds::Wait(const std::shared_ptr<Feed>& feed, Position position) {
  bool poll = false;
  bool ask = false;
  {
    MutexLock lock(mu_);
    waiting_.push_back(feed);
    poll = !std::exchange(poll_posted_, true);
    ask = !asked_past_;
    if (ask) asked_past_ = position;
  }
  if (poll) work_.PostAfter(kReaderPollInterval, [this] { OnPoll(); });
  if (ask) store_.WaitPast(position, [this] { OnHead(); });
}

void Feeds::OnHead() {
  std::vector<std::weak_ptr<Feed>> waiting;
  {
    MutexLock lock(mu_);
    asked_past_.reset();
    waiting.swap(waiting_);
  }
  for (const auto& weak : waiting) {
    if (const auto feed = weak.lock()) feed->Hint();
  }
}

void Feeds::OnPoll() {
  const Position head = store_.GetHead().position;
  std::vector<std::weak_ptr<Feed>> waiting;
  {
    MutexLock lock(mu_);
    waiting.swap(waiting_);
    // Its call is lost: the store is asked again.
    if (asked_past_ && *asked_past_ < head) asked_past_.reset();
  }
  std::vector<std::weak_ptr<Feed>> still;
  for (auto& weak : waiting) {
    const auto feed = weak.lock();
    if (feed == nullptr) continue;
    feed->OnPoll(head) ? feed->Hint() : still.push_back(std::move(weak));
  }
  bool poll = false;
  {
    MutexLock lock(mu_);
    waiting_.insert(waiting_.end(), still.begin(), still.end());
    poll_posted_ = poll = !waiting_.empty();
  }
  if (poll) work_.PostAfter(kReaderPollInterval, [this] { OnPoll(); });
}

}  // namespace leftfold
