#ifndef EVENT_STORE_MEMORY_MEMORY_EVENT_STORE_H_
#define EVENT_STORE_MEMORY_MEMORY_EVENT_STORE_H_

#include <memory>

#include "core/clock.h"
#include "core/executor.h"
#include "event_store/event_store.h"

namespace leftfold {

// A store that forgets everything when it goes: for tests.
std::unique_ptr<EventStore> NewMemoryEventStore(Executor& writer, Executor& completions,
                                                const Clock& clock);

}  // namespace leftfold
#endif  // EVENT_STORE_MEMORY_MEMORY_EVENT_STORE_H_
