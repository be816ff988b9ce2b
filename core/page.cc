#include "core/page.h"

#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>

#include <memory>

#include "core/reject.h"
#include "core/serialize.h"
#include "core/sha256.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;

constexpr std::size_t kSealBytes = 8;

std::string Seal(std::string_view arguments, std::string_view key) {
  const Digest digest =
      Sha256().Add("leftfold page").AddLengthPrefixed(arguments).AddLengthPrefixed(key).Finish();
  return std::string(AsBytes(digest).substr(0, kSealBytes));
}

void AddInvalidPageToken(Violations& violations) {
  violations.Add(core::v1::ERROR_REASON_INVALID_PAGE_TOKEN, "page_token",
                 "was not made by this query with these arguments; start again without it");
}

}  // namespace

absl::Status InvalidPageToken() {
  Violations violations;
  AddInvalidPageToken(violations);
  return violations.ToStatus();
}

absl::StatusOr<Page> Page::Of(const pb::Message& request) {
  const pb::Descriptor* type = request.GetDescriptor();
  const pb::FieldDescriptor* size_field = type->FindFieldByName("page_size");
  const pb::FieldDescriptor* token_field = type->FindFieldByName("page_token");
  const std::int64_t wanted = request.GetReflection()->GetInt32(request, size_field);
  Violations violations;
  if (wanted < 0) violations.Add("page_size", "must not be negative; 0 gives the default");
  Page page;
  page.size_ = wanted == 0 ? kPageSizeDefault
                           : static_cast<int>(std::min<std::int64_t>(wanted, kPageSizeMax));
  const std::unique_ptr<pb::Message> arguments(request.New());
  arguments->CopyFrom(request);
  for (const char* name : {"page_size", "page_token", "min_position"}) {
    if (const auto* field = type->FindFieldByName(name))
      arguments->GetReflection()->ClearField(arguments.get(), field);
  }
  page.arguments_ = type->full_name() + DeterministicBytes(*arguments);
  const std::string token = request.GetReflection()->GetString(request, token_field);
  if (!token.empty()) {
    std::string bytes;
    if (absl::WebSafeBase64Unescape(token, &bytes) && bytes.size() >= kSealBytes &&
        bytes.substr(0, kSealBytes) ==
            Seal(page.arguments_, std::string_view(bytes).substr(kSealBytes))) {
      page.after_ = bytes.substr(kSealBytes);
    } else {
      AddInvalidPageToken(violations);
    }
  }
  if (!violations.empty()) return violations.ToStatus();
  return page;
}

absl::StatusOr<std::int64_t> Page::NumberAfter(std::int64_t first, std::int64_t end) const {
  std::int64_t number = 0;
  if (after_.empty()) return first;
  if (!absl::SimpleAtoi(after_, &number) || number <= first || number >= end) {
    return InvalidPageToken();
  }
  return number;
}

std::string Page::TokenAfter(std::string_view key) const {
  std::string token;
  absl::WebSafeBase64Escape(Seal(arguments_, key) + std::string(key), &token);
  return token;
}

}  // namespace leftfold
