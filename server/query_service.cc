#include "server/query_service.h"

#include <memory>
#include <utility>

namespace leftfold {
namespace {

// The RPC stream of one watch.
class StreamSink final : public read_api::WatchSink {
 public:
  explicit StreamSink(rpc::ServerStream& stream) : stream_(stream) {}
  void Write(std::string_view message) override { stream_.Write(std::string(message)); }
  void Finish(const absl::Status& status) override { stream_.Finish(status); }

 private:
  rpc::ServerStream& stream_;  // Lives until Finish.
};

void Query(read_api::QueryHandler& queries, const ViewEntry& view, const QueryEntry& query,
           rpc::UnaryCall call) {
  const absl::Duration time_left = call.facts().TimeLeft();
  auto request = call.TakeRequest();
  queries.Handle(
      view, query, std::move(request), time_left,
      [call = std::move(call)](absl::StatusOr<Answer> answer) mutable { call.Finish(answer); });
}

void Watch(read_api::WatchHub& watches, const ViewEntry& view, const WatchEntry& watch,
           rpc::ServerStream& stream) {
  const absl::Duration time_left = stream.facts().TimeLeft();
  auto watcher = watches.Open(view, watch, stream.TakeRequest(), time_left,
                              std::make_shared<StreamSink>(stream));
  stream.Observe({.on_written = [watcher](bool ok) { watcher->OnWritten(ok); },
                  .on_cancelled = [watcher] { watcher->Cancel(); }});
  watcher->Start();
}

}  // namespace

absl::Status ServeQueries(const Registry& registry, read_api::QueryHandler& queries,
                          read_api::WatchHub& watches, rpc::Services& services) {
  for (const ViewEntry& view : registry.views()) {
    for (const QueryEntry& query : view.queries) {
      LEFTFOLD_RETURN_IF_ERROR(services.HandleUnary(*query.request, [&](rpc::UnaryCall call) {
        Query(queries, view, query, std::move(call));
      }));
    }
    for (const WatchEntry& watch : view.watches) {
      LEFTFOLD_RETURN_IF_ERROR(services.HandleStream(
          *watch.request, [&](rpc::ServerStream& stream) { Watch(watches, view, watch, stream); }));
    }
  }
  return absl::OkStatus();
}

}  // namespace leftfold
