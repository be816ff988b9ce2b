#include "server/http_client.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/status.h"
#include "server/curl.h"

namespace leftfold {
namespace {

// How long the thread sleeps when nothing happens; it is woken for what does.
constexpr int kIdleMilliseconds = 60'000;
constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

absl::Status Check(const HttpRequest& request) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  if (std::find(std::begin(kMethods), std::end(kMethods), request.method) == std::end(kMethods))
    return Error(kInvalid, "the method must be {}", fmt::join(kMethods, ", "));
  if (!absl::StartsWithIgnoreCase(request.url, "http://") &&
      !absl::StartsWithIgnoreCase(request.url, "https://"))
    return Error(kInvalid, "the URL must begin with http:// or https://");
  if (!IsHeaderValue(request.url) || request.url.find(' ') != std::string::npos)
    return Error(kInvalid, "the URL must not have blanks or control characters");
  for (const auto& [name, value] : request.headers) {
    if (!IsHeaderName(name)) return Error(kInvalid, "{} is no name of a header", name);
    if (!IsHeaderValue(value))
      return Error(kInvalid, "the header {} must not have control characters", name);
  }
  if (request.timeout < absl::Milliseconds(1) || request.timeout > kHttpTimeoutMax)
    return Error(kInvalid, "the timeout must be 1 ms to {} minutes",
                 absl::ToInt64Minutes(kHttpTimeoutMax));
  return absl::OkStatus();
}

}  // namespace

struct CurlHttpClient::Call {
  HttpRequest request;
  std::function<void(absl::StatusOr<HttpReply>)> done;
  absl::Status refusal;  // Not OK: nothing is to be sent.
  bool counted = false;  // Among calls_.
  HttpReply reply;
  std::size_t bytes = 0;
  bool too_large = false;
  CurlList headers;
  CurlTransfer easy;

  // False when the reply becomes too large.
  bool Take(std::size_t size) {
    bytes += size;
    too_large = bytes > kHttpReplyBytesMax;
    return !too_large;
  }
  static std::size_t OnBody(char* data, std::size_t, std::size_t size, void* self) {
    Call& call = *static_cast<Call*>(self);
    if (!call.Take(size)) return 0;
    call.reply.body.append(data, size);
    return size;
  }
  static std::size_t OnHeader(char* data, std::size_t, std::size_t size, void* self) {
    Call& call = *static_cast<Call*>(self);
    if (!call.Take(size)) return 0;
    const std::string_view line(data, size);
    if (line.starts_with("HTTP/")) call.reply.headers.clear();  // Those before were of a 1xx.
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    call.reply.headers.emplace_back(
        absl::AsciiStrToLower(ToAbsl(line.substr(0, colon))),
        std::string(absl::StripAsciiWhitespace(ToAbsl(line.substr(colon + 1)))));
    return size;
  }

  bool AddHeader(const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    if (longer == nullptr) return false;
    static_cast<void>(headers.release());
    headers.reset(longer);
    return true;
  }
  bool AddHeaders() {
    bool added = AddHeader("Expect:");  // curl would wait for a 100 before a larger body.
    bool typed = false;
    for (const auto& [name, value] : request.headers) {
      typed = typed || absl::EqualsIgnoreCase(name, "content-type");
      added = added && AddHeader(value.empty() ? name + ";" : name + ": " + value);
    }
    return added && (typed || AddHeader("Content-Type:"));  // curl would make up one of forms.
  }
  void SetBody() {
    curl_easy_setopt(easy.get(), CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method == "HEAD") {
      curl_easy_setopt(easy.get(), CURLOPT_NOBODY, 1L);
    } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT" ||
               request.method == "PATCH") {
      curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, request.body.c_str());
      curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
    }
  }
  // Makes `easy`; false when there is no memory, or libcurl lacks what this relies on.
  bool Prepare() {
    easy.reset(curl_easy_init());
    if (easy == nullptr || !AddHeaders()) return false;
    CURL* handle = easy.get();
    const auto milliseconds = static_cast<long>(absl::ToInt64Milliseconds(request.timeout));
    SetBody();
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &OnHeader);
    curl_easy_setopt(handle, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &OnBody);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, milliseconds);
    return curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, milliseconds) == CURLE_OK &&
           curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(handle, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str()) == CURLE_OK;
  }

  absl::StatusOr<HttpReply> Result(CURLcode code) {
    if (too_large) {
      return Error(absl::StatusCode::kOutOfRange, "the reply has more than {} bytes",
                   kHttpReplyBytesMax);
    }
    switch (code) {
      case CURLE_OK: {
        long status = 0;
        curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
        reply.status = static_cast<int>(status);
        return std::move(reply);
      }
      case CURLE_OPERATION_TIMEDOUT:
        return Error(absl::StatusCode::kDeadlineExceeded, "no reply within {} ms",
                     absl::ToInt64Milliseconds(request.timeout));
      case CURLE_URL_MALFORMAT:
        return Error(absl::StatusCode::kInvalidArgument, "the URL cannot be used: {}",
                     curl_easy_strerror(code));
      default:
        return Error(absl::StatusCode::kUnavailable, "no reply: {}", curl_easy_strerror(code));
    }
  }
};

// What the thread owns: the multi handle and the calls that are under way.
class CurlHttpClient::Loop {
 public:
  explicit Loop(CurlHttpClient& client) : client_(client), multi_(curl_multi_init()) {
    if (multi_ == nullptr) Die("libcurl cannot be started: out of memory");
  }
  ~Loop() { curl_multi_cleanup(multi_); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Wake() { curl_multi_wakeup(multi_); }

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      for (std::unique_ptr<Call>& call : TakeQueued()) Start(std::move(call));
      int running = 0;
      curl_multi_perform(multi_, &running);
      FinishEnded();
      curl_multi_poll(multi_, nullptr, 0, kIdleMilliseconds, nullptr);
    }
    while (!calls_.empty()) Finish(calls_.begin()->first, Cancelled());
    for (std::unique_ptr<Call>& call : TakeQueued()) Done(std::move(call), Cancelled());
  }

 private:
  static absl::Status Cancelled() {
    return absl::CancelledError("the client of HTTP calls is being stopped");
  }
  std::vector<std::unique_ptr<Call>> TakeQueued() {
    const std::lock_guard lock(client_.mu_);
    return std::exchange(client_.queued_, {});
  }
  void Start(std::unique_ptr<Call> call) {
    if (!call->refusal.ok()) {
      const absl::Status refusal = call->refusal;
      return Done(std::move(call), refusal);
    }
    if (!call->Prepare() || curl_multi_add_handle(multi_, call->easy.get()) != CURLM_OK)
      return Done(std::move(call), absl::UnavailableError("libcurl refused the call"));
    CURL* const easy = call->easy.get();
    calls_.emplace(easy, std::move(call));
  }
  void FinishEnded() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURL* const easy = message->easy_handle;
      Finish(easy, calls_.at(easy)->Result(message->data.result));
    }
  }
  void Finish(CURL* easy, absl::StatusOr<HttpReply> result) {
    auto node = calls_.extract(easy);
    curl_multi_remove_handle(multi_, easy);
    Done(std::move(node.mapped()), std::move(result));
  }
  // The call no longer counts when `done` runs, which may send the next one.
  void Done(std::unique_ptr<Call> call, absl::StatusOr<HttpReply> result) {
    if (call->counted) client_.calls_.fetch_sub(1);
    const auto done = std::move(call->done);
    call.reset();
    done(std::move(result));
  }

  CurlHttpClient& client_;
  CURLM* const multi_;
  std::unordered_map<CURL*, std::unique_ptr<Call>> calls_;
};

CurlHttpClient::CurlHttpClient() {
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_ALL);
  if (kStarted != CURLE_OK) Die("libcurl cannot be started");
  loop_ = std::make_unique<Loop>(*this);
  thread_ = std::jthread([this](const std::stop_token& stop) { loop_->Run(stop); });
  pthread_setname_np(thread_.native_handle(), "lf-http");
}

CurlHttpClient::~CurlHttpClient() {
  thread_.request_stop();
  loop_->Wake();
  thread_.join();
}

void CurlHttpClient::Send(HttpRequest request,
                          std::function<void(absl::StatusOr<HttpReply>)> done) {
  auto call = std::make_unique<Call>();
  call->refusal = Check(request);
  call->request = std::move(request);
  call->done = std::move(done);
  if (call->refusal.ok()) {
    call->counted = true;
    if (calls_.fetch_add(1) >= kHttpCallsMax) {
      call->refusal = Error(absl::StatusCode::kResourceExhausted,
                            "{} calls are under way; try again when one has ended", kHttpCallsMax);
    }
  }
  {
    const std::lock_guard lock(mu_);
    queued_.push_back(std::move(call));
  }
  loop_->Wake();
}

}  // namespace leftfold
