#include "core/serialize.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace leftfold {

namespace pb = google::protobuf;

std::string DeterministicBytes(const pb::Message& message) {
  std::string bytes(message.ByteSizeLong(), '\0');
  {
    pb::io::ArrayOutputStream stream(bytes.data(), static_cast<int>(bytes.size()));
    pb::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeWithCachedSizes(&coded);
  }
  return bytes;
}

}  // namespace leftfold
