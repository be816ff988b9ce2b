#ifndef TESTING_DAMAGE_H_
#define TESTING_DAMAGE_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>

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

inline std::int64_t SizeOf(const std::string& path) {
  return static_cast<std::int64_t>(std::filesystem::file_size(path));
}

}  // namespace leftfold::testing
#endif  // TESTING_DAMAGE_H_
