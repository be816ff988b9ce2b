// Dependencies point one way: domains -> core + generated protos; engines -> core, sql,
// event_store, rpc; only server/ and tools/ know all engines; nobody includes domains/. No view is
// read to decide.
#include <absl/strings/str_replace.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "testing/temporary_folder.h"
#include "tools/new_domain.h"

namespace leftfold {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::vector<std::string>> kMayInclude = {
    {"core", {"core"}},
    {"sql", {"sql", "core"}},
    {"event_store", {"event_store", "core", "sql"}},
    {"rpc", {"rpc", "core"}},
    {"write_api", {"write_api", "core", "event_store"}},
    {"projector", {"projector", "core", "sql", "event_store"}},
    {"reactor", {"reactor", "core", "sql", "event_store"}},
    {"read_api", {"read_api", "core", "sql", "event_store"}},
    {"server",
     {"server", "core", "sql", "event_store", "rpc", "write_api", "projector", "reactor",
      "read_api", "tools"}},
    {"tools", {"tools", "core", "sql", "event_store", "rpc", "projector", "server"}},
};

// Paths of the project's own headers that `file` includes.
std::vector<std::string> IncludesOf(const fs::path& file) {
  std::vector<std::string> includes;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("#include \"")) continue;
    includes.push_back(line.substr(10, line.rfind('"') - 10));
  }
  return includes;
}

std::vector<fs::path> SourcesIn(const std::string& folder,
                                const fs::path& root = LEFTFOLD_SOURCE_DIR) {
  std::vector<fs::path> sources;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    if (entry.path().filename() == "new_domain_templates.h") continue;  // The text of other files.
    if (entry.path().extension() == ".h" || entry.path().extension() == ".cc")
      sources.push_back(entry.path());
  }
  return sources;
}

std::string TextOf(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool IsTest(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with("_test.cc") || name.starts_with("test_");
}

std::string TopFolder(const std::string& include) { return include.substr(0, include.find('/')); }

// Of the packages in proto/leftfold, those that are no domain's.
const std::set<std::string> kOwnPackages = {"admin", "commands", "core", "store", "tools"};

// "rooms" of "leftfold/rooms/v1/events.pb.h".
std::string PackageOf(const std::string& include) {
  const std::size_t begin = include.find('/') + 1;
  return include.substr(begin, include.find('/', begin) - begin);
}

bool IsGenerated(const std::string& include) { return include.ends_with(".pb.h"); }

TEST(IncludeRules, EnginesIncludeOnlyWhatTheArchitectureAllows) {
  for (const auto& [folder, allowed] : kMayInclude) {
    const std::vector<fs::path> sources = SourcesIn(folder);
    ASSERT_FALSE(sources.empty()) << folder;
    for (const fs::path& file : sources) {
      for (const std::string& include : IncludesOf(file)) {
        if (IsGenerated(include)) {
          EXPECT_TRUE(include.starts_with("google/") || kOwnPackages.contains(PackageOf(include)))
              << file << " includes " << include << ": engines know no domain";
          continue;
        }
        EXPECT_NE(std::find(allowed.begin(), allowed.end(), TopFolder(include)), allowed.end())
            << file << " includes " << include << ", which " << folder << "/ may not";
      }
    }
  }
}

void ExpectDomainsIncludeWhatTheyMay(const fs::path& root) {
  for (const fs::path& file : SourcesIn("domains", root)) {
    const std::string own = "domains/" + file.parent_path().filename().string() + "/";
    for (const std::string& include : IncludesOf(file)) {
      const bool fine = include.starts_with("core/") || include.starts_with(own) ||
                        IsGenerated(include) || (IsTest(file) && include.starts_with("testing/"));
      EXPECT_TRUE(fine) << file << " includes " << include;
      EXPECT_FALSE(include.ends_with(".grpc.pb.h")) << file << ": domains hold no gRPC code";
    }
    const std::string text = TextOf(file);
    EXPECT_EQ(text.find("grpcpp"), std::string::npos) << file;
    EXPECT_EQ(text.find("SQLiteCpp"), std::string::npos) << file;
    EXPECT_EQ(text.find("sqlite3.h"), std::string::npos) << file;
  }
}

TEST(IncludeRules, ADomainIncludesItsOwnFolderCoreAndGeneratedMessagesOnly) {
  ExpectDomainsIncludeWhatTheyMay(LEFTFOLD_SOURCE_DIR);
}

// What an engine or a part of server/ includes that reads files of views.
bool ReadsViews(const std::string& include) {
  static const std::set<std::string> kFiles = {"sql/view_file.h",      "sql/compare.h",
                                               "core/view_listener.h", "server/served_views.h",
                                               "server/view_health.h", "server/query_service.h"};
  return TopFolder(include) == "projector" || TopFolder(include) == "read_api" ||
         kFiles.contains(include);
}

TEST(IncludeRules, NothingThatDecidesOrReactsReadsViews) {
  for (const char* folder : {"write_api", "reactor"}) {
    for (const fs::path& file : SourcesIn(folder)) {
      for (const std::string& include : IncludesOf(file))
        EXPECT_FALSE(ReadsViews(include)) << file << " includes " << include;
    }
  }
  const std::regex decides(
      "(caller|command_|consumer_service|groups|inbound_server|reactor_|remote_commands|"
      "state_loader|store_service|webhook).*");
  std::size_t found = 0;
  for (const fs::path& file : SourcesIn("server")) {
    if (!std::regex_match(file.filename().string(), decides)) continue;
    ++found;
    for (const std::string& include : IncludesOf(file))
      EXPECT_FALSE(ReadsViews(include)) << file << " includes " << include;
  }
  EXPECT_GE(found, 26u);
}

// Names of the structs in the text that have such a line: aggregates, views or reactors.
std::vector<std::string> StructsWith(const std::string& line, const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) {
    const std::size_t name = text.rfind("\nstruct ", at) + 8;
    names.push_back(text.substr(name, text.find_first_of(" :{", name) - name));
  }
  return names;
}

// The files of a domain in which its aggregates and reactors are, and all that those include, with
// what is behind the headers.
std::set<fs::path> DecidingFiles(const std::vector<fs::path>& sources, const fs::path& root) {
  std::set<fs::path> files;
  std::vector<fs::path> left;
  std::string names;
  const auto add = [&](const fs::path& file) {
    if (fs::exists(file) && files.insert(file).second) left.push_back(file);
  };
  for (const fs::path& file : sources) {
    if (file.extension() != ".h") continue;
    for (const char* line : {"using Commands =", "using Reacting ="}) {
      for (const std::string& name : StructsWith(line, TextOf(file))) {
        names += (names.empty() ? "" : "|") + name;
        add(file);
      }
    }
  }
  const std::regex member("(^|\n)[^\\s/][^\n]*\\b(" + names + ")::\\w+\\(");
  for (const fs::path& file : sources) {
    if (file.extension() == ".cc" && std::regex_search(TextOf(file), member)) add(file);
  }
  while (!left.empty()) {
    const fs::path file = left.back();
    left.pop_back();
    for (const std::string& include : IncludesOf(file)) {
      if (TopFolder(include) == "domains") add(root / include);
    }
    add(fs::path(file).replace_extension(".cc"));
  }
  return files;
}

void ExpectDecidingFilesKnowNoView(const fs::path& root) {
  for (const auto& folder : fs::directory_iterator(root / "domains")) {
    if (!folder.is_directory()) continue;
    std::vector<fs::path> sources;
    std::set<fs::path> views;
    for (const fs::path& file : SourcesIn("domains/" + folder.path().filename().string(), root)) {
      if (IsTest(file) || file.filename() == "domain.cc") continue;
      sources.push_back(file);
      if (!StructsWith("using Handles =", TextOf(file)).empty()) views.insert(file);
    }
    const std::set<fs::path> deciding = DecidingFiles(sources, root);
    EXPECT_FALSE(views.empty()) << folder;
    EXPECT_GE(deciding.size(), 2u) << folder;
    for (const fs::path& file : deciding) {
      EXPECT_FALSE(views.contains(file)) << "a file that decides or reacts includes " << file;
      const std::string text = TextOf(file);
      for (const char* forbidden : {"ReadTx", "WriteTx", "/queries.pb.h"})
        EXPECT_EQ(text.find(forbidden), std::string::npos) << file << " has " << forbidden;
    }
  }
}

TEST(IncludeRules, AggregatesAndReactorsOfADomainKnowNoneOfItsViews) {
  ExpectDecidingFilesKnowNoView(LEFTFOLD_SOURCE_DIR);
}

void ExpectNoViewOfAnotherDomainIsAsked(const fs::path& root) {
  for (const fs::path& file : SourcesIn("domains", root)) {
    const std::string own = file.parent_path().filename().string();
    for (const std::string& include : IncludesOf(file)) {
      if (!IsGenerated(include) || kOwnPackages.contains(PackageOf(include)) ||
          PackageOf(include) == own)
        continue;
      EXPECT_FALSE(include.ends_with("/queries.pb.h")) << file << " includes " << include;
    }
  }
}

TEST(IncludeRules, OfAnotherDomainNoViewIsAsked) {
  ExpectNoViewOfAnotherDomainIsAsked(LEFTFOLD_SOURCE_DIR);
}

TEST(IncludeRules, ADomainThatWasJustMadeKeepsThem) {
  const testing::TemporaryFolder folder;
  fs::create_directories(folder.path() + "/cmake");
  std::ofstream(folder.path() + "/cmake/LeftfoldDomain.cmake") << "";
  ASSERT_EQ(tools::NewDomain({.name = "library", .aggregate = "book", .root = folder.path()}), 0);
  ExpectDomainsIncludeWhatTheyMay(folder.path());
  ExpectDecidingFilesKnowNoView(folder.path());
  ExpectNoViewOfAnotherDomainIsAsked(folder.path());
}

TEST(IncludeRules, OfTheLogOnlyTheRemoteStoreKnowsGrpc) {
  for (const fs::path& file : SourcesIn("event_store")) {
    if (file.parent_path().filename() == "remote") continue;
    const std::string text = TextOf(file);
    EXPECT_EQ(text.find("grpcpp"), std::string::npos) << file;
    for (const std::string& include : IncludesOf(file)) {
      EXPECT_FALSE(include.ends_with(".grpc.pb.h")) << file << " includes " << include;
      EXPECT_FALSE(include.starts_with("event_store/remote/")) << file << " includes " << include;
    }
  }
}

TEST(IncludeRules, NoEngineNamesADomain) {
  for (const auto& domain :
       fs::directory_iterator(fs::path(LEFTFOLD_SOURCE_DIR) / "proto/leftfold")) {
    const std::string name = domain.path().filename().string();
    if (kOwnPackages.contains(name)) continue;
    for (const auto& [folder, allowed] : kMayInclude) {
      if (folder == "tools") continue;  // Its help has an example.
      for (const fs::path& file : SourcesIn(folder)) {
        const std::string text = TextOf(file);
        EXPECT_EQ(text.find("leftfold." + name), std::string::npos)
            << file << " names the domain " << name;
      }
    }
  }
}

// Not rpc: it is no engine but what the callers' threads run in; it reads deadlines by gRPC's clock
// and waits for open calls when it drains.
TEST(IncludeRules, NoEngineHoldsAThreadAClockOrAWait) {
  for (const char* folder :
       {"core", "sql", "event_store", "write_api", "projector", "reactor", "read_api"}) {
    for (const fs::path& file : SourcesIn(folder)) {
      // That neither makes a thread nor waits.
      const std::string text = absl::StrReplaceAll(TextOf(file), {{"pthread_atfork", ""}});
      for (const char* forbidden :
           {"std::thread", "std::jthread", "std::this_thread", "std::async", "std::future",
            "pthread_", "sleep_for", "SleepFor", "usleep", "nanosleep", "condition_variable",
            "absl::Now()", "GetCurrentTimeNanos", "system_clock::now", "steady_clock::now"}) {
        EXPECT_EQ(text.find(forbidden), std::string::npos)
            << file << " uses " << forbidden << "; server/ owns those";
      }
    }
  }
}

TEST(IncludeRules, WhatIsSaidToPeopleGoesThroughTheLogFunctionsWhichDoNotThrow) {
  for (const auto& [folder, allowed] : kMayInclude) {
    for (const fs::path& file : SourcesIn(folder)) {
      if (file.filename() == "log.h" || file.filename() == "log.cc") continue;
      const std::string text = TextOf(file);
      for (const char* forbidden : {"fmt::print", "stderr)", "(stderr", "std::cerr", "std::cout"}) {
        EXPECT_EQ(text.find(forbidden), std::string::npos) << file << " uses " << forbidden;
      }
    }
  }
}

}  // namespace
}  // namespace leftfold
