#ifndef CORE_SESSION_SINK_H_
#define CORE_SESSION_SINK_H_

#include <absl/status/status.h>
#include <google/protobuf/message.h>

namespace leftfold {

// Where the messages of a call with two directions come from and go; the server implements it over
// an RPC stream. None is called while another runs; none may block. Read: the session's OnRead
// follows once. Write is called again only after OnWritten. Finish is called once, last, and not
// while a write is outstanding (a read may be).
class SessionSink {
 public:
  virtual ~SessionSink() = default;
  virtual void Read() = 0;
  virtual void Write(const google::protobuf::Message& message) = 0;
  virtual void Finish(const absl::Status& status) = 0;
};

}  // namespace leftfold
#endif  // CORE_SESSION_SINK_H_
