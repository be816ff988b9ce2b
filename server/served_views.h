#ifndef SERVER_SERVED_VIEWS_H_
#define SERVER_SERVED_VIEWS_H_

#include <string>
#include <vector>

#include "core/registry.h"
#include "projector/projector.h"
#include "read_api/view_pool.h"

namespace leftfold {

// What a process that reads serves, for operators, in the order of names: the log is not there, so
// nothing is known of what a view lags behind, and one that is served counts as live. `views` is
// the folder of all views.
std::vector<ViewStatus> ListServedViews(const Registry& registry, const read_api::ViewPool& pool,
                                        const std::string& views);

}  // namespace leftfold
#endif  // SERVER_SERVED_VIEWS_H_
