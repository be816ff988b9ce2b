#include "core/reactor.h"

#include "leftfold/core/v1/reactions.pb.h"

namespace leftfold {

void Outbox::Send(const google::protobuf::Message& command, std::string_view key) {
  entries_.push_back({.kind = DeliveryKind::kCommand,
                      .type = command.GetDescriptor()->full_name(),
                      .payload = command.SerializeAsString(),
                      .key = std::string(key)});
}

void Outbox::SendAt(absl::Time when, std::string_view timer,
                    const google::protobuf::Message& command) {
  Send(command);
  entries_.back().timer = timer;
  entries_.back().due = when;
}

void Outbox::WakeAt(absl::Time when, std::string_view timer) {
  entries_.push_back({.kind = DeliveryKind::kWake, .timer = std::string(timer), .due = when});
}

void Outbox::Cancel(std::string_view timer) {
  entries_.push_back({.kind = DeliveryKind::kWake, .timer = std::string(timer), .cancels = true});
}

void Outbox::Post(const HttpRequest& request) {
  core::v1::HttpCall call;
  call.set_method(request.method);
  call.set_url(request.url);
  for (const auto& [name, value] : request.headers) {
    auto& header = *call.add_headers();
    header.set_name(name);
    header.set_value(value);
  }
  call.set_body(request.body);
  entries_.push_back({.kind = DeliveryKind::kHttp, .payload = call.SerializeAsString()});
}

void Outbox::Mail(std::string_view to, std::string_view subject, std::string_view text) {
  core::v1::Mail mail;
  mail.set_to(std::string(to));
  mail.set_subject(std::string(subject));
  mail.set_text(std::string(text));
  entries_.push_back({.kind = DeliveryKind::kMail, .payload = mail.SerializeAsString()});
}

void Outbox::HandOver(std::string_view type) {
  entries_.push_back({.kind = DeliveryKind::kHandOver, .type = std::string(type)});
}

}  // namespace leftfold
