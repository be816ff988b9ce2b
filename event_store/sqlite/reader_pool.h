#ifndef EVENT_STORE_SQLITE_READER_POOL_H_
#define EVENT_STORE_SQLITE_READER_POOL_H_

#include <absl/status/status.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/mutex.h"
#include "sql/connection.h"

namespace leftfold {

// Reading connections that are kept open between reads.
inline constexpr std::size_t kIdleReadersMax = 8;

// Reading connections to one file, as many as are in use at once. Thread-safe.
class ReaderPool {
 public:
  ReaderPool(std::string path, std::int32_t application_id)
      : path_(std::move(path)), application_id_(application_id) {}

  // Runs `read` on a connection of its own: one statement, which is a transaction by itself, or
  // several after Begin. A connection that has failed is closed.
  absl::Status Read(const std::function<void(sql::Connection&)>& read);

 private:
  const std::string path_;
  const std::int32_t application_id_;
  Mutex mu_;
  std::vector<std::unique_ptr<sql::Connection>> idle_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leftfold
#endif  // EVENT_STORE_SQLITE_READER_POOL_H_
