// message-db on PostgreSQL, by libpq: a connection for each caller, its statements prepared; the
// events of an append are sent together and are one transaction (pipeline mode).
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "bench/peers/peer.h"
#include "core/mutex.h"
#include "core/status.h"

namespace leftfold::bench {
namespace {

using Parameters = std::vector<const char*>;

std::int64_t NumberIn(const PGresult* result, int column = 0) {
  return std::strtoll(PQgetvalue(result, PQntuples(result) - 1, column), nullptr, 10);
}

int Count(const Parameters& parameters) { return static_cast<int>(parameters.size()); }

// A caller's connection. Appends are sent on the caller's thread and answered on that of the peer.
class CallerConnection {
 public:
  explicit CallerConnection(const std::string& address)
      : connection_(PQconnectdb(address.c_str())) {
    if (PQstatus(connection_) != CONNECTION_OK) Die(PQerrorMessage(connection_));
    PQclear(PQprepare(connection_, "write",
                      "SELECT write_message($1, $2, $3, $4::jsonb, NULL, $5::bigint)", 5, nullptr));
    PQsetnonblocking(connection_, 1);
    PQenterPipelineMode(connection_);
  }
  ~CallerConnection() { PQfinish(connection_); }
  CallerConnection(const CallerConnection&) = delete;
  CallerConnection& operator=(const CallerConnection&) = delete;

  int fd() const { return PQsocket(connection_); }

  void Append(const std::string& stream, std::optional<std::int64_t> after, int events,
              Peer::Done done) {
    const std::string type(kEventType), payload(kEventPayload);
    const std::string expected = after ? fmt::to_string(*after) : "";
    MutexLock lock(mu_);
    done_ = std::move(done);
    last_ = std::nullopt;
    refused_ = false;
    for (int i = 0; i < events; ++i) {
      const std::string id = NewEventId();
      const Parameters values = {id.c_str(), stream.c_str(), type.c_str(), payload.c_str(),
                                 after && i == 0 ? expected.c_str() : nullptr};
      PQsendQueryPrepared(connection_, "write", Count(values), values.data(), nullptr, nullptr, 0);
    }
    PQpipelineSync(connection_);
    pollfd socket{.fd = fd(), .events = POLLOUT, .revents = 0};
    while (PQflush(connection_) == 1) poll(&socket, 1, -1);
  }

  void OnReadable() {
    Peer::Done done;
    std::optional<std::int64_t> last;
    {
      MutexLock lock(mu_);
      if (PQconsumeInput(connection_) == 0) Die(PQerrorMessage(connection_));
      if (!TakeAnswers()) return;
      done = std::move(done_);
      last = refused_ ? std::nullopt : last_;
    }
    done(last);
  }

 private:
  // True when the append has been answered.
  bool TakeAnswers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    // In pipeline mode a null result stands between the answers of two statements.
    for (int nulls = 0; PQisBusy(connection_) == 0 && nulls < 2;) {
      PGresult* result = PQgetResult(connection_);
      const ExecStatusType status = PQresultStatus(result);
      nulls = result == nullptr ? nulls + 1 : 0;
      if (status == PGRES_TUPLES_OK) last_ = NumberIn(result);
      if (result != nullptr && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC)
        refused_ = true;
      PQclear(result);
      if (result != nullptr && status == PGRES_PIPELINE_SYNC) return true;
    }
    return false;
  }

  PGconn* const connection_;
  Mutex mu_;
  Peer::Done done_ ABSL_GUARDED_BY(mu_);
  std::optional<std::int64_t> last_ ABSL_GUARDED_BY(mu_);
  bool refused_ ABSL_GUARDED_BY(mu_) = false;
};

// One thread that waits for the answers to all callers.
class Answers {
 public:
  explicit Answers(std::vector<std::unique_ptr<CallerConnection>>& connections) {
    epoll_event stop{.events = EPOLLIN, .data = {.ptr = nullptr}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, stop_, &stop);
    for (const auto& connection : connections) {
      epoll_event event{.events = EPOLLIN, .data = {.ptr = connection.get()}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd(), &event);
    }
    thread_ = std::thread([this] { Run(); });
  }
  ~Answers() {
    eventfd_write(stop_, 1);
    thread_.join();
    close(stop_);
    close(epoll_);
  }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;

 private:
  void Run() {
    std::array<epoll_event, kCallersMax> ready{};
    for (;;) {
      const int count = epoll_wait(epoll_, ready.data(), kCallersMax, -1);
      for (int i = 0; i < count; ++i) {
        void* const connection = ready[static_cast<std::size_t>(i)].data.ptr;
        if (connection == nullptr) return;
        static_cast<CallerConnection*>(connection)->OnReadable();
      }
    }
  }

  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int stop_ = eventfd(0, EFD_CLOEXEC);
  std::thread thread_;
};

struct Programs {
  std::string postgres;  // The folder of initdb and postgres.
  std::string install;   // message-db's install.sh
};

class MessageDbPeer final : public Peer {
 public:
  MessageDbPeer(const Programs& programs, const std::string& folder) {
    const int port = FreePort();
    const std::string data = folder + "/data";
    // PostgreSQL refuses to run as root.
    const bool root = geteuid() == 0;
    std::vector<std::string> command;
    if (root)
      command = {"/usr/bin/setpriv", "--pdeathsig=INT", "--reuid=postgres", "--regid=postgres",
                 "--clear-groups"};
    Run(root ? fmt::format("chown postgres '{}'", folder) : "true");
    Run(fmt::format("cd '{}' && {} {}/initdb -D '{}' -U postgres -A trust -E UTF8 --locale=C",
                    folder, fmt::join(command, " "), programs.postgres, data));
    for (const std::string& word : std::vector<std::string>{
             programs.postgres + "/postgres", "-D", data, "-p", fmt::to_string(port), "-k", "",
             "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300", "-c",
             "shared_buffers=1GB", "-c", "max_wal_size=4GB"})
      command.push_back(word);
    server_ = StartServer(command, folder + "/server.log", port);
    Run(
        fmt::format("export PGHOST=127.0.0.1 PGPORT={} PGUSER=postgres; until pg_isready -q; do "
                    "sleep 0.1; done; bash '{}'",
                    port, programs.install));
    const std::string address = fmt::format(
        "host=127.0.0.1 port={} user=postgres dbname=message_store options='-c "
        "search_path=message_store,public'",
        port);
    reader_ = PQconnectdb(address.c_str());
    if (PQstatus(reader_) != CONNECTION_OK) Die(PQerrorMessage(reader_));
    for (int caller = 0; caller < kCallersMax; ++caller)
      callers_.push_back(std::make_unique<CallerConnection>(address));
    answers_ = std::make_unique<Answers>(callers_);
  }
  ~MessageDbPeer() override {
    answers_ = nullptr;
    callers_.clear();
    PQfinish(reader_);
    server_->Kill(SIGINT);  // Without waiting for clients.
  }

  void Append(int caller, const std::string& stream, std::optional<std::int64_t> after, int events,
              Done done) override {
    callers_[static_cast<std::size_t>(caller)]->Append(stream, after, events, std::move(done));
  }

  // message-db has no function that reads all categories; its table is read as that would.
  std::int64_t ReadAll() override {
    PQsendQuery(reader_, fmt::format("{} ORDER BY global_position", kSelect).c_str());
    PQsetSingleRowMode(reader_);
    std::int64_t events = 0;
    while (PGresult* result = PQgetResult(reader_)) {
      events += PQntuples(result);
      PQclear(result);
    }
    return events;
  }
  // By pages of the size that message-db gives a consumer by default.
  std::int64_t CatchUp() override {
    std::int64_t events = 0, position = 0;
    for (;;) {
      const std::string after = fmt::to_string(position);
      PGresult* page = Query(
          fmt::format("{} WHERE global_position > $1::bigint ORDER BY global_position LIMIT 1000",
                      kSelect),
          {after.c_str()});
      events += PQntuples(page);
      if (PQntuples(page) > 0) position = NumberIn(page, kGlobalPosition);
      const bool last = PQntuples(page) < 1'000;
      PQclear(page);
      if (last) return events;
    }
  }
  std::int64_t LoadStream(const std::string& stream) override {
    PGresult* result = Query("SELECT * FROM get_stream_messages($1, 0, -1)", {stream.c_str()});
    const std::int64_t events = PQntuples(result);
    PQclear(result);
    return events;
  }
  const testing::ChildProcess& process() const override { return *server_; }

 private:
  static constexpr std::string_view kSelect =
      "SELECT id::varchar, stream_name::varchar, type::varchar, position::bigint, "
      "global_position::bigint, data::varchar, metadata::varchar, time::timestamp FROM messages";
  static constexpr int kGlobalPosition = 4;

  static void Run(const std::string& line) {
    const testing::Ran ran = testing::RunShell(line);
    if (ran.exit_code != 0) Die(fmt::format("{}: {}", line, ran.output));
  }
  PGresult* Query(const std::string& text, const Parameters& values) {
    PGresult* result = PQexecParams(reader_, text.c_str(), Count(values), nullptr, values.data(),
                                    nullptr, nullptr, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK) Die(PQerrorMessage(reader_));
    return result;
  }

  std::unique_ptr<testing::ChildProcess> server_;
  PGconn* reader_ = nullptr;
  std::vector<std::unique_ptr<CallerConnection>> callers_;
  std::unique_ptr<Answers> answers_;
};

}  // namespace

std::optional<PeerKind> MessageDbKind(const PeerPlaces& places) {
  const auto postgres =
      FirstLineOf("ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1 | grep .");
  const auto version = FirstLineOf(postgres.value_or("") + "/postgres --version");
  const std::string folder = places.peers + "/message-db/database";
  const auto message_db = FirstLineOf(fmt::format("cat '{}/VERSION.txt'", folder));
  if (!version || !message_db) {
    fmt::print("message-db: no PostgreSQL, or no message-db in build/peers, skipped\n");
    return std::nullopt;
  }
  const Programs programs = {*postgres, folder + "/install.sh"};
  return PeerKind{.name = "message-db",
                  .title = fmt::format("message-db {} on {}", *message_db, *version),
                  .durable = "fdatasync of the write-ahead log (synchronous_commit=on)",
                  .start = [programs](const std::string& data) {
                    return std::make_unique<MessageDbPeer>(programs, data);
                  }};
}

}  // namespace leftfold::bench
