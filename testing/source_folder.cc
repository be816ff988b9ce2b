#include "testing/source_folder.h"

namespace leftfold::testing {

std::string SourceFolder() { return LEFTFOLD_SOURCE_DIR; }

}  // namespace leftfold::testing
