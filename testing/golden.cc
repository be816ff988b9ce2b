#include "testing/golden.h"

#include <absl/strings/escaping.h>
#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

#include "testing/source_folder.h"

namespace leftfold::testing {
namespace {

namespace fs = std::filesystem;
namespace pb = google::protobuf;
using Fields = std::set<const pb::FieldDescriptor*>;

constexpr std::string_view kExtension = ".txt";
// How deep messages are filled.
constexpr int kDepthMax = 4;

// "domains/rooms/golden" of "leftfold.rooms.v1.RoomCreated".
fs::path FolderOf(const std::string& type) {
  const std::size_t begin = type.find('.') + 1;
  const std::string domain = type.substr(begin, type.find('.', begin) - begin);
  return domain == "core" ? fs::path("core/golden") : fs::path("domains") / domain / "golden";
}

Golden ReadFile(const fs::path& path) {
  Golden golden;
  golden.name = path.stem();
  golden.type = golden.name.substr(0, golden.name.rfind('.'));
  std::ifstream file(path);
  std::string hex;
  std::getline(file, hex);
  std::getline(file, golden.json);
  EXPECT_TRUE(file) << path << " has no two lines";
  EXPECT_EQ(path.parent_path().filename(), "golden");
  golden.bytes = absl::HexStringToBytes(hex);
  EXPECT_EQ(absl::BytesToHexString(golden.bytes), hex) << path;
  return golden;
}

bool IsOpaque(const pb::Descriptor& type) { return type.full_name() == "google.protobuf.Any"; }
// Its fields are one value.
bool IsValue(const pb::Descriptor& type) {
  return type.full_name() == "google.protobuf.Timestamp" ||
         type.full_name() == "google.protobuf.Duration";
}

// Fields of the type and of those in it.
void AddFieldsOf(const pb::Descriptor& type, Fields& fields) {
  if (IsOpaque(type) || IsValue(type)) return;
  for (int i = 0; i < type.field_count(); ++i) {
    const pb::FieldDescriptor* field = type.field(i);
    if (fields.insert(field).second && field->message_type() != nullptr) {
      AddFieldsOf(*field->message_type(), fields);
    }
  }
}

void AddFieldsSetIn(const pb::Message& message, Fields& fields) {
  const pb::Reflection& reflection = *message.GetReflection();
  std::vector<const pb::FieldDescriptor*> set;
  reflection.ListFields(message, &set);
  for (const pb::FieldDescriptor* field : set) {
    fields.insert(field);
    if (field->message_type() == nullptr) continue;
    const int size = field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      AddFieldsSetIn(field->is_repeated() ? reflection.GetRepeatedMessage(message, field, i)
                                          : reflection.GetMessage(message, field),
                     fields);
    }
  }
}

void Fill(pb::Message& message, const Fields& shown, int depth);

// Something that is not the default.
void Set(pb::Message& message, const pb::FieldDescriptor& field, const Fields& shown, int depth) {
  const pb::Reflection& r = *message.GetReflection();
  const int number = field.number();
  const auto set = [&](auto setter, auto adder, auto value) {
    if (field.is_repeated()) {
      (r.*adder)(&message, &field, value);
    } else {
      (r.*setter)(&message, &field, value);
    }
  };
  using R = pb::Reflection;
  using Type = pb::FieldDescriptor;
  switch (field.cpp_type()) {
    case Type::CPPTYPE_INT32:
      return set(&R::SetInt32, &R::AddInt32, number);
    case Type::CPPTYPE_INT64:
      return set(&R::SetInt64, &R::AddInt64, std::int64_t{number});
    case Type::CPPTYPE_UINT32:
      return set(&R::SetUInt32, &R::AddUInt32, static_cast<std::uint32_t>(number));
    case Type::CPPTYPE_UINT64:
      return set(&R::SetUInt64, &R::AddUInt64, static_cast<std::uint64_t>(number));
    case Type::CPPTYPE_DOUBLE:
      return set(&R::SetDouble, &R::AddDouble, number + 0.5);
    case Type::CPPTYPE_FLOAT:
      return set(&R::SetFloat, &R::AddFloat, static_cast<float>(number) + 0.5F);
    case Type::CPPTYPE_BOOL:
      return set(&R::SetBool, &R::AddBool, true);
    case Type::CPPTYPE_ENUM:
      return set(&R::SetEnumValue, &R::AddEnumValue,
                 field.enum_type()->value(field.enum_type()->value_count() - 1)->number());
    case Type::CPPTYPE_STRING:
      if (field.is_repeated()) return r.AddString(&message, &field, field.name());
      return r.SetString(&message, &field, field.name());
    case Type::CPPTYPE_MESSAGE:
      if (depth == kDepthMax) return;
      Fill(field.is_repeated() ? *r.AddMessage(&message, &field)
                               : *r.MutableMessage(&message, &field),
           shown, depth + 1);
  }
}

// Every field; of a oneof the first that is not in `shown`.
void Fill(pb::Message& message, const Fields& shown, int depth) {
  const pb::Descriptor& type = *message.GetDescriptor();
  if (IsOpaque(type)) return;
  std::set<const pb::OneofDescriptor*> chosen;
  for (const bool again : {false, true}) {
    for (int i = 0; i < type.field_count(); ++i) {
      const pb::FieldDescriptor& field = *type.field(i);
      const pb::OneofDescriptor* oneof = field.real_containing_oneof();
      if (oneof == nullptr) {
        if (!again) Set(message, field, shown, depth);
      } else if ((again || !shown.contains(&field)) && chosen.insert(oneof).second) {
        Set(message, field, shown, depth);
      }
    }
  }
}

// Fields of the type that none of its samples shows, and those that one does.
struct Coverage {
  bool any = false;
  Fields shown;
  std::vector<const pb::FieldDescriptor*> missing;
};

Coverage CoverageOf(const std::string& type, const pb::Message& prototype,
                    const std::vector<Golden>& goldens) {
  Coverage coverage;
  for (const Golden& golden : goldens) {
    if (golden.type != type) continue;
    coverage.any = true;
    const std::unique_ptr<pb::Message> message(prototype.New());
    if (message->ParseFromString(golden.bytes)) AddFieldsSetIn(*message, coverage.shown);
  }
  Fields all;
  AddFieldsOf(*prototype.GetDescriptor(), all);
  std::copy_if(all.begin(), all.end(), std::back_inserter(coverage.missing),
               [&](const auto* field) { return !coverage.shown.contains(field); });
  return coverage;
}

// As the next sample of its type; the file's path.
std::string Write(const fs::path& root, const pb::Message& message) {
  const std::string& type = message.GetDescriptor()->full_name();
  const fs::path folder = root / FolderOf(type);
  fs::create_directories(folder);
  fs::path path;
  int n = 0;
  do {
    path = folder / fmt::format("{}.{}{}", type, ++n, kExtension);
  } while (fs::exists(path));
  std::ofstream(path) << absl::BytesToHexString(message.SerializeAsString()) << "\n"
                      << JsonOf(message) << "\n";
  return path;
}

}  // namespace

std::string JsonOf(const pb::Message& message) {
  std::string json;
  const auto printed = pb::util::MessageToJsonString(message, &json);
  EXPECT_TRUE(printed.ok()) << printed.ToString();
  return json;
}

std::vector<Golden> ReadGoldens(const std::string& root) {
  std::vector<fs::path> folders = {fs::path(root) / "core" / "golden"};
  std::error_code none;
  for (const auto& domain : fs::directory_iterator(fs::path(root) / "domains", none)) {
    folders.push_back(domain.path() / "golden");
  }
  std::vector<Golden> goldens;
  for (const fs::path& folder : folders) {
    for (const auto& file : fs::directory_iterator(folder, none)) {
      goldens.push_back(ReadFile(file.path()));
      EXPECT_EQ(fs::path(root) / FolderOf(goldens.back().type), folder) << file.path();
    }
  }
  std::sort(goldens.begin(), goldens.end(),
            [](const Golden& a, const Golden& b) { return a.name < b.name; });
  return goldens;
}

Golden GoldenOf(const std::string& name) {
  return ReadFile(fs::path(SourceFolder()) / FolderOf(name) / (name + std::string(kExtension)));
}

std::vector<std::string> MissingIn(const std::vector<Golden>& goldens, const EventTypes& types) {
  std::vector<std::string> missing;
  for (const auto& [type, prototype] : types) {
    const Coverage coverage = CoverageOf(type, *prototype, goldens);
    if (!coverage.any) missing.push_back(type);
    if (!coverage.any) continue;
    for (const pb::FieldDescriptor* field : coverage.missing) {
      missing.push_back(type + ": " + field->full_name());
    }
  }
  return missing;
}

std::vector<std::string> WriteMissing(const std::string& root, const EventTypes& types) {
  std::vector<std::string> written;
  for (const auto& [type, prototype] : types) {
    std::vector<Golden> goldens = ReadGoldens(root);
    Coverage coverage = CoverageOf(type, *prototype, goldens);
    while (!coverage.any || !coverage.missing.empty()) {
      const std::unique_ptr<pb::Message> sample(prototype->New());
      Fill(*sample, coverage.shown, 0);
      written.push_back(Write(root, *sample));
      goldens.push_back(ReadFile(written.back()));
      const std::size_t before = coverage.missing.size();
      const bool first = !coverage.any;
      coverage = CoverageOf(type, *prototype, goldens);
      if (!first && coverage.missing.size() == before) break;  // Too deep to be shown.
    }
  }
  return written;
}

}  // namespace leftfold::testing
