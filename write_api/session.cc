#include "write_api/session.h"

#include <algorithm>
#include <utility>

#include "core/reject.h"

namespace leftfold {
namespace {

constexpr absl::Duration kSessionsRetryDelay = absl::Seconds(1);

}  // namespace

Session::Session(Sessions& sessions, std::shared_ptr<SessionRequests> requests,
                 std::shared_ptr<SessionSink> sink)
    : sessions_(sessions), kind_(std::move(requests)), sink_(std::move(sink)) {}

void Session::OnRead(const absl::StatusOr<const google::protobuf::Message*>& message) {
  const google::protobuf::Message* request = message.ok() ? *message : nullptr;
  std::vector<std::size_t> sizes;
  {
    MutexLock lock(mu_);
    // What comes when nothing more is to be read is dropped, and never answered.
    if (request != nullptr && !end_) sizes = kind_->Sizes(*request);
    if (request == nullptr && !end_) end_ = message.status();
    requests_ += sizes.size();
    for (const std::size_t size : sizes) bytes_ += size;
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    kind_->Start(*request, static_cast<int>(i),
                 [self = shared_from_this(), bytes = sizes[i]](auto answer) {
                   self->OnAnswer(bytes, std::move(answer));
                 });
  }
  {
    MutexLock lock(mu_);
    reading_ = false;
  }
  Pump();
}

void Session::OnAnswer(std::size_t bytes, std::unique_ptr<google::protobuf::Message> answer) {
  {
    MutexLock lock(mu_);
    answers_.push_back({std::move(answer), bytes});
  }
  Pump();
}

void Session::OnWritten(bool ok) {
  {
    MutexLock lock(mu_);
    writing_ = false;
    requests_ -= writing_requests_;
    bytes_ -= writing_bytes_;
    if (!ok) {
      gone_ = true;
      if (!end_) end_ = absl::CancelledError();
    }
  }
  Pump();
}

void Session::End(const absl::Status& status) {
  {
    MutexLock lock(mu_);
    if (!end_) end_ = status;
    if (absl::IsCancelled(status)) gone_ = true;
  }
  Pump();
}

void Session::Pump() {
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

std::function<void()> Session::NextCall() {
  if (finished_) return nullptr;
  if (gone_) answers_.clear();
  if (!answers_.empty() && !writing_) return NextWrite();
  if (end_ && !writing_ && (requests_ == 0 || gone_)) {
    finished_ = true;
    return [this, status = *end_] {
      sessions_.Close(this);
      sink_->Finish(status);
    };
  }
  const bool room = requests_ < kSessionRequestsMax && bytes_ < kSessionBytesMax;
  if (!end_ && !reading_ && room) {
    reading_ = true;
    return [this] { sink_->Read(); };
  }
  return nullptr;
}

std::function<void()> Session::NextWrite() {
  const std::size_t count = std::min(answers_.size(), kSessionAnswersMax);
  std::vector<std::unique_ptr<google::protobuf::Message>> packed;
  writing_ = true;
  writing_requests_ = count;
  writing_bytes_ = 0;
  for (std::size_t i = 0; i < count; ++i) {
    writing_bytes_ += answers_[i].bytes;
    packed.push_back(std::move(answers_[i].answer));
  }
  answers_.erase(answers_.begin(), answers_.begin() + static_cast<std::ptrdiff_t>(count));
  const std::shared_ptr<google::protobuf::Message> message = kind_->Pack(std::move(packed));
  return [this, message] { sink_->Write(*message); };
}

absl::StatusOr<std::shared_ptr<Session>> Sessions::Open(Caller caller,
                                                        std::shared_ptr<SessionSink> sink) {
  auto session = std::make_shared<Session>(*this, kind_.Begin(std::move(caller)), std::move(sink));
  MutexLock lock(mu_);
  if (stopping_) return ServerStopping("go on elsewhere or later");
  if (open_.size() >= kSessionsMax) return WithRetryAfter(kind_.TooMany(), kSessionsRetryDelay);
  open_.emplace(session.get(), session);
  return session;
}

void Sessions::Stop() {
  std::vector<std::shared_ptr<Session>> sessions;
  {
    MutexLock lock(mu_);
    stopping_ = true;
    for (const auto& [pointer, weak] : open_) {
      if (auto session = weak.lock()) sessions.push_back(std::move(session));
    }
  }
  for (const auto& session : sessions) session->End(ServerStopping("go on elsewhere or later"));
}

void Sessions::Close(Session* session) {
  MutexLock lock(mu_);
  open_.erase(session);
}

std::size_t Sessions::open() const {
  MutexLock lock(mu_);
  return open_.size();
}

}  // namespace leftfold
