#include "write_api/append_session.h"

#include <absl/container/flat_hash_map.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

#include "core/mutex.h"
#include "core/reject.h"
#include "leftfold/store/v1/errors.pb.h"
#include "leftfold/store/v1/event_store.pb.h"

namespace leftfold {
namespace {

namespace v1 = store::v1;

// The appends of one session.
class AppendRequests final : public SessionRequests {
 public:
  AppendRequests(RawAppender& appender, ToStatusMessage to_status, Caller caller)
      : appender_(appender), to_status_(std::move(to_status)), caller_(std::move(caller)) {}

  std::vector<std::size_t> Sizes(const Message& message) const override {
    std::vector<std::size_t> sizes;
    for (const auto& append : static_cast<const v1::AppendSessionRequest&>(message).appends())
      sizes.push_back(append.ByteSizeLong());
    return sizes;
  }

  void Start(const Message& message, int index, Done done) override {
    const auto& append = static_cast<const v1::AppendSessionRequest&>(message).appends(index);
    // Others are refused without the token, and leave nothing here.
    const std::uint64_t chain = caller_.trusted ? append.append().engine().chain() : 0;
    appender_.Append(
        append.append(), caller_,
        [this, id = append.id(), chain,
         done = std::move(done)](const absl::StatusOr<v1::AppendReceipt>& receipt) {
          if (chain != 0) LeaveChain(chain);
          done(Answer(id, receipt));
        },
        chain == 0 ? nullptr : EnterChain(append.append().engine()));
  }

  std::unique_ptr<Message> Pack(std::vector<std::unique_ptr<Message>> answers) const override {
    auto response = std::make_unique<v1::AppendSessionResponse>();
    for (const auto& answer : answers)
      response->add_results()->Swap(static_cast<v1::SessionResult*>(answer.get()));
    return response;
  }

 private:
  struct Chain {
    std::shared_ptr<std::atomic<bool>> broken = std::make_shared<std::atomic<bool>>(false);
    std::size_t in_flight = 0;
    bool remembered = false;
  };

  std::unique_ptr<Message> Answer(std::uint64_t id,
                                  const absl::StatusOr<v1::AppendReceipt>& receipt) const {
    auto result = std::make_unique<v1::SessionResult>();
    result->set_id(id);
    if (receipt.ok()) {
      *result->mutable_receipt() = *receipt;
    } else {
      *result->mutable_error() = to_status_(receipt.status());
    }
    return result;
  }

  // What appends of the chain share; each is given back by LeaveChain.
  std::shared_ptr<std::atomic<bool>> EnterChain(const v1::EngineFields& engine) {
    MutexLock lock(mu_);
    Chain& chain = chains_[engine.chain()];
    ++chain.in_flight;
    if (engine.broken()) *chain.broken = true;
    return chain.broken;
  }

  void LeaveChain(std::uint64_t number) {
    MutexLock lock(mu_);
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

  RawAppender& appender_;
  const ToStatusMessage to_status_;
  const Caller caller_;
  Mutex mu_;
  absl::flat_hash_map<std::uint64_t, Chain> chains_ ABSL_GUARDED_BY(mu_);
  std::deque<std::uint64_t> broken_chains_ ABSL_GUARDED_BY(mu_);  // In the order of their breaks.
};

}  // namespace

std::shared_ptr<SessionRequests> AppendSessionKind::Begin(Caller caller) {
  return std::make_shared<AppendRequests>(appender_, to_status_, std::move(caller));
}

absl::Status AppendSessionKind::TooMany() const {
  return Reject(v1::ERROR_REASON_TOO_MANY_SESSIONS,
                fmt::format("{} append sessions are open already; retry later", kSessionsMax),
                {{"maximum", fmt::to_string(kSessionsMax)}});
}

}  // namespace leftfold
