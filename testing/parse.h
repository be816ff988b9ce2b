#ifndef TESTING_PARSE_H_
#define TESTING_PARSE_H_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

namespace leftfold::testing {

// A message from its text form; fails the test when it is none.
template <class Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

}  // namespace leftfold::testing
#endif  // TESTING_PARSE_H_
