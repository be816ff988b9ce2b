#include "tools/tail.h"

#include <absl/time/clock.h>

#include <algorithm>
#include <cstdio>

#include "core/event.h"
#include "core/status.h"
#include "tools/json.h"
#include "tools/open_log.h"

namespace leftfold::tools {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(100);

int Fail(const absl::Status& status) {
  fmt::print(stderr, "leftfold tail: {}\n", ToStd(status.message()));
  return 1;
}

}  // namespace

int Tail(const std::string& data, const TailOptions& options) {
  auto store = OpenLogForReading(data);
  if (!store.ok()) return Fail(store.status());
  ReadAllOptions read{.from = Position{options.from - 1}};
  if (!options.category.empty()) read.category = options.category;
  while (true) {
    const Position head = (*store)->GetHead().position;
    const auto events = (*store)->ReadAll(read);
    if (!events.ok()) return Fail(events.status());
    for (const RecordedEvent& event : *events) fmt::print("{}\n", ToJson(ToProto(event), {}));
    std::fflush(stdout);
    if (!events->empty()) {
      read.from = events->back().position;
      continue;
    }
    if (!options.follow) return 0;
    // Nothing of the category up to the head: it need not be searched again.
    read.from = std::max(read.from, head);
    absl::SleepFor(kPollInterval);
  }
}

}  // namespace leftfold::tools
