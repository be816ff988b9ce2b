#ifndef READ_API_QUERY_HANDLER_H_
#define READ_API_QUERY_HANDLER_H_

#include <absl/container/flat_hash_map.h>
#include <absl/functional/any_invocable.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <atomic>
#include <memory>
#include <optional>

#include "core/executor.h"
#include "core/registry.h"
#include "event_store/event_store.h"
#include "read_api/view_pool.h"

namespace leftfold::read_api {

// Calls for an earlier position that wait or are answered; above it QUEUE_FULL. Each folds up to
// kAsOfEventsMax events.
inline constexpr int kEarlierAnswersMax = 64;

// Gets the response with `applied_position` set, or the error. Called exactly once.
using QueryDone = absl::AnyInvocable<void(absl::StatusOr<Answer>) &&>;

// Answers the queries of all views. Thread-safe. A query that needs no wait is answered inside
// Handle, on the caller's thread (indexed reads only: a query that scans belongs into a view of its
// own); all others in a task of the pool's executor.
class QueryHandler {
 public:
  // What answers as_of_position: the log, and where tasks may block on it.
  struct Log {
    const std::atomic<EventStore*>& store;  // nullptr until it is there.
    Executor& work;
  };
  // All must outlive the handler. Without a log as_of_position is answered LOG_NOT_HERE.
  QueryHandler(const Registry& registry, ViewPool& pool, std::optional<Log> log = std::nullopt);

  // Waits until the view has applied the request's `min_position`, if it has one, at most
  // min(kFreshnessWaitMax, time_left - kAnswerReserve); `time_left` is what the client's deadline
  // leaves, InfiniteDuration when there is none. Then answers from one consistent state and sets
  // `applied_position` to its position. With `as_of_position` see AnswerAsOf instead. Errors
  // besides the domain's own:
  //   INVALID_FIELDS      min_position or as_of_position is no position, both are given, or see
  //   CheckForm
  //   READ_MODEL_BEHIND   {view, applied, min_position}, RetryInfo
  //   VIEW_REBUILDING     {view, done, total}, RetryInfo
  //   VIEW_STOPPED        {view, applied, reason}, RetryInfo: only beyond what the view had
  //   applied QUEUE_FULL          RetryInfo STOPPING            RetryInfo INTERNAL without
  //   ErrorInfo: a SQL error, whose text is for the log
  void Handle(const ViewEntry& view, const QueryEntry& query,
              std::unique_ptr<google::protobuf::Message> request, absl::Duration time_left,
              QueryDone done);

 private:
  struct Fields {
    CheckedFields checked;
    const google::protobuf::FieldDescriptor* min_position = nullptr;
    const google::protobuf::FieldDescriptor* as_of_position = nullptr;
    const google::protobuf::FieldDescriptor* applied_position = nullptr;  // Of the response.
  };
  struct Job;
  void Proceed(std::unique_ptr<Job> job);
  void AnswerWith(Lease lease, std::unique_ptr<Job> job);
  void Wait(std::unique_ptr<Job> job);
  void AnswerEarlier(std::unique_ptr<Job> job, Position as_of);

  ViewPool& pool_;
  const std::optional<Log> log_;
  std::atomic<int> earlier_answers_ = 0;
  absl::flat_hash_map<const QueryEntry*, Fields>
      fields_;  // Filled by the constructor, then only read.
};

}  // namespace leftfold::read_api
#endif  // READ_API_QUERY_HANDLER_H_
