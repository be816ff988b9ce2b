#include "tests/fuzz/wire.h"

#include <fmt/format.h>
#include <google/protobuf/unknown_field_set.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/test/default_reactor_test_peer.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "core/registry.h"
#include "core/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "leftfold/core/v1/options.pb.h"
#include "testing/byte_buffer.h"

namespace leftfold::fuzz {
namespace {

namespace pb = google::protobuf;

constexpr absl::Duration kTimeStep = absl::Seconds(1);
// What no RPC waits longer for.
constexpr int kTimeStepsMax = 120;
constexpr std::size_t kAnswersMax = 100'000;  // Of one stream; more would never end.

[[noreturn]] void DieOf(const std::string& path, const std::string& what,
                        const google::rpc::Status& status) {
  Die(fmt::format("{}: {}: {}", path, what, status.ShortDebugString()));
}

// The enum's value for the reason; nullptr when nobody names it.
const pb::EnumValueDescriptor* FindReason(const google::rpc::ErrorInfo& info) {
  const auto* reasons =
      pb::DescriptorPool::generated_pool()->FindEnumTypeByName(info.domain() + ".ErrorReason");
  if (reasons == nullptr) return nullptr;
  return reasons->FindValueByName("ERROR_REASON_" + info.reason());
}

void ExpectRefusal(const std::string& path, const google::rpc::Status& status) {
  bool has_reason = false;
  for (const auto& detail : status.details()) {
    const std::string type = detail.type_url().substr(detail.type_url().rfind('/') + 1);
    const auto* known = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    if (known == nullptr) DieOf(path, "a detail of no known type", status);
    const std::unique_ptr<pb::Message> message(
        pb::MessageFactory::generated_factory()->GetPrototype(known)->New());
    if (!message->ParseFromString(detail.value())) DieOf(path, "a detail that is none", status);
    google::rpc::ErrorInfo info;
    if (!detail.UnpackTo(&info)) continue;
    const pb::EnumValueDescriptor* reason = FindReason(info);
    if (reason == nullptr) DieOf(path, "a reason without a name", status);
    if (reason->options().GetExtension(core::v1::grpc_code) !=
        absl::StatusCodeToString(static_cast<absl::StatusCode>(status.code())))
      DieOf(path, "not the reason's code", status);
    has_reason = true;
  }
  if (!has_reason) DieOf(path, "a refusal without reason", status);
  if (status.code() == grpc::StatusCode::UNKNOWN || status.code() == grpc::StatusCode::INTERNAL)
    DieOf(path, "a failure of the server", status);
}

// What is in it, too: outcomes of batches, results of sessions.
void ExpectKnown(const std::string& path, const pb::Message& message) {
  const pb::Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty())
    Die(fmt::format("{}: an answer with an unknown field", path));
  if (message.GetDescriptor() == google::rpc::Status::descriptor()) {
    const auto& status = static_cast<const google::rpc::Status&>(message);
    if (status.code() != 0) ExpectRefusal(path, status);
    return;
  }
  std::vector<const pb::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      ExpectKnown(path, reflection.GetMessage(message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      ExpectKnown(path, reflection.GetRepeatedMessage(message, field, i));
  }
}

// What only a transport fills in.
template <auto kMetadata, auto kDeadline>
struct Insides {
  friend grpc::internal::MetadataMap& MetadataOf(grpc::ServerContextBase& context) {
    return context.*kMetadata;
  }
  friend gpr_timespec& DeadlineOf(grpc::ServerContextBase& context) { return context.*kDeadline; }
};
grpc::internal::MetadataMap& MetadataOf(grpc::ServerContextBase& context);
gpr_timespec& DeadlineOf(grpc::ServerContextBase& context);
template struct Insides<&grpc::ServerContextBase::client_metadata_,
                        &grpc::ServerContextBase::deadline_>;

// Of the elements of a message's repeated field.
std::multiset<std::uint64_t> IdsIn(const pb::Message& message, const pb::FieldDescriptor* field) {
  std::multiset<std::uint64_t> ids;
  const pb::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    const pb::Message& element = reflection.GetRepeatedMessage(message, field, i);
    ids.insert(element.GetReflection()->GetUInt64(element,
                                                  element.GetDescriptor()->FindFieldByName("id")));
  }
  return ids;
}

// A session's request and what came: `appends` or `commands`, and `results`.
void ExpectEachAnswered(const pb::MethodDescriptor& method, const std::string& bytes,
                        const Wire::Messages& answers) {
  const auto request = rpc::RequestParser(*method.input_type()).Parse(bytes);
  if (!request.ok()) Die(PathOf(method) + " accepts what is no request");
  const auto asked = IdsIn(**request, method.input_type()->FindFieldByNumber(1));
  std::multiset<std::uint64_t> answered;
  for (const auto& answer : answers)
    answered.merge(IdsIn(*answer, method.output_type()->FindFieldByName("results")));
  if (answered != asked) {
    Die(fmt::format("{}: {} answers to {} asked by {}", PathOf(method), answered.size(),
                    asked.size(), (*request)->ShortDebugString()));
  }
}

struct Rpcs {
  std::set<std::string> all;
  std::set<std::string> called;
};
Rpcs& TheRpcs() {
  static auto* const rpcs = [] {
    if (std::getenv("LEFTFOLD_FUZZ_EVERY_RPC") != nullptr) {
      std::atexit([] {
        std::string missing;
        for (const std::string& rpc : TheRpcs().all) {
          if (!TheRpcs().called.contains(rpc)) missing += " " + rpc;
        }
        fmt::print(stderr, "{} RPCs, all of them called: {}\n", TheRpcs().all.size(),
                   missing.empty() ? "yes" : "no, not" + missing);
        if (!missing.empty()) _exit(1);
      });
    }
    return new Rpcs;
  }();
  return *rpcs;
}

}  // namespace

std::string PathOf(const pb::MethodDescriptor& method) {
  return fmt::format("/{}/{}", method.service()->full_name(), method.name());
}

const pb::MethodDescriptor& RpcTaking(const pb::Descriptor& request) {
  const pb::MethodDescriptor* method = internal::MethodTaking(request);
  if (method == nullptr) Die("no RPC takes " + request.full_name());
  return *method;
}

void ExpectRefusal(const std::string& path, const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details()) ||
      details.code() != static_cast<int>(status.error_code())) {
    Die(fmt::format("{}: {} '{}' with details that are not of it", path,
                    static_cast<int>(status.error_code()), status.error_message()));
  }
  ExpectRefusal(path, details);
}

std::unique_ptr<pb::Message> ExpectMessage(const pb::MethodDescriptor& method,
                                           const grpc::ByteBuffer& bytes) {
  std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(method.output_type())->New());
  grpc::Slice slice;
  if (bytes.Valid() && !bytes.DumpToSingleSlice(&slice).ok()) Die("no bytes");
  if (!message->ParseFromArray(slice.begin(), static_cast<int>(slice.size())))
    Die(PathOf(method) + ": an answer that does not parse");
  ExpectKnown(PathOf(method), *message);
  return message;
}

void HasRpc(const pb::MethodDescriptor& method) { TheRpcs().all.insert(PathOf(method)); }
void WasCalled(const pb::MethodDescriptor& method) { TheRpcs().called.insert(PathOf(method)); }

// A call between its two ends. The client reads all that comes.
class Wire::Ongoing {
 public:
  Ongoing(const pb::MethodDescriptor& method, const Asks& asks)
      : method_(method), path_(PathOf(method)), in_(testing::BufferOf(asks.bytes)) {
    headers_ = asks.headers;
    if (asks.trusted) headers_.emplace_back("authorization", std::string("Bearer ") + kToken);
    for (const auto& [name, value] : headers_)
      MetadataOf(context_).map()->insert({grpc::string_ref(name), grpc::string_ref(value)});
    if (asks.no_time_left) DeadlineOf(context_) = gpr_inf_past(GPR_CLOCK_REALTIME);
  }
  virtual ~Ongoing() = default;
  Ongoing(const Ongoing&) = delete;
  Ongoing& operator=(const Ongoing&) = delete;

  // Does what the transport has to do; whether there was something.
  virtual bool Step() = 0;
  void Cancel() {
    if (!std::exchange(cancelled_, true)) OnCancel();
  }
  virtual bool ended() const = 0;
  bool accepted() const { return accepted_; }
  Messages Take() { return std::move(messages_); }

 protected:
  void Got(const grpc::ByteBuffer& bytes) {
    if (++got_ > kAnswersMax) Die(path_ + " writes without end");
    messages_.push_back(ExpectMessage(method_, bytes));
  }
  void Ended(const grpc::Status& status) {
    accepted_ = status.ok() && !cancelled_;
    if (status.ok() || (cancelled_ && status.error_code() == grpc::StatusCode::CANCELLED)) return;
    ExpectRefusal(path_, status);
  }

  const pb::MethodDescriptor& method_;
  const std::string path_;
  const grpc::ByteBuffer in_;
  grpc::CallbackServerContext context_;

 private:
  virtual void OnCancel() = 0;

  bool accepted_ = false;
  bool cancelled_ = false;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::size_t got_ = 0;
  Messages messages_;
};

class Wire::Unary final : public Ongoing {
 public:
  Unary(const rpc::Services& services, const pb::MethodDescriptor& method, const Asks& asks)
      : Ongoing(method, asks), end_(&context_) {
    services.ServeUnary(path_, &context_, &in_, &out_);
  }
  bool Step() override {
    if (seen_ || !end_.test_status_set()) return false;
    seen_ = true;
    Ended(end_.test_status());
    if (end_.test_status().ok()) Got(out_);
    return true;
  }
  bool ended() const override { return seen_; }

 private:
  void OnCancel() override {}  // Nobody hears of it.

  grpc::testing::DefaultReactorTestPeer end_;
  grpc::ByteBuffer out_;
  bool seen_ = false;
};

// A call that writes; End is the transport's side of its Reactor.
template <class End, class Reactor>
class Wire::Writing : public Ongoing, public End {
 public:
  Writing(const pb::MethodDescriptor& method, const Asks& asks)
      : Ongoing(method, asks), goes_away_(asks.goes_away) {}
  bool Step() override {
    if (ended()) return false;
    if (writing_) {
      Got(*std::exchange(writing_, std::nullopt));
      const bool lost = std::exchange(goes_away_, false);
      served_->OnWriteDone(!lost);
      if (lost) Cancel();
      return true;
    }
    if (!finished_) return false;
    Ended(*finished_);
    std::exchange(served_, nullptr)->OnDone();
    return true;
  }
  bool ended() const override { return served_ == nullptr; }

 protected:
  void Serve(Reactor* served) {
    served_ = served;
    this->BindReactor(served);
  }
  Reactor* served_ = nullptr;
  std::optional<grpc::Status> finished_;

 private:
  void OnCancel() override {
    if (!ended() && !finished_) served_->OnCancel();
  }
  void SendInitialMetadata() override {}
  void Write(const grpc::ByteBuffer* bytes, grpc::WriteOptions) override {
    if (finished_ || writing_) Die(path_ + ": a write during another, or after the end");
    writing_ = *bytes;
  }
  void Finish(grpc::Status status) override {
    if (finished_ || writing_) Die(path_ + ": an end during a write, or a second one");
    finished_ = std::move(status);
  }
  void WriteAndFinish(const grpc::ByteBuffer*, grpc::WriteOptions, grpc::Status) override {
    Die(path_ + ": a write with the end");
  }
  void CallOnDone() override {}
  grpc::internal::ServerReactor* reactor() override { return served_; }

  bool goes_away_;
  std::optional<grpc::ByteBuffer> writing_;
};

class Wire::Stream final : public Writing<grpc::ServerCallbackWriter<grpc::ByteBuffer>,
                                          grpc::ServerWriteReactor<grpc::ByteBuffer>> {
 public:
  Stream(const rpc::Services& services, const pb::MethodDescriptor& method, const Asks& asks)
      : Writing(method, asks) {
    Serve(services.ServeStream(path_, &context_, &in_));
  }
};

// The client sends one message and closes its side.
class Wire::Session final
    : public Writing<grpc::ServerCallbackReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>,
                     grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>> {
 public:
  Session(const rpc::Services& services, const pb::MethodDescriptor& method, const Asks& asks)
      : Writing(method, asks) {
    Serve(services.ServeSession(path_, &context_));
  }
  bool Step() override {
    if (reading_ == nullptr || finished_ || ended()) return Writing::Step();
    grpc::ByteBuffer* const read = std::exchange(reading_, nullptr);
    const bool more = !std::exchange(sent_, true);
    if (more) *read = in_;
    served_->OnReadDone(more);
    return true;
  }

 private:
  void Read(grpc::ByteBuffer* message) override {
    if (std::exchange(reading_, message) != nullptr) Die(path_ + ": a read during another");
  }

  bool sent_ = false;
  grpc::ByteBuffer* reading_ = nullptr;
};

Wire::Wire(rpc::Services& services, testing::VirtualScheduler& scheduler)
    : services_(services), scheduler_(scheduler) {}
Wire::~Wire() { CloseAll(); }

std::unique_ptr<Wire::Ongoing> Wire::Begin(const pb::MethodDescriptor& method, const Asks& asks) {
  WasCalled(method);
  std::unique_ptr<Ongoing> call;
  if (method.client_streaming()) {
    call = std::make_unique<Session>(services_, method, asks);
  } else if (method.server_streaming()) {
    call = std::make_unique<Stream>(services_, method, asks);
  } else {
    call = std::make_unique<Unary>(services_, method, asks);
  }
  if (asks.cancels_soon) call->Cancel();
  return call;
}

void Wire::RunReady(const std::vector<Ongoing*>& calls) {
  for (bool more = true; more;) {
    scheduler_.RunReady();
    more = false;
    for (Ongoing* call : calls) more = call->Step() || more;
  }
}

void Wire::AwaitEnd(Ongoing& call) {
  RunReady({&call});
  for (int step = 0; !call.ended(); ++step) {
    if (step > kTimeStepsMax) Die("a call that does not end");
    scheduler_.RunFor(kTimeStep);
    RunReady({&call});
  }
}

Wire::Messages Wire::Call(const pb::MethodDescriptor& method, const Asks& asks) {
  const auto call = Begin(method, asks);
  AwaitEnd(*call);
  Messages answers = call->Take();
  if (method.client_streaming() && call->accepted())
    ExpectEachAnswered(method, asks.bytes, answers);
  return answers;
}

Wire::Messages Wire::Open(const pb::MethodDescriptor& method, const Asks& asks) {
  open_.push_back(Begin(method, asks));
  RunReady({open_.back().get()});
  return open_.back()->Take();
}

void Wire::Pass(absl::Duration time) {
  std::vector<Ongoing*> calls;
  for (const auto& call : open_) calls.push_back(call.get());
  RunReady(calls);
  scheduler_.RunFor(time);
  RunReady(calls);
}

void Wire::CloseAll() {
  for (const auto& call : open_) {
    call->Cancel();
    AwaitEnd(*call);
  }
  open_.clear();
}

}  // namespace leftfold::fuzz
