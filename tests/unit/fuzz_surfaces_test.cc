// Every RPC of the protos belongs to a fuzz target.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "tests/fuzz/surfaces.h"

namespace leftfold::fuzz {
namespace {

namespace pb = google::protobuf;
using Names = std::set<std::string>;

Names AllRpcs() {
  const std::filesystem::path protos(LEFTFOLD_SOURCE_DIR "/proto");
  Names all;
  // Health and reflection, which are gRPC's, are not in this folder.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(protos / "leftfold")) {
    if (entry.path().extension() != ".proto") continue;
    const std::string name = std::filesystem::relative(entry.path(), protos);
    const auto* file = pb::DescriptorPool::generated_pool()->FindFileByName(name);
    EXPECT_NE(file, nullptr) << name << " is not of this binary";
    for (int s = 0; file != nullptr && s < file->service_count(); ++s) {
      for (int i = 0; i < file->service(s)->method_count(); ++i)
        all.insert(file->service(s)->method(i)->full_name());
    }
  }
  return all;
}

TEST(FuzzSurfaces, TogetherAreAllRpcs) {
  Registry domains;
  RegisterAllDomains(domains);
  Names forgotten = AllRpcs();
  EXPECT_FALSE(forgotten.empty());
  for (const Requests& surface : {RequestsOfCommands(domains), RequestsOfQueries(domains),
                                  RequestsOfStore(), RequestsOfOperators()}) {
    for (const pb::Descriptor* request : surface) {
      const pb::MethodDescriptor* method = internal::MethodTaking(*request);
      ASSERT_NE(method, nullptr) << request->full_name();
      EXPECT_EQ(forgotten.erase(method->full_name()), 1u) << method->full_name();
    }
  }
  EXPECT_THAT(forgotten, ::testing::IsEmpty());
}

}  // namespace
}  // namespace leftfold::fuzz
