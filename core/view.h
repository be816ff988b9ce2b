#ifndef CORE_VIEW_H_
#define CORE_VIEW_H_

#include <absl/status/statusor.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/event.h"
#include "core/reject.h"
#include "core/types.h"

namespace leftfold {

// The prepared statement behind Rows; implemented in sql/. Texts and blobs given to Bind… are
// copied or used before the next call; those returned are valid until the next Step or Reset.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual void Bind(int index, std::int64_t value) = 0;
  virtual void Bind(int index, double value) = 0;
  virtual void BindText(int index, std::string_view value) = 0;
  virtual void BindBlob(int index, std::string_view value) = 0;
  virtual void BindNull(int index) = 0;
  // True when there is a row. A failure is kept in the transaction, which then commits nothing.
  virtual bool Step() = 0;
  virtual void Reset() = 0;
  virtual std::int64_t Int(int column) = 0;
  virtual double Real(int column) = 0;
  virtual std::string_view Text(int column) = 0;
  virtual std::string_view Blob(int column) = 0;
  virtual bool IsNull(int column) = 0;
};

// Marks bytes to be bound as a BLOB.
struct AsBlob {
  std::string_view bytes;
};
struct Null {};

// The rows of one statement: `for (Rows rows = tx.Query("SELECT a FROM t WHERE b = ?", b);
// rows.Next();) use(rows.Int(0));`
class Rows {
 public:
  explicit Rows(Cursor& cursor) : cursor_(&cursor) {}
  ~Rows() { cursor_->Reset(); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  bool Next() { return cursor_->Step(); }
  std::int64_t Int(int column) const { return cursor_->Int(column); }
  double Real(int column) const { return cursor_->Real(column); }
  std::string Text(int column) const { return std::string(cursor_->Text(column)); }
  std::string_view TextView(int column) const { return cursor_->Text(column); }
  std::string_view Blob(int column) const { return cursor_->Blob(column); }
  bool IsNull(int column) const { return cursor_->IsNull(column); }

 private:
  Cursor* cursor_;
};

// What happens when a fold cannot take an event.
enum class Poison {
  kStop,  // The view stays before it and goes on serving its last state.
  // The event is parked, with all later ones of its stream in order, and the view goes on with the
  // other streams: for views whose rows do not depend on the order of events of different streams.
  // An operator has them folded later, or skips the first one.
  kParkStream,
};

// What answers may do: read one consistent state of the view. Statements are prepared once per
// connection and found again by the address of their text, so `sql` must be a literal. SQL errors
// do not throw: the rows end, and the engine sees status(). One statement must not be open twice at
// once (no recursion over the same literal).
class ReadTx {
 public:
  virtual ~ReadTx() = default;
  template <class... Args>
  Rows Query(std::string_view sql, const Args&... args) {
    Cursor& cursor = Prepare(sql);
    int index = 0;
    (BindOne(cursor, ++index, args), ...);
    return Rows(cursor);
  }
  // The view's checkpoint in this very state.
  virtual Position applied() = 0;
  virtual const absl::Status& status() const = 0;

 protected:
  virtual Cursor& Prepare(std::string_view sql) = 0;

 private:
  static void BindOne(Cursor& c, int i, std::string_view v) { c.BindText(i, v); }
  static void BindOne(Cursor& c, int i, const std::string& v) { c.BindText(i, v); }
  static void BindOne(Cursor& c, int i, const char* v) { c.BindText(i, v); }
  static void BindOne(Cursor& c, int i, bool v) { c.Bind(i, std::int64_t{v}); }
  static void BindOne(Cursor& c, int i, std::int64_t v) { c.Bind(i, v); }
  static void BindOne(Cursor& c, int i, std::int32_t v) { c.Bind(i, std::int64_t{v}); }
  static void BindOne(Cursor& c, int i, double v) { c.Bind(i, v); }
  static void BindOne(Cursor& c, int i, AsBlob v) { c.BindBlob(i, v.bytes); }
  static void BindOne(Cursor& c, int i, Null) { c.BindNull(i); }
  static void BindOne(Cursor& c, int i, Position v) { c.Bind(i, v.value); }
  static void BindOne(Cursor& c, int i, Version v) { c.Bind(i, v.value); }
};

// What folds may do besides: write rows.
class Tables : public ReadTx {
 public:
  template <class... Args>
  void Exec(std::string_view sql, const Args&... args) {
    Rows rows = Query(sql, args...);
    while (rows.Next()) {
    }
  }
};

// What a view's folds may do: write rows, and say which document they touched.
class WriteTx : public Tables {
 public:
  // `key` is what Key(watch request) returns for those who must see this change, at most
  // kKeyBytesMax bytes.
  virtual void Touch(std::string_view key) = 0;
  // The view's own rows are not as its folds have left them (a stored document does not decode, for
  // one): nothing of the event counts, and the view stops before it and says why. It is not parked,
  // for it is not the event's fault. The first reason counts.
  virtual void Fail(const absl::Status& why) = 0;
};

inline constexpr std::size_t kKeyBytesMax = 512;

// The view is a struct of static overloads:
//   kName, kVersion (bump = built anew), kSchema (STRICT tables, no leading "leftfold_" in names)
//   Handles, Queries, Watches
//   kOnPoison, a Poison; kStop where it is left out
//   On(const Event&, const EventMeta&, WriteTx&)                   one fold; reads time and actor
//   from the event only Answer(const Query&, ReadTx&) -> StatusOr<Response>            Response has
//   `string applied_position = 15`, set by the engine
// A query whose answer depends on the events of one stream alone may take `string as_of_position =
// 12`, and is answered as it was there:
//   Stream(const Query&) -> std::string                            the stream's name
// A watch of one document:
//   Key(const Watch&) -> std::string; Answer(const Watch&, ReadTx&) -> StatusOr<Response>;
//   NOT_FOUND ends it with a tombstone
// A watch of a list:
//   Matches(const Watch&, string_view key, ReadTx&) -> bool        is the touched document in the
//   list? Keys(const Watch&, string_view after, int limit, ReadTx&)      its keys in order, for the
//   first round Answer(const Watch&, string_view key, ReadTx&) -> StatusOr<Response>
// A watch response has `bool snapshot_complete = 11`, `string removed_key = 12` (both lists only),
// `bool deleted = 13` (documents only), `bool heartbeat = 14`, `string position = 15`, all set by
// the engine.
template <class V, class E>
concept Projects = requires(const E& e, const EventMeta& m, WriteTx& tx) {
  { V::On(e, m, tx) } -> std::same_as<void>;
};
template <class V, class Q>
concept Answers = requires(const Q& q, ReadTx& tx) {
  V::Answer(q, tx).value();
  V::Answer(q, tx).status();
};
template <class V, class Q>
concept ReadsOneStream = requires(const Q& q) {
  { V::Stream(q) } -> std::same_as<std::string>;
};
template <class V, class W>
concept WatchesDocument = Answers<V, W> && requires(const W& w) {
  { V::Key(w) } -> std::convertible_to<std::string>;
};
template <class V, class W>
concept WatchesList = requires(const W& w, std::string_view key, ReadTx& tx) {
  { V::Matches(w, key, tx) } -> std::same_as<bool>;
  { V::Keys(w, key, 1, tx) } -> std::same_as<std::vector<std::string>>;
  V::Answer(w, key, tx).value();
};

template <class V>
concept View = std::convertible_to<decltype(V::kName), std::string_view> &&
    std::convertible_to<decltype(V::kVersion), int> &&
    std::convertible_to<decltype(V::kSchema), std::string_view> && requires {
  typename V::Handles;
  typename V::Queries;
  typename V::Watches;
};

template <View V>
constexpr void CheckComplete() {
  V::Handles::ForEach([]<class Event>() {
    static_assert(Projects<V, Event>,
                  "listed in Handles, but On(const Event&, const EventMeta&, WriteTx&) is missing");
  });
  V::Queries::ForEach([]<class Query>() {
    static_assert(Answers<V, Query>,
                  "listed in Queries, but Answer(const Query&, ReadTx&) is missing");
  });
  V::Watches::ForEach([]<class Watch>() {
    static_assert(WatchesDocument<V, Watch> || WatchesList<V, Watch>,
                  "listed in Watches, but neither Key + Answer(watch, tx) nor Matches + Keys + "
                  "Answer(watch, key, tx)");
  });
}

}  // namespace leftfold
#endif  // CORE_VIEW_H_
