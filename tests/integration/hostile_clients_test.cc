// Raw sockets at every port of a real server: what no client that means well would send. The server
// stays, answers others meanwhile, and gives back what the hostile ones took.
// LEFTFOLD_SEED gives the bytes back, LEFTFOLD_HOSTILE says how many connections each attack makes.
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "testing/child_process.h"
#include "testing/environment.h"
#include "testing/nap.h"
#include "testing/rooms_client.h"
#include "testing/sanitized.h"
#include "testing/scrape.h"
#include "testing/temporary_folder.h"

namespace leftfold::hostile {
namespace {

using testing::kSanitized;
using testing::RoomsClient;
using testing::ServerProcess;

constexpr std::uint64_t kHostile = 10'000;
constexpr std::uint64_t kSomeHostile = 45;
constexpr std::uint64_t kIdleConnections = 3'000;
constexpr std::uint64_t kSomeIdleConnections = 600;
// Bounds what never comes.
constexpr std::chrono::seconds kHostilePatience(60);
// What hostile clients may make the server grow by, for good or for a moment: some 300 MB, which
// the allocator keeps, and no more for three times as many of them.
constexpr double kGrowthMegabytesMax = 512;
constexpr double kWorthTelling = 16;
constexpr std::size_t kUnfoldedMegabytes = 32;
constexpr char kCreateRoom[] = "/leftfold.rooms.v1.RoomCommandService/CreateRoom";

using Random = std::mt19937_64;

// A TCP connection whose bytes the test writes itself.
class RawConnection {
 public:
  explicit RawConnection(const std::string& address) : socket_(testing::Connect(address)) {
    const timeval patience{kHostilePatience.count(), 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~RawConnection() { close(socket_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // As much as the server takes.
  void Send(std::string_view bytes) const {
    constexpr int kTakesNoMoreMs = 20;
    while (!bytes.empty()) {
      pollfd writable{socket_, POLLOUT, 0};
      if (poll(&writable, 1, kTakesNoMoreMs) <= 0) return;
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // "" when there is no more.
  std::string Receive() const {
    char chunk[16'384];
    const ssize_t got = recv(socket_, chunk, sizeof chunk, 0);
    EXPECT_TRUE(got >= 0 || errno != EAGAIN) << "the server neither answers nor hangs up";
    return got <= 0 ? "" : std::string(chunk, static_cast<std::size_t>(got));
  }
  void HalfClose() const { shutdown(socket_, SHUT_WR); }
  // The next close is a RST.
  void ResetOnClose() const {
    const linger at_once{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }

 private:
  const int socket_;
};

// Bytes of HTTP/2.
std::string Number(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i)
    text += static_cast<char>((value >> (8U * static_cast<unsigned>(i))) & 0xffU);
  return text;
}
enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kReset = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindow = 8,
  kContinuation = 9
};
constexpr int kEndStream = 1, kEndHeaders = 4;
constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string Frame(int type, int flags, std::uint32_t stream, const std::string& payload) {
  return Number(payload.size(), 3) + Number(static_cast<std::uint64_t>(type), 1) +
         Number(static_cast<std::uint64_t>(flags), 1) + Number(stream, 4) + payload;
}
// A string of HPACK, not compressed.
std::string Text(std::string_view text) {
  constexpr std::size_t kSevenBits = 127;
  std::string bytes;
  if (text.size() < kSevenBits) {
    bytes = Number(text.size(), 1);
  } else {
    bytes = Number(kSevenBits, 1);
    std::size_t rest = text.size() - kSevenBits;
    for (; rest >= 128; rest /= 128) bytes += Number(rest % 128 + 128, 1);
    bytes += Number(rest, 1);
  }
  return bytes + std::string(text);
}
std::string Field(std::string_view name, std::string_view value) {
  return std::string(1, '\0') + Text(name) + Text(value);
}
std::string Fields(const std::string& path, const std::string& content_type = "application/grpc") {
  return Field(":method", "POST") + Field(":scheme", "http") + Field(":path", path) +
         Field(":authority", "x") + Field("te", "trailers") + Field("content-type", content_type);
}
std::string Begin() { return kPreface + Frame(kSettings, 0, 0, ""); }
std::string Message(const std::string& payload, int compressed = 0) {
  return Number(static_cast<std::uint64_t>(compressed), 1) + Number(payload.size(), 4) + payload;
}
// In frames that are not larger than HTTP/2 lets them be.
std::string Body(std::uint32_t stream, std::string_view bytes) {
  constexpr std::size_t kFrameMax = 16'384;
  std::string frames;
  while (bytes.size() > kFrameMax) {
    frames += Frame(kData, 0, stream, std::string(bytes.substr(0, kFrameMax)));
    bytes.remove_prefix(kFrameMax);
  }
  return frames + Frame(kData, kEndStream, stream, std::string(bytes));
}
std::string Call(const std::string& fields, const std::string& body, std::uint32_t stream = 1) {
  return Frame(kHeaders, kEndHeaders, stream, fields) + Body(stream, body);
}
std::string RoomNamed(const std::string& name) {
  rooms::v1::CreateRoomRequest request;
  request.set_name(name);
  return request.SerializeAsString();
}
std::string AnyBytes(Random& random, std::size_t most) {
  std::string bytes(1 + random() % most, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

// Tells whether what came so far is the end of the call on stream 1, or of the connection.
class CallEnd {
 public:
  bool IsIn(const std::string& more) {
    constexpr std::size_t kHead = 9;
    bytes_ += more;
    while (bytes_.size() >= kHead) {
      const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes_[i]); };
      const std::size_t length =
          static_cast<std::size_t>(at(0)) << 16U | static_cast<std::size_t>(at(1)) << 8U | at(2);
      if (bytes_.size() < kHead + length) return false;
      const bool stream1 = at(8) == 1;
      const int type = at(3), flags = at(4);
      if (type == kGoAway || (stream1 && type == kReset)) return true;
      if (stream1 && (flags & kEndStream) != 0 && (type == kHeaders || type == kData)) return true;
      bytes_.erase(0, kHead + length);
    }
    return false;
  }

 private:
  std::string bytes_;
};

// What one connection sends.
struct Attack {
  std::string name;
  std::function<std::string(Random&)> bytes;
  bool is_answered = false;  // By an end of the call or of the connection, without more.
};

std::string Repeat(int times, const std::function<std::string(int)>& part) {
  std::string bytes;
  for (int i = 0; i < times; ++i) bytes += part(i);
  return bytes;
}

// At the ports of gRPC.
std::vector<Attack> GrpcAttacks() {
  const auto call_of = [](const std::string& fields, const std::string& body) {
    return [=](Random&) { return Begin() + Call(fields, body); };
  };
  return {
      {"Garbage", [](Random& random) { return AnyBytes(random, 20'000); }},
      {"GarbageAfterThePreface", [](Random& random) { return Begin() + AnyBytes(random, 20'000); }},
      {"HalfAPreface",
       [](Random& random) { return std::string(kPreface).substr(0, random() % 24); }},
      {"AnotherProtocol", [](Random&) { return "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"; }, true},
      {"TlsHello", [](Random& random) { return "\x16\x03\x01" + AnyBytes(random, 300); }},
      {"AFrameThatIsTooLarge",
       [](Random& random) {
         return Begin() + Number(0xffffff, 3) + Number(random() % 10, 1) + Number(0, 1) +
                Number(1, 4) + AnyBytes(random, 60'000);
       },
       true},
      {"AFloodOfSettings",
       [](Random&) {
         return Begin() + Repeat(5'000, [](int) {
                  return Frame(kSettings, 0, 0, Number(3, 2) + Number(100, 4));
                });
       }},
      {"AFloodOfPings",
       [](Random&) {
         return Begin() + Repeat(5'000, [](int) { return Frame(kPing, 0, 0, "12345678"); });
       }},
      {"RapidResets",
       [](Random&) {
         return Begin() + Repeat(2'000, [](int i) {
                  const auto stream = static_cast<std::uint32_t>(2 * i + 1);
                  return Frame(kHeaders, kEndHeaders, stream, Fields(kCreateRoom)) +
                         Frame(kReset, 0, stream, Number(8, 4));
                });
       }},
      {"CallsThatNeverSendTheirMessage",
       [](Random&) {
         return Begin() + Repeat(2'000, [](int i) {
                  return Frame(kHeaders, kEndHeaders, static_cast<std::uint32_t>(2 * i + 1),
                               Fields(kCreateRoom));
                });
       }},
      {"HeadersByteByByte",
       [](Random& random) {
         const std::string fields = Fields(kCreateRoom);
         return Begin() + Frame(kHeaders, 0, 1, fields.substr(0, 1)) +
                Repeat(static_cast<int>(random() % fields.size()), [&](int i) {
                  return Frame(kContinuation, 0, 1,
                               fields.substr(static_cast<std::size_t>(i) + 1, 1));
                });
       }},
      {"ContinuationsWithoutEnd",
       [](Random&) {
         return Begin() + Frame(kHeaders, 0, 1, Fields(kCreateRoom)) + Repeat(100, [](int i) {
                  return Frame(kContinuation, 0, 1,
                               Field(fmt::format("x-{}", i), std::string(16'000, 'x')));
                });
       }},
      {"TooManyHeaders",
       [](Random&) {
         return Begin() + Frame(kHeaders, kEndHeaders | kEndStream, 1,
                                Fields(kCreateRoom) + Field("x-long", std::string(16'000, 'x')));
       },
       true},
      {"HeadersThatUnfold",  // A small reference to a large field, many times.
       [](Random&) {
         const std::string large = "\x40" + Text("x") + Text(std::string(4'000, 'x'));
         return Begin() + Frame(kHeaders, kEndHeaders | kEndStream, 1,
                                Fields(kCreateRoom) + large + std::string(10'000, '\xbe'));
       },
       true},
      {"AWindowThatOverflows",
       [](Random&) {
         return Begin() +
                Repeat(3, [](int) { return Frame(kWindow, 0, 0, Number(0x7fffffff, 4)); });
       }},
      {"DataOfNoCall", [](Random&) { return Begin() + Frame(kData, 0, 5, "x"); }},
      {"AStreamOfTheServers",
       [](Random&) { return Begin() + Call(Fields(kCreateRoom), Message(""), 2); }},
      {"AWrongContentType", call_of(Fields(kCreateRoom, "text/html"), "<html>"), true},
      {"GrpcWeb", call_of(Fields(kCreateRoom, "application/grpc-web+proto"), Message("")), true},
      {"AWrongMethodName",
       call_of(Fields("/leftfold.rooms.v1.RoomCommandService/Nothing"), Message("")), true},
      {"APathOfBytes",
       [](Random& random) {
         return Begin() + Call(Fields("/" + AnyBytes(random, 200)), Message(""));
       }},
      {"NoPath",
       [](Random&) {
         return Begin() + Call(Field(":method", "POST") + Field("content-type", "application/grpc"),
                               Message(""));
       },
       true},
      {"AMessageThatIsCutOff",
       call_of(Fields(kCreateRoom), Number(0, 1) + Number(100, 4) + "short"), true},
      {"AMessageOfFourGigabytes",
       call_of(Fields(kCreateRoom), Number(0, 1) + Number(0xffffffff, 4) + "short"), true},
      {"AMessageThatIsTooLarge",
       call_of(Fields(kCreateRoom), Message(std::string((4 << 20) + 1, 'x'))), false},
      {"AMessageThatIsNone", call_of(Fields(kCreateRoom), Message("\xff\xff\xff\xff")), true},
      {"TwoMessages", call_of(Fields(kCreateRoom), Message("") + Message("")), true},
      {"NoMessage", call_of(Fields(kCreateRoom), ""), true},
      {"AFlagThatIsNone", call_of(Fields(kCreateRoom), Message(RoomNamed("x"), 7)), true},
      {"AnEncodingThatIsNone",
       call_of(Fields(kCreateRoom) + Field("grpc-encoding", "zip"), Message(RoomNamed("x"), 1)),
       true},
      {"GzipThatIsNone",
       call_of(Fields(kCreateRoom) + Field("grpc-encoding", "gzip"), Message("no gzip", 1)), true},
      {"ADeadlineThatIsNone",
       call_of(Fields(kCreateRoom) + Field("grpc-timeout", "never"), Message(RoomNamed("x"))),
       true},
  };
}

// At the ports of HTTP/1.1.
std::vector<Attack> HttpAttacks() {
  const auto text = [](const std::string& bytes) { return [=](Random&) { return bytes; }; };
  return {
      {"Garbage", [](Random& random) { return AnyBytes(random, 20'000); }},
      {"Http2", text(Begin()), true},
      {"NoVersion", text("GET /metrics\r\n\r\n"), true},
      {"ALineWithoutEnd", text("GET /" + std::string(60'000, 'x'))},
      {"HeadersWithoutEnd",
       text("GET /metrics HTTP/1.1\r\n" +
            Repeat(2'000, [](int i) { return fmt::format("X-{}: {}\r\n", i, i); }))},
      {"ABodyThatDoesNotCome",
       text("POST /payments HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx")},
      {"ABodyOfNegativeLength",
       text("POST /payments HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nx"), true},
      {"ABodyThatIsTooLarge",
       text("POST /payments HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n" +
            std::string(8'000'000, 'x')),
       true},
      {"ChunksWithoutEnd",
       text("POST /payments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
            Repeat(200, [](int) { return "400\r\n" + std::string(1'024, 'x') + "\r\n"; }))},
      {"AChunkOfWrongLength",
       text("POST /payments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nx"),
       true},
      {"AnotherMethod", text("DELETE /payments HTTP/1.1\r\nHost: x\r\n\r\n"), true},
      {"AnotherPath", text("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), true},
      {"APathWithNul", [](Random&) { return std::string("GET /\0 HTTP/1.1\r\n\r\n", 19); }, true},
  };
}

// A client's side of a whole exchange, as gRPC sends it: a proxy between both writes it down.
class Recording {
 public:
  explicit Recording(const std::string& server) : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&any), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&any), &size);
    address_ = fmt::format("127.0.0.1:{}", ntohs(any.sin_port));
    thread_ = std::thread([this, server] { Run(server); });
  }
  ~Recording() { close(listener_); }
  const std::string& address() const { return address_; }
  // After the client has hung up.
  std::string Take() {
    thread_.join();
    return std::move(bytes_);
  }

 private:
  void Run(const std::string& server) {
    const int client = accept(listener_, nullptr, nullptr);
    const int target = testing::Connect(server);
    pollfd both[] = {{client, POLLIN, 0}, {target, POLLIN, 0}};
    while (poll(both, 2, -1) > 0) {
      char chunk[16'384];
      const bool from_client = both[0].revents != 0;
      const ssize_t got = recv(from_client ? client : target, chunk, sizeof chunk, 0);
      if (got <= 0) break;
      if (from_client) bytes_.append(chunk, static_cast<std::size_t>(got));
      send(from_client ? target : client, chunk, static_cast<std::size_t>(got), MSG_NOSIGNAL);
    }
    close(client);
    close(target);
  }

  const int listener_;
  std::string address_;
  std::string bytes_;
  std::thread thread_;
};

class HostileClients : public ::testing::Test {
 protected:
  HostileClients() {
    const RoomsClient warm(server_.write_address, server_.read_address);
    bystander_ = std::jthread([this] { MeanWell(); });
    AwaitOthers();
    baseline_ = Descriptors();
    megabytes_ = server_.process.ResidentMegabytes();
  }
  ~HostileClients() override { End(); }

  static std::uint64_t Times() {
    return testing::CasesOrSome("LEFTFOLD_HOSTILE", kHostile, kSomeHostile);
  }
  std::vector<std::string> GrpcPorts() const {
    return {server_.write_address, server_.read_address, server_.admin_address};
  }
  std::vector<std::string> HttpPorts() const {
    return {server_.metrics_address, server_.inbound_address};
  }

  // Somebody who means well, beside each hostile connection: each command and each query is
  // answered.
  void MeanWell() {
    RoomsClient client(server_.write_address, server_.read_address);
    for (int n = 0; AwaitWanted(); ++n) {
      rooms::v1::CreateRoomRequest create;
      create.set_room_id(fmt::format("good{}", n));
      create.set_name("Good");
      rooms::v1::CreateRoomResponse created;
      const grpc::Status made = client.Call(create, &created);
      EXPECT_TRUE(made.ok()) << made.error_message();
      rooms::v1::GetRoomRequest get;
      get.set_room_id(create.room_id());
      get.set_min_position(created.receipt().position());
      rooms::v1::GetRoomResponse got;
      const grpc::Status read = client.Call(get, &got);
      EXPECT_TRUE(read.ok()) << read.error_message();
      const std::lock_guard lock(mu_);
      ++answered_;
      changed_.notify_all();
    }
  }
  bool AwaitWanted() {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return over_ || answered_ < wanted_; });
    return !over_;
  }
  void Want(std::int64_t more) {
    const std::lock_guard lock(mu_);
    wanted_ = std::max(wanted_, answered_ + more);
    changed_.notify_all();
  }
  void End() {
    const std::lock_guard lock(mu_);
    over_ = true;
    changed_.notify_all();
  }
  // Somebody who means well is answered now.
  void AwaitOthers() {
    Want(2);
    std::unique_lock lock(mu_);
    EXPECT_TRUE(changed_.wait_for(lock, kHostilePatience, [&] { return answered_ >= wanted_; }));
  }
  std::ptrdiff_t Descriptors() const {
    const std::filesystem::directory_iterator all(
        fmt::format("/proc/{}/fd", server_.process.pid()));
    return std::distance(begin(all), end(all));
  }
  void ExpectGivenBack() {
    constexpr std::ptrdiff_t kOwn = 24;  // Files that it opened meanwhile.
    const auto end = std::chrono::steady_clock::now() + kHostilePatience;
    while (Descriptors() > baseline_ + kOwn && std::chrono::steady_clock::now() < end)
      testing::Nap();
    EXPECT_LE(Descriptors(), baseline_ + kOwn) << "descriptors leak";
    const double grown = server_.process.ResidentMegabytes() - megabytes_;
    EXPECT_TRUE(kSanitized || grown < kGrowthMegabytesMax) << grown << " MB more";
  }
  void Make(const Attack& attack, const std::string& address) {
    Want(1);
    const RawConnection connection(address);
    connection.Send(attack.bytes(random_));
    const auto how = random_() % 3;
    if (attack.is_answered && how == 0) {
      CallEnd end;
      for (std::string more; !(more = connection.Receive()).empty() && !end.IsIn(more);) {
      }
    } else if (how == 1) {
      connection.HalfClose();
      while (!connection.Receive().empty()) {
      }
    } else {
      connection.ResetOnClose();
    }
  }
  void MakeAll(const std::vector<Attack>& attacks, const std::vector<std::string>& ports) {
    for (const Attack& attack : attacks) {
      SCOPED_TRACE(attack.name);
      const double before = server_.process.PeakResidentMegabytes();
      for (std::uint64_t n = 0; n < std::max<std::uint64_t>(Times() / attacks.size(), 1); ++n)
        Make(attack, ports[n % ports.size()]);
      AwaitOthers();
      const double grown = server_.process.PeakResidentMegabytes() - before;
      EXPECT_TRUE(kSanitized || grown < kGrowthMegabytesMax) << grown << " MB more";
      if (grown > kWorthTelling) {
        std::cout << fmt::format("{}: {:.0f} MB more at the most", attack.name, grown) << std::endl;
      }
    }
    ExpectGivenBack();
  }
  // It ends as ever, and its log is whole.
  void ExpectEndsWell() {
    End();
    bystander_.join();
    server_.process.Kill(SIGTERM);
    EXPECT_EQ(server_.process.Wait(), 0);
    const testing::Ran verified =
        testing::RunShell(LEFTFOLD_BINARY " verify --data " + folder_.path());
    EXPECT_EQ(verified.exit_code, 0) << verified.output;
  }

  const std::uint64_t seed_ = testing::Seed();
  Random random_{seed_};
  testing::TemporaryFolder folder_;
  ServerProcess server_{[this] {
    auto command = ServerProcess::CommandOf(LEFTFOLD_BINARY, folder_.path());
    command.insert(command.end(), {"--inbound-listen", "127.0.0.1:0"});
    return command;
  }()};
  std::ptrdiff_t baseline_ = 0;
  double megabytes_ = 0;
  std::mutex mu_;
  std::condition_variable changed_;
  std::int64_t answered_ = 0, wanted_ = 0;
  bool over_ = false;
  std::jthread bystander_;  // Last: it uses the rest.
};

TEST_F(HostileClients, SendWhatIsNoGrpc) {
  MakeAll(GrpcAttacks(), GrpcPorts());
  ExpectEndsWell();
}

// Little on the wire, of a client that keeps to all rules.
TEST_F(HostileClients, SendAMessageThatUnfolds) {
  const grpc::Slice megabyte(std::string(1 << 20, '\0'));
  const std::vector<grpc::Slice> slices(kUnfoldedMegabytes, megabyte);
  const grpc::ByteBuffer zeros(slices.data(), slices.size());
  const double before = server_.process.PeakResidentMegabytes();
  for (const std::string& address : GrpcPorts()) {
    const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    grpc::ClientContext context;
    context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
    const grpc::internal::RpcMethod method(kCreateRoom, grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ByteBuffer answer;
    const grpc::Status status =
        grpc::internal::BlockingUnaryCall(channel.get(), method, &context, zeros, &answer);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  }
  AwaitOthers();
  const double grown = server_.process.PeakResidentMegabytes() - before;
  EXPECT_TRUE(kSanitized || grown < kUnfoldedMegabytes / 2.0) << grown << " MB more";
  ExpectEndsWell();
}

TEST_F(HostileClients, SendWhatIsNoHttp) {
  MakeAll(HttpAttacks(), HttpPorts());
  for (const std::string& address : HttpPorts())
    EXPECT_NE(testing::HttpGet(address, "/metrics"), "");
  ExpectEndsWell();
}

TEST_F(HostileClients, StayWithoutAWord) {
  std::vector<std::unique_ptr<RawConnection>> idle;
  const auto connections =
      testing::CasesOrSome("LEFTFOLD_IDLE", kIdleConnections, kSomeIdleConnections);
  const std::vector<std::string> ports = GrpcPorts();
  for (std::uint64_t n = 0; n < connections; ++n) {
    idle.push_back(std::make_unique<RawConnection>(ports[n % ports.size()]));
    if (n % 3 == 0) idle.back()->Send(Begin());
    if (n % 3 == 1) idle.back()->Send("PRI");
  }
  AwaitOthers();
  const double grown = server_.process.PeakResidentMegabytes() - megabytes_;
  std::cout << grown * 1024 / static_cast<double>(connections) << " KiB an idle connection"
            << std::endl;
  EXPECT_TRUE(kSanitized || grown < kGrowthMegabytesMax) << grown << " MB more";
  idle.resize(idle.size() / 10);
  ExpectEndsWell();  // With the rest of them there.
}

TEST_F(HostileClients, ChangeWhatAGoodOneSends) {
  Recording recording(server_.write_address);
  {
    RoomsClient client(recording.address(), recording.address());
    rooms::v1::CreateRoomRequest create;
    create.set_name("Recorded");
    for (int n = 0; n < 3; ++n) {
      rooms::v1::CreateRoomResponse created;
      const grpc::Status status = client.Call(create, &created);
      ASSERT_TRUE(status.ok()) << status.error_message();
    }
  }
  const std::string good = recording.Take();
  const Attack changed{"Changed", [&](Random& random) {
                         std::string bytes = good;
                         for (auto changes = 1 + random() % 6; changes > 0; --changes) {
                           const std::size_t at = random() % bytes.size();
                           const std::size_t length = random() % 40;
                           switch (random() % 5) {
                             case 0:
                               bytes[at] = static_cast<char>(random());
                               break;
                             case 1:
                               bytes.erase(at, length);
                               break;
                             case 2:
                               bytes.insert(at, bytes.substr(random() % bytes.size(), length));
                               break;
                             case 3:
                               bytes.insert(at, AnyBytes(random, 40));
                               break;
                             default:
                               bytes[at] ^= static_cast<char>(1U << (random() % 8));
                           }
                           if (bytes.empty()) bytes = good;
                         }
                         return bytes;
                       }};
  for (std::uint64_t n = 0; n < Times(); ++n) Make(changed, GrpcPorts()[n % 3]);
  AwaitOthers();
  ExpectGivenBack();
  ExpectEndsWell();
}

}  // namespace
}  // namespace leftfold::hostile
