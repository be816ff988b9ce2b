#ifndef BENCH_PEERS_PEER_H_
#define BENCH_PEERS_PEER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "testing/child_process.h"

namespace leftfold::bench {

// Connections of a peer whose protocol takes many calls at once over one.
inline constexpr int kPeerConnections = 4;
inline constexpr int kCallersMax = 256;
inline constexpr std::string_view kEventType = "Measured";
// 200 bytes of JSON.
inline constexpr std::string_view kEventPayload =
    R"({"sensor": "north-7", "celsius": 21.4, "humidity": 0.47, "battery": 0.93, "firmware": "4.1.7", )"
    R"("site": "harbour, second pier", "operator": "nobody", "note": "as it came from the device, and complete"})";
static_assert(kEventPayload.size() == 200);

// Version 7, in its text form.
std::string NewEventId();

// A server that is measured, through the client that its users would take. Its data is in a folder
// of the run.
class Peer {
 public:
  // Where the stream stands after an append, as this peer counts; nullopt when it was refused.
  using Done = std::function<void(std::optional<std::int64_t> last)>;

  virtual ~Peer() = default;
  // Appends so many events to one stream, all or none; with `after`, which is what `done` was given
  // for the stream before, only if none came after it. `done` is called on any thread. One append
  // of a caller at a time.
  virtual void Append(int caller, const std::string& stream, std::optional<std::int64_t> after,
                      int events, Done done) = 0;
  // These read to the end as it is when they begin, and give the number of events. All of the log:
  virtual std::int64_t ReadAll() = 0;
  // The same as a subscriber would that begins with the first event.
  virtual std::int64_t CatchUp() = 0;
  virtual std::int64_t LoadStream(const std::string& stream) = 0;
  // The process at the root of all of the peer's.
  virtual const testing::ChildProcess& process() const = 0;
};

struct PeerKind {
  std::string name;     // For --only.
  std::string title;    // With its version.
  std::string durable;  // What happens before an acknowledgement.
  // In an empty folder.
  std::function<std::unique_ptr<Peer>(const std::string& folder)> start;
};

// Where programs and files of peers are.
struct PeerPlaces {
  std::string leftfold;  // The server's binary.
  std::string peers;     // build/peers, as scripts/peers.sh fills it.
};

// Each gives nullopt, after a line that says why, when the peer is not here.
std::optional<PeerKind> LeftfoldKind(const PeerPlaces& places, bool session);
std::optional<PeerKind> MessageDbKind(const PeerPlaces& places);
std::optional<PeerKind> NatsKind(const PeerPlaces& places, bool sync_always);
std::optional<PeerKind> UmaDbKind(const PeerPlaces& places);

// User and system time of a process and of all below it, those too that have ended.
double TreeCpuSeconds(pid_t root);
// A port of loopback that nobody listens on.
int FreePort();
// The command as one that is told to end when this program ends, however that comes.
std::vector<std::string> EndingWithUs(std::vector<std::string> command);
// The child, its output in the file `log`; returns when it listens on the port.
std::unique_ptr<testing::ChildProcess> StartServer(const std::vector<std::string>& command,
                                                   const std::string& log, int port);
// The first line of what a command prints; nullopt when there is no such program.
std::optional<std::string> FirstLineOf(const std::string& command);

}  // namespace leftfold::bench
#endif  // BENCH_PEERS_PEER_H_
