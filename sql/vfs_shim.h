#ifndef SQL_VFS_SHIM_H_
#define SQL_VFS_SHIM_H_

#include <sqlite3.h>

// A VFS between SQLite and another one. `File` is what SQLite has of an open file: its first member
// is an sqlite3_file, and the file of the VFS below follows it in memory.
namespace leftfold::sql {

template <class File>
sqlite3_file* Below(sqlite3_file* file) {
  static_assert(alignof(File) <= 8 && sizeof(File) % 8 == 0, "as SQLite aligns files");
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<File*>(file) + 1);
}

// What the file below answers.
template <class File, class Method, class... Args>
int AskBelow(sqlite3_file* file, Method method, Args... args) {
  sqlite3_file* below = Below<File>(file);
  return (below->pMethods->*method)(below, args...);
}

// A file's method that does what the one below does.
template <class File, auto kMethod>
struct PassBelow;
template <class File, class R, class... Args,
          R (*sqlite3_io_methods::*kMethod)(sqlite3_file*, Args...)>
struct PassBelow<File, kMethod> {
  static R Call(sqlite3_file* file, Args... args) {
    sqlite3_file* below = Below<File>(file);
    return (below->pMethods->*kMethod)(below, args...);
  }
};

// All of them. Version 2 has no xFetch: nothing is read past the VFS, through mapped memory.
template <class File>
constexpr sqlite3_io_methods PassAllBelow() {
  using Methods = sqlite3_io_methods;
  return {
      .iVersion = 2,
      .xClose = PassBelow<File, &Methods::xClose>::Call,
      .xRead = PassBelow<File, &Methods::xRead>::Call,
      .xWrite = PassBelow<File, &Methods::xWrite>::Call,
      .xTruncate = PassBelow<File, &Methods::xTruncate>::Call,
      .xSync = PassBelow<File, &Methods::xSync>::Call,
      .xFileSize = PassBelow<File, &Methods::xFileSize>::Call,
      .xLock = PassBelow<File, &Methods::xLock>::Call,
      .xUnlock = PassBelow<File, &Methods::xUnlock>::Call,
      .xCheckReservedLock = PassBelow<File, &Methods::xCheckReservedLock>::Call,
      .xFileControl = PassBelow<File, &Methods::xFileControl>::Call,
      .xSectorSize = PassBelow<File, &Methods::xSectorSize>::Call,
      .xDeviceCharacteristics = PassBelow<File, &Methods::xDeviceCharacteristics>::Call,
      .xShmMap = PassBelow<File, &Methods::xShmMap>::Call,
      .xShmLock = PassBelow<File, &Methods::xShmLock>::Call,
      .xShmBarrier = PassBelow<File, &Methods::xShmBarrier>::Call,
      .xShmUnmap = PassBelow<File, &Methods::xShmUnmap>::Call,
      .xFetch = nullptr,
      .xUnfetch = nullptr,
  };
}

}  // namespace leftfold::sql
#endif  // SQL_VFS_SHIM_H_
