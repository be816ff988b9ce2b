#include "read_api/query_handler.h"

#include <fmt/format.h>

#include <utility>

#include "core/reject.h"
#include "core/status.h"
#include "core/types.h"
#include "read_api/as_of.h"
#include "read_api/errors.h"
#include "sql/view_file.h"

namespace leftfold::read_api {

// One query on its way.
struct QueryHandler::Job {
  const ViewEntry* view;
  const QueryEntry* query;
  const google::protobuf::FieldDescriptor* applied_position;
  std::unique_ptr<google::protobuf::Message> request;
  Position min_position;
  absl::Duration time_left;
  QueryDone done;
};

namespace {

void SetPosition(google::protobuf::Message& answer, const google::protobuf::FieldDescriptor* field,
                 Position position) {
  if (field == nullptr) return;
  answer.GetReflection()->SetString(&answer, field, fmt::to_string(position.value));
}

}  // namespace

QueryHandler::QueryHandler(const Registry& registry, ViewPool& pool, std::optional<Log> log)
    : pool_(pool), log_(log) {
  for (const ViewEntry& view : registry.views()) {
    for (const QueryEntry& query : view.queries) {
      Fields& fields = fields_[&query];
      fields.checked = CheckedFieldsOf(registry, *query.request);
      fields.min_position = StringField(*query.request, "min_position");
      if (query.stream) fields.as_of_position = StringField(*query.request, "as_of_position");
      const auto* method = leftfold::internal::MethodTaking(*query.request);
      if (method != nullptr)
        fields.applied_position = StringField(*method->output_type(), "applied_position");
    }
  }
}

void QueryHandler::Handle(const ViewEntry& view, const QueryEntry& query,
                          std::unique_ptr<google::protobuf::Message> request,
                          absl::Duration time_left, QueryDone done) {
  const auto fields = fields_.find(&query);
  if (fields == fields_.end())
    Die(fmt::format("a query of {} is not of this handler's registry", view.name));
  Violations violations;
  CheckForm(*request, fields->second.checked, violations);
  const auto min_position = PositionIn(*request, fields->second.min_position, violations);
  const auto as_of = PositionIn(*request, fields->second.as_of_position, violations);
  if (as_of && min_position) {
    violations.Add("as_of_position", "must be alone: take it or min_position");
  }
  if (!violations.empty()) return std::move(done)(violations.ToStatus());
  auto job =
      std::make_unique<Job>(Job{&view, &query, fields->second.applied_position, std::move(request),
                                min_position.value_or(kBeforeFirst), time_left, std::move(done)});
  as_of ? AnswerEarlier(std::move(job), *as_of) : Proceed(std::move(job));
}

void QueryHandler::AnswerEarlier(std::unique_ptr<Job> job, Position as_of) {
  EventStore* const store = log_ ? log_->store.load() : nullptr;
  if (store == nullptr) return std::move(job->done)(LogNotHere());
  if (++earlier_answers_ > kEarlierAnswersMax) {
    --earlier_answers_;
    return std::move(job->done)(
        QueueFull(job->view->name, "calls for earlier positions are open", kEarlierAnswersMax));
  }
  log_->work.Post([this, job = std::shared_ptr<Job>(std::move(job)), as_of, store] {
    auto answer = AnswerAsOf(*job->view, *job->query, *job->request, as_of, *store);
    --earlier_answers_;
    if (answer.ok()) SetPosition(**answer, job->applied_position, as_of);
    std::move(job->done)(std::move(answer));
  });
}

void QueryHandler::Proceed(std::unique_ptr<Job> job) {
  const absl::StatusOr<bool> readable = pool_.IsReadable(*job->view, job->min_position);
  if (!readable.ok()) return std::move(job->done)(readable.status());
  if (!*readable) return Wait(std::move(job));
  absl::StatusOr<std::optional<Lease>> lease = pool_.TryLease(*job->view);
  if (!lease.ok()) return std::move(job->done)(lease.status());
  if (lease->has_value()) return AnswerWith(**std::move(lease), std::move(job));
  const ViewEntry& view = *job->view;
  pool_.LeaseLater(view, [this, job = std::move(job)](absl::StatusOr<Lease> later) mutable {
    if (!later.ok()) return std::move(job->done)(later.status());
    AnswerWith(*std::move(later), std::move(job));
  });
}

void QueryHandler::Wait(std::unique_ptr<Job> job) {
  const ViewEntry& view = *job->view;
  const Position min_position = job->min_position;
  const absl::Duration time_left = job->time_left;
  pool_.WaitFor(view, min_position, time_left,
                [this, job = std::move(job)](absl::Status status) mutable {
                  if (!status.ok()) return std::move(job->done)(std::move(status));
                  Proceed(std::move(job));
                });
}

void QueryHandler::AnswerWith(Lease lease, std::unique_ptr<Job> job) {
  sql::ConnectionReadTx tx(lease.connection());
  absl::StatusOr<Answer> answer = absl::InternalError("");
  const Position applied = lease.Begin();
  if (tx.status().ok() && applied >= job->min_position)
    answer = job->query->answer(*job->request, tx);
  if (const absl::Status status = tx.status(); !status.ok()) {
    lease.Drop();
    answer = Unreadable(job->view->name, job->query->request->full_name(), status);
  } else if (applied < job->min_position) {
    // The view was switched to a file that is further back, after it had been looked at.
    answer = Behind(job->view->name, applied, job->min_position);
  } else if (answer.ok()) {
    SetPosition(**answer, job->applied_position, applied);
  }
  { const Lease returned = std::move(lease); }  // Before the answer goes out: its way may be long.
  std::move(job->done)(std::move(answer));
}

}  // namespace leftfold::read_api
