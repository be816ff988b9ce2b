// Names and texts of `leftfold new-domain`; that they build and are served is
// tests/e2e/new_domain_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>

#include "core/status.h"
#include "testing/temporary_folder.h"
#include "tools/new_domain.h"
#include "tools/new_domain_templates.h"

namespace leftfold::tools {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// The text of one file of the domain "depot"; "" when there is no such file.
std::string TextOf(const std::string& aggregate, const std::string& path) {
  const auto files = FilesOfDomain("depot", aggregate);
  EXPECT_TRUE(files.ok()) << files.status();
  if (!files.ok()) return "";
  for (const NewFile& file : *files) {
    if (file.path == path) return file.text;
  }
  return "";
}

TEST(NewDomainNames, TheAggregateMayBeWrittenInCamelOrInSnakeCase) {
  for (const char* aggregate : {"ParkingSpace", "parking_space"}) {
    const std::string text = TextOf(aggregate, "domains/depot/parking_space.h");
    EXPECT_THAT(text, HasSubstr("struct ParkingSpace {"));
    EXPECT_THAT(text, HasSubstr("kCategory = \"parking_space\""));
    EXPECT_THAT(text, HasSubstr("#ifndef DOMAINS_DEPOT_PARKING_SPACE_H_"));
  }
}

TEST(NewDomainNames, PluralsArePlainEnglish) {
  const auto queries = [](const std::string& aggregate) {
    return TextOf(aggregate, "proto/leftfold/depot/v1/queries.proto");
  };
  EXPECT_THAT(queries("Lot"), HasSubstr("repeated Lot lots = 1;"));
  EXPECT_THAT(queries("Box"), HasSubstr("rpc ListBoxes(ListBoxesRequest)"));
  EXPECT_THAT(queries("City"), HasSubstr("repeated City cities = 1;"));
  EXPECT_THAT(queries("Day"), HasSubstr("repeated Day days = 1;"));
  EXPECT_THAT(queries("OldSwitch"), HasSubstr("// Reads old switches."));
}

TEST(NewDomainNames, NothingIsLeftToFillIn) {
  const auto files = FilesOfDomain("depot", "Lot");
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(files->size(), 12u);
  for (const NewFile& file : *files) {
    EXPECT_EQ((file.path + file.text).find('@'), std::string::npos) << file.path;
  }
}

TEST(NewDomainNames, WhatCannotBeANameOrMeansSomethingElseIsRefused) {
  for (const char* name : {"", "Parking", "1st", "a-b", "a__b", "a_", "class", "core", "store",
                           "fmt", "../x", "n123456789012345678901234567890123456789x"}) {
    EXPECT_EQ(FilesOfDomain(name, "Lot").status().code(), absl::StatusCode::kInvalidArgument)
        << name;
  }
  for (const char* aggregate : {"", "1Lot", "Lot Two", "Lot-Two", "Parking_Lot", "Class", "Page",
                                "Position", "ReadTx", "ClaimSeat", "Lot2_3"}) {
    EXPECT_EQ(FilesOfDomain("depot", aggregate).status().code(), absl::StatusCode::kInvalidArgument)
        << aggregate;
  }
}

// The code of the template's C++ files: without comments, texts and includes.
std::string CodeOfTemplates() {
  std::string code;
  for (const auto& [path, text] : kDomainTemplates) {
    if (!path.ends_with(".h") && !path.ends_with(".cc")) continue;
    std::string one(text);
    for (const char* noise : {"R\"\\([^)]*\\)[^\"]*\"", "//[^\n]*", "#include[^\n]*",
                              "TEST\\([^)]*\\)", "\"([^\"\\\\]|\\\\.)*\""}) {
      one = std::regex_replace(one, std::regex(noise), " ");
    }
    code += one + "\n";
  }
  return code;
}

std::set<std::string> Matches(const std::string& text, const std::string& pattern) {
  std::set<std::string> found;
  const std::regex regex(pattern);
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    found.insert((*it)[1]);
  }
  return found;
}

TEST(NewDomainNames, WhatTheTemplatesCallSomethingElseIsRefused) {
  const std::string code = CodeOfTemplates();
  // Names that are looked up from within the aggregate's struct or namespace.
  std::set<std::string> names = Matches(code, "(?:^|[^\\w@.:>])([A-Z][a-z]\\w*)\\b(?!@)");
  EXPECT_GE(names.size(), 25U);
  // Members of the view and parameters of templates, which hide no aggregate.
  for (const char* harmless : {"Answer", "Key", "Message", "On"}) names.erase(harmless);
  for (const std::string& name : names) {
    EXPECT_FALSE(FilesOfDomain("depot", name).ok()) << name;
  }
  EXPECT_FALSE(FilesOfDomain("depot", "Command").ok()) << "command_id would be there twice";
  for (const std::string& name : Matches(code, "(?:^|[^\\w@])([a-z]\\w*)::")) {
    EXPECT_FALSE(FilesOfDomain(name, "Lot").ok()) << name;
  }
}

class NewDomainTree : public ::testing::Test {
 protected:
  NewDomainTree() {
    fs::create_directories(root() + "/cmake");
    std::ofstream(root() + "/cmake/LeftfoldDomain.cmake") << "";
  }
  std::string root() const { return folder_.path(); }
  bool HasFolder(const std::string& path) const { return fs::exists(root() + "/" + path); }

 private:
  testing::TemporaryFolder folder_;
};

TEST_F(NewDomainTree, BothFoldersAreWrittenOnce) {
  EXPECT_EQ(NewDomain({.name = "depot", .aggregate = "Lot", .root = root()}), 0);
  EXPECT_TRUE(HasFolder("domains/depot/lot_directory.cc"));
  EXPECT_TRUE(HasFolder("proto/leftfold/depot/v1/commands.proto"));
  std::ofstream(root() + "/domains/depot/lot.cc") << "mine";
  EXPECT_EQ(NewDomain({.name = "depot", .aggregate = "Crate", .root = root()}), 1);
  std::ifstream in(root() + "/domains/depot/lot.cc");
  std::string text;
  in >> text;
  EXPECT_EQ(text, "mine");
  EXPECT_FALSE(HasFolder("domains/depot/crate.h"));
}

TEST_F(NewDomainTree, AnAggregateBelongsToOneDomain) {
  EXPECT_EQ(NewDomain({.name = "depot", .aggregate = "Lot", .root = root()}), 0);
  EXPECT_EQ(NewDomain({.name = "parking", .aggregate = "Lot", .root = root()}), 1);
  EXPECT_FALSE(HasFolder("domains/parking"));
  EXPECT_FALSE(HasFolder("proto/leftfold/parking"));
}

TEST(NewDomainRoot, ElsewhereThanInASourceTreeNothingIsWritten) {
  const testing::TemporaryFolder folder;
  EXPECT_EQ(NewDomain({.name = "depot", .aggregate = "Lot", .root = folder.path()}), 1);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace leftfold::tools
