#ifndef CORE_REGISTRY_H_
#define CORE_REGISTRY_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <concepts>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/aggregate.h"
#include "core/dispatch.h"
#include "core/inbound.h"
#include "core/reactor.h"
#include "core/view.h"

namespace leftfold {

// A state whose type only its aggregate knows.
using ErasedState = std::unique_ptr<void, void (*)(void*)>;

// What an accepted command leads to, without its types.
struct ErasedDecision {
  std::vector<NewEvent> events;  // Without event ids.
  std::vector<Claim> claims;
  std::string created_id;
};

struct AggregateEntry {
  std::string_view category;
  int state_version = 0;
  std::function<ErasedState()> new_state;
  // Reads an event of an old type through its upcaster. DATA_LOSS for an event that does not decode
  // or that the aggregate does not know.
  std::function<absl::Status(void* state, const RecordedEvent&)> evolve;
  // Full name of the state's message. Empty when the state is none: it has no snapshots then, and
  // the two below are not there.
  std::string state_type;
  std::function<std::string(const void* state)> save;
  // False when the bytes are none of the state's; it may have changed then.
  std::function<bool(void* state, const std::string& bytes)> restore;
};

struct CommandEntry {
  const google::protobuf::Descriptor* request;
  const AggregateEntry* aggregate;
  bool creates = false;  // The id may be empty: the server makes one.
  bool system = false;   // Needs the token (method option leftfold.core.v1.system).
  // Of a command that creates and leaves the id empty: the claim whose holder it is for. None for
  // commands that get a new id then.
  std::function<ClaimName(const google::protobuf::Message&)> named;
  std::function<void(const google::protobuf::Message&, Violations&)> validate;
  // Decides, and evolves `state` by the events when the command is accepted.
  std::function<absl::StatusOr<ErasedDecision>(void* state, const google::protobuf::Message&,
                                               const CommandContext&)>
      decide;
};

// Many commands of one type in one request, each decided and committed for itself.
struct BatchEntry {
  const google::protobuf::Descriptor* request;
  const CommandEntry* command;  // Of each message of the request's field 1.
};

using Answer = std::unique_ptr<google::protobuf::Message>;

struct QueryEntry {
  const google::protobuf::Descriptor* request;
  std::function<absl::StatusOr<Answer>(const google::protobuf::Message&, ReadTx&)> answer;
  // The one stream that the answer depends on; none when it depends on more.
  std::function<std::string(const google::protobuf::Message&)> stream;
};

struct WatchEntry {
  const google::protobuf::Descriptor* request;
  bool list = false;
  // Documents: `key` of the request; `answer` ignores its key argument. Lists: `matches` and
  // `keys`.
  std::function<std::string(const google::protobuf::Message&)> key;
  std::function<bool(const google::protobuf::Message&, std::string_view key, ReadTx&)> matches;
  std::function<std::vector<std::string>(const google::protobuf::Message&, std::string_view after,
                                         int limit, ReadTx&)>
      keys;
  std::function<absl::StatusOr<Answer>(const google::protobuf::Message&, std::string_view key,
                                       ReadTx&)>
      answer;
};

struct ViewEntry {
  std::string_view name;
  int version = 0;
  std::string_view schema;
  Poison on_poison = Poison::kStop;
  // Folds one event if the view handles its type; returns whether it does. An event of an old type
  // that the view does not itself handle is folded as those that stand for it now. DATA_LOSS when
  // it does not decode.
  std::function<absl::StatusOr<bool>(const RecordedEvent&, WriteTx&)> fold;
  // Whether an event of the type would be folded.
  std::function<bool(std::string_view type)> handles;
  std::vector<QueryEntry> queries;
  std::vector<WatchEntry> watches;
};

struct ReactorEntry {
  std::string name;
  std::vector<std::string_view> schema;  // Migrations.
  StartAt start = StartAt::kBeginning;
  // In place of `start`: after this event.
  std::optional<Position> start_after;
  RetryPolicy retry;
  // nullopt when it does not react to the event's type; else what orders its deliveries. An event
  // that does not decode has its stream's key.
  std::function<std::optional<std::string>(const RecordedEvent&)> key;
  // False where no event of the type has a key. Empty: any may have one.
  std::function<bool(std::string_view type)> handles;
  // Reacts, to an event of an old type as to those that stand for it now. DATA_LOSS when it does
  // not decode.
  std::function<absl::Status(const RecordedEvent&, OwnTables&, Outbox&)> react;
  std::function<absl::Status(const Delivery&, const Result&, OwnTables&, Outbox&)> on_result;
  // May be empty.
  std::function<void(const Delivery&, const absl::Status&, OwnTables&, Outbox&)> on_parked;
  // Completes an HTTP call each time it is sent, with what must not be stored or is to be as it is
  // then. May be empty.
  std::function<void(HttpRequest&, const Delivery&, absl::Time now)> complete;
  bool trusted = true;                          // May send system commands.
  std::size_t deliveries_max = kDeliveriesMax;  // That are under way.
};

// All that the domains brought: typed code in, plain data out, so that the engines are not
// templates and know no domain. Filled once at start, then read by all threads. Entries never move.
class Registry {
 public:
  Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  template <Aggregate A>
  void Add();
  template <View V>
  void Add();
  template <Reactor R>
  void Add();
  // A batch command: its RPC takes `repeated C … = 1` and `string command_id = 14`, where C is the
  // request of a command that was added before, and answers `repeated
  // leftfold.core.v1.CommandOutcome … = 1`, one for each command and in their order. There is
  // nothing else to write for it. Dies when the messages are of another form. ADR 0018.
  template <class Request>
  void AddBatch() {
    AddBatchOf(*Request::descriptor());
  }

  // What a service outside tells; one for each name.
  void Add(const InboundEntry& inbound) { inbounds_.push_back(inbound); }

  const std::deque<AggregateEntry>& aggregates() const { return aggregates_; }
  const std::deque<CommandEntry>& commands() const { return commands_; }
  const std::deque<BatchEntry>& batches() const { return batches_; }
  const std::deque<ViewEntry>& views() const { return views_; }
  const std::deque<ReactorEntry>& reactors() const { return reactors_; }
  const std::deque<InboundEntry>& inbounds() const { return inbounds_; }
  // nullptr when there is none.
  const ViewEntry* FindView(std::string_view name) const;
  // By its category.
  const AggregateEntry* FindAggregate(std::string_view category) const;
  // By the full name of its request.
  const CommandEntry* FindCommand(std::string_view request) const;
  // An empty message of each type of event that may be in the log: what aggregates write, what they
  // wrote once and read through an upcaster, and the engines' own (leftfold/core/v1/claims.proto).
  // By full name.
  const std::map<std::string, const google::protobuf::Message*, std::less<>>& events() const {
    return events_;
  }
  const Upcasters& upcasters() const { return upcasters_; }

 private:
  template <class Event>
  void AddEvent() {
    events_.emplace(Event::descriptor()->full_name(), &Event::default_instance());
  }
  void AddBatchOf(const google::protobuf::Descriptor& request);
  // Dies when another aggregate has one for the same type.
  void AddUpcaster(const std::string& type, Upcaster upcaster);

  std::map<std::string, const google::protobuf::Message*, std::less<>> events_;
  Upcasters upcasters_;
  std::deque<AggregateEntry> aggregates_;
  std::deque<CommandEntry> commands_;
  std::deque<BatchEntry> batches_;
  std::deque<ViewEntry> views_;
  std::deque<ReactorEntry> reactors_;
  std::deque<InboundEntry> inbounds_;
};

// Calls Register of every folder in domains/; generated by cmake/LeftfoldDomain.cmake.
void RegisterAllDomains(Registry& registry);

namespace internal {

// The method that takes `request`, in the request's own file; nullptr when there is none.
const google::protobuf::MethodDescriptor* MethodTaking(const google::protobuf::Descriptor& request);
bool IsSystem(const google::protobuf::Descriptor& request);
// Of a command's refusal: it is no business result but a fault, which nobody said is to be passed
// over.
bool IsFault(const absl::Status& refusal);
absl::Status UnknownType(const RecordedEvent& event);

template <class A, class Old>
Upcaster UpcasterOf() {
  Upcaster upcaster;
  using Variant = typename decltype(A::Upcast(std::declval<const Old&>()))::value_type;
  [&]<class... Es>(std::variant<Es...>*) {
    upcaster.gives = {Es::descriptor()...};
  }(static_cast<Variant*>(nullptr));
  upcaster.read = [](std::string_view payload,
                     absl::FunctionRef<void(const google::protobuf::Message&)> each) {
    Old old;
    if (!old.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return false;
    for (const auto& current : A::Upcast(old)) {
      std::visit([&](const auto& event) { each(event); }, current);
    }
    return true;
  };
  return upcaster;
}

// nullptr where A has no Named for the command.
template <class A, class Command>
std::function<ClaimName(const google::protobuf::Message&)> NamedOf() {
  if constexpr (NamesByClaim<A, Command>) {
    static_assert(A::Creates::template kContains<Command>, "has Named, but is not in Creates");
    return
        [](const google::protobuf::Message& m) { return A::Named(static_cast<const Command&>(m)); };
  } else {
    return nullptr;
  }
}

template <class A>
absl::StatusOr<ErasedDecision> DecideAndEvolve(typename A::State& state,
                                               Decision<typename A::Events> decision) {
  if (!decision.ok()) return decision.status();
  ErasedDecision erased;
  erased.events.reserve(decision->events.size());
  for (const auto& variant : decision->events) {
    std::visit(
        [&](const auto& event) {
          NewEvent added;
          added.type = event.GetDescriptor()->full_name();
          added.payload = event.SerializeAsString();
          added.tags = decision->tags;
          erased.events.push_back(std::move(added));
          A::Evolve(state, event);
        },
        variant);
  }
  erased.claims = std::move(decision->claims);
  erased.created_id = std::move(decision->created_id);
  return erased;
}

template <class Response>
absl::StatusOr<Answer> Erase(absl::StatusOr<Response> answer) {
  if (!answer.ok()) return answer.status();
  return std::make_unique<Response>(*std::move(answer));
}

template <class V, class Query>
QueryEntry EntryOfQuery() {
  using google::protobuf::Message;
  QueryEntry entry;
  entry.request = Query::descriptor();
  entry.answer = [](const Message& m, ReadTx& tx) {
    return Erase(V::Answer(static_cast<const Query&>(m), tx));
  };
  if constexpr (ReadsOneStream<V, Query>) {
    entry.stream = [](const Message& m) { return V::Stream(static_cast<const Query&>(m)); };
  }
  return entry;
}

template <class V, class Watch>
WatchEntry EntryOfWatch() {
  using google::protobuf::Message;
  WatchEntry entry;
  entry.request = Watch::descriptor();
  entry.list = WatchesList<V, Watch>;
  if constexpr (WatchesList<V, Watch>) {
    entry.matches = [](const Message& m, std::string_view key, ReadTx& tx) {
      return V::Matches(static_cast<const Watch&>(m), key, tx);
    };
    entry.keys = [](const Message& m, std::string_view after, int limit, ReadTx& tx) {
      return V::Keys(static_cast<const Watch&>(m), after, limit, tx);
    };
    entry.answer = [](const Message& m, std::string_view key, ReadTx& tx) {
      return Erase(V::Answer(static_cast<const Watch&>(m), key, tx));
    };
  } else {
    entry.key = [](const Message& m) { return std::string(V::Key(static_cast<const Watch&>(m))); };
    entry.answer = [](const Message& m, std::string_view, ReadTx& tx) {
      return Erase(V::Answer(static_cast<const Watch&>(m), tx));
    };
  }
  return entry;
}

// Apart, because clang 14 looks `Key` up in a generic lambda whether or not it is there.
template <class R, class Event>
void NameKey(const Event& event, const RecordedEvent& recorded, std::string& key) {
  if constexpr (NamesKey<R, Event>) key = R::Key(event, {recorded});
}

template <class R, class... Events>
constexpr bool NamesSomeKey(Types<Events...>) {
  return (NamesKey<R, Events> || ...);
}

template <class R>
std::optional<std::string> KeyOf(const RecordedEvent& recorded, const Upcasters& upcasters) {
  using Reacting = typename R::Reacting;
  if (!Knows(IndexOf<Reacting>(), upcasters, recorded.type)) return std::nullopt;
  std::string key = recorded.stream;
  if constexpr (NamesSomeKey<R>(Reacting())) {
    // One that does not decode is parked under its stream.
    Dispatch<Reacting>(recorded, upcasters, [&](const auto& event) {
      NameKey<R>(event, recorded, key);
    }).IgnoreError();
  }
  return key;
}

template <class R>
absl::Status TakeResult(const Delivery& delivery, const Result& result, OwnTables& tables,
                        Outbox& outbox) {
  if (delivery.kind == DeliveryKind::kHttp) {
    if constexpr (TakesReplies<R>) return R::OnReply(delivery, result.reply, tables, outbox);
  } else if (delivery.kind == DeliveryKind::kWake) {
    if constexpr (Wakes<R>) return R::OnWake(delivery.timer, result.at, tables, outbox);
  } else if (delivery.kind == DeliveryKind::kCommand) {
    using Sends = typename SendsOf<R>::Type;
    if constexpr (Sends::kSize > 0) {
      std::optional<absl::Status> taken;
      auto take = [&](const auto& sent) { taken = R::OnResult(sent, result, tables, outbox); };
      DispatchPayload<Sends>({delivery.type, delivery.payload, Encoding::kProtobuf}, take);
      if (taken) return *std::move(taken);
    }
    if (IsFault(result.status)) return result.status;
  }
  return absl::OkStatus();
}

}  // namespace internal

// Folds a stored event into a state of A, one of an old type through its upcaster: for views that
// keep events and fold them when they are asked. False when its type is none of A's, or it does not
// decode.
template <Aggregate A>
bool FoldStored(const core::v1::RecordedEvent& stored, typename A::State& state) {
  auto apply = [&](const auto& event) { EvolveBy<A>(state, event); };
  const Encoding encoding = stored.has_message() ? Encoding::kProtobuf : Encoding::kJson;
  return internal::DispatchPayload<StoredEvents<A>>(
             {stored.type(), stored.message().value(), encoding}, apply)
      .value_or(false);
}

template <Aggregate A>
void Registry::Add() {
  CheckComplete<A>();
  using google::protobuf::Message;
  using State = typename A::State;
  AggregateEntry& aggregate = aggregates_.emplace_back();
  aggregate.category = A::kCategory;
  aggregate.state_version = A::kStateVersion;
  aggregate.new_state = [] {
    return ErasedState(new State(), [](void* state) { delete static_cast<State*>(state); });
  };
  aggregate.evolve = [](void* state, const RecordedEvent& recorded) -> absl::Status {
    auto apply = [state](const auto& event) { EvolveBy<A>(*static_cast<State*>(state), event); };
    const absl::StatusOr<bool> known = internal::Dispatch<StoredEvents<A>>(recorded, apply);
    if (known.ok() && !*known) return internal::UnknownType(recorded);
    return known.status();
  };
  if constexpr (std::derived_from<State, Message>) {
    aggregate.state_type = State::descriptor()->full_name();
    aggregate.save = [](const void* state) {
      return static_cast<const State*>(state)->SerializeAsString();
    };
    aggregate.restore = [](void* state, const std::string& bytes) {
      return static_cast<State*>(state)->ParseFromString(bytes);
    };
  }
  StoredEvents<A>::ForEach([&]<class Event>() { AddEvent<Event>(); });
  UpcastsOf<A>::ForEach([&]<class Old>() {
    AddUpcaster(Old::descriptor()->full_name(), internal::UpcasterOf<A, Old>());
  });
  A::Commands::ForEach([&]<class Command>() {
    CommandEntry& entry = commands_.emplace_back();
    entry.request = Command::descriptor();
    entry.aggregate = &aggregate;
    entry.creates = A::Creates::template kContains<Command>;
    entry.system = internal::IsSystem(*Command::descriptor());
    entry.named = internal::NamedOf<A, Command>();
    entry.validate = [](const Message& m, Violations& violations) {
      A::Validate(static_cast<const Command&>(m), violations);
    };
    entry.decide = [](void* state, const Message& m, const CommandContext& context) {
      State& s = *static_cast<State*>(state);
      return internal::DecideAndEvolve<A>(
          s, A::Decide(static_cast<const Command&>(m), std::as_const(s), context));
    };
  });
}

template <View V>
void Registry::Add() {
  CheckComplete<V>();
  using google::protobuf::Message;
  ViewEntry& view = views_.emplace_back();
  view.name = V::kName;
  view.version = V::kVersion;
  view.schema = V::kSchema;
  if constexpr (requires { V::kOnPoison; }) view.on_poison = V::kOnPoison;
  view.fold = [&upcasters = upcasters_](const RecordedEvent& recorded, WriteTx& tx) {
    const EventMeta meta{recorded};
    return internal::Dispatch<typename V::Handles>(
        recorded, upcasters, [&](const auto& event) { V::On(event, meta, tx); });
  };
  view.handles = [&upcasters = upcasters_](std::string_view type) {
    return internal::Knows(internal::IndexOf<typename V::Handles>(), upcasters, type);
  };
  V::Queries::ForEach(
      [&]<class Query>() { view.queries.push_back(internal::EntryOfQuery<V, Query>()); });
  V::Watches::ForEach(
      [&]<class Watch>() { view.watches.push_back(internal::EntryOfWatch<V, Watch>()); });
}

template <Reactor R>
void Registry::Add() {
  CheckComplete<R>();
  ReactorEntry& reactor = reactors_.emplace_back();
  reactor.name = R::kName;
  if constexpr (requires { R::kSchema; }) {
    reactor.schema.assign(std::begin(R::kSchema), std::end(R::kSchema));
  }
  if constexpr (requires { R::kStart; }) reactor.start = R::kStart;
  if constexpr (requires { R::kRetry; }) reactor.retry = R::kRetry;
  const Upcasters& upcasters = upcasters_;
  reactor.key = [&upcasters](const RecordedEvent& recorded) {
    return internal::KeyOf<R>(recorded, upcasters);
  };
  reactor.handles = [&upcasters](std::string_view type) {
    return internal::Knows(internal::IndexOf<typename R::Reacting>(), upcasters, type);
  };
  reactor.react = [&upcasters](const RecordedEvent& recorded, OwnTables& tables, Outbox& outbox) {
    absl::Status reacted;
    const absl::StatusOr<bool> given =
        internal::Dispatch<typename R::Reacting>(recorded, upcasters, [&](const auto& event) {
          if (reacted.ok()) reacted = R::React(event, {recorded}, tables, outbox);
        });
    return given.ok() ? reacted : given.status();
  };
  reactor.on_result = internal::TakeResult<R>;
  if constexpr (HasErrorHook<R>) {
    reactor.on_parked = [](const Delivery& delivery, const absl::Status& error, OwnTables& tables,
                           Outbox& outbox) { R::OnParked(delivery, error, tables, outbox); };
  }
}

}  // namespace leftfold
#endif  // CORE_REGISTRY_H_
