#ifndef WRITE_API_RAW_APPEND_H_
#define WRITE_API_RAW_APPEND_H_

#include <absl/container/flat_hash_set.h>
#include <absl/status/statusor.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/executor.h"
#include "core/registry.h"
#include "event_store/event_store.h"
#include "leftfold/store/v1/event_store.pb.h"
#include "write_api/command_handler.h"

namespace leftfold {

// Violations that are told of one append; more are not looked for.
inline constexpr std::size_t kAppendViolationsMax = 100;

// Turns a raw append into an append: form, payloads, token, metadata, command id, commit, receipt.
// Needs the descriptors of the domains' events, but calls no domain. Thread-safe; must outlive its
// calls.
class RawAppender {
 public:
  using Done = std::function<void(absl::StatusOr<store::v1::AppendReceipt>)>;

  // Receipts of duplicates are completed on `work`, from the log. All must outlive it.
  RawAppender(const Registry& registry, EventStore& store, Executor& work);

  // Calls `done` once, possibly before it returns. Appends commit in the order of the calls.
  // Errors besides the store's (event_store.h):
  //   INVALID_ARGUMENT   INVALID_FIELDS, INVALID_PAYLOAD {record, type}, COMMAND_ID_RESERVED; all
  //                      violations at once
  //   PERMISSION_DENIED  TOKEN_REQUIRED: an aggregate owns the {category}, or it is one of claims;
  //                      a domain owns the {type}, whose views would fold it; `engine` is set
  // `broken` is as in event_store.h.
  void Append(const store::v1::AppendRequest& request, const Caller& caller, Done done,
              std::shared_ptr<std::atomic<bool>> broken = nullptr);

 private:
  struct Prepared;
  absl::StatusOr<Prepared> Prepare(const store::v1::AppendRequest& request,
                                   const Caller& caller) const;
  absl::Status CheckToken(const Prepared& prepared) const;

  EventStore& store_;
  Executor& work_;
  absl::flat_hash_set<std::string> owned_;     // Categories of aggregates.
  absl::flat_hash_set<std::string> packages_;  // Of domains, with a dot at the end.
};

}  // namespace leftfold
#endif  // WRITE_API_RAW_APPEND_H_
