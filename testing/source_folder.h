#ifndef TESTING_SOURCE_FOLDER_H_
#define TESTING_SOURCE_FOLDER_H_

#include <string>

namespace leftfold::testing {

// Of the tree that this was built from.
std::string SourceFolder();

}  // namespace leftfold::testing
#endif  // TESTING_SOURCE_FOLDER_H_
