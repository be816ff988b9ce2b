#ifndef SERVER_JSON_FILE_H_
#define SERVER_JSON_FILE_H_

#include <absl/status/status.h>
#include <google/protobuf/message.h>

#include <string>
#include <string_view>

// Configuration that the server keeps in the data folder: a message in protobuf's JSON form.
namespace leftfold {

// "PATH cannot be used: WHY", FAILED_PRECONDITION.
absl::Status CannotUse(const std::string& path, std::string_view why);
// Leaves the message as it is when there is no such file. CannotUse when it cannot be read or is no
// such message, without a word of what is in it: there may be secrets.
absl::Status ReadJsonFile(const std::string& path, google::protobuf::Message& message);
// Replaces the file, which only its owner may read; durable, or nothing has changed.
absl::Status WriteJsonFile(const std::string& path, const google::protobuf::Message& message);

}  // namespace leftfold
#endif  // SERVER_JSON_FILE_H_
