#include "tools/new_domain.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_replace.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "core/ids.h"
#include "core/status.h"
#include "tools/new_domain_templates.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;

bool IsAggregateName(const std::string& name) {
  return !name.empty() && name.size() <= kCategoryBytesMax && name[0] >= 'A' && name[0] <= 'Z' &&
         std::all_of(name.begin(), name.end(), [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); });
}

// "ParkingLot" -> "parking_lot".
std::string SnakeCase(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isupper(byte) && !out.empty()) out += '_';
    out += absl::ascii_tolower(byte);
  }
  return out;
}

std::string Filled(std::string_view text, const NewDomainOptions& options) {
  const std::string snake = SnakeCase(options.aggregate);
  return absl::StrReplaceAll(ToAbsl(text), {{"@name@", options.name},
                                            {"@NAME@", absl::AsciiStrToUpper(options.name)},
                                            {"@Agg@", options.aggregate},
                                            {"@agg@", snake},
                                            {"@AGG@", absl::AsciiStrToUpper(snake)}});
}

int Fail(const std::string& what) {
  fmt::print(stderr, "leftfold new-domain: {}\n", what);
  return 1;
}

}  // namespace

int NewDomain(const NewDomainOptions& options) {
  if (!IsCategory(options.name)) return Fail("the name is [a-z][a-z0-9_]*, like parking");
  if (!IsAggregateName(options.aggregate)) return Fail("the aggregate is [A-Z][A-Za-z0-9]*, like Lot");
  const fs::path root(options.root);
  if (!fs::exists(root / "cmake" / "LeftfoldDomain.cmake")) {
    return Fail("run it at the root of the source tree, or name that with --root");
  }
  const fs::path folders[] = {root / "proto" / "leftfold" / options.name, root / "domains" / options.name};
  for (const fs::path& folder : folders) {
    if (fs::exists(folder)) return Fail(folder.string() + " is there already; nothing was written");
  }
  for (const auto& [path, text] : kDomainTemplates) {
    const fs::path file = root / Filled(path, options);
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    std::ofstream out(file);
    out << Filled(text, options);
    if (!out.flush()) return Fail("cannot write " + file.string());
    fmt::print("wrote {}\n", file.lexically_normal().string());
  }
  fmt::print("\nnext: make build && build/release/leftfold serve, then\n"
             "  grpcurl -plaintext -d '{{\"name\": \"first\"}}' 127.0.0.1:50051 leftfold.{}.v1.{}CommandService/Create{}\n",
             options.name, options.aggregate, options.aggregate);
  return 0;
}

}  // namespace leftfold::tools
