#include "server/metrics.h"

#include <fmt/format.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "core/log.h"
#include "core/status.h"
#include "event_store/log_metrics.h"
#include "rpc/server.h"
#include "rpc/status.h"
#include "server/listener_waker.h"
#include "sql/view_file.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// gRPC's names of its codes.
constexpr std::array<const char*, rpc::kStatusCodes> kCodeNames = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

constexpr std::pair<ViewState, const char*> kViewStates[] = {
    {ViewState::kCatchingUp, "catching_up"}, {ViewState::kLive, "live"},
    {ViewState::kStopped, "stopped"},        {ViewState::kRebuilding, "rebuilding"},
    {ViewState::kPaused, "paused"},          {ViewState::kServed, "served"}};

constexpr std::pair<ReactorState, const char*> kReactorStates[] = {
    {ReactorState::kCatchingUp, "catching_up"},
    {ReactorState::kLive, "live"},
    {ReactorState::kPaused, "paused"},
    {ReactorState::kStopped, "stopped"},
    {ReactorState::kHeldUp, "held_up"}};

// The families of one answer.
class Families {
 public:
  void Gauge(const char* name, const char* help, double value, Labels labels = {}) {
    Add(MetricType::Gauge, name, help, std::move(labels)).gauge.value = value;
  }
  void Count(const char* name, const char* help, double value, Labels labels = {}) {
    Add(MetricType::Counter, name, help, std::move(labels)).counter.value = value;
  }
  void Distribution(const char* name, const char* help, const Histogram& histogram,
                    Labels labels = {}) {
    auto& out = Add(MetricType::Histogram, name, help, std::move(labels)).histogram;
    const std::vector<std::int64_t> counts = histogram.Counts();
    for (std::size_t i = 0; i < counts.size(); ++i) {
      out.sample_count += static_cast<std::uint64_t>(counts[i]);
      const double bound = i < histogram.bounds().size() ? histogram.bounds()[i]
                                                         : std::numeric_limits<double>::infinity();
      out.bucket.push_back({out.sample_count, bound});
    }
    out.sample_sum = histogram.Sum();
  }
  // So that a family is named even while it has no value.
  void Declare(MetricType type, const char* name, const char* help) {
    if (index_.try_emplace(name, families_.size()).second)
      families_.push_back({name, help, type, {}});
  }
  std::vector<MetricFamily> Take() { return std::move(families_); }

 private:
  ClientMetric& Add(MetricType type, const char* name, const char* help, Labels labels) {
    Declare(type, name, help);
    ClientMetric& metric = families_[index_.at(name)].metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<MetricFamily> families_;
  std::map<std::string, std::size_t> index_;
};

double BytesOf(const std::string& file) {
  std::error_code error;
  const auto bytes = fs::file_size(file, error);
  return error ? 0 : static_cast<double>(bytes);
}

void AddRoles(const MetricSources& sources, Families& out) {
  for (const RoleEntry& entry : AllRoles()) {
    out.Gauge("leftfold_role", "1 where the process has the role.",
              sources.roles.Has(entry.role) ? 1 : 0, {{"role", std::string(entry.name)}});
  }
  struct statvfs disk {};
  if (statvfs(sources.data.c_str(), &disk) == 0) {
    out.Gauge("leftfold_disk_free_bytes", "Free space for the data folder.",
              static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize));
  }
}

void AddLog(const MetricSources& sources, Families& out) {
  if (sources.store == nullptr) return;
  const std::string events = sources.data + "/log/events.db";
  out.Gauge("leftfold_log_position", "Position of the last event of the log.",
            static_cast<double>(sources.store->GetHead().position.value));
  out.Gauge("leftfold_log_file_bytes", "Size of the log's file.", BytesOf(events));
  for (const char* file : {"events", "index", "snapshots"}) {
    out.Gauge("leftfold_log_wal_bytes",
              "Size of the write-ahead files of the log, its index and its snapshots.",
              BytesOf(fmt::format("{}/log/{}.db-wal", sources.data, file)), {{"file", file}});
  }
  const LogMetrics* log = sources.store->metrics();
  if (log == nullptr) return;
  out.Count("leftfold_log_events_total", "Events that were appended.",
            static_cast<double>(log->events.value()));
  out.Distribution("leftfold_append_duration_seconds",
                   "From an append's call to its durable outcome.", log->append_seconds);
  out.Distribution("leftfold_append_group_size", "Appends that one transaction committed.",
                   log->group_appends);
  out.Gauge("leftfold_append_queue_depth", "Appends that wait for the writer.",
            static_cast<double>(log->queued.value()));
}

void AddVerified(const MetricSources& sources, Families& out) {
  if (sources.store == nullptr) return;  // It is the log that was verified.
  constexpr const char* kTime = "leftfold_verify_timestamp_seconds";
  constexpr const char* kTimeHelp = "When leftfold verify last came to its end.";
  constexpr const char* kFailed = "leftfold_verify_failed";
  constexpr const char* kFailedHelp = "1 when leftfold verify found a fault then.";
  out.Declare(MetricType::Gauge, kTime, kTimeHelp);
  out.Declare(MetricType::Gauge, kFailed, kFailedHelp);
  std::ifstream file(fmt::format("{}/{}", sources.data, kVerifiedFile));
  double time = 0, failed = 0;
  if (!(file >> time >> failed)) return;
  out.Gauge(kTime, kTimeHelp, time);
  out.Gauge(kFailed, kFailedHelp, failed);
}

void AddCommands(const MetricSources& sources, Families& out) {
  if (sources.commands == nullptr) return;
  const CommandHandler::Metrics& commands = sources.commands->metrics();
  out.Count("leftfold_state_cache_hits_total", "Commands whose aggregate was in memory.",
            static_cast<double>(commands.cache_hits.value()));
  out.Count("leftfold_state_cache_misses_total",
            "Commands whose aggregate had to be loaded from the log.",
            static_cast<double>(commands.cache_misses.value()));
  constexpr const char* kSessions = "leftfold_sessions";
  constexpr const char* kSessionsHelp = "Sessions that are open, by kind.";
  out.Gauge(kSessions, kSessionsHelp, static_cast<double>(sources.append_sessions->open()),
            {{"kind", "append"}});
  out.Gauge(kSessions, kSessionsHelp, static_cast<double>(sources.command_sessions->open()),
            {{"kind", "command"}});
}

void AddViews(const MetricSources& sources, Families& out) {
  if (sources.list_views == nullptr) return;
  for (const ViewStatus& view : sources.list_views()) {
    const Labels labels = {{"view", view.name}};
    out.Gauge("leftfold_view_position", "Position up to which the view has folded the log.",
              static_cast<double>(view.checkpoint.value), labels);
    out.Gauge("leftfold_view_generation", "Generation of the view's file.",
              static_cast<double>(view.generation), labels);
    if (sources.follows_log) {
      if (!view.lag_unknown) {
        out.Gauge("leftfold_view_lag_events", "Events of the log that the view has not folded yet.",
                  static_cast<double>(view.lag_events), labels);
      }
      out.Gauge("leftfold_view_parked_events",
                "Events that the view could not fold and has parked.",
                static_cast<double>(view.parked_events), labels);
      out.Count("leftfold_view_duplicates_total", "Events that came again and were passed over.",
                static_cast<double>(view.duplicates_ignored), labels);
    }
    const std::string file =
        sql::ViewPath(sources.data + "/views", view.name, {view.version, view.generation});
    out.Gauge("leftfold_view_file_bytes", "Size of the view's file.", BytesOf(file), labels);
    out.Gauge("leftfold_view_wal_bytes", "Size of the view's write-ahead file.",
              BytesOf(file + "-wal"), labels);
    for (const auto& [state, name] : kViewStates) {
      out.Gauge("leftfold_view_state", "1 for the state that the view is in.",
                view.state == state ? 1 : 0, {{"view", view.name}, {"state", name}});
    }
  }
}

void AddReactors(const MetricSources& sources, Families& out) {
  if (sources.list_reactors == nullptr) return;
  for (const ReactorStatus& reactor : sources.list_reactors()) {
    const auto with = [&](const char* label, const char* value) {
      return Labels{{"reactor", reactor.name}, {label, value}};
    };
    const Labels labels = {{"reactor", reactor.name}};
    for (const auto& [state, name] : kReactorStates) {
      out.Gauge("leftfold_reactor_state", "1 for the state that the reactor is in.",
                reactor.state == state ? 1 : 0, with("state", name));
    }
    out.Gauge("leftfold_reactor_position", "Position up to which the reactor has taken events in.",
              static_cast<double>(reactor.checkpoint.value), labels);
    out.Gauge("leftfold_reactor_lag_events", "Events of the log that it has not taken in yet.",
              static_cast<double>(reactor.lag_events), labels);
    out.Count("leftfold_reactor_events_total", "Events that it reacted to.",
              static_cast<double>(reactor.events), labels);
    for (const auto& [state, rows] :
         {std::pair{"queued", reactor.waiting - reactor.under_way},
          std::pair{"in_flight", reactor.under_way}, std::pair{"parked", reactor.parked_keys}}) {
      out.Gauge("leftfold_reactor_outbox_rows",
                "Deliveries that will be made, are being made, and wait for an operator.",
                static_cast<double>(rows), with("state", state));
    }
    const std::string file = fmt::format("{}/reactors/{}.db", sources.data, reactor.name);
    out.Gauge("leftfold_reactor_file_bytes", "Size of the reactor's file.", BytesOf(file), labels);
    out.Gauge("leftfold_reactor_wal_bytes", "Size of the reactor's write-ahead file.",
              BytesOf(file + "-wal"), labels);
    out.Gauge("leftfold_reactor_timers", "Timers that wait for their time.",
              static_cast<double>(reactor.timers), labels);
    for (const auto& [outcome, count] :
         {std::pair{"done", reactor.delivered - reactor.rejections},
          std::pair{"refused", reactor.rejections}, std::pair{"retried", reactor.retries},
          std::pair{"parked", reactor.parked}}) {
      out.Count("leftfold_reactor_deliveries_total", "Deliveries, by what came of them.",
                static_cast<double>(count), with("outcome", outcome));
    }
    out.Distribution("leftfold_reactor_attempt_duration_seconds",
                     "Of each attempt at a delivery, to its answer.", *reactor.attempt_seconds,
                     labels);
  }
}

void AddGroups(const MetricSources& sources, Families& out) {
  if (sources.list_groups == nullptr) return;
  struct Number {
    const char* name;
    const char* help;
    std::int64_t (*of)(const store::v1::GroupStatus&);
  };
  using Status = store::v1::GroupStatus;
  constexpr Number kNumbers[] = {
      {"leftfold_group_lag_events", "Events of the log that the group has not looked at yet.",
       [](const Status& group) { return group.lag_events(); }},
      {"leftfold_group_waiting", "Events that wait for a consumer, or for another attempt.",
       [](const Status& group) { return group.waiting() - group.in_flight(); }},
      {"leftfold_group_in_flight", "Events that consumers hold.",
       [](const Status& group) { return group.in_flight(); }},
      {"leftfold_group_parked_keys", "Keys of the group that wait for an operator.",
       [](const Status& group) { return group.parked_keys(); }},
      {"leftfold_group_consumers", "Consumers of the group that are connected.",
       [](const Status& group) { return std::int64_t{group.consumers_size()}; }}};
  const auto groups = sources.list_groups();
  for (const Number& number : kNumbers) {
    out.Declare(MetricType::Gauge, number.name, number.help);
    for (const Status& group : groups) {
      out.Gauge(number.name, number.help,
                static_cast<double>(std::max<std::int64_t>(0, number.of(group))),
                {{"group", group.group().name()}});
    }
  }
}

void AddReaders(const MetricSources& sources, Families& out) {
  if (sources.feeds != nullptr) {
    out.Gauge("leftfold_subscribers", "Reads and subscriptions of the log that are open.",
              static_cast<double>(sources.feeds->open()));
    out.Count("leftfold_reader_messages_total", "Messages that were written to them.",
              static_cast<double>(sources.feeds->messages().value()));
  }
  if (sources.watches != nullptr)
    out.Gauge("leftfold_watchers", "Watches that are open.", sources.watches->open_watches());
  if (sources.health == nullptr) return;
  for (const auto& [service, serving] : sources.health->Serving()) {
    out.Gauge("leftfold_service_serving",
              "0 when a view that the query service needs is stopped or not built.",
              serving ? 1 : 0, {{"service", service}});
  }
}

void AddRpcs(const MetricSources& sources, Families& out) {
  for (const rpc::Services* services : sources.services) {
    for (const rpc::Services::Calls& calls : services->calls()) {
      const Labels labels = {{"service", calls.service}, {"method", calls.method}};
      out.Count("leftfold_rpcs_started_total", "Calls that came.",
                static_cast<double>(calls.started), labels);
      for (std::size_t code = 0; code < calls.finished.size(); ++code) {
        if (code != 0 && calls.finished[code] == 0) continue;
        Labels with_code = labels;
        with_code.push_back({"code", kCodeNames[code]});
        out.Count("leftfold_rpcs_finished_total", "Calls that were answered, by status code.",
                  static_cast<double>(calls.finished[code]), std::move(with_code));
      }
    }
  }
  constexpr const char* kRejections = "leftfold_rejections_total";
  constexpr const char* kRejectionsHelp = "Errors that clients were given, by reason.";
  out.Declare(MetricType::Counter, kRejections, kRejectionsHelp);
  for (const rpc::Rejections& rejections : rpc::ListRejections()) {
    out.Count(kRejections, kRejectionsHelp, static_cast<double>(rejections.count),
              {{"domain", rejections.domain}, {"reason", rejections.reason}});
  }
}

// As Prometheus's own client libraries name them.
void AddProcess(const MetricSources& sources, Families& out) {
  std::ifstream file("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  // What follows the name, in brackets: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
  constexpr std::size_t kFirst = 3, kUser = 14, kSystem = 15, kThreads = 20, kResident = 24;
  std::istringstream words(text.substr(std::min(text.size(), text.rfind(')') + 2)));
  const std::vector<std::string> fields((std::istream_iterator<std::string>(words)), {});
  if (fields.size() > kResident - kFirst) {
    const auto number = [&](std::size_t field) { return std::stod(fields[field - kFirst]); };
    out.Count("process_cpu_seconds_total", "User and system time.",
              (number(kUser) + number(kSystem)) / static_cast<double>(sysconf(_SC_CLK_TCK)));
    out.Gauge("process_resident_memory_bytes", "Memory that is resident.",
              number(kResident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    out.Gauge("process_threads", "Threads.", number(kThreads));
  }
  std::error_code error;
  const auto files = fs::directory_iterator("/proc/self/fd", error);
  if (!error) {
    out.Gauge("process_open_fds", "Files and connections that are open.",
              static_cast<double>(std::distance(fs::begin(files), fs::end(files))));
  }
  for (const ThreadPool* pool : sources.pools) {
    out.Gauge("leftfold_tasks_queued", "Tasks that wait for a thread of the pool.",
              static_cast<double>(pool->queued()), {{"pool", pool->name()}});
  }
  out.Count("leftfold_log_lines_dropped_total", "Lines that standard error did not take.",
            static_cast<double>(DroppedLogLines()));
}

class Collector final : public prometheus::Collectable {
 public:
  explicit Collector(MetricSources sources) : sources_(std::move(sources)) {}
  std::vector<MetricFamily> Collect() const override {
    Families families;
    for (const auto add : {AddRoles, AddLog, AddVerified, AddCommands, AddViews, AddReactors,
                           AddGroups, AddReaders, AddRpcs, AddProcess})
      add(sources_, families);
    return families.Take();
  }

 private:
  const MetricSources sources_;
};

}  // namespace

class MetricsServer::Implementation {
 public:
  // Throws std::runtime_error when the address is taken.
  Implementation(const rpc::ListenAddress& listen, const MetricSources& sources)
      : host_(listen.host),
        collector_(std::make_shared<Collector>(sources)),
        exposer_(std::make_unique<prometheus::Exposer>(std::vector<std::string>{
            "listening_ports", fmt::format("{}:{}", listen.host, listen.port), "num_threads",
            fmt::to_string(kMetricsThreads), "request_timeout_ms",
            fmt::to_string(absl::ToInt64Milliseconds(kMetricsRequestTimeout))})) {
    exposer_->RegisterCollectable(collector_);
  }
  ~Implementation() {
    const ListenerWaker waker(host_, port());
    exposer_.reset();
  }
  int port() const { return exposer_->GetListeningPorts().front(); }

 private:
  const std::string host_;
  const std::shared_ptr<Collector> collector_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen,
                                                                    const MetricSources& sources) {
  const auto address = rpc::ParseListen(listen);
  if (!address.ok()) return address.status();
  try {
    auto implementation = std::make_unique<Implementation>(*address, sources);
    std::string real = fmt::format("{}:{}", address->host, implementation->port());
    return std::unique_ptr<MetricsServer>(
        new MetricsServer(std::move(implementation), std::move(real)));
  } catch (const std::runtime_error&) {  // Has no word about the reason.
    return rpc::CannotListen(listen);
  }
}

MetricsServer::MetricsServer(std::unique_ptr<Implementation> implementation, std::string address)
    : implementation_(std::move(implementation)), address_(std::move(address)) {}
MetricsServer::~MetricsServer() = default;

}  // namespace leftfold
