#include <absl/time/clock.h>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/rooms.h"
#include "core/status.h"
#include "event_store/sqlite/sqlite_event_store.h"
#include "leftfold/admin/v1/reactors.grpc.pb.h"
#include "leftfold/store/v1/consumers.grpc.pb.h"
#include "leftfold/store/v1/event_store.grpc.pb.h"
#include "reactor/consumer_group.h"
#include "server/thread_pool.h"
#include "testing/child_process.h"

namespace leftfold::bench {
namespace {

using Consumers = store::v1::ConsumerService;
using Store = store::v1::EventStoreService;

constexpr int kEventsMax = 50'000;
constexpr absl::Duration kPatience = absl::Minutes(5);

std::unique_ptr<grpc::ClientContext> NewContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  return context;
}

std::int64_t Fill(const std::string& folder, int events) {
  const SystemClock clock;
  ThreadPool writer("writer", 1), completions("completions", 1);
  std::int64_t head = 0;
  {
    auto store = OpenSqliteEventStore(
        folder, {.writer = &writer, .completions = &completions, .clock = &clock});
    if (!store.ok()) Die(store.status().ToString());
    FillWithRooms(**store, events);
    head = (*store)->GetHead().position.value;
    for (ThreadPool* pool : {&writer, &completions}) pool->Stop();
  }
  return head;
}

// The server's own reactors have nothing to do any more.
void AwaitReactors(const std::string& admin) {
  const auto reactors = admin::v1::ReactorService::NewStub(
      grpc::CreateChannel(admin, grpc::InsecureChannelCredentials()));
  for (bool busy = true; busy; absl::SleepFor(absl::Milliseconds(20))) {
    admin::v1::ListReactorsResponse all;
    const grpc::Status listed = reactors->ListReactors(NewContext().get(), {}, &all);
    if (!listed.ok()) Die(listed.error_message());
    busy = false;
    for (const auto& reactor : all.reactors()) busy = busy || reactor.lag_events() > 0;
  }
}

double SecondsOfSubscribe(Store::Stub& store, std::int64_t events) {
  const absl::Time start = absl::Now();
  const auto context = NewContext();
  store::v1::SubscribeRequest request;
  request.set_after_position(0);
  const auto feed = store.Subscribe(context.get(), request);
  store::v1::SubscribeResponse heard;
  for (std::int64_t seen = 0; seen < events; seen += heard.events().events_size()) {
    if (!feed->Read(&heard)) Die("a subscription ended");
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  context->TryCancel();
  return seconds;
}

// Acknowledges all that comes, until `left` answers more are durable.
void Consume(Consumers::Stub& stub, const std::string& group, std::atomic<std::int64_t>& left,
             grpc::ClientContext& context) {
  const auto call = stub.Consume(&context);
  store::v1::ConsumeRequest open;
  open.mutable_open()->set_group(group);
  open.mutable_open()->set_consumer("bench");
  open.mutable_open()->set_window(kConsumerWindowMax);
  call->Write(open);
  store::v1::ConsumeResponse told;
  while (left > 0 && call->Read(&told)) {
    store::v1::ConsumeRequest ack;
    for (const auto& delivery : told.deliveries().deliveries())
      ack.mutable_ack()->add_delivery_ids(delivery.delivery_id());
    if (ack.has_ack()) call->Write(ack);
    left -= told.settled().delivery_ids_size();
  }
}

// From the group's creation until all events are acknowledged.
double SecondsOfGroup(const std::string& address, const std::string& name, int consumers,
                      std::int64_t events) {
  std::vector<std::unique_ptr<Consumers::Stub>> stubs;
  for (const auto& channel : Connect(address, consumers)) {
    stubs.push_back(Consumers::NewStub(channel));
  }
  const absl::Time start = absl::Now();
  store::v1::CreateGroupRequest create;
  create.mutable_group()->set_name(name);
  create.mutable_group()->set_after_position(0);
  create.mutable_group()->set_max_in_flight(kConsumerWindowMax);
  store::v1::CreateGroupResponse created;
  const grpc::Status status = stubs.front()->CreateGroup(NewContext().get(), create, &created);
  if (!status.ok()) Die(status.error_message());
  std::atomic<std::int64_t> left = events;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  for (int i = 0; i < consumers; ++i) contexts.push_back(NewContext());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < stubs.size(); ++i) {
      threads.emplace_back([&, i] {
        Consume(*stubs[i], name, left, *contexts[i]);
        for (const auto& context : contexts) context->TryCancel();
      });
    }
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  if (left > 0) Die(fmt::format("{} of {} events were not acknowledged", left.load(), events));
  store::v1::DeleteGroupRequest remove;
  remove.set_group(name);
  store::v1::DeleteGroupResponse removed;
  stubs.front()->DeleteGroup(NewContext().get(), remove, &removed);
  return seconds;
}

}  // namespace

void MeasureConsumers(const Options& options, Report& report) {
  const std::string data = options.data + "/consumers";
  const std::int64_t events = Fill(data + "/log", std::min(options.rebuild_events, kEventsMax));
  fmt::print("consumer groups: {} events …\n", events);
  const testing::ServerProcess server(
      testing::ServerProcess::CommandOf(options.leftfold, data, "write,react"));
  AwaitReactors(server.admin_address);
  const auto store = Store::NewStub(Connect(server.write_address, 1).front());
  std::vector<double> subscribed, one, four, subscribed_cpu, one_cpu, four_cpu;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    const auto rate = [events](double seconds) { return static_cast<double>(events) / seconds; };
    const auto group = [repeat](std::string_view of) { return fmt::format("{}_{}", of, repeat); };
    double cpu = server.process.CpuSeconds();
    const auto cpu_us = [&] {
      const double before = std::exchange(cpu, server.process.CpuSeconds());
      return (cpu - before) * 1e6 / static_cast<double>(events);
    };
    subscribed.push_back(rate(SecondsOfSubscribe(*store, events)));
    subscribed_cpu.push_back(cpu_us());
    one.push_back(rate(SecondsOfGroup(server.write_address, group("one"), 1, events)));
    one_cpu.push_back(cpu_us());
    four.push_back(rate(SecondsOfGroup(server.write_address, group("four"), 4, events)));
    four_cpu.push_back(cpu_us());
  }
  report.rows.push_back(RowOf("events through a group, 1 consumer", "1/s", one, subscribed, {},
                              {one_cpu, subscribed_cpu}));
  report.rows.push_back(RowOf("events through a group, 4 consumers", "1/s", four, subscribed, {},
                              {four_cpu, subscribed_cpu}));
}

}  // namespace leftfold::bench
