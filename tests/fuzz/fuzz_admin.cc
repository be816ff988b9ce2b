// The operators' RPCs of a whole server in this process, over its socket: views, reactors, webhooks
// and consumer groups. Each call ends as the contract wants it. What an input changes is undone
// after it, so that inputs do not depend on each other much.
#include <google/protobuf/descriptor.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/client_unary_call.h>
#include <grpcpp/support/sync_stream.h>

#include <set>

#include "leftfold/admin/v1/admin.pb.h"
#include "leftfold/admin/v1/reactors.pb.h"
#include "leftfold/admin/v1/webhooks.pb.h"
#include "leftfold/store/v1/consumers.pb.h"
#include "server/app.h"
#include "testing/byte_buffer.h"
#include "testing/temporary_folder.h"
#include "tests/fuzz/surfaces.h"
#include "tests/fuzz/world.h"

namespace leftfold::fuzz {
namespace {

namespace pb = google::protobuf;
using grpc::internal::RpcMethod;

constexpr std::uint8_t kLastToken = 0x40;  // The page after the one that was answered last.
constexpr absl::Duration kCallMax = absl::Seconds(8);
// A stream that would go on for ever is cancelled after so many messages, or at once.
constexpr int kMessagesMax = 100;
// Where webhooks of the target post to, for no fuzzer may call strangers: nobody listens there.
constexpr char kNowhere[] = "http://127.0.0.1:1/hook";

class Server {
 public:
  static Server& Get() {
    static Server made;
    return made;
  }

  const Surface& surface() const { return surface_; }

  void Run(const std::vector<Record>& records) {
    std::set<const pb::FileDescriptor*> touched;
    std::string token;
    for (const Record& record : records) {
      const pb::MethodDescriptor& method =
          RpcTaking(*surface_.requests[record.choice % surface_.requests.size()]);
      touched.insert(method.file());
      std::string bytes = record.bytes;
      Rewrite(*method.input_type(), bytes, [&](pb::Message& request) {
        KeepHome(request);
        const auto* page = method.input_type()->FindFieldByName("page_token");
        if ((record.flags & kLastToken) != 0 && page != nullptr)
          request.GetReflection()->SetString(&request, page, token);
      });
      token.clear();
      const auto response = Call(method, bytes);
      if (response == nullptr) continue;
      const auto* next = response->GetDescriptor()->FindFieldByName("next_page_token");
      if (next != nullptr) token = response->GetReflection()->GetString(*response, next);
    }
    if (touched.contains(admin::v1::Webhook::descriptor()->file())) DeleteWebhooks();
    if (touched.contains(store::v1::ConsumerGroup::descriptor()->file())) DeleteGroups();
    if (touched.contains(admin::v1::ViewStatus::descriptor()->file())) ResumeViews();
    if (touched.contains(admin::v1::ReactorStatus::descriptor()->file())) ResumeReactors();
  }

 private:
  Server() {
    auto app = App::Start(AllDomains(), {.data = folder_.path(),
                                         .write_listen = "127.0.0.1:0",
                                         .read_listen = "127.0.0.1:0",
                                         .admin_listen = "127.0.0.1:0"});
    if (!app.ok()) Die(app.status().ToString());
    app_ = *std::move(app);
    write_ = grpc::CreateChannel(app_->write_address(), grpc::InsecureChannelCredentials());
    admin_ = grpc::CreateChannel(app_->admin_address(), grpc::InsecureChannelCredentials());
    surface_.requests = RequestsOfOperators();
    for (const auto* request : surface_.requests) HasRpc(RpcTaking(*request));
    surface_.records_max = 6;
    surface_.words = {"hook",
                      "group",
                      kNowhere,
                      "ann",
                      "leftfold.rooms.v1.RoomCreated",
                      "RoomCreated",
                      "leftfold.rooms.v1.RenameRoomRequest",
                      "X-Header",
                      "0123456789abcdef",
                      "room-",
                      "room",
                      "reason"};
    for (const ViewEntry& view : AllDomains().views()) surface_.words.emplace_back(view.name);
    for (const ReactorEntry& reactor : AllDomains().reactors())
      surface_.words.push_back(reactor.name);
    for (const std::string& step : RoomSteps()) {
      const auto command = FromText(step);
      if (command->GetDescriptor()->name() == "LinkExternalRoomRequest") break;  // Needs the token.
      Call(RpcTaking(*command->GetDescriptor()), command->SerializeAsString());
    }
  }

  static void KeepHome(pb::Message& request) {
    admin::v1::Webhook* webhook = nullptr;
    if (auto* create = dynamic_cast<admin::v1::CreateWebhookRequest*>(&request);
        create != nullptr && create->has_webhook()) {
      webhook = create->mutable_webhook();
    } else if (auto* update = dynamic_cast<admin::v1::UpdateWebhookRequest*>(&request);
               update != nullptr && update->has_webhook()) {
      webhook = update->mutable_webhook();
    }
    if (webhook != nullptr && webhook->url().find("://") != std::string::npos)
      webhook->set_url(kNowhere);
  }

  // The (last) answer; nullptr when it was refused.
  std::unique_ptr<pb::Message> Call(const pb::MethodDescriptor& method,
                                    const std::string& request) {
    WasCalled(method);
    const std::string path = PathOf(method);
    const bool admin = method.service()->full_name().find(".admin.") != std::string::npos;
    grpc::Channel* channel = (admin ? admin_ : write_).get();
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kCallMax));
    const grpc::ByteBuffer in = testing::BufferOf(request);
    grpc::ByteBuffer out;
    grpc::Status status;
    bool cancelled = false;
    if (method.client_streaming()) {
      const RpcMethod rpc(path.c_str(), RpcMethod::BIDI_STREAMING);
      const std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> call(
          grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
              channel, rpc, &context));
      call->Write(in);
      call->WritesDone();
      while (call->Read(&out)) {
      }
      status = call->Finish();
    } else if (method.server_streaming()) {
      const RpcMethod rpc(path.c_str(), RpcMethod::SERVER_STREAMING);
      const std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> call(
          grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(channel, rpc, &context,
                                                                        in));
      cancelled = method.name().starts_with("Watch");
      if (cancelled) context.TryCancel();
      for (int n = 0; call->Read(&out); ++n) {
        if (n == kMessagesMax) context.TryCancel();
        cancelled = cancelled || n >= kMessagesMax;
      }
      status = call->Finish();
    } else {
      const RpcMethod rpc(path.c_str(), RpcMethod::NORMAL_RPC);
      status = grpc::internal::BlockingUnaryCall(channel, rpc, &context, in, &out);
    }
    if (!status.ok()) {
      const bool our_doing = cancelled && status.error_code() == grpc::StatusCode::CANCELLED;
      if (!our_doing) ExpectRefusal(path, status);
      return nullptr;
    }
    return ExpectMessage(method, out);
  }

  template <class Response, class Request>
  Response Ask(const Request& request) {
    const auto response = Call(RpcTaking(*Request::descriptor()), request.SerializeAsString());
    if (response == nullptr) Die("refused: " + request.ShortDebugString());
    return static_cast<const Response&>(*response);
  }

  void DeleteWebhooks() {
    const auto all = Ask<admin::v1::ListWebhooksResponse>(admin::v1::ListWebhooksRequest());
    for (const auto& webhook : all.webhooks()) {
      admin::v1::DeleteWebhookRequest gone;
      gone.set_name(webhook.name());
      Ask<admin::v1::DeleteWebhookResponse>(gone);
    }
  }
  void DeleteGroups() {
    const auto all = Ask<store::v1::ListGroupsResponse>(store::v1::ListGroupsRequest());
    for (const auto& group : all.groups()) {
      store::v1::DeleteGroupRequest gone;
      gone.set_group(group.group().name());
      Ask<store::v1::DeleteGroupResponse>(gone);
    }
  }
  void ResumeViews() {
    const auto all = Ask<admin::v1::ListViewsResponse>(admin::v1::ListViewsRequest());
    for (const auto& view : all.views()) {
      if (view.state() != admin::v1::ViewStatus::STATE_PAUSED) continue;
      admin::v1::ResumeViewRequest resumed;
      resumed.set_view(view.name());
      Ask<admin::v1::ResumeViewResponse>(resumed);
    }
  }
  void ResumeReactors() {
    const auto all = Ask<admin::v1::ListReactorsResponse>(admin::v1::ListReactorsRequest());
    for (const auto& reactor : all.reactors()) {
      if (reactor.state() != admin::v1::ReactorStatus::STATE_PAUSED) continue;
      admin::v1::ResumeReactorRequest resumed;
      resumed.set_reactor(reactor.name());
      Ask<admin::v1::ResumeReactorResponse>(resumed);
    }
  }

  testing::TemporaryFolder folder_{testing::FolderInMemory()};
  std::unique_ptr<App> app_;
  std::shared_ptr<grpc::Channel> write_;
  std::shared_ptr<grpc::Channel> admin_;
  Surface surface_;
};

}  // namespace

const Surface& TheSurface() { return Server::Get().surface(); }

std::vector<Seed> Seeds() {
  std::vector<Seed> seeds = {
      {"views",
       kLastToken,
       {"leftfold.admin.v1.GetLogRequest {}", "leftfold.admin.v1.ListViewsRequest {}",
        "leftfold.admin.v1.PauseViewRequest {view: 'room_directory' why: 'reason'}",
        "leftfold.admin.v1.RebuildViewRequest {view: 'room_directory' action: ACTION_KEEP}",
        "leftfold.admin.v1.RebuildViewRequest {view: 'room_directory' action: ACTION_VERIFY}",
        "leftfold.admin.v1.SwitchViewRequest {view: 'room_directory' generation: 2}",
        "leftfold.admin.v1.RollbackViewRequest {view: 'room_directory'}",
        "leftfold.admin.v1.ResumeViewRequest {view: 'room_directory'}",
        "leftfold.admin.v1.ListParkedRequest {view: 'room_directory' page_size: 1}",
        "leftfold.admin.v1.RetryParkedRequest {view: 'room_directory' stream: 'room-oak'}",
        "leftfold.admin.v1.SkipParkedRequest {view: 'room_directory' position: 1 by: 'ann' why: "
        "'reason'}"}},
      {"webhooks",
       0,
       {"leftfold.admin.v1.CreateWebhookRequest {webhook {name: 'hook' url: "
        "'http://127.0.0.1:1/hook' event_types: 'leftfold.rooms.v1.RoomCreated' secret: "
        "'0123456789abcdef'}}",
        "leftfold.admin.v1.ListWebhooksRequest {}",
        "leftfold.admin.v1.UpdateWebhookRequest {webhook {name: 'hook' url: "
        "'http://127.0.0.1:1/hook' event_types: 'leftfold.rooms.v1.RoomRenamed' headers {name: "
        "'X-Header' value: 'a'}}}",
        "leftfold.admin.v1.DeleteWebhookRequest {name: 'hook'}"}},
  };
  std::vector<std::string> steps;
  for (const auto* request : TheSurface().requests) AddStepsOf(*request, steps);
  AddSeeds("each", 0, steps, TheSurface().records_max, seeds);
  return seeds;
}

void Run(const std::vector<Record>& records) { Server::Get().Run(records); }

}  // namespace leftfold::fuzz
