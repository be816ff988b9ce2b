#ifndef SERVER_PARKED_PAGE_H_
#define SERVER_PARKED_PAGE_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string_view>

#include "core/page.h"
#include "core/status.h"
#include "reactor/reactors.h"

namespace leftfold {

// Fills one page of a reactor's parked deliveries.
template <class Request, class Response>
absl::Status ListParkedPage(Reactors& reactors, std::string_view reactor, const Request& request,
                            Response& response) {
  const auto page = Page::Of(request);
  if (!page.ok()) return page.status();
  const auto after = page->NumberAfter(0, std::numeric_limits<std::int64_t>::max());
  if (!after.ok()) return after.status();
  const auto size = static_cast<std::size_t>(page->size());
  auto parked = reactors.ListParked(reactor, *after, size + 1);
  if (!parked.ok()) return parked.status();
  const bool more = parked->size() > size;
  if (more) parked->resize(size);
  for (const ParkedDelivery& delivery : *parked) {
    auto* added = response.add_deliveries();
    *added->mutable_delivery() = delivery.parked;
    added->set_behind(delivery.behind);
  }
  if (more) response.set_next_page_token(page->TokenAfter(fmt::to_string(parked->back().row)));
  return absl::OkStatus();
}

}  // namespace leftfold
#endif  // SERVER_PARKED_PAGE_H_
