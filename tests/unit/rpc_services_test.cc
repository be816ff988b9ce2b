// Assembled services over a real socket, with the admin contract as the example.
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/sync_stream.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "core/reject.h"
#include "core/status.h"
#include "leftfold/admin/v1/admin.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "rpc/server.h"
#include "rpc/services.h"
#include "testing/byte_buffer.h"
#include "testing/grpc_error.h"

namespace leftfold::rpc {
namespace {

using admin::v1::ListViewsRequest;
using admin::v1::ListViewsResponse;
using admin::v1::RebuildViewRequest;
using admin::v1::RebuildViewResponse;
using ::leftfold::testing::ErrorOf;
using ::leftfold::testing::GrpcError;

constexpr char kUnary[] = "/leftfold.admin.v1.AdminService/ListViews";
constexpr char kStream[] = "/leftfold.admin.v1.AdminService/RebuildView";

// Hands values from one thread to another.
template <class T>
class Handover {
 public:
  void Put(T value) {
    const std::lock_guard lock(mu_);
    values_.push_back(std::move(value));
    here_.notify_all();
  }
  T Take() {
    std::unique_lock lock(mu_);
    here_.wait(lock, [this] { return !values_.empty(); });
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

 private:
  std::mutex mu_;
  std::condition_variable here_;
  std::deque<T> values_;
};

class RpcServices : public ::testing::Test {
 protected:
  void Serve(
      UnaryHandler unary,
      StreamHandler stream = [](ServerStream& s) { s.Finish(absl::OkStatus()); }) {
    ASSERT_TRUE(services_.HandleUnary(*ListViewsRequest::descriptor(), std::move(unary)).ok());
    ASSERT_TRUE(services_.HandleStream(*RebuildViewRequest::descriptor(), std::move(stream)).ok());
    auto server =
        RpcServer::Start({.listen = "127.0.0.1:0", .services = &services_, .generated = {}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  }

  static UnaryHandler Empty() {
    return [](UnaryCall call) { call.Finish(ListViewsResponse()); };
  }

  grpc::Status Send(const std::string& bytes, ListViewsResponse* response = nullptr,
                    const char* path = kUnary) {
    grpc::ClientContext context;
    return Send(context, bytes, response, path);
  }
  grpc::Status Send(grpc::ClientContext& context, const std::string& bytes,
                    ListViewsResponse* response = nullptr, const char* path = kUnary) {
    const grpc::internal::RpcMethod method(path, grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ByteBuffer answer;
    const grpc::Status status =
        grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
            channel_.get(), method, &context, testing::BufferOf(bytes), &answer);
    grpc::Slice slice;
    if (status.ok() && response != nullptr && answer.DumpToSingleSlice(&slice).ok()) {
      EXPECT_TRUE(response->ParseFromArray(slice.begin(), static_cast<int>(slice.size())));
    }
    return status;
  }
  std::unique_ptr<grpc::ClientReader<RebuildViewResponse>> Open(grpc::ClientContext& context,
                                                                const std::string& bytes) {
    const grpc::internal::RpcMethod method(kStream, grpc::internal::RpcMethod::SERVER_STREAMING);
    return std::unique_ptr<grpc::ClientReader<RebuildViewResponse>>(
        grpc::internal::ClientReaderFactory<RebuildViewResponse>::Create(
            channel_.get(), method, &context, testing::BufferOf(bytes)));
  }

  Services services_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(RpcServices, AUnaryCallGetsTheHandlersResponse) {
  Serve([](UnaryCall call) {
    auto response = std::make_unique<ListViewsResponse>();
    response->add_views()->set_name("rooms");
    call.Finish(absl::StatusOr<MessagePtr>(std::move(response)));
  });
  ListViewsResponse response;
  ASSERT_TRUE(Send("", &response).ok());
  ASSERT_EQ(response.views_size(), 1);
  EXPECT_EQ(response.views(0).name(), "rooms");
}

TEST_F(RpcServices, ACallCanBeFinishedLaterOnAnotherThread) {
  Handover<std::shared_ptr<UnaryCall>> calls;
  Serve([&](UnaryCall call) { calls.Put(std::make_shared<UnaryCall>(std::move(call))); });
  std::jthread finisher([&] { calls.Take()->Finish(ListViewsResponse()); });
  EXPECT_TRUE(Send("").ok());
}

TEST_F(RpcServices, TheHandlerSeesHeadersAndDeadline) {
  Handover<std::string> seen;
  Serve([&](UnaryCall call) {
    const CallFacts facts = call.facts();
    const bool soon =
        facts.TimeLeft() > absl::ZeroDuration() && facts.TimeLeft() <= absl::Seconds(61);
    seen.Put(fmt::format("{}|{}|{}|{}|{}", facts.Header("authorization"),
                         facts.Header("x-correlation-id"), facts.Header("missing"), facts.Actor(),
                         soon));
    call.Finish(ListViewsResponse());
  });
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer t");
  context.AddMetadata("x-correlation-id", "c1");
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  ASSERT_TRUE(Send(context, "").ok());
  EXPECT_EQ(seen.Take(), "Bearer t|c1||anonymous|true");
}

TEST_F(RpcServices, ACallWithoutDeadlineHasInfiniteTime) {
  Handover<absl::Duration> left;
  Serve([&](UnaryCall call) {
    left.Put(call.facts().TimeLeft());
    call.Finish(ListViewsResponse());
  });
  ASSERT_TRUE(Send("").ok());
  EXPECT_EQ(left.Take(), absl::InfiniteDuration());
}

TEST_F(RpcServices, ATypedErrorArrivesWithItsDetails) {
  Serve([](UnaryCall call) {
    call.Finish(Reject(core::v1::ERROR_REASON_VIEW_NOT_FOUND, "no view x", {{"view", "x"}}));
  });
  const GrpcError error = ErrorOf(Send(""));
  EXPECT_EQ(error.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(error.reason, "VIEW_NOT_FOUND");
  EXPECT_EQ(error.metadata.at("view"), "x");
}

TEST_F(RpcServices, AnInternalErrorIsLoggedAndNotShown) {
  Serve([](UnaryCall call) { call.Finish(absl::InternalError("cannot open /secret/path")); });
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  ::testing::internal::CaptureStderr();
  const GrpcError error = ErrorOf(Send(context, ""));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            fmt::format("error an RPC failed rpc={} status=\"INTERNAL: cannot open /secret/path\""
                        " trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n",
                        kUnary));
  EXPECT_EQ(error.code, grpc::StatusCode::INTERNAL);
  EXPECT_EQ(error.reason, "INTERNAL");
  EXPECT_EQ(error.message.find("secret"), std::string::npos);
}

TEST_F(RpcServices, CallsAreCountedByMethodAndCode) {
  Handover<std::shared_ptr<UnaryCall>> calls;
  Serve([&](UnaryCall call) { calls.Put(std::make_shared<UnaryCall>(std::move(call))); });
  std::jthread client([&] { Send(""); });
  const std::shared_ptr<UnaryCall> call = calls.Take();
  EXPECT_EQ(services_.OpenCalls(), 1);
  call->Finish(ListViewsResponse());
  client.join();
  EXPECT_FALSE(Send("\xff").ok());
  EXPECT_EQ(services_.OpenCalls(), 0);
  for (const Services::Calls& method : services_.calls()) {
    const bool unary = method.method == "ListViews";
    EXPECT_EQ(method.started, unary ? 2 : 0);
    EXPECT_EQ(method.finished[grpc::StatusCode::OK], unary ? 1 : 0);
    EXPECT_EQ(method.finished[grpc::StatusCode::INVALID_ARGUMENT], unary ? 1 : 0);
  }
}

TEST_F(RpcServices, ADroppedCallIsAnsweredInternal) {
  Serve([](UnaryCall call) { const UnaryCall dropped = std::move(call); });
  EXPECT_EQ(ErrorOf(Send("")).reason, "INTERNAL");
}

TEST_F(RpcServices, BytesThatAreNoMessageAreMalformed) {
  Serve(Empty());
  const GrpcError error = ErrorOf(Send("\x0a\xff"));
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "MALFORMED_REQUEST");
}

TEST_F(RpcServices, InvalidUtf8IsMalformedOnStreamsToo) {
  Serve(Empty());
  grpc::ClientContext context;
  const auto reader = Open(context, std::string("\x0a\x02\xc3\x28", 4));  // RebuildViewRequest.view
  RebuildViewResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const GrpcError error = ErrorOf(reader->Finish());
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "MALFORMED_REQUEST");
}

TEST_F(RpcServices, AnUnknownFieldIsNamed) {
  Serve(Empty());
  const GrpcError error = ErrorOf(Send(std::string("\xb8\x06\x01", 3)));  // Field 103 = 1.
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "UNKNOWN_FIELD");
  EXPECT_EQ(error.metadata.at("field_number"), "103");
  EXPECT_EQ(error.metadata.at("message"), "leftfold.admin.v1.ListViewsRequest");
}

TEST_F(RpcServices, AnUnknownFieldInsideAnotherMessageIsFoundToo) {
  ASSERT_TRUE(services_
                  .HandleUnary(*rooms::v1::ListUpcomingSessionsRequest::descriptor(),
                               [](UnaryCall call) {
                                 call.Finish(rooms::v1::ListUpcomingSessionsResponse());
                               })
                  .ok());
  Serve(Empty());
  // from { 9: 1 }
  const GrpcError error = ErrorOf(Send(std::string("\x0a\x02\x48\x01", 4), nullptr,
                                       "/leftfold.rooms.v1.RoomQueryService/ListUpcomingSessions"));
  EXPECT_EQ(error.reason, "UNKNOWN_FIELD");
  EXPECT_EQ(error.metadata.at("field_number"), "9");
  EXPECT_EQ(error.metadata.at("message"), "google.protobuf.Timestamp");
}

TEST_F(RpcServices, ARequestOverTheLimitIsRefusedWithBothSizes) {
  Serve(Empty());
  const GrpcError error = ErrorOf(Send(std::string(kRequestBytesMax + 1, 'x')));
  EXPECT_EQ(error.code, grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(error.reason, "REQUEST_TOO_LARGE");
  EXPECT_EQ(error.metadata.at("limit"), "4194304");
  EXPECT_EQ(error.metadata.at("actual"), "4194305");
}

TEST_F(RpcServices, AfterRefuseNewCallsAreToldThatTheServerStops) {
  Serve(Empty());
  services_.RefuseNew();
  const GrpcError error = ErrorOf(Send(""));
  EXPECT_EQ(error.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(error.reason, "STOPPING");
  EXPECT_TRUE(error.has_retry_info);
}

TEST_F(RpcServices, HandlersFitTheirRpc) {
  EXPECT_EQ(services_.HandleUnary(*ListViewsResponse::descriptor(), Empty()).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(services_.HandleUnary(*RebuildViewRequest::descriptor(), Empty()).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(services_.HandleUnary(*ListViewsRequest::descriptor(), Empty()).ok());
  EXPECT_EQ(services_.HandleUnary(*ListViewsRequest::descriptor(), Empty()).code(),
            absl::StatusCode::kAlreadyExists);
}

// Writes 1 … n, each after the one before is through.
struct Counting {
  ServerStream* stream;
  int next = 1;
  int last;
  absl::Status end;
  void Go() {
    if (next > last) return stream->Finish(end);
    RebuildViewResponse response;
    response.set_done(next++);
    stream->Write(response);
  }
};

TEST_F(RpcServices, AStreamIsPulledMessageByMessageAndEndsWithItsStatus) {
  std::deque<Counting> countings;
  Serve(Empty(), [&](ServerStream& stream) {
    const auto& request = static_cast<const RebuildViewRequest&>(stream.request());
    Counting& counting = countings.emplace_back();
    counting.stream = &stream;
    counting.last = static_cast<int>(request.until_position());
    counting.end =
        Reject(core::v1::ERROR_REASON_REBUILD_RUNNING, "enough", {{"view", request.view()}});
    stream.Observe({.on_written =
                        [&counting](bool ok) {
                          if (ok) counting.Go();
                        },
                    .on_cancelled = nullptr});
    counting.Go();
  });
  RebuildViewRequest request;
  request.set_view("rooms");
  request.set_until_position(100);
  grpc::ClientContext context;
  const auto reader = Open(context, request.SerializeAsString());
  RebuildViewResponse response;
  for (int i = 1; i <= 100; ++i) {
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.done(), i);
  }
  EXPECT_FALSE(reader->Read(&response));
  const GrpcError error = ErrorOf(reader->Finish());
  EXPECT_EQ(error.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(error.reason, "REBUILD_RUNNING");
  EXPECT_EQ(error.metadata.at("view"), "rooms");
}

TEST_F(RpcServices, AStreamFinishedInsideItsHandlerEnds) {
  Serve(Empty());
  grpc::ClientContext context;
  const auto reader = Open(context, "");
  RebuildViewResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(RpcServices, AStreamLearnsThatItsClientIsGone) {
  Handover<bool> open;
  Handover<bool> cancelled;
  Serve(Empty(), [&](ServerStream& stream) {
    stream.Observe({.on_written = nullptr, .on_cancelled = [&cancelled, &stream] {
                      cancelled.Put(stream.facts().IsCancelled());
                      stream.Finish(absl::CancelledError("gone"));
                    }});
    open.Put(true);
  });
  grpc::ClientContext context;
  const auto reader = Open(context, "");
  open.Take();  // A call that is cancelled before it arrives never reaches the server.
  context.TryCancel();
  EXPECT_TRUE(cancelled.Take());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(RpcServices, DrainCancelsStreamsThatDoNotEnd) {
  Handover<bool> open;
  Serve(Empty(), [&](ServerStream& stream) {
    stream.Observe({.on_written = nullptr,
                    .on_cancelled = [&stream] { stream.Finish(absl::CancelledError("gone")); }});
    open.Put(true);
  });
  grpc::ClientContext context;
  const auto reader = Open(context, "");
  open.Take();
  server_->Drain(After(absl::ZeroDuration()));  // Returns: nothing is left over.
  RebuildViewResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_FALSE(reader->Finish().ok());
}

TEST_F(RpcServices, DrainLetsCallsInFlightEnd) {
  Handover<std::shared_ptr<UnaryCall>> calls;
  Serve([&](UnaryCall call) { calls.Put(std::make_shared<UnaryCall>(std::move(call))); });
  grpc::Status status(grpc::StatusCode::UNKNOWN, "");
  std::jthread client([&] { status = Send(""); });
  const std::shared_ptr<UnaryCall> call = calls.Take();
  std::jthread drain([&] { server_->Drain(After(absl::Seconds(60))); });
  call->Finish(ListViewsResponse());
  drain.join();
  client.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
}

}  // namespace
}  // namespace leftfold::rpc
