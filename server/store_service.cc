#include "server/store_service.h"

#include <memory>
#include <utility>

#include "core/ids.h"
#include "core/page.h"
#include "core/reject.h"
#include "event_store/readers.h"
#include "leftfold/store/v1/errors.pb.h"
#include "server/caller.h"

namespace leftfold {
namespace {

namespace v1 = store::v1;

template <class Request>
const Request& As(const google::protobuf::Message& message) {
  return static_cast<const Request&>(message);
}

absl::Status CheckPartition(std::int32_t partition) {
  Violations violations;
  if (partition != 0) violations.Add("partition", "must be 0: this log has one partition");
  return violations.ToStatus();
}

// The RPC stream of a read or subscription.
class StreamFeedSink final : public FeedSink {
 public:
  explicit StreamFeedSink(rpc::ServerStream& stream) : stream_(stream) {}
  void Write(std::string message) override { stream_.Write(std::move(message)); }
  void Finish(const absl::Status& status) override { stream_.Finish(status); }

 private:
  rpc::ServerStream& stream_;  // Lives until Finish.
};

template <class Request>
absl::Status ServeFeed(Feeds& feeds, rpc::Services& services,
                       absl::StatusOr<std::shared_ptr<Feed>> (*open)(Feeds&, const Request&,
                                                                     std::shared_ptr<FeedSink>)) {
  return services.HandleStream(*Request::descriptor(), [&feeds, open](rpc::ServerStream& stream) {
    auto feed =
        open(feeds, As<Request>(stream.request()), std::make_shared<StreamFeedSink>(stream));
    if (!feed.ok()) return stream.Finish(feed.status());
    stream.Observe({.on_written = [feed = *feed](bool ok) { feed->OnWritten(ok); },
                    .on_cancelled = [feed = *feed] { feed->Cancel(); }});
    (*feed)->Start();
  });
}

absl::Status ServeAppends(const StoreEngines& engines, const std::string& bearer,
                          rpc::Services& services) {
  RawAppender& appender = engines.appender;
  return services.HandleUnary(
      *v1::AppendRequest::descriptor(), [&appender, bearer](rpc::UnaryCall call) {
        absl::StatusOr<Caller> caller = CallerOf(call.facts().Headers(), bearer);
        if (!caller.ok()) return call.Finish(caller.status());
        caller->actor = call.facts().Actor();
        auto shared = std::make_shared<rpc::UnaryCall>(std::move(call));
        const rpc::MessagePtr request = shared->TakeRequest();
        appender.Append(As<v1::AppendRequest>(*request), *caller,
                        [shared](absl::StatusOr<v1::AppendReceipt> receipt) {
                          if (!receipt.ok()) return shared->Finish(receipt.status());
                          v1::AppendResponse response;
                          *response.mutable_receipt() = *std::move(receipt);
                          shared->Finish(response);
                        });
      });
}

// Answers on `work`.
template <class Request, class Response>
absl::Status ServeRead(const StoreEngines& engines, rpc::Services& services,
                       absl::StatusOr<Response> (*read)(EventStore&, const Request&)) {
  return services.HandleUnary(*Request::descriptor(), [&store = engines.store, &work = engines.work,
                                                       read](rpc::UnaryCall call) {
    auto shared = std::make_shared<rpc::UnaryCall>(std::move(call));
    work.Post([shared, &store, read] {
      const absl::StatusOr<Response> response = read(store, As<Request>(shared->request()));
      response.ok() ? shared->Finish(*response) : shared->Finish(response.status());
    });
  });
}

}  // namespace

absl::StatusOr<v1::GetCommandResponse> GetCommand(EventStore& store,
                                                  const v1::GetCommandRequest& request) {
  Violations violations;
  if (request.command_id().empty() || !IsCommandId(request.command_id()))
    violations.Add("command_id", "must have 1 to 128 printable ASCII characters");
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  const auto found = store.FindCommand(request.command_id());
  if (!found.ok()) return found.status();
  if (!*found) {
    return Reject(v1::ERROR_REASON_COMMAND_NOT_FOUND,
                  fmt::format("no command {} was accepted by now; send it (again) under this id",
                              request.command_id()),
                  {{"command_id", request.command_id()}});
  }
  const StoredCommand& command = **found;
  v1::GetCommandResponse response;
  response.set_command_id(request.command_id());
  response.set_position(command.receipt.position.value);
  response.set_version(command.receipt.version.value);
  response.set_aggregate_id(command.receipt.aggregate_id);
  response.set_created_id(command.receipt.created_id);
  response.set_request_hash(std::string(AsBytes(command.request_hash)));
  return response;
}

absl::StatusOr<v1::GetHeadResponse> GetHead(EventStore& store, const v1::GetHeadRequest& request) {
  LEFTFOLD_RETURN_IF_ERROR(CheckPartition(request.partition()));
  const Head head = store.GetHead();
  v1::GetHeadResponse response;
  response.set_position(head.position.value);
  response.set_chain(std::string(AsBytes(head.chain)));
  response.set_store_id(store.StoreId());
  return response;
}

absl::StatusOr<v1::GetStreamResponse> GetStream(EventStore& store,
                                                const v1::GetStreamRequest& request) {
  Violations violations;
  if (!IsStreamName(request.stream()))
    violations.Add("stream",
                   "must be <category>-<id>, category [a-z][a-z0-9_]*, id [A-Za-z0-9._~-]{1,128}");
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  const auto version = store.StreamVersion(request.stream());
  if (!version.ok()) return version.status();
  v1::GetStreamResponse response;
  response.set_stream(request.stream());
  response.set_exists(*version != kNoEventYet);
  response.set_version(version->value);
  return response;
}

absl::StatusOr<v1::ListStreamsResponse> ListStreams(EventStore& store,
                                                    const v1::ListStreamsRequest& request) {
  Violations violations;
  if (!request.category().empty() && !IsCategory(request.category()))
    violations.Add("category", "must be a category, [a-z][a-z0-9_]{0,63}, or empty");
  LEFTFOLD_RETURN_IF_ERROR(violations.ToStatus());
  const auto page = Page::Of(request);
  if (!page.ok()) return page.status();
  // One more would be beyond kListStreamsMax on the largest page: a full page may be the last one,
  // and the next one empty.
  const auto size = static_cast<std::size_t>(page->size());
  const auto streams =
      store.ListStreams({.category = request.category(),
                         .after = page->after().empty() ? request.after() : page->after(),
                         .streams_max = size});
  if (!streams.ok()) return streams.status();
  v1::ListStreamsResponse response;
  for (const StreamInfo& info : *streams) {
    v1::StreamVersion& stream = *response.add_streams();
    stream.set_stream(info.stream);
    stream.set_version(info.version.value);
  }
  if (streams->size() == size)
    response.set_next_page_token(page->TokenAfter(streams->back().stream));
  return response;
}

absl::Status ServeStore(const StoreEngines& engines, const std::string& token,
                        rpc::Services& services) {
  LEFTFOLD_RETURN_IF_ERROR(ServeAppends(engines, "Bearer " + token, services));
  LEFTFOLD_RETURN_IF_ERROR(ServeFeed(engines.feeds, services, OpenReadStream));
  LEFTFOLD_RETURN_IF_ERROR(ServeFeed(engines.feeds, services, OpenReadAll));
  LEFTFOLD_RETURN_IF_ERROR(ServeFeed(engines.feeds, services, OpenSubscription));
  LEFTFOLD_RETURN_IF_ERROR(ServeRead(engines, services, GetCommand));
  LEFTFOLD_RETURN_IF_ERROR(ServeRead(engines, services, GetHead));
  LEFTFOLD_RETURN_IF_ERROR(ServeRead(engines, services, GetStream));
  return ServeRead(engines, services, ListStreams);
}

}  // namespace leftfold
