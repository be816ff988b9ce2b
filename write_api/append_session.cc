#include "write_api/append_session.h"

#include <algorithm>
#include <utility>

#include "core/reject.h"
#include "leftfold/store/v1/errors.pb.h"

namespace leftfold {
namespace {

constexpr absl::Duration kSessionsRetryDelay = absl::Seconds(1);

absl::Status Stopping() {
  return WithRetryAfter(
      Reject(core::v1::ERROR_REASON_STOPPING, "the server is stopping; go on elsewhere or later"),
      kSessionsRetryDelay);
}

}  // namespace

AppendSession::AppendSession(AppendSessions& sessions, Caller caller,
                             std::shared_ptr<AppendSessionSink> sink)
    : sessions_(sessions), caller_(std::move(caller)), sink_(std::move(sink)) {}

void AppendSession::OnRead(const absl::StatusOr<const store::v1::AppendSessionRequest*>& message) {
  const store::v1::AppendSessionRequest* request = message.ok() ? *message : nullptr;
  std::vector<std::size_t> sizes;
  {
    MutexLock lock(mu_);
    // What comes when nothing more is to be read is dropped, and never answered.
    if (request != nullptr && !end_) {
      for (const auto& append : request->appends()) sizes.push_back(append.ByteSizeLong());
    }
    if (request == nullptr && !end_) end_ = message.status();
    appends_ += sizes.size();
    for (const std::size_t size : sizes) bytes_ += size;
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const store::v1::SessionAppend& append = request->appends(static_cast<int>(i));
    // Others are refused without the token, and leave nothing here.
    const std::uint64_t chain = caller_.trusted ? append.append().engine().chain() : 0;
    sessions_.appender_.Append(
        append.append(), caller_,
        [self = shared_from_this(), id = append.id(), chain,
         bytes = sizes[i]](const absl::StatusOr<store::v1::AppendReceipt>& receipt) {
          self->OnAnswer(id, chain, bytes, receipt);
        },
        chain == 0 ? nullptr : EnterChain(append.append().engine()));
  }
  {
    MutexLock lock(mu_);
    reading_ = false;
  }
  Pump();
}

std::shared_ptr<std::atomic<bool>> AppendSession::EnterChain(
    const store::v1::EngineFields& engine) {
  MutexLock lock(mu_);
  Chain& chain = chains_[engine.chain()];
  ++chain.in_flight;
  if (engine.broken()) *chain.broken = true;
  return chain.broken;
}

void AppendSession::LeaveChain(std::uint64_t number) {
  const auto it = chains_.find(number);
  if (it == chains_.end() || --it->second.in_flight > 0) return;
  // One that holds is as good as a new one.
  if (!*it->second.broken) {
    chains_.erase(it);
    return;
  }
  if (std::exchange(it->second.remembered, true)) return;
  broken_chains_.push_back(number);
  if (broken_chains_.size() <= kSessionBrokenChainsMax) return;
  chains_.erase(broken_chains_.front());
  broken_chains_.pop_front();
}

void AppendSession::OnAnswer(std::uint64_t id, std::uint64_t chain, std::size_t bytes,
                             const absl::StatusOr<store::v1::AppendReceipt>& receipt) {
  Answer answer{{}, bytes};
  answer.result.set_id(id);
  if (receipt.ok()) {
    *answer.result.mutable_receipt() = *receipt;
  } else {
    *answer.result.mutable_error() = sessions_.to_status_(receipt.status());
  }
  {
    MutexLock lock(mu_);
    answers_.push_back(std::move(answer));
    if (chain != 0) LeaveChain(chain);
  }
  Pump();
}

void AppendSession::OnWritten(bool ok) {
  {
    MutexLock lock(mu_);
    writing_ = false;
    appends_ -= writing_appends_;
    bytes_ -= writing_bytes_;
    if (!ok) {
      gone_ = true;
      if (!end_) end_ = absl::CancelledError();
    }
  }
  Pump();
}

void AppendSession::End(const absl::Status& status) {
  {
    MutexLock lock(mu_);
    if (!end_) end_ = status;
    if (absl::IsCancelled(status)) gone_ = true;
  }
  Pump();
}

void AppendSession::Pump() {
  // The last call may let go of what holds the session.
  const auto self = shared_from_this();
  {
    MutexLock lock(mu_);
    again_ = true;
    if (std::exchange(pumping_, true)) return;
  }
  while (true) {
    std::function<void()> call;
    {
      MutexLock lock(mu_);
      call = NextCall();
      if (call == nullptr && !std::exchange(again_, false)) {
        pumping_ = false;
        return;
      }
    }
    if (call != nullptr) call();
  }
}

std::function<void()> AppendSession::NextCall() {
  if (finished_) return nullptr;
  if (gone_) answers_.clear();
  if (!answers_.empty() && !writing_) return NextWrite();
  if (end_ && !writing_ && (appends_ == 0 || gone_)) {
    finished_ = true;
    return [this, status = *end_] {
      sessions_.Close(this);
      sink_->Finish(status);
    };
  }
  const bool room = appends_ < kSessionAppendsMax && bytes_ < kSessionBytesMax;
  if (!end_ && !reading_ && room) {
    reading_ = true;
    return [this] { sink_->Read(); };
  }
  return nullptr;
}

std::function<void()> AppendSession::NextWrite() {
  const std::size_t count = std::min(answers_.size(), kSessionAnswersMax);
  auto message = std::make_shared<store::v1::AppendSessionResponse>();
  writing_ = true;
  writing_appends_ = count;
  writing_bytes_ = 0;
  for (std::size_t i = 0; i < count; ++i) {
    writing_bytes_ += answers_[i].bytes;
    *message->add_results() = std::move(answers_[i].result);
  }
  answers_.erase(answers_.begin(), answers_.begin() + static_cast<std::ptrdiff_t>(count));
  return [this, message] { sink_->Write(*message); };
}

absl::StatusOr<std::shared_ptr<AppendSession>> AppendSessions::Open(
    Caller caller, std::shared_ptr<AppendSessionSink> sink) {
  auto session = std::make_shared<AppendSession>(*this, std::move(caller), std::move(sink));
  MutexLock lock(mu_);
  if (stopping_) return Stopping();
  if (open_.size() >= kAppendSessionsMax) {
    return WithRetryAfter(
        Reject(store::v1::ERROR_REASON_TOO_MANY_SESSIONS,
               fmt::format("{} append sessions are open already; retry later", kAppendSessionsMax),
               {{"maximum", fmt::to_string(kAppendSessionsMax)}}),
        kSessionsRetryDelay);
  }
  open_.emplace(session.get(), session);
  return session;
}

void AppendSessions::Stop() {
  std::vector<std::shared_ptr<AppendSession>> sessions;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    for (const auto& [pointer, weak] : open_) {
      if (auto session = weak.lock()) sessions.push_back(std::move(session));
    }
  }
  for (const auto& session : sessions) session->End(Stopping());
}

void AppendSessions::Close(AppendSession* session) {
  MutexLock lock(mu_);
  open_.erase(session);
}

std::size_t AppendSessions::open() const {
  MutexLock lock(mu_);
  return open_.size();
}

}  // namespace leftfold
