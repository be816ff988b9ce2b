#ifndef BENCH_PAGE_H_
#define BENCH_PAGE_H_

#include <string>
#include <string_view>

#include "bench/report.h"

namespace leftfold::bench {

// Where and how it was measured, in one line: the day, cores, processor, kernel.
std::string ThisMachine();

// The table and the plots as Markdown, beside which the plots' files lie.
std::string ToPage(const Report& report, std::string_view measured);

// latest.json, README.md and the plots. False when one cannot be written.
bool Save(const Report& report, std::string_view measured, const std::string& folder);

}  // namespace leftfold::bench
#endif  // BENCH_PAGE_H_
