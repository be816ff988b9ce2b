#include "server/app.h"

#include <absl/time/clock.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "core/kill_points.h"
#include "core/log.h"
#include "event_store/batch_reader.h"
#include "event_store/recent_events.h"
#include "event_store/remote/remote_event_store.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "event_store/sqlite/sqlite_snapshots.h"
#include "leftfold/commands/v1/command_session.pb.h"
#include "leftfold/store/v1/event_store.pb.h"
#include "projector/projector.h"
#include "reactor/consumers.h"
#include "reactor/reactors.h"
#include "read_api/query_handler.h"
#include "read_api/view_follower.h"
#include "read_api/view_pool.h"
#include "read_api/watch_hub.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "rpc/status.h"
#include "server/admin_service.h"
#include "server/command_service.h"
#include "server/command_session.h"
#include "server/consumer_service.h"
#include "server/groups.h"
#include "server/http_client.h"
#include "server/inbound_server.h"
#include "server/metrics.h"
#include "server/query_service.h"
#include "server/reactor_deliverer.h"
#include "server/reactor_service.h"
#include "server/remote_commands.h"
#include "server/role_lock.h"
#include "server/run_by_caller.h"
#include "server/served_views.h"
#include "server/state_loader.h"
#include "server/stop_signals.h"
#include "server/store_service.h"
#include "server/thread_pool.h"
#include "server/token.h"
#include "server/view_health.h"
#include "server/webhook_service.h"
#include "server/webhooks.h"
#include "sql/connection.h"
#include "write_api/append_session.h"
#include "write_api/command_handler.h"
#include "write_api/snapshotter.h"

namespace leftfold {
namespace {

int Cores() { return std::max(2, static_cast<int>(std::thread::hardware_concurrency())); }

std::string AddressOf(const std::unique_ptr<rpc::RpcServer>& server) {
  return server == nullptr ? "" : server->address();
}

// A server that comes back is found soon, one that is gone without a word is noticed.
std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  const auto milliseconds = [](absl::Duration duration) {
    return static_cast<int>(absl::ToInt64Milliseconds(duration));
  };
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, milliseconds(kLogConnectWait) / 10);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, milliseconds(kLogConnectWait) / 10);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, milliseconds(kLogConnectWait));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(2 * rpc::kClientPingPeriodMin));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(rpc::kClientPingPeriodMin));
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// Members are in the order of their dependencies: what is declared later uses what is declared
// earlier.
class App::Implementation {
 public:
  Implementation(const Registry& registry, const ServeOptions& options)
      : registry_(registry), options_(options) {}
  ~Implementation() { Stop(); }

  absl::Status Start();
  void StopWriteSide(rpc::SteadyTime end);
  void StopReadSide(rpc::SteadyTime end);
  void Stop();
  // The drain limit, from now.
  rpc::SteadyTime DrainEnd() const { return rpc::After(options_.drain_limit); }

  std::string write_address() const { return AddressOf(write_server_); }
  std::string read_address() const { return AddressOf(read_server_); }
  std::string admin_address() const { return AddressOf(admin_server_); }
  std::string metrics_address() const { return metrics_ == nullptr ? "" : metrics_->address(); }
  std::string inbound_address() const { return inbound_ == nullptr ? "" : inbound_->address(); }

 private:
  bool Has(Role role) const { return options_.roles.Has(role); }
  std::string views() const { return options_.data + "/views"; }
  absl::Status TakeLocks();
  absl::Status OpenLog();
  // The log that another process writes.
  absl::StatusOr<std::unique_ptr<EventStore>> OpenOtherLog();
  // False where that is not to be had now.
  bool TryOtherLog();
  void TryOtherLogLater();
  // `store_` is there.
  absl::Status StartProjector();
  void MakeReadSide();
  absl::Status StartWriteSide();
  absl::Status StartReadSide();
  absl::Status OpenReactors();
  // Their consumers come to the address for commands.
  absl::Status OpenGroups();
  void LetReact();
  absl::Status StartInbound();
  absl::Status StartAdmin();
  absl::Status StartMetrics();
  std::vector<ViewStatus> ListViews();
  // Ends what has no end of its own; calls and streams are told STOPPING.
  void EndWriteStreams();
  void EndReadStreams();

  const Registry& registry_;
  const ServeOptions options_;
  SystemClock clock_;
  std::vector<std::unique_ptr<RoleLock>> locks_;
  ThreadPool writing_{"log writer", 1};
  RunByCaller writer_{writing_};
  ThreadPool completions_{"completions", 2};
  ThreadPool indexing_{"indexing", 1, ThreadPool::Priority::kBackground};
  ThreadPool loading_{"loading", 2};
  ThreadPool projecting_{"projecting", Cores(), ThreadPool::Priority::kBackground};
  ThreadPool reacting_{"reacting", 2};
  ThreadPool reading_{"reading", 2};
  ThreadPool earlier_{"earlier", 2};      // What views were at earlier positions.
  ThreadPool following_{"following", 1};  // Files of views that another process builds.
  ThreadPool linking_{"linking", 1};      // To the log of another process.
  ThreadPool feeding_{"feeding", 2};
  ThreadPool snapshotting_{"snapshotting", 1, ThreadPool::Priority::kBackground};
  std::unique_ptr<EventStore> store_;
  // Of `store_`, for views and reactors.
  const std::shared_ptr<SharedBatches> batches_ = std::make_shared<SharedBatches>();
  std::atomic<EventStore*> log_now_ = nullptr;  // `store_`, once it is there.
  RemoteEventStore* remote_ = nullptr;          // `store_`, where the log is elsewhere.
  std::string told_of_log_;
  std::unique_ptr<SnapshotStore> snapshots_;
  std::unique_ptr<Snapshotter> snapshotter_;
  std::unique_ptr<CommandHandler> commands_;
  std::unique_ptr<RawAppender> appender_;
  std::unique_ptr<AppendSessionKind> append_kind_;
  std::unique_ptr<Sessions> append_sessions_;
  std::unique_ptr<CommandSessionKind> command_kind_;
  std::unique_ptr<Sessions> command_sessions_;
  std::unique_ptr<Feeds> feeds_;
  std::unique_ptr<read_api::ViewPool> view_pool_;
  std::unique_ptr<read_api::WatchHub> watches_;
  std::unique_ptr<read_api::QueryHandler> queries_;
  std::unique_ptr<ViewHealth> health_;
  std::unique_ptr<read_api::ViewFollower> follower_;  // Until there is a projector here.
  std::unique_ptr<Projector> projector_;
  std::unique_ptr<HttpClient> http_;
  std::unique_ptr<SmtpClient> smtp_;
  std::unique_ptr<RemoteCommands> remote_commands_;
  std::unique_ptr<LogStateLoader> states_;
  std::unique_ptr<ReactorDeliverer> deliverer_;
  std::unique_ptr<Consumers> consumers_;
  std::unique_ptr<Reactors> reactors_;
  std::unique_ptr<Webhooks> webhooks_;
  std::unique_ptr<Groups> groups_;
  std::optional<Reacting> reacting_parts_;
  ReactingNow reacting_now_ = nullptr;                // reacting_parts_, once it is there.
  std::atomic<Projector*> projecting_now_ = nullptr;  // projector_, once it is there.
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<ReactorService> reactor_service_;
  std::unique_ptr<WebhookService> webhook_service_;
  rpc::Services write_services_;
  rpc::Services read_services_;
  std::unique_ptr<rpc::RpcServer> write_server_;
  std::unique_ptr<rpc::RpcServer> read_server_;
  std::unique_ptr<rpc::RpcServer> admin_server_;
  std::unique_ptr<InboundServer> inbound_;
  std::unique_ptr<MetricsServer> metrics_;
  bool stopped_ = false;
};

absl::Status App::Implementation::Start() {
  if (Has(Role::kReact) && !Has(Role::kWrite) && options_.log.empty())
    return absl::InvalidArgumentError("the role react needs the role write, or a log of another");
  if (Has(Role::kReact)) LEFTFOLD_RETURN_IF_ERROR(CheckSmtp(options_.smtp));
  LEFTFOLD_RETURN_IF_ERROR(TakeLocks());
  if (Has(Role::kWrite)) LEFTFOLD_RETURN_IF_ERROR(OpenLog());
  if (Has(Role::kRead)) MakeReadSide();
  const bool follows = Has(Role::kProject) || Has(Role::kReact);
  const bool waits = follows && !Has(Role::kWrite) && !TryOtherLog();
  if (Has(Role::kProject) && Has(Role::kWrite)) LEFTFOLD_RETURN_IF_ERROR(StartProjector());
  if (Has(Role::kRead)) LEFTFOLD_RETURN_IF_ERROR(StartReadSide());
  if (Has(Role::kWrite)) LEFTFOLD_RETURN_IF_ERROR(StartWriteSide());
  if (Has(Role::kWrite)) LEFTFOLD_RETURN_IF_ERROR(StartInbound());
  LEFTFOLD_RETURN_IF_ERROR(StartAdmin());
  LEFTFOLD_RETURN_IF_ERROR(StartMetrics());
  if (waits) TryOtherLogLater();
  return absl::OkStatus();
}

absl::Status App::Implementation::TakeLocks() {
  for (const RoleEntry& entry : AllRoles()) {
    if (!Has(entry.role)) continue;
    auto lock = RoleLock::Take(options_.data, std::string(entry.name));
    if (!lock.ok()) return lock.status();
    locks_.push_back(*std::move(lock));
  }
  return absl::OkStatus();
}

absl::Status App::Implementation::OpenLog() {
  auto store = OpenSqliteEventStore(options_.data + "/log", {.writer = &writer_,
                                                             .completions = &completions_,
                                                             .clock = &clock_,
                                                             .behind = &indexing_,
                                                             .recent_events = kRecentEventsMax});
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  log_now_ = store_.get();
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<EventStore>> App::Implementation::OpenOtherLog() {
  if (options_.log.empty())
    return OpenSqliteEventStoreReadOnly(options_.data + "/log", &completions_);
  const auto channel = ChannelTo(options_.log);
  if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + kLogConnectWait))) {
    return Error(absl::StatusCode::kUnavailable, "no server answers at {}", options_.log);
  }
  auto remote = RemoteEventStore::Connect({.channel = channel,
                                           .token = ReadToken(options_.data),
                                           .completions = &completions_,
                                           .call_wait = kLogCallWait});
  if (!remote.ok()) return remote.status();
  remote_ = remote->get();
  return *std::move(remote);
}

bool App::Implementation::TryOtherLog() {
  absl::Status opened;
  if (store_ == nullptr) {
    auto store = OpenOtherLog();
    opened = store.status();
    if (store.ok()) store_ = *std::move(store);
    log_now_ = store_.get();
  }
  if (opened.ok() && Has(Role::kProject) && projector_ == nullptr) {
    if (follower_ != nullptr) follower_->Stop();
    opened = StartProjector();
  }
  if (opened.ok() && Has(Role::kReact)) {
    opened = OpenReactors();
    if (opened.ok()) LetReact();
  }
  if (opened.ok()) {
    if (!told_of_log_.empty()) LogEvent(LogLevel::kInfo, "the log is open", {});
    return true;
  }
  const std::string reason(opened.message());
  if (std::exchange(told_of_log_, reason) != reason)
    LogEvent(LogLevel::kWarning, "waits for the log", {{"reason", reason}});
  return false;
}

void App::Implementation::TryOtherLogLater() {
  linking_.PostAfter(kLogRetryInterval, [this] {
    if (!TryOtherLog()) return TryOtherLogLater();
    for (const Role role : {Role::kProject, Role::kReact}) {
      if (Has(role)) admin_server_->SetServing(EntryOf(role).name, true);
    }
  });
}

absl::Status App::Implementation::StartProjector() {
  auto projector =
      Projector::Open(registry_, *store_, projecting_, clock_, health_.get(), views(), batches_);
  if (!projector.ok()) return projector.status();
  projector_ = *std::move(projector);
  projector_->Start();
  projecting_now_ = projector_.get();
  return absl::OkStatus();
}

absl::Status App::Implementation::StartWriteSide() {
  const auto token = LoadOrMakeToken(options_.data);
  if (!token.ok()) return token.status();
  snapshots_ = std::make_unique<SqliteSnapshots>(options_.data + "/log");
  snapshotter_ = std::make_unique<Snapshotter>(*store_, *snapshots_, snapshotting_);
  commands_ =
      std::make_unique<CommandHandler>(registry_, *store_, clock_, loading_, snapshotter_.get());
  LEFTFOLD_RETURN_IF_ERROR(ServeCommands(registry_, *commands_, writer_, *token, write_services_));
  appender_ = std::make_unique<RawAppender>(registry_, *store_, feeding_);
  append_kind_ = std::make_unique<AppendSessionKind>(*appender_, rpc::ToRpcStatus);
  append_sessions_ = std::make_unique<Sessions>(*append_kind_);
  LEFTFOLD_RETURN_IF_ERROR(ServeSessions(*store::v1::AppendSessionRequest::descriptor(),
                                         *append_sessions_, *token, write_services_));
  command_kind_ = std::make_unique<CommandSessionKind>(registry_, *commands_);
  command_sessions_ = std::make_unique<Sessions>(*command_kind_);
  LEFTFOLD_RETURN_IF_ERROR(ServeSessions(*commands::v1::CommandSessionRequest::descriptor(),
                                         *command_sessions_, *token, write_services_));
  feeds_ = std::make_unique<Feeds>(*store_, feeding_);
  LEFTFOLD_RETURN_IF_ERROR(
      ServeStore({.store = *store_, .appender = *appender_, .feeds = *feeds_, .work = feeding_},
                 *token, write_services_));
  if (Has(Role::kReact)) {
    LEFTFOLD_RETURN_IF_ERROR(OpenReactors());
    LEFTFOLD_RETURN_IF_ERROR(OpenGroups());
  }
  auto server = rpc::RpcServer::Start(
      {.listen = options_.write_listen, .services = &write_services_, .generated = {}});
  if (!server.ok()) return server.status();
  write_server_ = *std::move(server);
  if (Has(Role::kReact)) LetReact();
  return absl::OkStatus();
}

void App::Implementation::MakeReadSide() {
  view_pool_ = std::make_unique<read_api::ViewPool>(registry_, reading_);
  watches_ = std::make_unique<read_api::WatchHub>(registry_, *view_pool_, reading_);
  view_pool_->ForwardTo(watches_.get());
  queries_ = std::make_unique<read_api::QueryHandler>(
      registry_, *view_pool_, read_api::QueryHandler::Log{log_now_, earlier_});
  health_ = std::make_unique<ViewHealth>(registry_, *view_pool_);
}

absl::Status App::Implementation::StartReadSide() {
  if (projector_ == nullptr) {
    follower_ = std::make_unique<read_api::ViewFollower>(registry_, views(), *health_, following_);
    follower_->Start();
  }
  LEFTFOLD_RETURN_IF_ERROR(ServeQueries(registry_, *queries_, *watches_, read_services_));
  auto server = rpc::RpcServer::Start(
      {.listen = options_.read_listen, .services = &read_services_, .generated = {}});
  if (!server.ok()) return server.status();
  read_server_ = *std::move(server);
  return absl::OkStatus();
}

absl::Status App::Implementation::OpenReactors() {
  http_ = std::make_unique<CurlHttpClient>();
  if (!options_.smtp.url.empty()) smtp_ = std::make_unique<SmtpClient>(options_.smtp);
  states_ = std::make_unique<LogStateLoader>(registry_, *store_, snapshots_.get());
  if (remote_ != nullptr) {
    const std::string token = ReadToken(options_.data);
    if (token.empty()) {
      return Error(absl::StatusCode::kFailedPrecondition,
                   "there is no {}/token: copy it from the data of the process that writes",
                   options_.data);
    }
    remote_commands_ = std::make_unique<RemoteCommands>(ChannelTo(options_.log), token, reacting_);
  }
  CommandSink& commands = remote_ != nullptr ? static_cast<CommandSink&>(*remote_commands_)
                                             : static_cast<CommandSink&>(*commands_);
  deliverer_ = std::make_unique<ReactorDeliverer>(
      registry_, commands, *http_, clock_, options_.data + "/mail", options_.services, smtp_.get());
  consumers_ = std::make_unique<Consumers>(Consumers::Parts{
      .store = *store_, .work = feeding_, .others = *deliverer_, .to_proto = rpc::ToRpcStatus});
  reactors_ = Reactors::Open(registry_.reactors(),
                             {.store = *store_,
                              .loader = *states_,
                              .deliverer = *consumers_,
                              .clock = clock_,
                              .executor = reacting_,
                              .batches = batches_},
                             options_.data + "/reactors");
  auto webhooks = Webhooks::Open(
      {.registry = registry_, .store = *store_, .reactors = *reactors_, .data = options_.data});
  if (!webhooks.ok()) return webhooks.status();
  webhooks_ = *std::move(webhooks);
  return absl::OkStatus();
}

absl::Status App::Implementation::OpenGroups() {
  auto groups = Groups::Open(
      {.store = *store_, .reactors = *reactors_, .consumers = *consumers_, .data = options_.data});
  if (!groups.ok()) return groups.status();
  groups_ = *std::move(groups);
  return ServeConsumers(
      {.groups = *groups_, .reactors = *reactors_, .consumers = *consumers_, .work = feeding_},
      write_services_);
}

void App::Implementation::LetReact() {
  reactors_->Start();
  reacting_parts_.emplace(Reacting{*store_, *reactors_, *webhooks_});
  reacting_now_ = &*reacting_parts_;
}

absl::Status App::Implementation::StartInbound() {
  if (options_.inbound_listen.empty()) return absl::OkStatus();
  auto inbound = InboundServer::Start(options_.inbound_listen, registry_, *commands_, clock_,
                                      options_.services);
  if (!inbound.ok()) return inbound.status();
  inbound_ = *std::move(inbound);
  return absl::OkStatus();
}

std::vector<ViewStatus> App::Implementation::ListViews() {
  if (Projector* projector = projecting_now_; projector != nullptr) return projector->ListViews();
  if (view_pool_ == nullptr) return {};
  return ListServedViews(registry_, *view_pool_, views(), log_now_);
}

absl::Status App::Implementation::StartAdmin() {
  AdminParts parts{.data = options_.data, .clock = clock_};
  if (Has(Role::kWrite)) parts.log = store_.get();
  if (Has(Role::kProject)) parts.projector = &projecting_now_;
  if (Has(Role::kRead)) parts.list_served = [this] { return ListViews(); };
  admin_ = std::make_unique<AdminService>(std::move(parts));
  const ReactingNow* reacting = Has(Role::kReact) ? &reacting_now_ : nullptr;
  reactor_service_ = std::make_unique<ReactorService>(options_.data, reacting);
  webhook_service_ = std::make_unique<WebhookService>(options_.data, reacting);
  std::vector<rpc::RpcServerOptions::Generated> generated = {
      {std::string(AdminService::kName), admin_.get()},
      {std::string(ReactorService::kName), reactor_service_.get()},
      {std::string(WebhookService::kName), webhook_service_.get()}};
  auto server =
      rpc::RpcServer::Start({.listen = options_.admin_listen.empty() ? options_.roles.AdminListen()
                                                                     : options_.admin_listen,
                             .services = nullptr,
                             .generated = std::move(generated)});
  if (!server.ok()) return server.status();
  admin_server_ = *std::move(server);
  // Health of every service, and of every role, can be asked here too.
  for (const RoleEntry& entry : AllRoles()) {
    if (!Has(entry.role)) continue;
    const bool waits = (entry.role == Role::kProject && projecting_now_ == nullptr) ||
                       (entry.role == Role::kReact && reacting_now_ == nullptr);
    admin_server_->SetServing(entry.name, !waits);
  }
  for (const std::string& service : write_services_.names())
    admin_server_->SetServing(service, true);
  if (health_ != nullptr) {
    health_->TellTo([this](const std::string& service, bool serving) {
      read_server_->SetServing(service, serving);
      admin_server_->SetServing(service, serving);
    });
  }
  for (const auto& lock : locks_)
    LEFTFOLD_RETURN_IF_ERROR(lock->Announce(admin_server_->address()));
  return absl::OkStatus();
}

absl::Status App::Implementation::StartMetrics() {
  if (options_.metrics_listen.empty()) return absl::OkStatus();
  MetricSources sources;
  sources.data = options_.data;
  sources.roles = options_.roles;
  if (Has(Role::kWrite)) {
    sources.store = store_.get();
    sources.commands = commands_.get();
    sources.append_sessions = append_sessions_.get();
    sources.command_sessions = command_sessions_.get();
    sources.feeds = feeds_.get();
    sources.services.push_back(&write_services_);
  }
  if (Has(Role::kProject) || Has(Role::kRead)) {
    sources.list_views = [this] { return ListViews(); };
    sources.follows_log = Has(Role::kProject);
  }
  if (Has(Role::kReact)) {
    sources.list_reactors = [this] {
      Reacting* reacting = reacting_now_;
      return reacting == nullptr ? std::vector<ReactorStatus>() : reacting->reactors.List();
    };
  }
  if (groups_ != nullptr) sources.list_groups = [this] { return groups_->List(); };
  if (Has(Role::kRead)) {
    sources.watches = watches_.get();
    sources.health = health_.get();
    sources.services.push_back(&read_services_);
  }
  sources.pools = {&writing_, &completions_, &indexing_,  &loading_, &projecting_, &reacting_,
                   &reading_, &earlier_,     &following_, &linking_, &feeding_,    &snapshotting_};
  auto metrics = MetricsServer::Start(options_.metrics_listen, sources);
  if (!metrics.ok()) return metrics.status();
  metrics_ = *std::move(metrics);
  return absl::OkStatus();
}

void App::Implementation::EndWriteStreams() {
  if (write_server_ != nullptr) write_server_->RefuseNew();
  for (Sessions* sessions : {append_sessions_.get(), command_sessions_.get()}) {
    if (sessions != nullptr) sessions->Stop();
  }
  if (feeds_ != nullptr) feeds_->Stop();
  if (consumers_ != nullptr) consumers_->Stop();
}

void App::Implementation::EndReadStreams() {
  if (read_server_ != nullptr) read_server_->RefuseNew();
  if (watches_ != nullptr) watches_->Stop();
  if (view_pool_ != nullptr) view_pool_->Stop();
}

void App::Implementation::StopWriteSide(rpc::SteadyTime end) {
  EndWriteStreams();
  if (write_server_ != nullptr) write_server_->Drain(end);
}

void App::Implementation::StopReadSide(rpc::SteadyTime end) {
  EndReadStreams();
  if (read_server_ != nullptr) read_server_->Drain(end);
  linking_.Stop();
  if (follower_ != nullptr) follower_->Stop();
  if (remote_ != nullptr) remote_->Interrupt();
  if (projector_ != nullptr) projector_->Stop();
}

void App::Implementation::Stop() {
  if (std::exchange(stopped_, true)) return;
  const rpc::SteadyTime end = DrainEnd();
  if (admin_server_ != nullptr) admin_server_->RefuseNew();
  if (admin_ != nullptr) admin_->Stop();
  if (reactor_service_ != nullptr) reactor_service_->Stop();
  inbound_.reset();
  linking_.Stop();  // Nothing begins from here on.
  if (Has(Role::kReact) && remote_ != nullptr) remote_->Interrupt();
  if (reactors_ != nullptr) reactors_->Stop();
  if (remote_commands_ != nullptr) remote_commands_->Stop();
  EndWriteStreams();
  EndReadStreams();
  for (rpc::RpcServer* server : {write_server_.get(), read_server_.get(), admin_server_.get()}) {
    if (server != nullptr) server->AwaitCalls(end);
  }
  // They hang up together.
  const rpc::SteadyTime last_words = std::min(end, rpc::After(rpc::kLastWordsMax));
  StopWriteSide(last_words);
  StopReadSide(last_words);
  if (admin_server_ != nullptr) admin_server_->Drain(last_words);
  metrics_.reset();
  reacting_.Stop();  // Before what its tasks deliver with.
  http_.reset();
  smtp_.reset();
  // What is queued is run first: an append that was taken is committed and answered.
  for (ThreadPool* pool : {&loading_, &writing_, &indexing_, &completions_, &feeding_, &projecting_,
                           &reading_, &earlier_, &following_, &snapshotting_}) {
    pool->Stop();
  }
}

App::App(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
App::~App() = default;

absl::StatusOr<std::unique_ptr<App>> App::Start(const Registry& registry,
                                                const ServeOptions& options) {
  auto implementation = std::make_unique<Implementation>(registry, options);
  LEFTFOLD_RETURN_IF_ERROR(implementation->Start());
  return std::unique_ptr<App>(new App(std::move(implementation)));
}

std::string App::write_address() const { return implementation_->write_address(); }
std::string App::read_address() const { return implementation_->read_address(); }
std::string App::admin_address() const { return implementation_->admin_address(); }
std::string App::metrics_address() const { return implementation_->metrics_address(); }
std::string App::inbound_address() const { return implementation_->inbound_address(); }
void App::StopWriteSide() { implementation_->StopWriteSide(implementation_->DrainEnd()); }
void App::StopReadSide() { implementation_->StopReadSide(implementation_->DrainEnd()); }
void App::Stop() { implementation_->Stop(); }

namespace {

// A line that shows what the first command that creates something takes; "" when there is none.
std::string DescribeLine(const Registry& registry, const std::string& write_address) {
  for (const CommandEntry& command : registry.commands()) {
    if (!command.creates || command.system) continue;
    return fmt::format("  grpcurl -plaintext -msg-template {} describe {}\n", write_address,
                       command.request->full_name());
  }
  return "";
}

// Clients and files take descriptors; when there are none left, the log's writer cannot go on.
void TakeAllDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int Serve(const Registry& registry, const ServeOptions& options) {
  const StopSignals signals;
  TakeAllDescriptors();
  rpc::InitProcess();
  static const SystemClock log_clock;
  StartServerLog(options.log_format, log_clock);
  if (const absl::Status armed = ArmKillPoint(options.kill_at); !armed.ok()) {
    LogLine("leftfold: {}", ToStd(armed.message()));
    return 1;
  }
  auto app = App::Start(registry, options);
  if (!app.ok()) {
    LogLine("leftfold: {}", ToStd(app.status().message()));
    return 1;
  }
  const std::string write = (*app)->write_address();
  const std::string read = (*app)->read_address();
  const std::pair<const char*, std::string> addresses[] = {{"commands", write},
                                                           {"queries", read},
                                                           {"admin", (*app)->admin_address()},
                                                           {"metrics", (*app)->metrics_address()},
                                                           {"inbound", (*app)->inbound_address()}};
  for (const auto& [what, address] : addresses) {
    if (!address.empty()) Print("{} listening on {}\n", what, address);
  }
  Print("roles {}, data in {}, SQLite {}{}\n", options.roles.Names(), options.data,
        sql::LibraryVersion(),
        sql::LibraryHasWalResetFix()
            ? ""
            : " (before 3.51.3: one connection a file writes and checkpoints)");
  Print("\ntry:\n");
  for (const auto& [what, address] :
       std::span(addresses).first(write.empty() && read.empty() ? 3 : 2)) {
    if (!address.empty()) Print("  grpcurl -plaintext {} list\n", address);
  }
  if (!write.empty()) Print("{}", DescribeLine(registry, write));
  std::fflush(stdout);
  signals.Wait();
  Print("stopping: calls in flight are answered, new ones refused\n");
  std::fflush(stdout);
  (*app)->Stop();
  return 0;
}

}  // namespace leftfold
