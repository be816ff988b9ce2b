#ifndef TOOLS_NEW_DOMAIN_H_
#define TOOLS_NEW_DOMAIN_H_

#include <absl/status/statusor.h>

#include <string>
#include <vector>

namespace leftfold::tools {

struct NewDomainOptions {
  std::string name;       // "parking"
  std::string aggregate;  // "Lot"; "parking_lot" is the same as "ParkingLot".
  std::string root = ".";
};

struct NewFile {
  std::string path;  // Relative to the root of the source tree.
  std::string text;
};

// The files of a new domain; writes nothing. INVALID_ARGUMENT, saying what is wrong, for a name
// that is malformed, or that means something else already in C++, in the build or in the generated
// code.
absl::StatusOr<std::vector<NewFile>> FilesOfDomain(const std::string& name,
                                                   const std::string& aggregate);

// `leftfold new-domain`: writes proto/leftfold/<name>/v1 and domains/<name>, small but whole:
// create, rename, a view with get, list and watch, and their tests. The build finds them; no other
// file is touched. Nothing is overwritten. Returns the exit code: 1 when nothing was written, 2 for
// a wrong name.
int NewDomain(const NewDomainOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_NEW_DOMAIN_H_
