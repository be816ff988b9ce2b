#include "tools/cli.h"

#include <absl/strings/numbers.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/log.h"
#include "core/status.h"
#include "rpc/server.h"
#include "server/app.h"
#include "server/roles.h"
#include "tools/backup.h"
#include "tools/call.h"
#include "tools/config.h"
#include "tools/exit_codes.h"
#include "tools/export.h"
#include "tools/new_domain.h"
#include "tools/replay.h"
#include "tools/restore.h"
#include "tools/simulate_payments.h"
#include "tools/tail.h"
#include "tools/verify.h"
#include "tools/views.h"

namespace leftfold {
namespace {

constexpr const char* kVersion = "leftfold 0.1.0";  // As in CMakeLists.txt.
// Of an option in seconds: an hour.
constexpr double kSimulatorSecondsMax = 3'600;

// The options of all subcommands, and what was chosen.
struct CommandLine {
  ServeOptions serve;
  std::string roles = Roles().Names();
  tools::ReplayOptions replay;
  tools::CallOptions call;
  tools::TailOptions tail;
  tools::NewDomainOptions new_domain;
  tools::BackupOptions backup;
  tools::RestoreOptions restore;
  tools::ExportOptions export_to;
  tools::ImportOptions import_from;
  tools::SimulatePaymentsOptions payments;
};

// Says in plain words what CLI11's own checks say in numbers of double.
CLI::Validator AtLeast(int minimum) {
  return CLI::Validator(
      [minimum](const std::string& text) -> std::string {
        double number = 0;
        if (absl::SimpleAtod(text, &number) && number >= minimum) return "";
        return fmt::format("must be {} or more", minimum);
      },
      "");
}

// An empty folder would be the root of the file system.
CLI::Validator NotEmpty() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        return text.empty() ? "must not be empty" : "";
      },
      "");
}

void AddData(CLI::App& command, std::string& data) {
  command.add_option("--data", data, "data folder")
      ->envname("LEFTFOLD_DATA")
      ->check(NotEmpty())
      ->capture_default_str();
}

// What --metrics-listen is where nobody says anything: '' is taken.
constexpr std::string_view kByRoles = "by roles";

CLI::Validator AreRoles() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        return std::string(Roles::Parse(text).status().message());
      },
      "");
}

// Options that only a process with this role takes.
constexpr std::pair<const char*, Role> kRoleOptions[] = {{"--write-listen", Role::kWrite},
                                                         {"--inbound-listen", Role::kWrite},
                                                         {"--read-listen", Role::kRead}};

// Options that were given to a process that has no use for them.
absl::Status CheckRoleOptions(const CLI::App& serve, const ServeOptions& options) {
  for (const auto& [name, role] : kRoleOptions) {
    if (options.roles.Has(role) || serve.get_option(name)->count() == 0) continue;
    return Error(absl::StatusCode::kInvalidArgument,
                 "{} is for the role {}, and this process has {}: leave it out, or add the role",
                 name, EntryOf(role).name, options.roles.Names());
  }
  const bool reads_log = options.roles.Has(Role::kProject) || options.roles.Has(Role::kReact);
  if (!options.log.empty() && !reads_log && !options.roles.Has(Role::kWrite)) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "--log is for the role project or react, and this process has {}: leave it out, "
                 "or add the role",
                 options.roles.Names());
  }
  if (options.log.empty() && options.roles.Has(Role::kReact) && !options.roles.Has(Role::kWrite)) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "the role react without the role write sends its commands to another process: "
                 "name its write address by --log HOST:PORT");
  }
  if (!options.log.empty() && options.roles.Has(Role::kWrite)) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "--log names the log of another process, and this one has the role write, so it "
                 "has the log itself: leave --log out, or the role");
  }
  if (!options.log.empty() && !rpc::ParseListen(options.log).ok()) {
    return Error(
        absl::StatusCode::kInvalidArgument,
        "--log {} is no HOST:PORT of this machine, such as 127.0.0.1:50051; there is no TLS "
        "yet, so take a tunnel of your own to another one",
        options.log);
  }
  return absl::OkStatus();
}

// The ports of processes that share a host.
std::string DescribePorts() {
  std::string text;
  for (const RoleEntry& entry : AllRoles()) {
    text += fmt::format("  {:<8} --admin-listen {}  --metrics-listen {}\n", entry.name,
                        Roles({entry.role}).AdminListen(), Roles({entry.role}).MetricsListen());
  }
  return text;
}

CLI::App* AddServe(CLI::App& app, ServeOptions& options, std::string& roles) {
  CLI::App* serve = app.add_subcommand(
      "serve", "Serve commands, queries and administration from one process, or one role of it");
  serve->add_option("--roles", roles, "what this process does")
      ->envname("LEFTFOLD_ROLES")
      ->check(AreRoles())
      ->capture_default_str();
  serve
      ->add_option(
          "--log", options.log,
          "HOST:PORT of the commands' process, for reactors apart from it and for a projector "
          "with a data folder of its own; else that reads the log in --data")
      ->envname("LEFTFOLD_LOG");
  serve
      ->add_option("--write-listen", options.write_listen,
                   "HOST:PORT of commands; port 0 picks one")
      ->envname("LEFTFOLD_WRITE_LISTEN")
      ->capture_default_str();
  serve->add_option("--read-listen", options.read_listen, "HOST:PORT of queries")
      ->envname("LEFTFOLD_READ_LISTEN")
      ->capture_default_str();
  serve
      ->add_option("--admin-listen", options.admin_listen,
                   "HOST:PORT of administration and health; see below for other roles")
      ->envname("LEFTFOLD_ADMIN_LISTEN")
      ->default_str(Roles().AdminListen());
  options.metrics_listen = kByRoles;
  serve
      ->add_option("--metrics-listen", options.metrics_listen,
                   "HOST:PORT of metrics, GET /metrics; '' for none; see below for other roles")
      ->envname("LEFTFOLD_METRICS_LISTEN")
      ->default_str(Roles().MetricsListen());
  serve
      ->add_option("--inbound-listen", options.inbound_listen,
                   "HOST:PORT where services outside tell what happens, POST /NAME; none unless "
                   "given")
      ->envname("LEFTFOLD_INBOUND_LISTEN");
  serve
      ->add_option_function<int>(
          "--drain-limit",
          [&options](int seconds) { options.drain_limit = absl::Seconds(seconds); },
          "seconds that calls in flight get to end when the server stops")
      ->envname("LEFTFOLD_DRAIN_LIMIT")
      ->check(AtLeast(0))
      ->default_str(fmt::to_string(absl::ToInt64Seconds(kDrainLimit)));
  serve
      ->add_option_function<std::string>(
          "--log-format",
          [&options](const std::string& format) {
            options.log_format = format == "json" ? LogFormat::kJson : LogFormat::kText;
          },
          "text or json: lines on standard error")
      ->envname("LEFTFOLD_LOG_FORMAT")
      ->check(CLI::IsMember({"text", "json"}))
      ->default_str("text");
  serve->footer(fmt::format(
      "Roles may run in processes of their own, each role in one process of a data folder. So that "
      "they can share a\nhost, a process listens where the first of its roles in this list does, "
      "unless told otherwise:\n{}"
      "Examples: leftfold serve --data ./data --write-listen 127.0.0.1:50051 --read-listen "
      "127.0.0.1:50052\n"
      "          leftfold serve --data ./data --roles write\n"
      "          leftfold serve --data ./data --roles project\n"
      "          leftfold serve --data ./data --roles read\n"
      "          leftfold serve --data ./data --roles react --log 127.0.0.1:50051\n"
      "          leftfold serve --data ./other --roles project,read --log 127.0.0.1:50051",
      DescribePorts()));
  return serve;
}

CLI::App* AddReplay(CLI::App& app, tools::ReplayOptions& options) {
  CLI::App* replay =
      app.add_subcommand("replay", "Rebuild a view beside the live one and switch to it");
  replay->add_option("view", options.view, "name of the view");
  replay->add_flag("--all", options.all, "every view, one after the other");
  replay->add_flag("--verify", options.verify,
                   "compare the rebuilt view with the live one and switch nothing");
  replay->add_flag("--prepare", options.prepare,
                   "beside the server of an older version: build what the start of this binary "
                   "will serve");
  replay
      ->add_option("--until", options.until,
                   "fold up to this position, keep the file, switch nothing")
      ->check(AtLeast(1));
  replay->footer(
      "A running server does it itself; on a stopped one this process does.\n"
      "Examples: leftfold replay room_directory --data ./data\n          leftfold replay --all "
      "--verify\n          leftfold replay --all --prepare");
  return replay;
}

CLI::App* AddCall(CLI::App& app, tools::CallOptions& options) {
  CLI::App* call =
      app.add_subcommand("call", "Call any RPC of a server by reflection, JSON in and out");
  call->add_option("address", options.address, "HOST:PORT")->required();
  call->add_option("method", options.method, "package.Service/Method, or `list`, or `describe`")
      ->required();
  call->add_option(
          "json", options.json,
          "the request, or several for a method that streams them; - reads standard input; "
          "with `describe` the symbol")
      ->capture_default_str();
  call->add_option("-H,--header", options.headers, "'name: value' to send along");
  call->add_option("--timeout", options.timeout_seconds, "seconds; 0: none")
      ->check(AtLeast(0))
      ->capture_default_str();
  call->footer(
      "Examples: leftfold call 127.0.0.1:50051 leftfold.rooms.v1.RoomCommandService/CreateRoom "
      "'{\"name\": \"Oak\"}'\n"
      "          leftfold call 127.0.0.1:50051 list\n"
      "          leftfold call 127.0.0.1:50051 describe leftfold.rooms.v1.CreateRoomRequest");
  return call;
}

CLI::App* AddTail(CLI::App& app, tools::TailOptions& options) {
  CLI::App* tail = app.add_subcommand("tail", "Print recorded events, one JSON object a line");
  tail->add_option("--from", options.from, "begin with this position")
      ->check(AtLeast(1))
      ->capture_default_str();
  tail->add_option("--category", options.category, "of this category only");
  tail->add_option("--stream-prefix", options.stream_prefix, "of streams that begin so only");
  tail->add_option("--type", options.types, "of this type only, its full name; may be repeated")
      ->allow_extra_args(false);
  tail->add_option("--correlation", options.correlation, "with this correlation id only");
  tail->add_flag("--follow", options.follow, "wait for more");
  tail->footer(
      "Examples: leftfold tail --data ./data --category room --follow\n"
      "          leftfold tail --correlation order-17\n"
      "          leftfold tail --stream-prefix room-oak --type leftfold.rooms.v1.RoomRenamed");
  return tail;
}

CLI::App* AddVerify(CLI::App& app) {
  CLI::App* verify = app.add_subcommand("verify", "Check the whole log and the views' checkpoints");
  verify->footer(
      "Exit code 1 and the first fault when there is one. There is no repair: restore a backup, "
      "rebuild views.\n"
      "Example: leftfold verify --data ./data");
  return verify;
}

CLI::App* AddBackup(CLI::App& app, tools::BackupOptions& options) {
  CLI::App* backup = app.add_subcommand(
      "backup", "Copy the log into a folder, beside a server too, and verify it");
  backup->add_option("--to", options.to, "new or empty folder, which becomes a data folder")
      ->required();
  backup->add_flag("--update", options.update, "bring an earlier backup in that folder up to date");
  backup->footer(
      "Interrupted, it goes on the next time.\n"
      "Examples: leftfold backup --data ./data --to /backup/monday\n"
      "          leftfold backup --data ./data --to /backup/monday --update");
  return backup;
}

CLI::App* AddRestore(CLI::App& app, tools::RestoreOptions& options) {
  CLI::App* restore =
      app.add_subcommand("restore", "Make a backup, up to a position or a time, the log");
  restore->add_option("--from", options.from, "folder of the backup")->required();
  restore->add_option("--until", options.until,
                      "last position, or time like 2026-11-21T07:24:42Z; an append is never cut");
  restore->add_flag("--replace", options.replace, "set the log that is there aside");
  restore->add_flag(
      "--reactors-anew", options.reactors_anew,
      "let reactors that had gone further begin at the log's beginning: they send all "
      "once more, under the same ids");
  restore->footer(
      "On a stopped server. Views that had gone further are built anew at the next start.\n"
      "Examples: leftfold restore --from /backup/monday --data ./data --replace\n"
      "          leftfold restore --from ./data --data ./other --until 2026-11-21T07:24:42Z");
  return restore;
}

CLI::App* AddExport(CLI::App& app, tools::ExportOptions& options) {
  CLI::App* command =
      app.add_subcommand("export", "Write the log as lines of JSON, beside a server too");
  command->add_option("--to", options.to,
                      "file; one that is there is continued; else standard output");
  command->add_option("--from", options.from, "begin with this position")->check(AtLeast(1));
  command->footer(
      "A header, then each event with leaf and chain, and each accepted command.\n"
      "Examples: leftfold export --data ./data --to log.jsonl\n"
      "          leftfold export --data ./data --from 1000 | gzip > new.jsonl.gz");
  return command;
}

CLI::App* AddImport(CLI::App& app, tools::ImportOptions& options) {
  CLI::App* command = app.add_subcommand("import", "Read what `export` wrote into a log");
  command->add_option("--from", options.from, "file; - reads standard input")->required();
  command->footer(
      "On a stopped server. Goes on where the log ends; refuses the first line that does not fit.\n"
      "Example: leftfold import --from log.jsonl --data ./other");
  return command;
}

// An option in seconds, fractions too.
void AddSeconds(CLI::App& command, const std::string& name, absl::Duration& value,
                const std::string& description) {
  command
      .add_option_function<double>(
          name, [&value](double seconds) { value = absl::Seconds(seconds); }, description)
      ->check(CLI::Range(0.0, kSimulatorSecondsMax))
      ->default_str(fmt::to_string(absl::ToDoubleSeconds(value)));
}

CLI::App* AddSimulatePayments(CLI::App& app, tools::SimulatePaymentsOptions& options) {
  CLI::App* command =
      app.add_subcommand("simulate-payments", "Serve a simulated payment provider over HTTP");
  command->add_option("--listen", options.listen, "HOST:PORT; port 0 picks one")
      ->envname("LEFTFOLD_PAYMENTS_LISTEN")
      ->capture_default_str();
  command->add_option("--api-key", options.simulator.api_key, "what clients must know")
      ->envname("LEFTFOLD_PAYMENTS_API_KEY")
      ->check(NotEmpty())
      ->capture_default_str();
  command->add_option("--webhook", options.webhook, "URL that is told what happens; '' for none")
      ->envname("LEFTFOLD_PAYMENTS_WEBHOOK");
  command->add_option("--webhook-secret", options.webhook_secret, "key of the messages' signatures")
      ->envname("LEFTFOLD_PAYMENTS_WEBHOOK_SECRET")
      ->check(NotEmpty())
      ->capture_default_str();
  command
      ->add_option("--webhook-attempts", options.simulator.webhook_attempts,
                   "how often a message is sent until it is answered with 2xx")
      ->check(AtLeast(1))
      ->capture_default_str();
  AddSeconds(*command, "--webhook-retry", options.simulator.webhook_retry_delay,
             "seconds before the second attempt; doubles, up to a minute");
  AddSeconds(*command, "--late-after", options.simulator.late_after,
             "seconds until late cards are settled");
  AddSeconds(*command, "--hold", options.hold,
             "seconds that a request without answer is held before the connection is closed");
  command->add_option("--seed", options.simulator.seed, "of the ids that it makes")
      ->capture_default_str();
  command->footer("Test cards (tokens):\n" + tools::TestCards() +
                  "Example: leftfold simulate-payments --listen 127.0.0.1:0 --api-key sk_test");
  return command;
}

CLI::App* AddNewDomain(CLI::App& app, tools::NewDomainOptions& options) {
  CLI::App* command = app.add_subcommand("new-domain", "Write the two folders of a new domain");
  command->add_option("name", options.name, "name of the domain: small letters, digits, _")
      ->required();
  command->add_option("aggregate", options.aggregate, "name of its aggregate, like Lot")
      ->required();
  command->add_option("--root", options.root, "root of the source tree")->capture_default_str();
  command->footer("Example: leftfold new-domain parking Lot");
  return command;
}

int Run(const Registry& registry, int argc, const char* const* argv) {
  CommandLine line;
  std::map<CLI::App*, std::string>
      data;  // One each: an option reads the environment even where its subcommand is not used.
  CLI::App app("Leftfold: an event-sourced CQRS backend.", "leftfold");
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  std::string config_file;  // Read before the parse.
  app.add_option("--config", config_file, "TOML file with defaults of the options; LEFTFOLD_CONFIG")
      ->configurable(false);
  app.fallthrough();
  CLI::App* serve = AddServe(app, line.serve, line.roles);
  CLI::App* replay = AddReplay(app, line.replay);
  CLI::App* call = AddCall(app, line.call);
  CLI::App* tail = AddTail(app, line.tail);
  CLI::App* new_domain = AddNewDomain(app, line.new_domain);
  CLI::App* verify = AddVerify(app);
  CLI::App* backup = AddBackup(app, line.backup);
  CLI::App* restore = AddRestore(app, line.restore);
  CLI::App* export_to = AddExport(app, line.export_to);
  CLI::App* import_from = AddImport(app, line.import_from);
  CLI::App* simulate_payments = AddSimulatePayments(app, line.payments);
  CLI::App* views = app.add_subcommand("views", "List the views of a running server");
  views->footer("Example: leftfold views --data ./data");
  for (CLI::App* command :
       {serve, replay, tail, verify, backup, restore, export_to, import_from, views}) {
    AddData(*command, data.emplace(command, line.serve.data).first->second);
  }
  config_file = tools::ConfigFileOf({argv + 1, argv + argc});
  if (!config_file.empty()) {
    if (const absl::Status read = tools::ReadConfigFile(config_file, app); !read.ok()) {
      LogLine("leftfold: {}", ToStd(read.message()));
      return tools::kUsage;
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : tools::kUsage;
  }
  if (*serve) {
    line.serve.data = data[serve];
    line.serve.roles = *Roles::Parse(line.roles);  // As checked.
    if (line.serve.metrics_listen == kByRoles)
      line.serve.metrics_listen = line.serve.roles.MetricsListen();
    if (const absl::Status fits = CheckRoleOptions(*serve, line.serve); !fits.ok()) {
      LogLine("leftfold serve: {}", ToStd(fits.message()));
      return tools::kUsage;
    }
    line.serve.services = ServicesOf(environ);
    line.serve.smtp = SmtpOptionsOf(environ);
    if (const char* kill_at = std::getenv("LEFTFOLD_KILL_AT")) line.serve.kill_at = kill_at;
    return Serve(registry, line.serve);
  }
  if (*replay) return tools::Replay(registry, data[replay], line.replay);
  if (*call) return tools::Call(line.call);
  if (*tail) return tools::Tail(data[tail], line.tail);
  if (*verify) return tools::Verify(registry, data[verify]);
  line.backup.data = data[backup];
  line.restore.data = data[restore];
  line.export_to.data = data[export_to];
  line.import_from.data = data[import_from];
  if (*backup) return tools::Backup(line.backup);
  if (*restore) return tools::Restore(line.restore);
  if (*export_to) return tools::Export(line.export_to);
  if (*import_from) return tools::Import(line.import_from);
  if (*views) return tools::Views(data[views]);
  if (*new_domain) return tools::NewDomain(line.new_domain);
  if (*simulate_payments) return tools::SimulatePayments(line.payments);
  return tools::kUsage;
}

}  // namespace

int Main(const Registry& registry, int argc, const char* const* argv) {
  OpenStandardFiles();
  const int exit_code = Run(registry, argc, argv);
  if (FlushOutput()) return exit_code;
  LogLine("leftfold: cannot write to standard output");
  return std::max(exit_code, tools::kFailed);
}

}  // namespace leftfold
