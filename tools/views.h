#ifndef TOOLS_VIEWS_H_
#define TOOLS_VIEWS_H_

#include <string>

namespace leftfold::tools {

// `leftfold views`: asks the server that holds the "project" lock of `data`. 1 when there is none.
int Views(const std::string& data);

}  // namespace leftfold::tools
#endif  // TOOLS_VIEWS_H_
