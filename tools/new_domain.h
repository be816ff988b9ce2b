#ifndef TOOLS_NEW_DOMAIN_H_
#define TOOLS_NEW_DOMAIN_H_

#include <string>

namespace leftfold::tools {

struct NewDomainOptions {
  std::string name;       // "parking"
  std::string aggregate;  // "Lot"
  std::string root = ".";
};

// `leftfold new-domain`: writes proto/leftfold/<name>/v1 and domains/<name>, small but whole: create, rename, a view with get, list
// and watch, and their tests. The build finds them; no other file is touched. Nothing is overwritten.
int NewDomain(const NewDomainOptions& options);

}  // namespace leftfold::tools
#endif  // TOOLS_NEW_DOMAIN_H_
