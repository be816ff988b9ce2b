#include "tools/replay.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/log.h"
#include "core/status.h"
#include "leftfold/admin/v1/admin.grpc.pb.h"
#include "projector/projector.h"
#include "server/role_lock.h"
#include "server/thread_pool.h"
#include "tools/exit_codes.h"
#include "tools/open_log.h"
#include "tools/progress_bar.h"

namespace leftfold::tools {
namespace {

constexpr const char* kRole = "project";  // Who may build views.

RebuildAction ActionOf(const ReplayOptions& options) {
  if (options.verify) return RebuildAction::kVerify;
  if (options.prepare) return RebuildAction::kPrepare;
  return options.until > 0 ? RebuildAction::kKeep : RebuildAction::kSwitch;
}

admin::v1::RebuildViewRequest::Action ToProto(RebuildAction action) {
  switch (action) {
    case RebuildAction::kSwitch:
      return admin::v1::RebuildViewRequest::ACTION_SWITCH;
    case RebuildAction::kVerify:
      return admin::v1::RebuildViewRequest::ACTION_VERIFY;
    case RebuildAction::kKeep:
      return admin::v1::RebuildViewRequest::ACTION_KEEP;
    case RebuildAction::kPrepare:
      break;  // Only the binary that has the version can do it.
  }
  return admin::v1::RebuildViewRequest::ACTION_UNSPECIFIED;
}

using ShowProgress = std::function<void(const RebuildProgress&)>;

// A bar of the events that are folded, then one of the rows that are compared.
class RebuildBars {
 public:
  explicit RebuildBars(const std::string& view) : view_(view) { Begin(view); }

  void Show(const RebuildProgress& progress) {
    const bool compares = progress.comparing && progress.rows_to_compare > 0;
    if (compares && !std::exchange(compares_, true)) {
      bar_->Finish();
      Begin(view_ + ", rows compared");
    }
    if (!compares_) {
      bar_->Show(progress.done, progress.total);
    } else if (progress.rows_to_compare > 0) {
      bar_->Show(progress.compared_rows, progress.rows_to_compare);
    }
  }
  void Finish() { bar_->Finish(); }

 private:
  void Begin(const std::string& title) {
    bar_.reset();  // Ends its line.
    bar_.emplace(title, clock_, stdout, isatty(STDOUT_FILENO) == 1);
  }
  const std::string view_;
  SystemClock clock_;
  bool compares_ = false;
  std::optional<ProgressBar> bar_;
};

absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

absl::StatusOr<RebuildProgress> ByServer(admin::v1::AdminService::Stub& stub,
                                         const std::string& view, const ReplayOptions& options,
                                         const ShowProgress& show) {
  admin::v1::RebuildViewRequest request;
  request.set_view(view);
  request.set_action(ToProto(ActionOf(options)));
  request.set_until_position(options.until);
  grpc::ClientContext context;
  const auto reader = stub.RebuildView(&context, request);
  admin::v1::RebuildViewResponse response;
  RebuildProgress result;
  while (reader->Read(&response)) {
    result.done = response.done();
    result.total = response.total();
    result.comparing = response.phase() == admin::v1::REBUILD_PHASE_COMPARING;
    result.compared_rows = response.compared_rows();
    result.rows_to_compare = response.rows_to_compare();
    show(result);
    if (!response.has_outcome()) continue;
    const auto& outcome = response.outcome();
    result.finished = true;
    result.position = Position{outcome.position()};
    result.generation = outcome.generation();
    if (outcome.has_compared_position()) result.equal = outcome.equal();
    result.compared_at = Position{outcome.compared_position()};
    result.not_compared = outcome.not_compared();
    result.difference = outcome.difference();
    result.file = outcome.file();
    result.content_hash = outcome.content_hash();
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return FromGrpc(status);
  if (!result.finished) {
    return Error(absl::StatusCode::kInternal, "the server ended the rebuild without an outcome");
  }
  return result;
}

absl::StatusOr<RebuildProgress> ToTheEnd(absl::StatusOr<std::unique_ptr<Rebuild>> rebuild,
                                         const ShowProgress& show) {
  if (!rebuild.ok()) return rebuild.status();
  while (true) {
    auto progress = (*rebuild)->Step();
    if (!progress.ok()) return progress;
    show(*progress);
    if (progress->finished) return progress;
  }
}

// How it was to what was served.
std::string Compared(const RebuildProgress& result) {
  if (!result.equal) return fmt::format("not compared: {}", result.not_compared);
  const std::int64_t position = result.compared_at.value;
  if (*result.equal) return fmt::format("equal at position {}", position);
  return fmt::format("DIFFERENT at position {}\n  {}", position, result.difference);
}

int Report(const std::string& view, const ReplayOptions& options,
           const absl::StatusOr<RebuildProgress>& result) {
  if (!result.ok()) {
    LogLine("leftfold replay {}: {}", view, ToStd(result.status().message()));
    return 1;
  }
  const std::int64_t position = result->position.value;
  switch (ActionOf(options)) {
    case RebuildAction::kSwitch:
      Print("{}: generation {} is served, folded up to position {}\n  {}\n", view,
            result->generation, position, Compared(*result));
      return 0;
    case RebuildAction::kKeep:
      Print("{}: as of position {} in {}\n", view, position, result->file);
      return 0;
    case RebuildAction::kVerify:
      Print("{}: {}\n  content {}\n", view, Compared(*result), result->content_hash);
      return result->equal.value_or(false) ? 0 : 1;
    case RebuildAction::kPrepare:
      Print("{}: generation {} is prepared up to position {}; the start of this binary serves it\n",
            view, result->generation, position);
      return 0;
  }
  return 1;
}

// Runs `rebuild` for each view with a progress bar.
int ForEach(const std::vector<std::string>& views, const ReplayOptions& options,
            const std::function<absl::StatusOr<RebuildProgress>(const std::string&,
                                                                const ShowProgress&)>& rebuild) {
  int worst = 0;
  for (const std::string& view : views) {
    absl::StatusOr<RebuildProgress> result;
    {
      RebuildBars bars(view);
      result = rebuild(view, [&](const RebuildProgress& progress) { bars.Show(progress); });
      if (result.ok()) bars.Finish();
    }
    worst = std::max(worst, Report(view, options, result));
  }
  return worst;
}

// The views of this binary that are meant.
absl::StatusOr<std::vector<std::string>> NamesOf(const Registry& registry,
                                                 const ReplayOptions& options) {
  std::vector<std::string> names;
  for (const ViewEntry& view : registry.views()) names.emplace_back(view.name);
  if (options.all) return names;
  if (registry.FindView(options.view) != nullptr) return std::vector<std::string>{options.view};
  return Error(absl::StatusCode::kNotFound, "there is no view {}; the views are {}", options.view,
               fmt::join(names, ", "));
}

// This process is the projector meanwhile.
int Offline(const Registry& registry, const std::string& data, const ReplayOptions& options) {
  const auto names = NamesOf(registry, options);
  if (!names.ok()) return Fail("replay", names.status());
  auto store = OpenLogForReading(data);
  if (!store.ok()) return Fail("replay", store.status());
  auto lock = RoleLock::Take(data, kRole);
  if (!lock.ok()) return Fail("replay", lock.status());
  ThreadPool reading("reading", 1);
  const SystemClock clock;
  auto projector = Projector::Open(registry, **store, reading, clock, nullptr, data + "/views");
  if (!projector.ok()) return Fail("replay", projector.status());
  return ForEach(*names, options, [&](const std::string& view, const ShowProgress& show) {
    return ToTheEnd((*projector)->NewRebuild(view, ActionOf(options), Position{options.until}),
                    show);
  });
}

std::unique_ptr<admin::v1::AdminService::Stub> StubFor(const std::string& address) {
  return admin::v1::AdminService::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
}

absl::StatusOr<admin::v1::ListViewsResponse> ViewsOf(admin::v1::AdminService::Stub& stub) {
  grpc::ClientContext context;
  admin::v1::ListViewsResponse response;
  const grpc::Status status = stub.ListViews(&context, admin::v1::ListViewsRequest(), &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

// The server at `address` does it; its views are meant, which may be others than this binary's.
int Online(const std::string& address, const ReplayOptions& options) {
  const auto stub = StubFor(address);
  std::vector<std::string> names = {options.view};
  if (options.all) {
    const auto running = ViewsOf(*stub);
    if (!running.ok()) return Fail("replay", running.status());
    names.clear();
    for (const auto& view : running->views()) names.push_back(view.name());
  }
  return ForEach(names, options, [&](const std::string& view, const ShowProgress& show) {
    return ByServer(*stub, view, options, show);
  });
}

// Builds what the start of this binary will serve, beside the server that runs now, if one does.
int Prepare(const Registry& registry, const std::string& data, const ReplayOptions& options) {
  auto names = NamesOf(registry, options);
  if (!names.ok()) return Fail("replay", names.status());
  const auto holder = RoleLock::FindHolder(data, kRole);
  if (holder.ok() && !holder->address.empty()) {
    const auto running = ViewsOf(*StubFor(holder->address));
    if (!running.ok()) return Fail("replay", running.status());
    for (const auto& view : running->views()) {
      const ViewEntry* own = registry.FindView(view.name());
      if (own == nullptr || own->version != view.version()) continue;
      if (std::erase(*names, view.name()) == 0) continue;
      Print("{}: the running server has version {} already; nothing to prepare\n", view.name(),
            view.version());
    }
  }
  auto store = OpenLogForReading(data);
  if (!store.ok()) return Fail("replay", store.status());
  ThreadPool reading("reading", 1);
  return ForEach(*names, options, [&](const std::string& view, const ShowProgress& show) {
    return ToTheEnd(Rebuild::Prepare(*registry.FindView(view), **store, reading, data + "/views"),
                    show);
  });
}

}  // namespace

int Replay(const Registry& registry, const std::string& data, const ReplayOptions& options) {
  const int actions =
      (options.verify ? 1 : 0) + (options.until > 0 ? 1 : 0) + (options.prepare ? 1 : 0);
  if (options.all != options.view.empty() || actions > 1) {
    LogLine(
        "leftfold replay: name one view, or --all; --verify, --until and --prepare exclude each "
        "other");
    return 2;
  }
  if (options.prepare) return Prepare(registry, data, options);
  const auto holder = RoleLock::FindHolder(data, kRole);
  if (holder.ok() && !holder->address.empty()) return Online(holder->address, options);
  return Offline(registry, data, options);
}

}  // namespace leftfold::tools
