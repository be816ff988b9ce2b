// What every registered domain must have, asserted from descriptors, so that ctest alone is enough.
// A new domain is covered without touching this file.
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "core/ids.h"
#include "core/registry.h"
#include "leftfold/core/v1/options.pb.h"
#include "testing/source_folder.h"

namespace leftfold {
namespace {

namespace pb = google::protobuf;

class Descriptors : public ::testing::Test {
 protected:
  Descriptors() { RegisterAllDomains(registry_); }

  std::set<const pb::FileDescriptor*> Files() const {
    std::set<const pb::FileDescriptor*> files;
    for (const CommandEntry& command : registry_.commands()) files.insert(command.request->file());
    for (const BatchEntry& batch : registry_.batches()) files.insert(batch.request->file());
    for (const ViewEntry& view : registry_.views()) {
      for (const QueryEntry& query : view.queries) files.insert(query.request->file());
      for (const WatchEntry& watch : view.watches) files.insert(watch.request->file());
    }
    return files;
  }

  Registry registry_;
};

void ExpectField(const pb::Descriptor& type, const char* name, int number,
                 pb::FieldDescriptor::Type kind) {
  const pb::FieldDescriptor* field = type.FindFieldByName(name);
  ASSERT_NE(field, nullptr) << type.full_name() << " lacks " << name;
  EXPECT_EQ(field->number(), number) << field->full_name();
  EXPECT_EQ(field->type(), kind) << field->full_name();
}

TEST_F(Descriptors, ACommandCanBeAddressedRetriedAndPinnedAndAnswersAReceiptAlone) {
  ASSERT_FALSE(registry_.commands().empty());
  for (const CommandEntry& command : registry_.commands()) {
    const pb::Descriptor& request = *command.request;
    SCOPED_TRACE(request.full_name());
    ASSERT_NE(request.FindFieldByNumber(1), nullptr);
    EXPECT_EQ(request.FindFieldByNumber(1)->type(), pb::FieldDescriptor::TYPE_STRING);
    EXPECT_TRUE(request.FindFieldByNumber(1)->name().ends_with("_id"));
    ExpectField(request, "command_id", 14, pb::FieldDescriptor::TYPE_STRING);
    ExpectField(request, "expected_version", 15, pb::FieldDescriptor::TYPE_INT64);
    EXPECT_TRUE(request.FindFieldByName("expected_version")->has_presence());
    const pb::MethodDescriptor* method = internal::MethodTaking(request);
    ASSERT_NE(method, nullptr);
    EXPECT_TRUE(method->service()->name().ends_with("CommandService"));
    ASSERT_EQ(method->output_type()->field_count(), 1);
    EXPECT_EQ(method->output_type()->field(0)->message_type()->full_name(),
              "leftfold.core.v1.CommandReceipt");
  }
}

// The rest of their form is asserted where they are registered.
TEST_F(Descriptors, ABatchCanBeRetriedAndAnswersOutcomesAlone) {
  ASSERT_FALSE(registry_.batches().empty());
  for (const BatchEntry& batch : registry_.batches()) {
    SCOPED_TRACE(batch.request->full_name());
    ExpectField(*batch.request, "command_id", 14, pb::FieldDescriptor::TYPE_STRING);
    const pb::MethodDescriptor* method = internal::MethodTaking(*batch.request);
    ASSERT_NE(method, nullptr);
    EXPECT_EQ(method->service(), internal::MethodTaking(*batch.command->request)->service());
    EXPECT_EQ(method->output_type()->field_count(), 1);
  }
}

TEST_F(Descriptors, AQueryTakesAMinimumPositionAndAnswersTheAppliedOne) {
  for (const ViewEntry& view : registry_.views()) {
    for (const QueryEntry& query : view.queries) {
      SCOPED_TRACE(query.request->full_name());
      ExpectField(*query.request, "min_position", 14, pb::FieldDescriptor::TYPE_STRING);
      const pb::MethodDescriptor* method = internal::MethodTaking(*query.request);
      ASSERT_NE(method, nullptr);
      EXPECT_TRUE(method->service()->name().ends_with("QueryService"));
      ExpectField(*method->output_type(), "applied_position", 15, pb::FieldDescriptor::TYPE_STRING);
      const bool takes_as_of = query.request->FindFieldByName("as_of_position") != nullptr;
      EXPECT_EQ(takes_as_of, query.stream != nullptr);
      if (takes_as_of)
        ExpectField(*query.request, "as_of_position", 12, pb::FieldDescriptor::TYPE_STRING);
      if (query.request->FindFieldByName("page_size") == nullptr) continue;
      ExpectField(*query.request, "page_size", 10, pb::FieldDescriptor::TYPE_INT32);
      ExpectField(*query.request, "page_token", 11, pb::FieldDescriptor::TYPE_STRING);
      EXPECT_NE(method->output_type()->FindFieldByName("next_page_token"), nullptr);
    }
  }
}

// One document is asked for as of an earlier position too, or the comment says why not.
TEST_F(Descriptors, AQueryOfOneDocumentIsAnsweredAsOfAPositionOrSaysWhyNot) {
  for (const ViewEntry& view : registry_.views()) {
    for (const QueryEntry& query : view.queries) {
      const std::string& message = query.request->name();
      if (!message.starts_with("Get") || query.stream != nullptr) continue;
      std::ifstream file(testing::SourceFolder() + "/proto/" + query.request->file()->name());
      const std::string proto(std::istreambuf_iterator<char>(file), {});
      const std::size_t end = proto.find("\nmessage " + message + " {");
      ASSERT_NE(end, std::string::npos) << query.request->file()->name();
      const std::string comment = proto.substr(proto.rfind("\n\n", end), end);
      EXPECT_NE(comment.substr(0, comment.find("\nmessage")).find("No as_of_position: "),
                std::string::npos)
          << message << " has no Stream() in " << view.name
          << "; say in its comment \"No as_of_position: \" and why";
    }
  }
}

TEST_F(Descriptors, AWatchStreamsStatesWithPositionAndHeartbeat) {
  for (const ViewEntry& view : registry_.views()) {
    for (const WatchEntry& watch : view.watches) {
      SCOPED_TRACE(watch.request->full_name());
      ExpectField(*watch.request, "resume_position", 13, pb::FieldDescriptor::TYPE_STRING);
      ExpectField(*watch.request, "min_position", 14, pb::FieldDescriptor::TYPE_STRING);
      const pb::MethodDescriptor* method = internal::MethodTaking(*watch.request);
      ASSERT_NE(method, nullptr);
      EXPECT_TRUE(method->server_streaming());
      const pb::Descriptor& response = *method->output_type();
      ExpectField(response, "heartbeat", 14, pb::FieldDescriptor::TYPE_BOOL);
      ExpectField(response, "position", 15, pb::FieldDescriptor::TYPE_STRING);
      if (watch.list) {
        ExpectField(response, "snapshot_complete", 11, pb::FieldDescriptor::TYPE_BOOL);
        ExpectField(response, "removed_key", 12, pb::FieldDescriptor::TYPE_STRING);
      } else {
        ExpectField(response, "deleted", 13, pb::FieldDescriptor::TYPE_BOOL);
      }
    }
  }
}

TEST_F(Descriptors, EveryRpcHasRequestAndResponseOfItsOwnNameAndIsServed) {
  std::set<const pb::Descriptor*> served;
  for (const CommandEntry& command : registry_.commands()) served.insert(command.request);
  for (const BatchEntry& batch : registry_.batches()) served.insert(batch.request);
  for (const ViewEntry& view : registry_.views()) {
    for (const QueryEntry& query : view.queries) served.insert(query.request);
    for (const WatchEntry& watch : view.watches) served.insert(watch.request);
  }
  for (const pb::FileDescriptor* file : Files()) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        const pb::MethodDescriptor* method = file->service(s)->method(m);
        EXPECT_EQ(method->input_type()->name(), method->name() + "Request");
        EXPECT_EQ(method->output_type()->name(), method->name() + "Response");
        EXPECT_TRUE(served.contains(method->input_type()))
            << method->full_name() << " is declared, but nobody serves it";
      }
    }
  }
}

TEST_F(Descriptors, EveryErrorReasonCarriesItsGrpcCode) {
  static const std::set<std::string> kCodes = {
      "INVALID_ARGUMENT",    "NOT_FOUND",       "ALREADY_EXISTS",
      "PERMISSION_DENIED",   "UNAUTHENTICATED", "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION", "ABORTED",         "UNAVAILABLE",
      "UNIMPLEMENTED",       "INTERNAL",        "DATA_LOSS"};
  int reasons = 0;
  for (const pb::FileDescriptor* file : Files()) {
    for (int e = 0; e < file->enum_type_count(); ++e) {
      if (file->enum_type(e)->name() != "ErrorReason") continue;
      for (int v = 1; v < file->enum_type(e)->value_count(); ++v) {
        const pb::EnumValueDescriptor* value = file->enum_type(e)->value(v);
        EXPECT_TRUE(kCodes.contains(value->options().GetExtension(core::v1::grpc_code)))
            << value->full_name();
        ++reasons;
      }
    }
  }
  EXPECT_GT(reasons, 0);
}

TEST_F(Descriptors, NamesOfCategoriesAndViewsAreUniqueAndWellFormed) {
  std::set<std::string_view> names;
  for (const AggregateEntry& aggregate : registry_.aggregates()) {
    EXPECT_TRUE(IsCategory(aggregate.category)) << aggregate.category;
    EXPECT_TRUE(names.insert(aggregate.category).second)
        << aggregate.category << " belongs to two aggregates";
  }
  names.clear();
  for (const ViewEntry& view : registry_.views()) {
    EXPECT_TRUE(IsCategory(view.name)) << view.name;
    EXPECT_TRUE(names.insert(view.name).second) << view.name << " is the name of two views";
    EXPECT_GE(view.version, 1);
  }
}

TEST_F(Descriptors, ThePackageIsTheFolder) {
  for (const pb::FileDescriptor* file : Files()) {
    std::string folder = file->name().substr(0, file->name().rfind('/'));
    std::replace(folder.begin(), folder.end(), '/', '.');
    EXPECT_EQ(file->package(), folder);
  }
}

}  // namespace
}  // namespace leftfold
