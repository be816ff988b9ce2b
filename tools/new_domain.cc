#include "tools/new_domain.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_replace.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

#include "core/ids.h"
#include "core/log.h"
#include "core/status.h"
#include "tools/exit_codes.h"
#include "tools/new_domain_templates.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNameLettersMax = 40;

// Words that cannot be the name of a namespace or of a field.
constexpr std::string_view kKeywords[] = {
    "alignas",  "alignof",   "and",       "asm",       "assert",    "auto",      "bitand",
    "bitor",    "bool",      "break",     "case",      "catch",     "char",      "class",
    "compl",    "concept",   "const",     "consteval", "constexpr", "constinit", "continue",
    "decltype", "default",   "delete",    "do",        "double",    "else",      "enum",
    "errno",    "explicit",  "export",    "extern",    "false",     "float",     "for",
    "friend",   "goto",      "if",        "inline",    "int",       "linux",     "long",
    "mutable",  "namespace", "new",       "noexcept",  "not",       "nullptr",   "operator",
    "or",       "private",   "protected", "public",    "register",  "requires",  "return",
    "short",    "signed",    "sizeof",    "static",    "struct",    "switch",    "template",
    "this",     "throw",     "true",      "try",       "typedef",   "typeid",    "typename",
    "union",    "unix",      "unsigned",  "using",     "virtual",   "void",      "volatile",
    "while",    "xor"};
// Namespaces and packages of the engines.
constexpr std::string_view kTakenDomains[] = {
    "absl",    "commands", "fmt",      "grpc",     "admin", "core", "fold",
    "google",  "internal", "read_api", "leftfold", "rpc",   "sql",  "store",
    "testing", "tools",    "v1",       "std",      "all",   "proto"};
// What the generated code calls something else, as an aggregate in snake_case.
constexpr std::string_view kTakenAggregates[] = {"accept",
                                                 "acceptance",
                                                 "aggregate",
                                                 "answer",
                                                 "applied_position",
                                                 "as_of_position",
                                                 "as_blob",
                                                 "claim",
                                                 "clock",
                                                 "command",
                                                 "command_context",
                                                 "commands",
                                                 "create",
                                                 "created",
                                                 "creates",
                                                 "cursor",
                                                 "decide",
                                                 "decided",
                                                 "decision",
                                                 "deleted",
                                                 "digest",
                                                 "encoding",
                                                 "error",
                                                 "error_reason",
                                                 "event_meta",
                                                 "events",
                                                 "evolve",
                                                 "find_row",
                                                 "given",
                                                 "golden_fold",
                                                 "handles",
                                                 "heartbeat",
                                                 "metadata",
                                                 "named",
                                                 "new_event",
                                                 "null",
                                                 "page",
                                                 "position",
                                                 "queries",
                                                 "read_tx",
                                                 "reason_of",
                                                 "recorded_event",
                                                 "register",
                                                 "registry",
                                                 "reject",
                                                 "rename",
                                                 "renamed",
                                                 "rows",
                                                 "state",
                                                 "status_or",
                                                 "stream",
                                                 "stream_name",
                                                 "tag",
                                                 "types",
                                                 "uuid",
                                                 "validate",
                                                 "validate_name",
                                                 "version",
                                                 "view",
                                                 "view_fixture",
                                                 "violations",
                                                 "watches",
                                                 "write_tx"};

template <std::size_t kSize>
bool IsIn(const std::string_view (&words)[kSize], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

// "ParkingLot" and "parking_lot" -> "parking_lot".
std::string SnakeCase(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isupper(byte) && !out.empty() && out.back() != '_') out += '_';
    out += absl::ascii_tolower(byte);
  }
  return out;
}

// "parking_lot" -> "ParkingLot".
std::string CamelCase(const std::string& snake) {
  std::string out;
  bool capital = true;
  for (const char c : snake) {
    if (c != '_') out += capital ? absl::ascii_toupper(static_cast<unsigned char>(c)) : c;
    capital = c == '_';
  }
  return out;
}

// Plain English: box, boxes; city, cities; day, days.
std::string Plural(const std::string& word) {
  const auto ends_with = [&](std::string_view end) { return word.ends_with(end); };
  if (ends_with("s") || ends_with("x") || ends_with("z") || ends_with("ch") || ends_with("sh")) {
    return word + "es";
  }
  const bool vowel = ends_with("ay") || ends_with("ey") || ends_with("oy") || ends_with("uy");
  if (ends_with("y") && !vowel) return word.substr(0, word.size() - 1) + "ies";
  return word + "s";
}

// Words of letters and digits, each beginning with a letter, separated by one `_`.
bool IsSnakeCase(const std::string& name) {
  if (!IsCategory(name) || name.size() > kNameLettersMax) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '_') continue;
    if (i + 1 == name.size() || !absl::ascii_islower(static_cast<unsigned char>(name[i + 1]))) {
      return false;
    }
  }
  return true;
}

bool IsAggregateName(const std::string& name) {
  const bool letters = std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c));
  });
  const bool mixed = name.find('_') != std::string::npos && SnakeCase(name) != name;
  return letters && !mixed && IsSnakeCase(SnakeCase(name));
}

absl::Status CheckNames(const std::string& name, const std::string& aggregate) {
  const auto wrong = [](std::string_view what) {
    return Error(absl::StatusCode::kInvalidArgument, "{}", what);
  };
  if (!IsSnakeCase(name)) {
    return wrong(fmt::format("the name is up to {} small letters, digits and _, like parking",
                             kNameLettersMax));
  }
  if (!IsAggregateName(aggregate)) {
    return wrong(fmt::format("the aggregate is up to {} letters and digits, like Lot or ParkingLot",
                             kNameLettersMax));
  }
  const std::string snake = SnakeCase(aggregate);
  if (IsIn(kKeywords, name) || IsIn(kTakenDomains, name)) {
    return wrong(fmt::format("{} means something else already; take another name", name));
  }
  if (IsIn(kKeywords, snake) || IsIn(kTakenAggregates, snake) || snake.starts_with("claim_")) {
    return wrong(fmt::format("{} means something else already; take another aggregate", aggregate));
  }
  return absl::OkStatus();
}

std::string Filled(std::string_view text, const std::string& name, const std::string& aggregate) {
  const std::string snake = SnakeCase(aggregate);
  const std::string plural = Plural(snake);
  return absl::StrReplaceAll(ToAbsl(text), {{"@name@", name},
                                            {"@NAME@", absl::AsciiStrToUpper(name)},
                                            {"@Agg@", CamelCase(snake)},
                                            {"@Aggs@", CamelCase(plural)},
                                            {"@agg@", snake},
                                            {"@aggs@", plural},
                                            {"@words@", absl::StrReplaceAll(snake, {{"_", " "}})},
                                            {"@wordss@", absl::StrReplaceAll(plural, {{"_", " "}})},
                                            {"@AGG@", absl::AsciiStrToUpper(snake)}});
}

// The header that declares an aggregate of this category already, or "".
std::string OwnerOfCategory(const fs::path& root, const std::string& category) {
  const std::string declaration = fmt::format("kCategory = \"{}\"", category);
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(root / "domains", error)) {
    if (entry.path().extension() != ".h") continue;
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    if (text.find(declaration) != std::string::npos) return entry.path().string();
  }
  return "";
}

// Why nothing may be written there.
absl::Status CheckTree(const fs::path& root, const NewDomainOptions& options) {
  if (!fs::exists(root / "cmake" / "LeftfoldDomain.cmake")) {
    return Error(absl::StatusCode::kNotFound,
                 "run it at the root of the source tree, or name that with --root");
  }
  for (const fs::path& folder :
       {root / "proto" / "leftfold" / options.name, root / "domains" / options.name}) {
    if (fs::exists(folder)) {
      return Error(absl::StatusCode::kAlreadyExists, "{} is there already; nothing was written",
                   folder.string());
    }
  }
  const std::string category = SnakeCase(options.aggregate);
  if (const std::string owner = OwnerOfCategory(root, category); !owner.empty()) {
    return Error(absl::StatusCode::kAlreadyExists,
                 "{} has an aggregate {} already; streams and views are named after it, so take "
                 "another one; nothing was written",
                 owner, category);
  }
  return absl::OkStatus();
}

absl::Status Write(const fs::path& file, const std::string& text) {
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  std::ofstream out(file);
  out << text;
  if (!out.flush()) {
    return Error(absl::StatusCode::kInternal, "cannot write {}", file.string());
  }
  return absl::OkStatus();
}

void PrintNextSteps(const NewDomainOptions& options) {
  Print("{}", Filled(R"(
next:
  git add proto/leftfold/@name@ domains/@name@ && make format build && build/release/tests/leftfold_domain_@name@_test
  make run, and elsewhere:
  build/release/leftfold call 127.0.0.1:50051 leftfold.@name@.v1.@Agg@CommandService/Create@Agg@ '{"@agg@_id": "first", "name": "First"}'
  build/release/leftfold call 127.0.0.1:50052 leftfold.@name@.v1.@Agg@QueryService/Get@Agg@ '{"@agg@_id": "first"}'
Then write your own events, rules and views in proto/leftfold/@name@/v1 and domains/@name@; CONTRIBUTING.md says in which order.
)",
                     options.name, options.aggregate));
}

}  // namespace

absl::StatusOr<std::vector<NewFile>> FilesOfDomain(const std::string& name,
                                                   const std::string& aggregate) {
  LEFTFOLD_RETURN_IF_ERROR(CheckNames(name, aggregate));
  std::vector<NewFile> files;
  for (const auto& [path, text] : kDomainTemplates) {
    files.push_back({Filled(path, name, aggregate), Filled(text, name, aggregate)});
  }
  return files;
}

int NewDomain(const NewDomainOptions& options) {
  const auto files = FilesOfDomain(options.name, options.aggregate);
  if (!files.ok()) return Fail("new-domain", files.status(), kUsage);
  const fs::path root(options.root);
  if (const absl::Status fine = CheckTree(root, options); !fine.ok())
    return Fail("new-domain", fine);
  for (const NewFile& file : *files) {
    const fs::path path = root / file.path;
    if (const absl::Status written = Write(path, file.text); !written.ok())
      return Fail("new-domain", written);
    Print("wrote {}\n", path.lexically_normal().string());
  }
  PrintNextSteps(options);
  return 0;
}

}  // namespace leftfold::tools
