#include "core/registry.h"
#include "tools/cli.h"

int main(int argc, char** argv) {
  leftfold::Registry registry;
  leftfold::RegisterAllDomains(registry);
  return leftfold::Main(registry, argc, argv);
}
