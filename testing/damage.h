#ifndef TESTING_DAMAGE_H_
#define TESTING_DAMAGE_H_

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>

#include "sql/connection.h"

// Damages files behind everybody's back.
namespace leftfold::testing {

inline void Overwrite(const std::string& path, std::int64_t at, const std::string& bytes) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(at);
  file.write(bytes.data(), std::ssize(bytes));
}

inline std::string BytesOf(const std::string& path, std::int64_t at, std::size_t size) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(at);
  std::string bytes(size, '\0');
  file.read(bytes.data(), std::ssize(bytes));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

// `bit` is from 0 to 7. Flipped again, it is as it was.
inline void FlipBit(const std::string& path, std::int64_t at, int bit) {
  std::string byte = BytesOf(path, at, 1);
  byte[0] = static_cast<char>(byte[0] ^ (1 << bit));
  Overwrite(path, at, byte);
}

// The first page of a table or index of an SQLite file, from 1.
inline std::int64_t RootPage(const std::string& path, const std::string& table) {
  sql::ConfigureLibrary();
  const SQLite::Database file(path, SQLite::OPEN_READONLY);
  SQLite::Statement find(file, "SELECT rootpage FROM sqlite_schema WHERE name = ?");
  find.bind(1, table);
  return find.executeStep() ? find.getColumn(0).getInt64() : 0;
}

// Flips a bit in the middle of that page; nobody has it in a write-ahead log.
inline void DamageRootPage(const std::string& path, const std::string& table) {
  constexpr std::int64_t kPageBytes = 4'096;
  FlipBit(path, RootPage(path, table) * kPageBytes - kPageBytes / 2, 3);
}

// As an earlier version made it: an empty database that only has its mark.
inline void MakeFileWithoutChecksums(const std::string& path, std::int32_t application_id) {
  sql::ConfigureLibrary();
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  SQLite::Database file(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  file.exec("PRAGMA journal_mode=WAL; PRAGMA application_id=" + std::to_string(application_id));
}

inline std::int64_t SizeOf(const std::string& path) {
  return static_cast<std::int64_t>(std::filesystem::file_size(path));
}

}  // namespace leftfold::testing
#endif  // TESTING_DAMAGE_H_
