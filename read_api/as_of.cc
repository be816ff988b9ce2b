#include "read_api/as_of.h"

#include <fmt/format.h>

#include <string>

#include "core/reject.h"
#include "core/status.h"
#include "read_api/errors.h"
#include "sql/view_file.h"

namespace leftfold::read_api {
namespace {

absl::Status TooLong(const std::string& stream) {
  return Reject(core::v1::ERROR_REASON_LIMIT_EXCEEDED,
                fmt::format("{} has more than {} events up to there; ask for an earlier position, "
                            "or for the present state",
                            stream, kAsOfEventsMax),
                {{"limit", "as_of_events"}, {"maximum", fmt::to_string(kAsOfEventsMax)}});
}

// Folds the events of `stream` up to `as_of`.
absl::Status FoldStream(const ViewEntry& view, const std::string& stream, Position as_of,
                        EventStore& store, sql::ConnectionWriteTx& tx) {
  std::size_t folded = 0;
  for (Version next{0};; next = next.Next()) {
    const auto events = store.ReadStream(stream, {.from = next});
    if (!events.ok()) return events.status();
    for (const RecordedEvent& event : *events) {
      if (event.position > as_of) return absl::OkStatus();
      if (++folded > kAsOfEventsMax) return TooLong(stream);
      if (const auto handled = view.fold(event, tx); !handled.ok()) return handled.status();
      next = event.version;
    }
    if (events->empty()) return absl::OkStatus();
  }
}

}  // namespace

absl::StatusOr<Answer> AnswerAsOf(const ViewEntry& view, const QueryEntry& query,
                                  const google::protobuf::Message& request, Position as_of,
                                  EventStore& store) {
  const Position head = store.GetHead().position;
  if (as_of > head) return Behind(view.name, head, as_of);
  auto connection = sql::OpenViewInMemory(view, FirstChain(store.StoreId()));
  if (!connection.ok()) return connection.status();
  LEFTFOLD_RETURN_IF_ERROR((*connection)->Begin());
  sql::ConnectionWriteTx fold(**connection);
  LEFTFOLD_RETURN_IF_ERROR(FoldStream(view, query.stream(request), as_of, store, fold));
  sql::WriteCheckpoint(**connection, {.position = as_of});
  sql::ConnectionReadTx tx(**connection);
  absl::StatusOr<Answer> answer = query.answer(request, tx);
  LEFTFOLD_RETURN_IF_ERROR(tx.status());
  return answer;
}

}  // namespace leftfold::read_api
