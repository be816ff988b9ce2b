#ifndef SERVER_REMOTE_COMMANDS_H_
#define SERVER_REMOTE_COMMANDS_H_

#include <absl/container/flat_hash_set.h>
#include <absl/time/time.h>
#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "core/executor.h"
#include "write_api/command_handler.h"

namespace leftfold {

// A command whose call broke is sent again after this, and then as soon as there is a server.
inline constexpr absl::Duration kResendAfter = absl::Milliseconds(100);

// Sends commands to the process with the role write, over gRPC and with its token; answers are
// those of its CommandHandler. While no process is there, or when one ends before it has answered,
// commands wait and are sent again: they must have ids, under which they are decided once.
// Thread-safe.
class RemoteCommands final : public CommandSink {
 public:
  // `channel` is to the write address and reconnects by itself; `executor` must outlive it.
  RemoteCommands(std::shared_ptr<grpc::Channel> channel, const std::string& token,
                 Executor& executor);
  // Stop().
  ~RemoteCommands() override;
  void Handle(const CommandEntry& entry, std::unique_ptr<google::protobuf::Message> command,
              Caller caller, Done done) override;
  // Calls in flight are cut off. What has no answer yet gets none. Idempotent.
  void Stop();

 private:
  struct Call;
  void Send(const std::shared_ptr<Call>& call);
  void Take(const std::shared_ptr<Call>& call, const grpc::Status& status);

  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub_;
  const std::string bearer_;
  Executor& executor_;
  std::mutex mu_;  // Guards the rest.
  std::condition_variable ended_;
  bool stopped_ = false;
  absl::flat_hash_set<std::shared_ptr<Call>> in_flight_;
};

}  // namespace leftfold
#endif  // SERVER_REMOTE_COMMANDS_H_
