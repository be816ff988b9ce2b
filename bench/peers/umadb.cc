// UmaDB, by its gRPC service. It has no streams: a stream is a tag, and what an append expects of
// it is a condition on the events with that tag.
#include <fmt/format.h>

#include "bench/load.h"
#include "bench/peers/grpc_calls.h"
#include "bench/peers/peer.h"
#include "core/status.h"
#include "umadb.grpc.pb.h"

namespace leftfold::bench {
namespace {

namespace uma = umadb::v1;

class UmaDbPeer final : public Peer {
 public:
  UmaDbPeer(const std::string& binary, const std::string& folder) {
    const int port = FreePort();
    const std::string address = fmt::format("127.0.0.1:{}", port);
    server_ = StartServer({binary, "--listen", address, "--db-path", folder + "/uma.db"},
                          folder + "/server.log", port);
    for (const auto& channel : Connect(address, kPeerConnections))
      stubs_.push_back(uma::DCB::NewStub(channel));
  }

  void Append(int caller, const std::string& stream, std::optional<std::int64_t> after, int events,
              Done done) override {
    uma::AppendRequest request;
    for (int i = 0; i < events; ++i) {
      uma::Event& event = *request.add_events();
      event.set_event_type(std::string(kEventType));
      event.add_tags(stream);
      event.set_data(std::string(kEventPayload));
      event.set_uuid(NewEventId());
    }
    if (after) {
      uma::AppendCondition& condition = *request.mutable_condition();
      condition.mutable_fail_if_events_match()->add_items()->add_tags(stream);
      condition.set_after(static_cast<std::uint64_t>(*after));
    }
    CallAppend(
        *stubs_[static_cast<std::size_t>(caller) % stubs_.size()], std::move(request),
        [](const uma::AppendResponse& response) {
          return static_cast<std::int64_t>(response.position());
        },
        std::move(done));
  }

  std::int64_t ReadAll() override { return Read({}); }
  std::int64_t CatchUp() override {
    uma::HeadResponse head;
    {
      grpc::ClientContext context;
      if (!stubs_[0]->Head(&context, {}, &head).ok()) return 0;
    }
    grpc::ClientContext context;
    const auto reader = stubs_[0]->Subscribe(&context, {});
    std::int64_t events = 0;
    std::uint64_t position = 0;
    for (uma::SubscribeResponse message; position < head.position() && reader->Read(&message);) {
      events += message.events_size();
      if (message.events_size() > 0) position = message.events().rbegin()->position();
    }
    context.TryCancel();
    reader->Finish().error_code();
    return events;
  }
  std::int64_t LoadStream(const std::string& stream) override {
    uma::ReadRequest request;
    request.mutable_query()->add_items()->add_tags(stream);
    return Read(request);
  }
  const testing::ChildProcess& process() const override { return *server_; }

 private:
  std::int64_t Read(const uma::ReadRequest& request) {
    grpc::ClientContext context;
    return CountEvents<uma::ReadResponse>(stubs_[0]->Read(&context, request));
  }

  std::unique_ptr<testing::ChildProcess> server_;
  std::vector<std::unique_ptr<uma::DCB::Stub>> stubs_;
};

}  // namespace

std::optional<PeerKind> UmaDbKind(const PeerPlaces& places) {
  const std::string binary = places.peers + "/bin/umadb";
  const auto version = FirstLineOf(binary + " --version");
  if (!version) {
    fmt::print("umadb: no server in build/peers, skipped\n");
    return std::nullopt;
  }
  return PeerKind{.name = "umadb",
                  .title = *version,
                  .durable = "fdatasync, twice for each group of appends",
                  .start = [binary](const std::string& folder) {
                    return std::make_unique<UmaDbPeer>(binary, folder);
                  }};
}

}  // namespace leftfold::bench
