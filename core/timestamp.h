#ifndef CORE_TIMESTAMP_H_
#define CORE_TIMESTAMP_H_

#include <absl/time/time.h>
#include <google/protobuf/timestamp.pb.h>

namespace leftfold {

inline absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

inline google::protobuf::Timestamp ToProto(absl::Time time) {
  const absl::Duration since = time - absl::UnixEpoch();
  const absl::Duration seconds = absl::Floor(since, absl::Seconds(1));
  google::protobuf::Timestamp out;
  out.set_seconds(absl::ToInt64Seconds(seconds));
  out.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(since - seconds)));
  return out;
}

// In the years 1970 to 9999, with nanoseconds in their range.
inline bool IsPlausible(const google::protobuf::Timestamp& time) {
  constexpr std::int64_t kYear10000 = 253'402'300'800;
  return time.seconds() >= 0 && time.seconds() < kYear10000 && time.nanos() >= 0 &&
         time.nanos() < 1'000'000'000;
}

}  // namespace leftfold
#endif  // CORE_TIMESTAMP_H_
