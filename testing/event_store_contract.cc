#include "testing/event_store_contract.h"

#include <cstdlib>
#include <utility>

#include "core/reject.h"
#include "event_store/memory/memory_event_store.h"
#include "event_store/sqlite/sqlite_event_store.h"

namespace leftfold::testing {

void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }

StoreKind MemoryStore() {
  return {"memory",
          [](const std::string&, Executor& writer, Executor& completions, const Clock& clock) {
            return NewMemoryEventStore(writer, completions, clock);
          }};
}

StoreKind SqliteStore() {
  return {
      "sqlite",
      [](const std::string& folder, Executor& writer, Executor& completions, const Clock& clock) {
        // Small batches, so that even short tests read from the index's file.
        auto store = OpenSqliteEventStore(
            folder,
            {.writer = &writer, .completions = &completions, .clock = &clock, .index_batch = 16});
        if (!store.ok()) Die(store.status().ToString());
        return *std::move(store);
      }};
}

std::vector<StoreKind> AllStores() { return {MemoryStore(), SqliteStore()}; }

StoreOnScheduler::StoreOnScheduler(const StoreKind& kind, std::uint64_t seed)
    : kind_(kind), scheduler_(seed) {
  Reopen();
}

void StoreOnScheduler::Reopen() {
  store_.reset();
  store_ = kind_.open(folder(), scheduler_.Serial(), scheduler_.Pool(), clock_);
}

absl::StatusOr<Receipt> StoreOnScheduler::Append(AppendRequest request) {
  std::vector<AppendRequest> requests;
  requests.push_back(std::move(request));
  return AppendTogether(std::move(requests)).front();
}

std::vector<absl::StatusOr<Receipt>> StoreOnScheduler::AppendTogether(
    std::vector<AppendRequest> requests) {
  std::vector<absl::StatusOr<Receipt>> receipts(requests.size(),
                                                absl::UnknownError("was not answered"));
  for (std::size_t i = 0; i < requests.size(); ++i) {
    store_->Append(std::move(requests[i]), [&receipts, i](absl::StatusOr<Receipt> receipt) {
      if (!absl::IsUnknown(receipts[i].status())) Die("an append was answered twice");
      receipts[i] = std::move(receipt);
    });
  }
  scheduler_.RunUntilIdle();
  return receipts;
}

std::vector<RecordedEvent> StoreOnScheduler::All() {
  auto read = store_->ReadAll({.from = kBeforeFirst, .events_max = 1'000'000});
  if (!read.ok()) Die(read.status().ToString());
  return std::move(read->events);
}

NewEvent EventOf(std::string payload) {
  NewEvent event;
  event.type = "test.Happened";
  event.payload = std::move(payload);
  return event;
}

AppendRequest AppendOf(std::string stream, const std::vector<std::string>& payloads,
                       StreamCheck check) {
  AppendRequest request;
  StreamAppend& append = request.streams.emplace_back();
  append.stream = std::move(stream);
  append.check = check;
  for (const std::string& payload : payloads) append.events.push_back(EventOf(payload));
  return request;
}

AppendRequest CommandOf(AppendRequest request, std::string command_id, std::uint8_t hash) {
  request.command = CommandRecord{std::move(command_id), Digest{hash}, "oak", "created-1"};
  return request;
}

std::vector<std::string> Brief(const std::vector<RecordedEvent>& events) {
  std::vector<std::string> out;
  for (const RecordedEvent& event : events) {
    out.push_back(fmt::format("{}:{}@{}={}", event.position.value, event.stream,
                              event.version.value, event.payload));
  }
  return out;
}

std::string Describe(const RecordedEvent& event) {
  return fmt::format(
      "{}:{}@{} id={} type={} payload={} encoding={} metadata={} tags={} at={} previous={} leaf={}",
      event.position.value, event.stream, event.version.value, ToString(event.event_id), event.type,
      ToHex(event.payload), static_cast<int>(event.encoding), ToHex(event.metadata),
      ToHex(EncodeTags(event.tags)), absl::ToUnixMicros(event.recorded_at),
      event.category_previous.value, ToHex(AsBytes(event.leaf)));
}

std::string Describe(const absl::StatusOr<Receipt>& receipt) {
  if (!receipt.ok()) {
    return fmt::format("{} {} {}", static_cast<int>(receipt.status().code()),
                       ReasonOf(receipt.status()), ToStd(receipt.status().message()));
  }
  return fmt::format("version={} position={} aggregate={} created={} duplicate={}",
                     receipt->version.value, receipt->position.value, receipt->aggregate_id,
                     receipt->created_id, receipt->duplicate);
}

std::uint64_t SeedOr(std::uint64_t otherwise) {
  const char* given = std::getenv("LEFTFOLD_SEED");
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

}  // namespace leftfold::testing
