#include "tools/tail.h"

#include <absl/time/clock.h>

#include <algorithm>

#include "core/event_wire.h"
#include "core/log.h"
#include "core/status.h"
#include "tools/exit_codes.h"
#include "tools/json.h"
#include "tools/open_log.h"

namespace leftfold::tools {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(100);

}  // namespace

int Tail(const std::string& data, const TailOptions& options) {
  auto store = OpenLogForReading(data);
  if (!store.ok()) return Fail("tail", store.status());
  ReadAllOptions read{.from = Position{options.from - 1}};
  if (!options.category.empty()) read.filter.categories = {options.category};
  if (!options.types.empty()) read.filter.items = {{.types = options.types}};
  read.filter.stream_prefix = options.stream_prefix;
  read.filter.correlation_id = options.correlation;
  while (true) {
    const auto page = (*store)->ReadAll(read);
    if (!page.ok()) return Fail("tail", page.status());
    for (const RecordedEvent& event : page->events) Print("{}\n", ToJson(ToProto(event), {}));
    if (!FlushOutput()) return 1;  // Main says it.
    if (std::exchange(read.from, page->through) != page->through) continue;
    if (!options.follow) return 0;
    absl::SleepFor(kPollInterval);
  }
}

}  // namespace leftfold::tools
