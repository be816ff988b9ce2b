#ifndef SERVER_STREAM_SESSION_H_
#define SERVER_STREAM_SESSION_H_

#include <memory>

#include "core/session_sink.h"
#include "rpc/services.h"

// Sessions of the engines over RPC streams.
namespace leftfold {

class StreamSessionSink final : public SessionSink {
 public:
  explicit StreamSessionSink(rpc::SessionStream& stream) : stream_(stream) {}
  void Read() override { stream_.Read(); }
  void Write(const google::protobuf::Message& message) override { stream_.Write(message); }
  void Finish(const absl::Status& status) override { stream_.Finish(status); }

 private:
  rpc::SessionStream& stream_;  // Lives until Finish.
};

// Lets the session, whose sink the stream is, hear of it, and starts it.
template <class Session>
void StartOn(rpc::SessionStream& stream, const std::shared_ptr<Session>& session) {
  stream.Observe({.on_read =
                      [session](const absl::StatusOr<rpc::MessagePtr>& message) {
                        if (!message.ok()) return session->OnRead(message.status());
                        session->OnRead(message->get());
                      },
                  .on_written = [session](bool ok) { session->OnWritten(ok); },
                  .on_cancelled = [session] { session->Cancel(); }});
  session->Start();
}

}  // namespace leftfold
#endif  // SERVER_STREAM_SESSION_H_
