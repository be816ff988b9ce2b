#include "server/smtp_client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "core/status.h"
#include "core/text.h"
#include "server/curl.h"

namespace leftfold {
namespace {

absl::Status Cancelled() { return absl::CancelledError("the client of SMTP is being stopped"); }

// A password goes over networks encrypted or not at all.
bool MustEncrypt(const SmtpOptions& options) {
  std::string_view host = options.url;
  host.remove_prefix(std::min(host.size(), host.find("://") + 3));
  return !options.user.empty() && !host.starts_with("127.0.0.1") &&
         !host.starts_with("localhost") && !host.starts_with("[::1]");
}

// Reads a message for libcurl.
std::size_t Read(char* to, std::size_t, std::size_t room, void* message) {
  std::string_view& left = *static_cast<std::string_view*>(message);
  const std::size_t count = std::min(room, left.size());
  std::memcpy(to, left.data(), count);
  left.remove_prefix(count);
  return count;
}

int Progress(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

}  // namespace

SmtpOptions SmtpOptionsOf(const char* const* environment) {
  SmtpOptions options;
  const std::pair<std::string_view, std::string*> variables[] = {
      {"LEFTFOLD_SMTP_URL=", &options.url},
      {"LEFTFOLD_SMTP_FROM=", &options.from},
      {"LEFTFOLD_SMTP_USER=", &options.user},
      {"LEFTFOLD_SMTP_PASSWORD=", &options.password}};
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    for (const auto& [name, value] : variables) {
      if (entry.starts_with(name)) *value = std::string(entry.substr(name.size()));
    }
  }
  return options;
}

absl::Status CheckSmtp(const SmtpOptions& options) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  if (options.url.empty()) return absl::OkStatus();
  if (!options.url.starts_with("smtp://") && !options.url.starts_with("smtps://"))
    return Error(kInvalid, "LEFTFOLD_SMTP_URL must begin with smtp:// or smtps://");
  if (HasControlCharacter(options.url) || options.url.find_first_of(" @") != std::string::npos) {
    return Error(kInvalid,
                 "LEFTFOLD_SMTP_URL must be smtp://HOST:PORT; LEFTFOLD_SMTP_USER and "
                 "LEFTFOLD_SMTP_PASSWORD are for the rest");
  }
  if (!IsEmailAddress(options.from))
    return Error(kInvalid, "LEFTFOLD_SMTP_FROM must be the e-mail address of the sender");
  return absl::OkStatus();
}

// The handle with its connection, of the thread.
class SmtpClient::Connection {
 public:
  Connection(const SmtpOptions& options, const std::stop_token& stop)
      : options_(options), stop_(stop), easy_(curl_easy_init()) {
    if (easy_ == nullptr) Die("libcurl cannot be started: out of memory");
  }

  absl::Status Send(const Mail& mail) {
    if (!IsEmailAddress(mail.to))
      return Error(absl::StatusCode::kInvalidArgument, "{} is no e-mail address", mail.to);
    const CurlList to(curl_slist_append(nullptr, fmt::format("<{}>", mail.to).c_str()));
    const std::string from = fmt::format("<{}>", options_.from);
    std::string_view left = mail.message;
    CURL* const handle = easy_.get();
    curl_easy_reset(handle);
    curl_easy_setopt(handle, CURLOPT_MAIL_FROM, from.c_str());
    curl_easy_setopt(handle, CURLOPT_MAIL_RCPT, to.get());
    curl_easy_setopt(handle, CURLOPT_READFUNCTION, &Read);
    curl_easy_setopt(handle, CURLOPT_READDATA, &left);
    curl_easy_setopt(handle, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &Progress);
    curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &stop_);
    curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS,
                     static_cast<long>(absl::ToInt64Milliseconds(options_.timeout)));
    if (!options_.user.empty()) {
      curl_easy_setopt(handle, CURLOPT_USERNAME, options_.user.c_str());
      curl_easy_setopt(handle, CURLOPT_PASSWORD, options_.password.c_str());
    }
    if (curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "smtp,smtps") != CURLE_OK ||
        curl_easy_setopt(handle, CURLOPT_USE_SSL,
                         static_cast<long>(MustEncrypt(options_) ? CURLUSESSL_ALL
                                                                 : CURLUSESSL_TRY)) != CURLE_OK ||
        curl_easy_setopt(handle, CURLOPT_PROXY, "") != CURLE_OK ||
        curl_easy_setopt(handle, CURLOPT_URL, options_.url.c_str()) != CURLE_OK)
      return absl::UnavailableError("libcurl refused the mail");
    const CURLcode code = curl_easy_perform(handle);
    if (code == CURLE_OK) return absl::OkStatus();
    if (stop_.stop_requested()) return Cancelled();
    long said = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &said);
    return Error(absl::StatusCode::kUnavailable, "the SMTP server did not take it: {} (it said {})",
                 curl_easy_strerror(code), said);
  }

 private:
  const SmtpOptions& options_;
  std::stop_token stop_;
  const CurlTransfer easy_;
};

SmtpClient::SmtpClient(SmtpOptions options) : options_(std::move(options)) {
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_ALL);
  if (kStarted != CURLE_OK) Die("libcurl cannot be started");
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  pthread_setname_np(thread_.native_handle(), "lf-smtp");
}

SmtpClient::~SmtpClient() {
  thread_.request_stop();
  thread_.join();
}

void SmtpClient::Send(std::string to, std::string message, std::function<void(absl::Status)> done) {
  {
    const std::lock_guard lock(mu_);
    if (mails_.size() < kSmtpMailsMax) {
      mails_.push_back({std::move(to), std::move(message), std::move(done)});
      wake_.notify_all();
      return;
    }
  }
  done(Error(absl::StatusCode::kResourceExhausted, "{} e-mails wait for the SMTP server",
             kSmtpMailsMax));
}

void SmtpClient::Run(const std::stop_token& stop) {
  Connection connection(options_, stop);
  while (true) {
    Mail mail;
    {
      std::unique_lock lock(mu_);
      wake_.wait(lock, stop, [this] { return !mails_.empty(); });
      if (mails_.empty()) return;
      mail = std::move(mails_.front());
      mails_.pop_front();
    }
    mail.done(stop.stop_requested() ? Cancelled() : connection.Send(mail));
  }
}

}  // namespace leftfold
