#ifndef TESTS_CRASH_DEPLOYMENT_H_
#define TESTS_CRASH_DEPLOYMENT_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "testing/child_process.h"
#include "testing/nap.h"
#include "testing/reserved_port.h"
#include "testing/rooms_client.h"
#include "testing/temporary_folder.h"

// Real servers that are killed and started again under clients.
namespace leftfold::testing {

// Bounds a test whose condition never comes.
inline constexpr std::chrono::seconds kPatience(60);

struct Part {
  std::string roles;
  std::string folder;
  bool log_elsewhere = false;
};
struct Layout {
  std::string name;
  std::vector<Part> parts;
};
inline void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

// The processes of a layout. Thread-safe.
class Deployment {
 public:
  explicit Deployment(const Layout& layout) : parts_(layout.parts), processes_(parts_.size()) {}

  std::size_t size() const { return parts_.size(); }
  bool Has(std::size_t part, const std::string& role) const {
    return parts_[part].roles.find(role) != std::string::npos;
  }
  std::size_t PartWith(const std::string& role) const {
    std::size_t part = 0;
    while (!Has(part, role)) ++part;
    return part;
  }
  std::string FolderOf(std::size_t part) const { return root_.path() + "/" + parts_[part].folder; }
  bool IsUp(std::size_t part) {
    const std::lock_guard lock(mu_);
    return processes_[part] != nullptr;
  }

  void Start(std::size_t part) {
    // Whoever has the log's address has it for ever.
    auto command = ServerProcess::CommandOf(LEFTFOLD_BINARY, FolderOf(part), parts_[part].roles,
                                            HasLogElsewhere() ? log_.address() : "127.0.0.1:0");
    if (parts_[part].log_elsewhere) command.insert(command.end(), {"--log", log_.address()});
    std::unique_ptr<ServerProcess> process = ServerProcess::TryStart(command);
    ASSERT_NE(process, nullptr) << parts_[part].roles << " does not start";
    const std::lock_guard lock(mu_);
    processes_[part] = std::move(process);
    changed_.notify_all();
  }
  // With SIGKILL, or with SIGTERM, upon which it ends by itself.
  void Stop(std::size_t part, int signal) {
    std::unique_ptr<ServerProcess> process;
    {
      const std::lock_guard lock(mu_);
      process = std::move(processes_[part]);
      channels_.clear();
    }
    process->process.Kill(signal);
    EXPECT_EQ(process->process.Wait(), signal == SIGKILL ? 128 + SIGKILL : 0);
  }

  // Of what is up, as soon as there is something; "" at the end. "project": for administration.
  std::string AddressOf(const std::string& role) {
    const std::size_t part = PartWith(role);
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return over_ || processes_[part] != nullptr; });
    if (over_) return "";
    const ServerProcess& process = *processes_[part];
    return role == "write"  ? process.write_address
           : role == "read" ? process.read_address
                            : process.admin_address;
  }
  // The same; all clients of a process share one, nullptr at the end.
  std::shared_ptr<grpc::Channel> ChannelTo(const std::string& role) {
    const std::string address = AddressOf(role);
    if (address.empty()) return nullptr;
    const std::lock_guard lock(mu_);
    auto& channel = channels_[address];
    if (channel == nullptr)
      channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    return channel;
  }
  // nullptr at the end.
  std::unique_ptr<RoomsClient> Connect(const std::string& role) {
    const std::string address = AddressOf(role);
    return address.empty() ? nullptr : std::make_unique<RoomsClient>(address, address);
  }
  // Sends it until it is answered by whatever process is there; what was decided before is not
  // decided again. CANCELLED at the end.
  template <class Stub>
  using Connector = std::unique_ptr<Stub> (*)(const std::shared_ptr<grpc::ChannelInterface>&,
                                              const grpc::StubOptions&);
  template <class Stub, class Request, class Response>
  grpc::Status Do(const std::string& role, Connector<Stub> connect,
                  grpc::Status (Stub::*rpc)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response& response,
                  const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    grpc::Status status;
    for (;; Nap()) {
      const auto channel = ChannelTo(role);
      if (channel == nullptr) return {grpc::StatusCode::CANCELLED, "it is over"};
      const auto stub = connect(channel, {});
      grpc::ClientContext context;
      for (const auto& [name, value] : headers) context.AddMetadata(name, value);
      status = (stub.get()->*rpc)(&context, request, &response);
      // CANCELLED: it came in the moment in which a server that stops closed its port.
      if ((status.error_code() != grpc::StatusCode::UNAVAILABLE &&
           status.error_code() != grpc::StatusCode::CANCELLED) ||
          std::chrono::steady_clock::now() >= end)
        return status;
    }
  }
  // Starts it, and kills it with -9 so much later, wherever it is then.
  void StartAndKill(std::size_t part, std::chrono::microseconds after) {
    ChildProcess process(
        ServerProcess::CommandOf(LEFTFOLD_BINARY, FolderOf(part), parts_[part].roles));
    std::this_thread::sleep_for(after);  // Any moment is right.
    process.Kill(SIGKILL);
    EXPECT_EQ(process.Wait(), 128 + SIGKILL);
  }
  void End() {
    const std::lock_guard lock(mu_);
    over_ = true;
    changed_.notify_all();
  }

 private:
  bool HasLogElsewhere() const {
    return std::any_of(parts_.begin(), parts_.end(),
                       [](const Part& part) { return part.log_elsewhere; });
  }

  const TemporaryFolder root_;
  const std::vector<Part> parts_;
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<ServerProcess>> processes_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_;  // By address.
  const ReservedPort log_;
  bool over_ = false;
};

}  // namespace leftfold::testing
#endif  // TESTS_CRASH_DEPLOYMENT_H_
