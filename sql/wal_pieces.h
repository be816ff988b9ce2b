#ifndef SQL_WAL_PIECES_H_
#define SQL_WAL_PIECES_H_

#include <cstdint>
#include <optional>

namespace leftfold::sql {

// Which part of a write-ahead log the disk shall begin to write by now, so that the sync before a
// checkpoint finds little left. Megabytes that are synced at once fill the disk's queue, and the
// sync of another file, such as the log's, waits behind them. A write-ahead log that has not been
// synced yet has no pieces: that of a build is never synced, and written over again and again.
class WalPieces {
 public:
  static constexpr std::int64_t kPieceBytes = 128 << 10;
  // Where a piece ends: the page after it is about to be written again.
  static constexpr std::int64_t kAlignBytes = 4'096;

  struct Piece {
    std::int64_t begin = 0;
    std::int64_t end = 0;
  };

  // So many bytes were written; nullopt while they and those before make no piece.
  std::optional<Piece> Written(std::int64_t at, std::int64_t size) {
    if (at == 0) begun_to_ = 0;  // It begins again.
    written_to_ = at + size;
    if (!synced_ || written_to_ - begun_to_ < kPieceBytes) return std::nullopt;
    const Piece piece = {begun_to_, written_to_ / kAlignBytes * kAlignBytes};
    begun_to_ = piece.end;
    return piece;
  }

  void Synced() {
    synced_ = true;
    begun_to_ = written_to_ / kAlignBytes * kAlignBytes;
  }

 private:
  bool synced_ = false;
  std::int64_t written_to_ = 0;
  std::int64_t begun_to_ = 0;
};

}  // namespace leftfold::sql
#endif  // SQL_WAL_PIECES_H_
