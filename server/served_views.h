#ifndef SERVER_SERVED_VIEWS_H_
#define SERVER_SERVED_VIEWS_H_

#include <string>
#include <vector>

#include "core/registry.h"
#include "projector/projector.h"
#include "read_api/view_pool.h"

namespace leftfold {

// What a process that reads serves, for operators, in the order of names, as its files tell. What a
// view lags behind is known only where the process has the log, for another role; else `log` is
// nullptr. `views` is the folder of all views.
std::vector<ViewStatus> ListServedViews(const Registry& registry, const read_api::ViewPool& pool,
                                        const std::string& views, EventStore* log);

}  // namespace leftfold
#endif  // SERVER_SERVED_VIEWS_H_
