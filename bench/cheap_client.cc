#include "bench/cheap_client.h"

#include <absl/cleanup/cleanup.h>
#include <absl/container/flat_hash_map.h>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "bench/http2_calls.h"
#include "bench/now.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

constexpr double kPatienceMicros = 60e6;  // Without any answer.
constexpr std::size_t kReadBytes = 256 * 1'024;

int ConnectTo(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  const int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1 ||
      connect(file, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
    Die("the cheap client cannot connect to " + address);
  const int at_once = 1;
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
  return file;
}

}  // namespace

// A socket with its calls: those that are open, and those that wait until the server takes them.
class CheapClient::Connection {
 public:
  Connection(const std::string& address, const std::string& path, int events)
      : calls_(address, path), file_(ConnectTo(address)), events_(events) {
    epoll_event event{EPOLLIN, {.ptr = this}};
    epoll_ctl(events_, EPOLL_CTL_ADD, file_, &event);
  }
  ~Connection() { close(file_); }

  void Call(double began, std::string message) {
    waiting_.emplace_back(began, std::move(message));
    CallWaiting();
  }

  void Send() {
    std::string& bytes = calls_.to_send();
    if (bytes.empty()) return;
    const ssize_t sent = send(file_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) Die("the server hung up on the cheap client");
    bytes.erase(0, static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
    if (std::exchange(stuck_, !bytes.empty()) == stuck_) return;
    epoll_event event{stuck_ ? EPOLLIN | EPOLLOUT : EPOLLIN, {.ptr = this}};
    epoll_ctl(events_, EPOLL_CTL_MOD, file_, &event);
  }

  // `answered(began, now, status)` for each answer that has come.
  template <class Answered>
  void Receive(const Answered& answered) {
    static thread_local std::string buffer(kReadBytes, '\0');
    const ssize_t got = recv(file_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    const double now = NowMicros();
    const auto end = [&](std::uint32_t call, std::string_view status) {
      const auto open = open_.find(call);
      if (open == open_.end()) Die("the server answered what was not asked");
      const double began = open->second;
      open_.erase(open);
      answered(began, now, status);
    };
    const std::string_view bytes(buffer.data(),
                                 static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (bytes.empty() || !calls_.Receive(bytes, end)) Die("the server broke a connection");
    CallWaiting();
  }

 private:
  void CallWaiting() {
    while (!waiting_.empty() && calls_.MayCall(waiting_.front().second.size())) {
      open_.emplace(calls_.Call(waiting_.front().second), waiting_.front().first);
      waiting_.pop_front();
    }
  }

  Http2Calls calls_;
  const int file_;
  const int events_;
  bool stuck_ = false;
  std::deque<std::pair<double, std::string>> waiting_;  // When they began, and their messages.
  absl::flat_hash_map<std::uint32_t, double> open_;     // When they began.
};

// When calls begin, and which are counted. Times are microseconds.
class CheapClient::Schedule {
 public:
  static Schedule Closed(int in_flight, double warm_up, double duration) {
    return Schedule(in_flight, 0, in_flight, warm_up, duration);
  }
  static Schedule Open(double per_second, int in_flight_max, double warm_up, double duration) {
    return Schedule(in_flight_max, 1e6 / per_second,
                    static_cast<std::int64_t>((warm_up + duration) / 1e6 * per_second + 0.5),
                    warm_up, duration);
  }

  bool open() const { return interval_ > 0; }
  bool Finished(double now) const { return !More(now) && in_flight_ == 0; }
  // Until the next call is due; `otherwise` when an answer must come before.
  double MicrosToNext(double now, double otherwise) const {
    if (!More(now) || in_flight_ >= in_flight_max_) return otherwise;
    return std::clamp(Due(now) - now, 0.0, otherwise);
  }
  // The time that the call counts from.
  double Begin(double now) {
    const double due = Due(now);
    ++begun_;
    ++in_flight_;
    return due;
  }
  void End(double began, double now, bool ok) {
    --in_flight_;
    ++result.calls;
    if (!ok) ++result.failures;
    last_ = now;
    const double at = open() ? began : now;
    if (ok && at >= count_from_ && (open() || at < end_))
      result.latencies_us.push_back(now - began);
  }
  LoadResult Result() {
    const double end = open() ? std::max(last_, end_) : end_;
    const double seconds = (end - count_from_) / 1e6;
    const auto counted = static_cast<double>(result.latencies_us.size());
    result.per_second = seconds > 0 ? counted / seconds : 0;
    return std::move(result);
  }

  LoadResult result;

 private:
  Schedule(int in_flight_max, double interval, std::int64_t calls_min, double warm_up,
           double duration)
      : in_flight_max_(in_flight_max),
        interval_(interval),
        calls_min_(calls_min),
        begin_(NowMicros()),
        count_from_(begin_ + warm_up),
        end_(count_from_ + duration) {}

  bool More(double now) const { return begun_ < calls_min_ || (!open() && now < end_); }
  double Due(double now) const {
    return open() ? begin_ + static_cast<double>(begun_) * interval_ : now;
  }

  const std::int64_t in_flight_max_;
  const double interval_;  // Between calls; 0: as soon as there is room.
  const std::int64_t calls_min_;
  const double begin_, count_from_, end_;
  double last_ = 0;
  std::int64_t begun_ = 0, in_flight_ = 0;
};

CheapClient::CheapClient(const std::string& address, const std::string& path, int connections,
                         Compose compose)
    : compose_(std::move(compose)), events_(epoll_create1(EPOLL_CLOEXEC)) {
  for (int i = 0; i < connections; ++i)
    connections_.push_back(std::make_unique<Connection>(address, path, events_));
}

CheapClient::~CheapClient() { close(events_); }

LoadResult CheapClient::ClosedLoop(int in_flight, absl::Duration warm_up, absl::Duration duration) {
  Schedule schedule = Schedule::Closed(in_flight, absl::ToDoubleMicroseconds(warm_up),
                                       absl::ToDoubleMicroseconds(duration));
  return Run(schedule);
}

LoadResult CheapClient::OpenLoop(double per_second, absl::Duration warm_up, absl::Duration duration,
                                 int in_flight_max) {
  Schedule schedule = Schedule::Open(per_second, in_flight_max, absl::ToDoubleMicroseconds(warm_up),
                                     absl::ToDoubleMicroseconds(duration));
  return Run(schedule);
}

LoadResult CheapClient::Run(Schedule& schedule) {
  // Nanosecond: who waits for a scheduled time wakes then. Servers that are started later inherit
  // it.
  const int slack = prctl(PR_GET_TIMERSLACK);
  prctl(PR_SET_TIMERSLACK, 1);
  const auto restore = absl::MakeCleanup([slack] { prctl(PR_SET_TIMERSLACK, slack); });
  double last_answer = NowMicros();
  for (double now = last_answer; !schedule.Finished(now); now = NowMicros()) {
    while (schedule.MicrosToNext(now, 1) == 0) {
      std::string message;
      compose_(serial_, message);
      const auto to = static_cast<std::size_t>(serial_++) % connections_.size();
      connections_[to]->Call(schedule.Begin(now), std::move(message));
    }
    for (const auto& connection : connections_) connection->Send();
    const double wait = schedule.MicrosToNext(NowMicros(), kPatienceMicros / 10);
    timespec timeout{static_cast<time_t>(wait / 1e6),
                     static_cast<long>(wait * 1e3) % 1'000'000'000L};
    epoll_event ready[64];
    const int count = epoll_pwait2(events_, ready, 64, &timeout, nullptr);
    if (count < 0 && errno != EINTR) Die("cannot wait: epoll_pwait2 needs Linux 5.11");
    for (int i = 0; i < count; ++i) {
      static_cast<Connection*>(ready[i].data.ptr)
          ->Receive([&](double began, double came, std::string_view status) {
            schedule.End(began, came, status == "0");
            last_answer = came;
            if (status != "0" && first_failure_.empty())
              first_failure_ = status.empty() ? "no status" : fmt::format("status {}", status);
          });
    }
    if (count <= 0 && NowMicros() - last_answer > kPatienceMicros)
      Die("the server does not answer the cheap client");
  }
  return schedule.Result();
}

}  // namespace leftfold::bench
