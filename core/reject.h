#ifndef CORE_REJECT_H_
#define CORE_REJECT_H_

#include <absl/status/status.h>
#include <absl/time/time.h>
#include <google/protobuf/generated_enum_reflection.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "leftfold/core/v1/errors.pb.h"

namespace leftfold {

// Every error that a client sees carries google.rpc.ErrorInfo: `reason` = a value of the domain's
// ErrorReason enum without its prefix, `domain` = the proto package, `metadata` = every value named
// in the message. The gRPC code is the option (leftfold.core.v1.grpc_code) of the enum value.

using Metadata = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
inline constexpr std::string_view kBadRequestUrl = "type.googleapis.com/google.rpc.BadRequest";
inline constexpr std::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
inline constexpr std::string_view kPreconditionFailureUrl =
    "type.googleapis.com/google.rpc.PreconditionFailure";

inline constexpr absl::Duration kRetryWhenStopping = absl::Seconds(1);

// Longest value that goes into a message or into metadata; longer ones are cut with "…".
inline constexpr std::size_t kErrorValueBytesMax = 256;

absl::Status RejectWith(const google::protobuf::EnumValueDescriptor& reason,
                        std::string_view message, const Metadata& metadata);

// `Reject(v1::ERROR_REASON_ROOM_NOT_FOUND, "there is no room oak; create it first", {{"room_id",
// "oak"}})`. FAILED_PRECONDITION also gets a PreconditionFailure detail.
template <class ReasonEnum>
absl::Status Reject(ReasonEnum reason, std::string_view message, const Metadata& metadata = {}) {
  return RejectWith(*google::protobuf::GetEnumDescriptor<ReasonEnum>()->FindValueByNumber(reason),
                    message, metadata);
}

// Adds a RetryInfo detail with the delay after which another attempt makes sense.
absl::Status WithRetryAfter(absl::Status status, absl::Duration delay);

// The refusal of a command whose id another command has used.
absl::Status CommandIdReused(const std::string& command_id);

// The answer to whoever comes while the process ends, with RetryInfo; `then` says what to do.
absl::Status ServerStopping(std::string_view then = "try again later");

// The reason of a status made by Reject, "" when there is none.
std::string ReasonOf(const absl::Status& status);
// A metadata value of a status made by Reject, "" when there is none.
std::string MetadataOf(const absl::Status& status, std::string_view key);

// Collects what is malformed in a request, so that a client learns all of it at once.
class Violations {
 public:
  // `field` is the proto field's name ("name", "invitees[2].type"); the first reason becomes the
  // ErrorInfo's.
  template <class ReasonEnum>
  void Add(ReasonEnum reason, std::string_view field, std::string_view description,
           const Metadata& metadata = {}) {
    AddWith(*google::protobuf::GetEnumDescriptor<ReasonEnum>()->FindValueByNumber(reason), field,
            description, metadata);
  }
  // With the common reason INVALID_FIELDS.
  void Add(std::string_view field, std::string_view description) {
    Add(core::v1::ERROR_REASON_INVALID_FIELDS, field, description);
  }
  bool empty() const { return entries_.empty(); }
  // OK when empty; else INVALID_ARGUMENT with a BadRequest of all and the first one's reason. The
  // message names them all; metadata has `fields`, their names with ", " between, and what was
  // given to Add, the first one's where two have the same key.
  absl::Status ToStatus() const;

 private:
  struct Entry {
    const google::protobuf::EnumValueDescriptor* reason;
    std::string field;
    std::string description;
    Metadata metadata;
  };
  void AddWith(const google::protobuf::EnumValueDescriptor& reason, std::string_view field,
               std::string_view description, const Metadata& metadata);
  std::vector<Entry> entries_;
};

}  // namespace leftfold
#endif  // CORE_REJECT_H_
