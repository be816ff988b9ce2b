#include "tests/fuzz/proto_mutator.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <utility>

namespace leftfold::fuzz {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

constexpr std::size_t kHeaderBytes = 4;

const std::vector<std::string>& NastyStrings() {
  static const std::vector<std::string> strings = {
      "",
      std::string(1, '\0'),
      std::string("a\0b", 3),
      "\xff\xfe",
      "\xc3",          // Half a letter.
      "\xed\xa0\x80",  // A surrogate.
      "\xf0\x9f\x8d\x95",
      "\u202ex",
      std::string(128, 'a'),
      std::string(129, 'a'),
      std::string(5'000, 'x'),
      " ",
      "\n",
      "a",
      "a-b",
      "-",
      "..",
      "/etc/passwd",
      "'; DROP TABLE x; --",
      "%s%n{}{0}",
      "\"*\" OR (NEAR",
      "* * * * *",
      "0 9 * * MON",
      "1.2.3",
      "2026-11-21T07:24:42Z",
      "9223372036854775807",
      "9223372036854775808",
      "-1",
      "0",
      "1",
      "3",
      "lf:1",
      "EUR",
      "{}",
      "[",
      "true",
  };
  return strings;
}

constexpr std::array<std::int64_t, 26> kEdges = {
    0,
    1,
    2,
    3,
    -1,
    -2,
    50,
    99,
    100,
    127,
    128,
    255,
    256,
    999,
    1'000,
    1'001,
    65'535,
    65'536,
    std::numeric_limits<std::int32_t>::max(),
    std::numeric_limits<std::int32_t>::min(),
    std::numeric_limits<std::uint32_t>::max(),
    253'402'300'799,  // The last second of the year 9999.
    253'402'300'800,
    std::numeric_limits<std::int64_t>::max() - 1,
    std::numeric_limits<std::int64_t>::max(),
    std::numeric_limits<std::int64_t>::min(),
};

std::size_t BytesOf(const std::vector<Record>& records) {
  std::size_t bytes = 0;
  for (const Record& record : records) bytes += kHeaderBytes + record.bytes.size();
  return bytes;
}

}  // namespace

std::vector<Record> Split(const std::uint8_t* data, std::size_t size) {
  std::vector<Record> records;
  while (size >= kHeaderBytes) {
    const std::size_t said = data[2] + 256U * data[3];
    const std::size_t length = std::min(said, size - kHeaderBytes);
    records.push_back(
        {data[0], data[1], {reinterpret_cast<const char*>(data) + kHeaderBytes, length}});
    data += kHeaderBytes + length;
    size -= kHeaderBytes + length;
  }
  return records;
}

std::string Join(const std::vector<Record>& records) {
  std::string joined;
  for (const Record& record : records) {
    const std::size_t length = std::min(record.bytes.size(), kRecordBytesMax);
    joined += static_cast<char>(record.choice);
    joined += static_cast<char>(record.flags);
    joined += static_cast<char>(length % 256);
    joined += static_cast<char>(length / 256);
    joined.append(record.bytes, 0, length);
  }
  return joined;
}

void Mutator::Mutate(std::vector<Record>& records, std::size_t bytes_max) {
  for (std::size_t n = 1 + Below(kMutationsMax); n > 0; --n) {
    const std::size_t at = Below(records.size());
    const std::size_t what = records.empty() ? 0 : Below(16);
    if (what == 0) {
      if (records.size() >= surface_.records_max) continue;
      const auto before = static_cast<std::ptrdiff_t>(Below(records.size() + 1));
      records.insert(records.begin() + before, NewRecord());
    } else if (what == 1) {
      if (records.size() >= surface_.records_max) continue;
      records.push_back(records[at]);
    } else if (what == 2) {
      records.erase(records.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (what == 3) {
      std::swap(records[at], records[Below(records.size())]);
    } else {
      MutateOne(records[at]);
    }
  }
  while (records.size() > surface_.records_max ||
         (!records.empty() && BytesOf(records) > bytes_max)) {
    records.erase(records.begin() + static_cast<std::ptrdiff_t>(Below(records.size())));
  }
}

std::vector<Record> Mutator::Cross(const std::vector<Record>& one, const std::vector<Record>& other,
                                   std::size_t bytes_max) {
  std::vector<Record> crossed(one.begin(),
                              one.begin() + static_cast<std::ptrdiff_t>(Below(one.size() + 1)));
  crossed.insert(crossed.end(),
                 other.begin() + static_cast<std::ptrdiff_t>(Below(other.size() + 1)), other.end());
  if (crossed.size() > surface_.records_max) crossed.resize(surface_.records_max);
  while (!crossed.empty() && BytesOf(crossed) > bytes_max) crossed.pop_back();
  return crossed;
}

Record Mutator::NewRecord() {
  Record record;
  record.choice = static_cast<std::uint8_t>(Below(surface_.requests.size()));
  record.flags = static_cast<std::uint8_t>(Below(256));
  const pb::Descriptor* type = surface_.requests[record.choice];
  if (type == nullptr) {
    record.bytes = NewString("");
    return record;
  }
  const std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  Fill(*message);
  record.bytes = message->SerializePartialAsString();
  return record;
}

void Mutator::MutateOne(Record& record) {
  if (OneIn(32)) record.choice = static_cast<std::uint8_t>(Below(256));
  if (OneIn(8)) record.flags = static_cast<std::uint8_t>(record.flags ^ (1U << Below(8)));
  const pb::Descriptor* type = surface_.requests[record.choice % surface_.requests.size()];
  if (type == nullptr || OneIn(32)) {
    record.bytes = NewString(std::move(record.bytes));
  } else {
    const std::unique_ptr<pb::Message> message(
        pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
    // Of bytes that are no such message it goes on with what was understood.
    message->ParsePartialFromString(record.bytes);
    Mutate(*message);
    record.bytes = message->SerializePartialAsString();
  }
  if (record.bytes.size() > kRecordBytesMax) record.bytes.resize(kRecordBytesMax);
}

void Mutator::Mutate(pb::Message& message, int depth) {
  if (OneIn(64)) return SetUnknown(message);
  if (auto* any = dynamic_cast<pb::Any*>(&message); any != nullptr && !surface_.payloads.empty()) {
    const std::unique_ptr<pb::Message> payload(
        surface_.payloads[Below(surface_.payloads.size())]->New());
    Fill(*payload, depth + 1);
    any->PackFrom(*payload);
    if (!OneIn(8)) return;
  }
  const pb::Descriptor& type = *message.GetDescriptor();
  if (type.field_count() == 0) return;
  const Field& field =
      *type.field(static_cast<int>(Below(static_cast<std::size_t>(type.field_count()))));
  if (field.is_repeated()) return MutateRepeated(message, field, depth);
  const pb::Reflection& reflection = *message.GetReflection();
  if (OneIn(6)) return reflection.ClearField(&message, &field);
  Set(message, field, depth);
}

void Mutator::Fill(pb::Message& message, int depth) {
  const pb::Descriptor& type = *message.GetDescriptor();
  if (type.full_name() == "google.protobuf.Any") return Mutate(message, depth);
  for (int i = 0; i < type.field_count(); ++i) {
    if (OneIn(2)) Set(message, *type.field(i), depth);
  }
}

void Mutator::MutateRepeated(pb::Message& message, const Field& field, int depth) {
  const pb::Reflection& reflection = *message.GetReflection();
  const int size = reflection.FieldSize(message, &field);
  const int at = static_cast<int>(Below(static_cast<std::size_t>(size)));
  const std::size_t what = size == 0 ? 0 : Below(4);
  if (what == 0) {
    if (size < kRepeatedMax) Set(message, field, depth);
  } else if (what == 1) {
    reflection.SwapElements(&message, &field, at, size - 1);
    reflection.RemoveLast(&message, &field);
  } else if (what == 2) {
    reflection.SwapElements(&message, &field, at,
                            static_cast<int>(Below(static_cast<std::size_t>(size))));
  } else if (field.cpp_type() == Field::CPPTYPE_MESSAGE) {
    if (depth < kMutationDepthMax) {
      Mutate(*reflection.MutableRepeatedMessage(&message, &field, at), depth + 1);
    }
  } else {
    Set(message, field, depth);
    reflection.SwapElements(&message, &field, at, size);
    reflection.RemoveLast(&message, &field);
  }
}

void Mutator::Set(pb::Message& message, const Field& field, int depth) {
  const pb::Reflection& reflection = *message.GetReflection();
  const bool add = field.is_repeated();
  switch (field.cpp_type()) {
#define LEFTFOLD_SET(Kind, value)                            \
  return add ? reflection.Add##Kind(&message, &field, value) \
             : reflection.Set##Kind(&message, &field, value)
    case Field::CPPTYPE_INT32:
      LEFTFOLD_SET(Int32, static_cast<std::int32_t>(NewInteger()));
    case Field::CPPTYPE_UINT32:
      LEFTFOLD_SET(UInt32, static_cast<std::uint32_t>(NewInteger()));
    case Field::CPPTYPE_INT64:
      LEFTFOLD_SET(Int64, static_cast<std::int64_t>(NewInteger()));
    case Field::CPPTYPE_UINT64:
      LEFTFOLD_SET(UInt64, NewInteger());
    case Field::CPPTYPE_BOOL:
      LEFTFOLD_SET(Bool, OneIn(2));
    case Field::CPPTYPE_FLOAT:
      LEFTFOLD_SET(Float, static_cast<float>(NewDouble()));
    case Field::CPPTYPE_DOUBLE:
      LEFTFOLD_SET(Double, NewDouble());
    case Field::CPPTYPE_ENUM: {
      const pb::EnumDescriptor& values = *field.enum_type();
      const int known =
          values.value(static_cast<int>(Below(static_cast<std::size_t>(values.value_count()))))
              ->number();
      LEFTFOLD_SET(EnumValue, OneIn(8) ? static_cast<std::int32_t>(NewInteger()) : known);
    }
#undef LEFTFOLD_SET
    case Field::CPPTYPE_STRING: {
      if (add) return reflection.AddString(&message, &field, NewString(""));
      std::string before = reflection.GetString(message, &field);
      return reflection.SetString(&message, &field, NewString(std::move(before)));
    }
    case Field::CPPTYPE_MESSAGE: {
      if (add) {
        pb::Message& element = *reflection.AddMessage(&message, &field);
        if (depth < kMutationDepthMax) Fill(element, depth + 1);
        return;
      }
      const bool fresh = !reflection.HasField(message, &field);
      pb::Message& inner = *reflection.MutableMessage(&message, &field);
      if (depth >= kMutationDepthMax) return;
      return fresh ? Fill(inner, depth + 1) : Mutate(inner, depth + 1);
    }
  }
}

void Mutator::SetUnknown(pb::Message& message) {
  pb::UnknownFieldSet& unknown = *message.GetReflection()->MutableUnknownFields(&message);
  if (!unknown.empty()) return unknown.Clear();
  const int number = 1'000 + static_cast<int>(Below(100));
  if (OneIn(2)) {
    unknown.AddVarint(number, NewInteger());
  } else {
    unknown.AddLengthDelimited(number, NewString(""));
  }
}

std::string Mutator::MutatedBytes(std::string bytes) {
  if (mutate_bytes_ == nullptr) return bytes;
  const std::size_t size = bytes.size();
  const std::size_t size_max = std::min(kRecordBytesMax, size + 64);
  bytes.resize(std::max(size, size_max));
  bytes.resize(mutate_bytes_(reinterpret_cast<std::uint8_t*>(bytes.data()), size, bytes.size()));
  return bytes;
}

std::string Mutator::NewString(std::string before) {
  switch (Below(8)) {
    case 0:
      return NastyStrings()[Below(NastyStrings().size())];
    case 1:
    case 2:
      return MutatedBytes(std::move(before));
    case 3:
      return before + NewString("");
    case 4:
      return std::to_string(static_cast<std::int64_t>(NewInteger()));
    default:
      if (surface_.words.empty()) return NastyStrings()[Below(NastyStrings().size())];
      return surface_.words[Below(surface_.words.size())];
  }
}

std::uint64_t Mutator::NewInteger() {
  if (OneIn(2)) return static_cast<std::uint64_t>(kEdges[Below(kEdges.size())]);
  if (OneIn(4)) return (static_cast<std::uint64_t>(random_()) << 32U) ^ random_();
  return Below(64);
}

double Mutator::NewDouble() {
  constexpr std::array<double, 8> edges = {0,
                                           -0.0,
                                           0.5,
                                           -1,
                                           1e308,
                                           std::numeric_limits<double>::infinity(),
                                           -std::numeric_limits<double>::infinity(),
                                           std::numeric_limits<double>::quiet_NaN()};
  return edges[Below(edges.size())];
}

}  // namespace leftfold::fuzz
