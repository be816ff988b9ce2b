// NATS JetStream, by its C client: all events in one JetStream stream, a subject for each of our
// streams. Several events of an append are an atomic batch.
#include <absl/strings/numbers.h>
#include <fmt/format.h>
#include <nats/nats.h>

#include <fstream>

#include "bench/peers/peer.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

constexpr std::int64_t kWaitMillis = 60'000;
constexpr int kPage = 1'000;

void Must(natsStatus status, std::string_view what) {
  if (status != NATS_OK) Die(fmt::format("{}: {}", what, natsStatus_GetText(status)));
}

std::string SubjectOf(const std::string& stream) { return "events." + stream; }

bool IsRefusal(std::string_view answer) {
  return answer.find("\"error\"") != std::string_view::npos;
}

// Of {"stream": "EVENTS", "seq": 7}; nullopt of {"error": …}.
std::optional<std::int64_t> SequenceIn(std::string_view answer) {
  constexpr std::string_view kSequence = "\"seq\":";
  const std::size_t at = answer.find(kSequence);
  if (at == std::string_view::npos || IsRefusal(answer)) return std::nullopt;
  return std::strtoll(answer.data() + at + kSequence.size(), nullptr, 10);
}

std::string TextOf(natsMsg* message) {
  return {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))};
}

// A connection of several callers, each with a subject for its answers.
class NatsConnection {
 public:
  explicit NatsConnection(const std::string& url) : done_(kCallersMax) {
    natsOptions* options = nullptr;
    Must(natsOptions_Create(&options), "options");
    natsOptions_SetURL(options, url.c_str());
    // Else what is published waits for up to a millisecond in the client.
    natsOptions_SetSendAsap(options, true);
    Must(natsConnection_Connect(&connection_, options), "connect");
    natsOptions_Destroy(options);
    natsInbox* inbox = nullptr;
    Must(natsInbox_Create(&inbox), "inbox");
    inbox_ = inbox;
    natsInbox_Destroy(inbox);
    Must(natsConnection_Subscribe(&answers_, connection_, (inbox_ + ".*").c_str(), OnAnswer, this),
         "subscribe");
    Must(natsConnection_Flush(connection_), "flush");
  }
  ~NatsConnection() {
    natsSubscription_Destroy(answers_);
    natsConnection_Destroy(connection_);
  }
  NatsConnection(const NatsConnection&) = delete;
  NatsConnection& operator=(const NatsConnection&) = delete;

  natsConnection* get() const { return connection_; }

  void Append(int caller, const std::string& stream, std::optional<std::int64_t> after, int events,
              Peer::Done done) {
    done_[static_cast<std::size_t>(caller)] = std::move(done);
    const std::string subject = SubjectOf(stream);
    const std::string answer_to = fmt::format("{}.{}", inbox_, caller);
    const std::string batch = events > 1 ? NewEventId() : "";
    for (int i = 1; i <= events; ++i) {
      const bool last = i == events;
      natsMsg* message = nullptr;
      Must(natsMsg_Create(&message, subject.c_str(), last ? answer_to.c_str() : nullptr,
                          kEventPayload.data(), static_cast<int>(kEventPayload.size())),
           "message");
      natsMsgHeader_Set(message, "Nats-Msg-Id", NewEventId().c_str());
      if (after && i == 1)
        natsMsgHeader_Set(message, "Nats-Expected-Last-Subject-Sequence",
                          fmt::to_string(*after).c_str());
      if (!batch.empty()) {
        natsMsgHeader_Set(message, "Nats-Batch-Id", batch.c_str());
        natsMsgHeader_Set(message, "Nats-Batch-Sequence", fmt::to_string(i).c_str());
        if (last) natsMsgHeader_Set(message, "Nats-Batch-Commit", "1");
      }
      Must(natsConnection_PublishMsg(connection_, message), "publish");
      natsMsg_Destroy(message);
    }
  }

 private:
  static void OnAnswer(natsConnection*, natsSubscription*, natsMsg* message, void* self) {
    auto& connection = *static_cast<NatsConnection*>(self);
    const std::string subject = natsMsg_GetSubject(message);
    const std::string answer = TextOf(message);
    natsMsg_Destroy(message);
    std::size_t caller = 0;
    if (!absl::SimpleAtoi(subject.substr(subject.rfind('.') + 1), &caller)) Die(subject);
    const auto last = SequenceIn(answer);
    if (!last) fmt::print(stderr, "nats: {}\n", answer);
    std::exchange(connection.done_[caller], nullptr)(last);
  }

  natsConnection* connection_ = nullptr;
  natsSubscription* answers_ = nullptr;
  std::string inbox_;
  std::vector<Peer::Done> done_;
};

class NatsPeer final : public Peer {
 public:
  NatsPeer(const std::string& binary, const std::string& folder, bool sync_always) {
    const int port = FreePort();
    std::ofstream(folder + "/nats.conf") << fmt::format(
        "listen: \"127.0.0.1:{}\"\n"
        "jetstream {{\n  store_dir: \"{}/store\"\n  {}\n"
        // A batch of each caller, where fifty of a stream are the default; and time for them all.
        "  limits {{ batch {{ max_inflight_per_stream: {}, max_inflight_total: {}, timeout: "
        "\"60s\" }} }}\n}}\n",
        port, folder, sync_always ? "sync_interval: always" : "", 2 * kCallersMax, 2 * kCallersMax);
    server_ = StartServer({binary, "-c", folder + "/nats.conf"}, folder + "/server.log", port);
    for (int i = 0; i < kPeerConnections; ++i)
      connections_.push_back(
          std::make_unique<NatsConnection>(fmt::format("nats://127.0.0.1:{}", port)));
    natsMsg* answer = nullptr;
    // By hand: this client's structure has no field for atomic batches.
    Must(natsConnection_RequestString(&answer, connections_[0]->get(),
                                      "$JS.API.STREAM.CREATE.EVENTS",
                                      R"({"name": "EVENTS", "subjects": ["events.>"], )"
                                      R"("storage": "file", "allow_atomic": true})",
                                      kWaitMillis),
         "create");
    if (IsRefusal(TextOf(answer))) Die(TextOf(answer));
    natsMsg_Destroy(answer);
    Must(natsConnection_JetStream(&stream_, connections_[0]->get(), nullptr), "jetstream");
  }
  ~NatsPeer() override {
    jsCtx_Destroy(stream_);
    connections_.clear();
  }

  void Append(int caller, const std::string& stream, std::optional<std::int64_t> after, int events,
              Done done) override {
    connections_[static_cast<std::size_t>(caller) % connections_.size()]->Append(
        caller, stream, after, events, std::move(done));
  }
  std::int64_t ReadAll() override { return ReadOrdered("events.>"); }
  // A consumer that asks for pages.
  std::int64_t CatchUp() override {
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Config.AckPolicy = js_AckNone;
    natsSubscription* consumer = nullptr;
    Must(js_PullSubscribe(&consumer, stream_, "events.>", nullptr, nullptr, &options, nullptr),
         "consumer");
    std::int64_t events = 0;
    for (bool more = true; more;) {
      natsMsgList page{};
      Must(natsSubscription_Fetch(&page, consumer, kPage, kWaitMillis, nullptr), "fetch");
      events += page.Count;
      more = PendingAfter(page.Msgs[page.Count - 1]) > 0;
      natsMsgList_Destroy(&page);
    }
    End(consumer);
    return events;
  }
  std::int64_t LoadStream(const std::string& stream) override {
    return ReadOrdered(SubjectOf(stream));
  }
  const testing::ChildProcess& process() const override { return *server_; }

 private:
  static std::uint64_t PendingAfter(natsMsg* message) {
    jsMsgMetaData* data = nullptr;
    Must(natsMsg_GetMetaData(&data, message), "metadata");
    const std::uint64_t pending = data->NumPending;
    jsMsgMetaData_Destroy(data);
    return pending;
  }
  static void End(natsSubscription* consumer) {
    natsSubscription_Unsubscribe(consumer);
    natsSubscription_Destroy(consumer);
  }
  std::int64_t ReadOrdered(const std::string& subject) {
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Ordered = true;
    natsSubscription* consumer = nullptr;
    Must(js_SubscribeSync(&consumer, stream_, subject.c_str(), nullptr, &options, nullptr),
         "consumer");
    std::int64_t events = 0;
    for (bool more = true; more; ++events) {
      natsMsg* message = nullptr;
      Must(natsSubscription_NextMsg(&message, consumer, kWaitMillis), "next");
      more = PendingAfter(message) > 0;
      natsMsg_Destroy(message);
    }
    End(consumer);
    return events;
  }

  std::unique_ptr<testing::ChildProcess> server_;
  std::vector<std::unique_ptr<NatsConnection>> connections_;
  jsCtx* stream_ = nullptr;
};

}  // namespace

std::optional<PeerKind> NatsKind(const PeerPlaces& places, bool sync_always) {
  const std::string binary = places.peers + "/bin/nats-server";
  const auto version = FirstLineOf(binary + " --version");
  if (!version) {
    if (sync_always) fmt::print("nats: no server in build/peers, skipped\n");
    return std::nullopt;
  }
  return PeerKind{
      .name = sync_always ? "nats" : "nats-default",
      .title = "NATS JetStream, " + *version,
      .durable = sync_always
                     ? "fsync of each message and of a batch's files (sync_interval: always)"
                     : "NOT durable: an fsync every two minutes",
      .start = [binary, sync_always](const std::string& folder) {
        return std::make_unique<NatsPeer>(binary, folder, sync_always);
      }};
}

}  // namespace leftfold::bench
