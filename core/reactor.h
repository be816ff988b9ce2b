#ifndef CORE_REACTOR_H_
#define CORE_REACTOR_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <absl/time/time.h>
#include <google/protobuf/message.h>

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/event.h"
#include "core/http.h"
#include "core/types.h"
#include "core/view.h"
#include "leftfold/core/v1/receipt.pb.h"

namespace leftfold {

// A reactor runs business functions on events. Each event is taken in once and in order: what the
// reactor remembers of it (its own tables), what it wants done (the outbox) and its checkpoint
// commit together. What is in the outbox is then delivered at least once, in order for one key and
// in parallel for different ones, and its result comes back to the reactor.

// When an attempt at a delivery failed: the n-th wait is first_delay * multiplier^(n-1), at most
// `ceiling`, more or less by `jitter` of it. After the last attempt the key is parked.
struct RetryPolicy {
  int attempts = 8;
  absl::Duration first_delay = absl::Milliseconds(100);
  double multiplier = 2;
  absl::Duration ceiling = absl::Seconds(30);
  double jitter = 0.2;                         // 0 to 1.
  absl::Duration timeout = absl::Seconds(10);  // Of one attempt of an HTTP call.
};

// For what leaves the house, as mail and calls of others' services: a restart over there of a
// quarter of an hour parks nothing.
inline constexpr RetryPolicy kOutageRetry{
    .attempts = 12, .first_delay = absl::Seconds(1), .ceiling = absl::Minutes(5)};

// Where a reactor that has no file yet begins.
enum class StartAt {
  kBeginning,
  kNow,  // After the last event of that moment.
};

// What an outbox row is. Never change the numbers: they are stored.
enum class DeliveryKind : std::uint8_t {
  kCommand = 0,   // `payload` is a message of `type`.
  kHttp = 1,      // `payload` is a leftfold.core.v1.HttpCall.
  kWake = 2,      // Nothing is delivered: its time has come.
  kMail = 4,      // `payload` is a leftfold.core.v1.Mail.
  kEvent = 3,     // An event that the reactor is still to react to; it waits behind a parked one.
  kHandOver = 5,  // The event itself, to a consumer; no payload.
};

// Deliveries that one event leads to, those of their results included. Beyond, the reactor stops.
inline constexpr int kDeliveriesPerEventMax = 1 << 20;
// Deliveries of one reactor that are under way.
inline constexpr std::size_t kDeliveriesMax = 256;
// Bytes of a timer's name and of a reactor's key.
inline constexpr std::size_t kTimerNameBytesMax = 512;

// What reactors want done. Every command carries the id `lf:<reactor>:<the event>:<n>`,
// so that what is delivered twice is done once; HTTP calls have it as the header Idempotency-Key
// unless they bring one. Not thread-safe.
class Outbox {
 public:
  struct Entry {
    DeliveryKind kind = DeliveryKind::kCommand;
    std::string type = {};
    std::string payload = {};
    std::string timer = {};  // Not empty: waits for `due`, until it is cancelled.
    absl::Time due = absl::InfinitePast();
    bool cancels = false;  // Only takes back what waits under `timer`.
    std::string key = {};  // What orders it; empty: what orders its cause.
  };

  // Its command_id is set, and must be left empty. It is delivered in order with what else has its
  // key, by default the event's, and beside what has others: many commands for many streams go
  // faster with the streams' names as keys. Keys have at most kTimerNameBytesMax bytes.
  void Send(const google::protobuf::Message& command, std::string_view key = {});
  // At `when`, or soon after when the process was down then. A timer with this name that has not
  // gone off is replaced. Names are the reactor's own, 1 to kTimerNameBytesMax bytes.
  void SendAt(absl::Time when, std::string_view timer, const google::protobuf::Message& command);
  // Calls OnWake at that time.
  void WakeAt(absl::Time when, std::string_view timer);
  // Takes back what waits under that name, as far as it is not being delivered already.
  void Cancel(std::string_view timer);
  // The policy's timeout counts, not the request's. `service:NAME/PATH`: server/http_services.h.
  void Post(const HttpRequest& request);
  // Mail has no result. `to` is one e-mail address.
  void Mail(std::string_view to, std::string_view subject, std::string_view text);
  // The event itself is to go to a consumer; `type` is the event's. For consumer groups only.
  void HandOver(std::string_view type);

  std::vector<Entry> TakeEntries() { return std::exchange(entries_, {}); }

 private:
  std::vector<Entry> entries_;
};

// States as the log has them.
class StateLoader {
 public:
  virtual ~StateLoader() = default;
  // Bytes of the state's message of an aggregate whose state is one; those of an aggregate that
  // has no event yet are empty. Reads the disk.
  virtual absl::StatusOr<std::string> LoadState(std::string_view category, std::string_view id) = 0;
};

// The reactor's own tables, and authoritative states of aggregates.
class OwnTables : public Tables {
 public:
  // The state of A now, from the log: later than the event that is reacted to, perhaps.
  template <class A>
  absl::StatusOr<typename A::State> Load(std::string_view id) {
    return LoadState<typename A::State>(A::kCategory, id);
  }
  // The same of another domain's aggregate, whose code is not to be included.
  template <class State>
  absl::StatusOr<State> LoadState(std::string_view category, std::string_view id) {
    const absl::StatusOr<std::string> bytes = loader().LoadState(category, id);
    if (!bytes.ok()) return bytes.status();
    State state;
    if (!state.ParseFromString(*bytes)) {
      return absl::DataLossError("the state does not parse");
    }
    return state;
  }

 protected:
  virtual StateLoader& loader() = 0;
};

// What was delivered, or is to be.
struct Delivery {
  std::string id = {};   // "lf:<reactor>:<event>:<n>".
  std::int64_t row = 0;  // The engine's own number of it.
  std::string reactor = {};
  Position position = {};  // Of the event that led to it.
  std::string key = {};    // What orders it.
  DeliveryKind kind = DeliveryKind::kCommand;
  std::string type = {};
  std::string payload = {};
  std::string timer = {};  // Of a timer that went off.
  int attempts = 0;        // Before this one.
  // Of the event that led to it.
  std::string event_id = {};
  std::string correlation_id = {};
  std::string traceparent = {};
};

// What came of a delivery that was made.
struct Result {
  absl::Status status;  // Of a command: OK, why it was refused, or CANCELLED. Else OK.
  core::v1::CommandReceipt receipt = {};  // Of a command that was accepted.
  HttpReply reply = {};                   // Of an HTTP call: any status but 408, 429 and 5xx.
  absl::Time at = {};                     // When it came.
};

// The reactor is a struct of static overloads:
//   kName                          [a-z][a-z0-9_]*, never changed: its file and its ids have it
//   Reacting = Types<events>
//   React(const Event&, const EventMeta&, OwnTables&, Outbox&) -> absl::Status
//     UNAVAILABLE and RESOURCE_EXHAUSTED are tried again; any other failure parks the key
// and, where they are wanted:
//   kSchema                        its own STRICT tables, no leading "leftfold_" in names: an
//     array of statements that is only appended to, each run once on a file
//   kStart                         a StartAt; kBeginning where it is left out
//   kRetry                         a RetryPolicy
//   Key(const Event&, const EventMeta&) -> std::string      what orders deliveries; the stream
//   Sends = Types<commands>        those whose results it wants:
//   OnResult(const Command&, const Result&, OwnTables&, Outbox&) -> absl::Status
//     a refusal, never tried again, or CANCELLED: skipped by an operator, done or not. Others are
//     passed over, but a malformed one (INVALID_ARGUMENT, UNIMPLEMENTED, PERMISSION_DENIED) parks
//   OnReply(const Delivery&, const HttpReply&, OwnTables&, Outbox&) -> absl::Status
//   OnWake(std::string_view timer, absl::Time now, OwnTables&, Outbox&) -> absl::Status
//   OnParked(const Delivery&, const absl::Status& error, OwnTables&, Outbox&)   the error hook;
//     what it puts into the outbox goes past what is parked, under a key of its own
// It must not look at clocks, random numbers or anything outside its arguments.
template <class R, class E>
concept Reacts = requires(const E& e, const EventMeta& m, OwnTables& t, Outbox& o) {
  { R::React(e, m, t, o) } -> std::same_as<absl::Status>;
};
template <class R, class C>
concept TakesResult = requires(const C& c, const Result& r, OwnTables& t, Outbox& o) {
  { R::OnResult(c, r, t, o) } -> std::same_as<absl::Status>;
};
template <class R>
concept TakesReplies = requires(const Delivery& d, const HttpReply& r, OwnTables& t, Outbox& o) {
  { R::OnReply(d, r, t, o) } -> std::same_as<absl::Status>;
};
template <class R>
concept Wakes = requires(std::string_view n, absl::Time at, OwnTables& t, Outbox& o) {
  { R::OnWake(n, at, t, o) } -> std::same_as<absl::Status>;
};
template <class R>
concept HasErrorHook = requires(const Delivery& d, const absl::Status& s, OwnTables& t, Outbox& o) {
  R::OnParked(d, s, t, o);
};
template <class R, class E>
concept NamesKey = requires(const E& e, const EventMeta& m) {
  { R::Key(e, m) } -> std::convertible_to<std::string>;
};

template <class R>
concept Reactor = std::convertible_to<decltype(R::kName), std::string_view> && requires {
  typename R::Reacting;
};

namespace internal {

template <class R>
struct SendsOf {
  using Type = Types<>;
};
template <class R>
requires requires { typename R::Sends; }
struct SendsOf<R> {
  using Type = typename R::Sends;
};

}  // namespace internal

// The compiler's message names the one overload that is missing.
template <Reactor R>
constexpr void CheckComplete() {
  R::Reacting::ForEach([]<class Event>() {
    static_assert(Reacts<R, Event>,
                  "listed in Reacting, but React(const Event&, const EventMeta&, OwnTables&, "
                  "Outbox&) -> absl::Status is missing");
  });
  internal::SendsOf<R>::Type::ForEach([]<class Command>() {
    static_assert(TakesResult<R, Command>,
                  "listed in Sends, but OnResult(const Command&, const Result&, OwnTables&, "
                  "Outbox&) -> absl::Status is missing");
  });
}

}  // namespace leftfold
#endif  // CORE_REACTOR_H_
