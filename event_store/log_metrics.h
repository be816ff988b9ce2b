#ifndef EVENT_STORE_LOG_METRICS_H_
#define EVENT_STORE_LOG_METRICS_H_

#include <array>

#include "core/metrics.h"

namespace leftfold {

inline constexpr std::array kAppendSecondsBounds = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                                    0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                                    1.0,    2.5,     5.0,    10.0};
inline constexpr std::array kGroupAppendsBounds = {1.0,  2.0,  4.0,   8.0,   16.0,
                                                   32.0, 64.0, 128.0, 256.0, 512.0};

// What a log counts since it was opened.
struct LogMetrics {
  Counter events;                                  // Appended and durable.
  Histogram append_seconds{kAppendSecondsBounds};  // From Append to its durable outcome.
  Histogram group_appends{kGroupAppendsBounds};    // Of each transaction.
  alignas(kCacheLine) Gauge queued;                // Appends that wait for the writer.
};

}  // namespace leftfold
#endif  // EVENT_STORE_LOG_METRICS_H_
