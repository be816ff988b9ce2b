#include "event_store/sqlite/reader_pool.h"

namespace leftfold {

absl::Status ReaderPool::Read(const std::function<void(sql::Connection&)>& read) {
  std::unique_ptr<sql::Connection> connection;
  {
    MutexLock lock(mu_);
    if (!idle_.empty()) {
      connection = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (connection == nullptr) {
    auto opened = sql::Connection::Open(path_, {.application_id = application_id_});
    if (!opened.ok()) return opened.status();
    connection = *std::move(opened);
  }
  read(*connection);
  absl::Status status = connection->status();
  if (!status.ok()) return status;
  MutexLock lock(mu_);
  if (idle_.size() < kIdleReadersMax) idle_.push_back(std::move(connection));
  return status;
}

}  // namespace leftfold
