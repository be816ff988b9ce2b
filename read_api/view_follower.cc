#include "read_api/view_follower.h"

#include <sys/stat.h>

#include <optional>
#include <utility>

#include "core/mutex.h"
#include "core/status.h"
#include "sql/view_file.h"

namespace leftfold::read_api {
namespace {

// Tells a file from another one of the same name.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const FileId&, const FileId&) = default;
};

std::optional<FileId> IdOf(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return std::nullopt;
  return FileId{found.st_dev, found.st_ino};
}

}  // namespace

class ViewFollower::OneView {
 public:
  OneView(const ViewEntry& view, const std::string& views, ViewListener& listener)
      : view_(view), folder_(views), listener_(listener) {}

  // False after Stop.
  bool Look() {
    MutexLock lock(mu_);
    if (stopped_) return false;
    Follow();
    LookAtWhatHoldsIt();
    return true;
  }
  void Stop() {
    MutexLock lock(mu_);
    stopped_ = true;
    connection_.reset();
  }

 private:
  void Follow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const auto current = sql::ReadCurrent(folder_, view_.name, view_.version);
    if (!current.ok()) return;  // It stays as it was until that is known.
    if (!*current) {
      if (std::exchange(told_, Told::kBuilding) != Told::kBuilding) {
        connection_.reset();
        listener_.OnBuilding(view_.name);
      }
      return;
    }
    const std::string path = sql::ViewPath(folder_, view_.name, **current);
    const auto id = IdOf(path);
    if (connection_ == nullptr || path != path_ || id != id_) return Open(path, id);
    ReadChanges();
  }

  // What is followed from here on is read before the listener opens the file: what it is told twice
  // does no harm.
  void Open(const std::string& path, const std::optional<FileId>& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    auto connection = sql::OpenViewReader(path);
    if (!connection.ok()) return Fail(connection.status());
    const std::int64_t version = (*connection)->DataVersion();
    const auto checkpoint = sql::ReadCheckpoint(**connection);
    if (!checkpoint.ok()) return Fail(checkpoint.status());
    connection_ = *std::move(connection);
    path_ = path;
    id_ = id;
    data_version_ = version;
    position_ = checkpoint->position;
    told_ = Told::kServing;
    held_ = absl::OkStatus();
    listener_.OnServing(view_.name, path_);
  }

  void Fail(const absl::Status& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    connection_.reset();
    if (absl::IsUnavailable(failure)) return;  // Busy: it is just being opened or closed.
    const bool again = told_ == Told::kStopped && failure == failure_;
    told_ = Told::kStopped;
    failure_ = failure;
    if (!again) listener_.OnStopped(view_.name, failure);
  }

  void ReadChanges() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const std::int64_t version = connection_->DataVersion();
    if (version == data_version_ && connection_->status().ok()) return;
    connection_->Begin().IgnoreError();  // Kept, and so in what follows.
    const auto checkpoint = sql::ReadCheckpoint(*connection_);
    const auto changed = sql::ChangesAfter(*connection_, position_, kFollowedKeysMax);
    connection_->Rollback();
    if (!checkpoint.ok()) return Fail(checkpoint.status());
    if (!changed.ok()) return Fail(changed.status());
    data_version_ = version;
    if (checkpoint->position == position_) return;
    position_ = checkpoint->position;
    if (*changed) {
      listener_.OnApplied(view_.name, position_, **changed);
    } else {
      listener_.OnServing(view_.name, path_);
    }
    held_ = absl::OkStatus();  // Either says that it goes on.
  }

  // `why` is OK when nothing is known that keeps it where it is.
  absl::Status ReadWhyHeld(absl::Status& why) const {
    const auto paused = sql::ReadPaused(folder_, view_.name);
    if (!paused.ok()) return paused.status();
    if (!*paused) return sql::ReadStopped(folder_, view_.name, view_.version, why);
    why = sql::Paused(view_.name, **paused);
    return absl::OkStatus();
  }

  void LookAtWhatHoldsIt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    absl::Status why;
    if (!ReadWhyHeld(why).ok() || why == held_) return;
    held_ = std::move(why);
    if (!held_.ok()) {
      listener_.OnStopped(view_.name, held_);
    } else if (told_ == Told::kServing) {
      listener_.OnApplied(view_.name, position_, {});
    } else {
      told_ = Told::kNothing;  // Whatever it is now is told anew.
    }
  }

  const ViewEntry& view_;
  const std::string folder_;
  ViewListener& listener_;
  Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  enum class Told { kNothing, kBuilding, kServing, kStopped };
  Told told_ ABSL_GUARDED_BY(mu_) = Told::kNothing;
  absl::Status failure_ ABSL_GUARDED_BY(mu_);  // Of kStopped.
  absl::Status held_ ABSL_GUARDED_BY(mu_);     // That it is paused or stopped, as told.
  std::unique_ptr<sql::Connection> connection_ ABSL_GUARDED_BY(mu_);
  // Of the connection.
  std::string path_ ABSL_GUARDED_BY(mu_);
  std::optional<FileId> id_ ABSL_GUARDED_BY(mu_);
  std::int64_t data_version_ ABSL_GUARDED_BY(mu_) = 0;
  Position position_ ABSL_GUARDED_BY(mu_);
};

ViewFollower::ViewFollower(const Registry& registry, const std::string& views,
                           ViewListener& listener, Executor& executor)
    : executor_(executor) {
  for (const ViewEntry& view : registry.views())
    views_.push_back(std::make_shared<OneView>(view, views, listener));
}

ViewFollower::~ViewFollower() { Stop(); }

void ViewFollower::Start() { Look(executor_, views_); }

void ViewFollower::Look(Executor& executor, const Views& views) {
  bool again = false;
  for (const auto& view : views) again = view->Look() || again;
  if (again) executor.PostAfter(kFollowInterval, [&executor, views] { Look(executor, views); });
}

void ViewFollower::Stop() {
  for (const auto& view : views_) view->Stop();
}

}  // namespace leftfold::read_api
