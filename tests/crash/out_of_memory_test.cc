// SQLite gets no memory, at any of its allocations, once or from then on: who asked hears of an
// error and the next one is served, or the process ends with a line that says why; what was
// answered is there after it, each view is its log's fold, and every page has its checksum.
// LEFTFOLD_ALLOCATIONS says how many allocations are tried in each test.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "leftfold/orders/v1/commands.pb.h"
#include "leftfold/orders/v1/queries.pb.h"
#include "leftfold/rooms/v1/queries.pb.h"
#include "testing/parse.h"
#include "tests/crash/faulty_disk.h"
#include "tests/crash/room_process.h"

namespace leftfold {
namespace orders {
void Register(Registry& registry);
}
namespace payments {
void Register(Registry& registry);
}

namespace testing {
namespace {

constexpr std::uint64_t kMemorySeed = 4;
constexpr std::uint64_t kAllocationsTried = 500;

using Message = google::protobuf::Message;

// Commands that are all accepted, and what is asked after each. The first two may have been done
// while there was memory; if not, the others do without them.
struct Workflow {
  void (*add)(Registry& registry);
  int commands;
  std::unique_ptr<Message> (*command)(int n);
  std::unique_ptr<Message> (*query)();

  void Send(RoomProcess& process, int n,
            std::function<void(const std::string& position)> answered) const {
    Caller caller;
    caller.trusted = true;
    process.path().Command(*command(n), std::move(caller),
                           [answered = std::move(answered)](const auto& receipt) {
                             if (receipt.ok()) answered(receipt->position());
                           });
    process.RunAll();
  }
};
constexpr int kCommandsBefore = 2;

template <class Command>
std::unique_ptr<Message> NthCommand(int n, const std::string& text) {
  auto command = std::make_unique<Command>(Parse<Command>(text));
  command->set_command_id(fmt::format("c{}", n));
  return command;
}
std::unique_ptr<Message> RoomWorkflow(int n) {
  using namespace rooms::v1;
  switch (n) {
    case 0:
      return NthCommand<CreateRoomRequest>(n, R"(room_id: "oak" name: "Oak")");
    case 1:
      return NthCommand<RenameRoomRequest>(n, R"(room_id: "oak" name: "Oak hall")");
    case 2:
      return NthCommand<CreateRoomRequest>(n, R"(room_id: "elm" name: "Elm")");
    case 3:
      return NthCommand<ChangeDescriptionRequest>(n, R"(room_id: "elm" description: "A hall")");
    default:
      return NthCommand<DeleteRoomRequest>(n, R"(room_id: "elm")");
  }
}
const Workflow kOfRooms = {
    rooms::Register, 5, RoomWorkflow,
    [] { return std::unique_ptr<Message>(std::make_unique<rooms::v1::ListRoomsRequest>()); }};

std::unique_ptr<Message> OrderWorkflow(int n) {
  using namespace orders::v1;
  switch (n) {
    case 0:
      return NthCommand<RegisterRestaurantRequest>(
          n, R"(restaurant_id: "r" name: "R" currency: "EUR" approval_mode: APPROVAL_MODE_MANUAL)");
    case 1:
      return NthCommand<AddMenuItemRequest>(
          n, R"(restaurant_id: "r" item_id: "i" name: "Soup" price_minor: 5)");
    case 2:
      return NthCommand<PlaceOrderRequest>(
          n, R"(order_id: "o" customer_id: "c" restaurant_id: "r" address: "1 Mill Lane"
                lines { item_id: "i" qty: 2 })");
    case 3:
      return NthCommand<ConfirmOrderValidRequest>(n,
                                                  R"(order_id: "o" total_minor: 10 currency: "EUR"
                priced_lines { item_id: "i" name: "Soup" qty: 2 unit_price_minor: 5 })");
    case 4:
      return NthCommand<PayForOrderRequest>(
          n, R"(order_id: "o" customer_id: "c" payment_id: "p" method_type: "card"
                payment_token: "t" amount_minor: 10)");
    default:
      return NthCommand<RecordPaymentOutcomeRequest>(
          n, R"(order_id: "o" payment_id: "p" outcome: PAYMENT_OUTCOME_SUCCEEDED)");
  }
}
const Workflow kOfAnOrder = {[](Registry& registry) {
                               orders::Register(registry);
                               payments::Register(registry);
                             },
                             6, OrderWorkflow,
                             []() -> std::unique_ptr<Message> {
                               auto list = std::make_unique<orders::v1::ListOrdersRequest>();
                               list->set_customer_id("c");
                               return list;
                             }};

// Opens, appends, folds, rebuilds and answers queries; before it, some of it was done.
void PrepareMemory(const Workflow& flow, const std::string& disk, std::uint64_t seed) {
  RoomProcess process(disk, seed, flow.add);
  for (int n = 0; n < kCommandsBefore; ++n) flow.Send(process, n, [](const auto&) {});
}
void WorkInLittleMemory(const Workflow& flow, const std::string& disk, std::uint64_t seed,
                        std::ostream& answers) {
  RoomProcess process(disk, seed, flow.add);
  for (int n = kCommandsBefore; n < flow.commands; ++n) {
    flow.Send(process, n, [n, &answers](const std::string& position) {
      answers << n << ' ' << position << std::endl;
    });
    process.path().Query(*flow.query(), [](const absl::StatusOr<Answer>&) {});
    process.RunAll();
  }
  process.BeginRebuild(0);
  process.RunAll();
}
std::string CheckAfterwards(const Workflow& flow, const std::string& disk, std::uint64_t seed,
                            std::istream& answers) {
  RoomProcess process(disk, seed, flow.add);
  process.RunAll();
  int n = 0;
  for (std::string position; answers >> n >> position;) {
    std::string again = "refused";
    flow.Send(process, n, [&](const std::string& now) { again = now; });
    if (again != position) return fmt::format("command {} was at {}, is {}", n, position, again);
  }
  if (const std::string wrong = process.CheckViews(); !wrong.empty()) return wrong;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(disk)) {
    if (entry.path().extension() != ".db") continue;
    const auto file = sql::Connection::Open(entry.path(), {});
    if (!file.ok()) return file.status().ToString();
    if (!(*file)->HasPageChecksums()) return entry.path().string() + " has no checksums of pages";
  }
  return "";
}

DiskWork InLittleMemory(const Workflow& flow, bool is_new) {
  using namespace std::placeholders;
  DiskWork work{{},
                std::bind(WorkInLittleMemory, std::cref(flow), _1, _2, _3),
                std::bind(CheckAfterwards, std::cref(flow), _1, _2, _3)};
  if (!is_new) work.prepare = std::bind(PrepareMemory, std::cref(flow), _1, _2);
  return work;
}

std::int64_t AllocationsOf(const Schedule& schedule) {
  return schedule.calls.of[static_cast<std::size_t>(DiskCall::kAllocate)];
}

DiskFault FailedAllocation(std::int64_t n, bool sticky) {
  DiskFault fault;
  fault.fails = DiskCall::kAllocate;
  fault.code = SQLITE_NOMEM;
  fault.fail_at = n;
  fault.sticky = sticky;
  return fault;
}

// All that a workflow asks for is answered when there is memory.
void ExpectAllAnswered(const Workflow& flow, const Schedule& schedule) {
  const PreparedDisk disk = schedule.disk;
  EXPECT_EQ(disk.Run({}), 0);
  const std::string answers = disk.Answers();
  EXPECT_EQ(std::count(answers.begin(), answers.end(), '\n'), flow.commands - kCommandsBefore);
}

// Half of what is tried is of rooms, half of an order.
constexpr int kWorkflows = 2;

void FailAllocations(const Workflow& flow, bool is_new, bool sticky) {
  const DiskWork work = InLittleMemory(flow, is_new);
  const Schedule schedule = ScheduleOf(work, kMemorySeed);
  ExpectAllAnswered(flow, schedule);
  const auto all = static_cast<std::uint64_t>(AllocationsOf(schedule));
  const std::uint64_t tries =
      std::min(all, Cases("LEFTFOLD_ALLOCATIONS", kAllocationsTried, /*share=*/25) / kWorkflows);
  int ended = 0;
  for (std::uint64_t n = 0; n < tries; ++n) {
    const DiskFault fault =
        FailedAllocation(static_cast<std::int64_t>(1 + n * all / tries), sticky);
    const PreparedDisk disk = schedule.disk;
    const int code = disk.Run(fault);
    const bool by_itself =
        code == 128 + SIGABRT && disk.Errors().find("leftfold: fatal: ") != std::string::npos;
    ASSERT_TRUE(code == 0 || by_itself) << "allocation " << fault.fail_at << ": " << code << "\n"
                                        << disk.Errors();
    ASSERT_EQ(disk.Check(), "") << "allocation " << fault.fail_at << " of " << all;
    ended += by_itself ? 1 : 0;
  }
  fmt::print("{} of {} allocations failed, {} ended the process\n", tries, all, ended);
}

// A fold that could ask for the time would be another one when it is done again.
TEST(OutOfMemory, LeavesNoWriterOfViewsWithAClock) {
  const DiskWork work = {
      {},
      [](const std::string& disk, std::uint64_t, std::ostream& answers) {
        const auto writer = sql::Connection::Open(
            disk + "/view.db", {.role = sql::Role::kWriter, .deterministic = true});
        if (!writer.ok()) return;
        for (const char* clock : {"random()", "unixepoch()", "date()", "strftime('%s')"}) {
          (*writer)->Value(fmt::format("SELECT {}", clock));
          if ((*writer)->status().ok()) answers << clock << std::endl;
          (*writer)->ClearStatus();
        }
      },
      [](const std::string&, std::uint64_t, std::istream& answers) {
        return std::string(std::istreambuf_iterator<char>(answers), {});
      }};
  const Schedule schedule = ScheduleOf(work, kMemorySeed);
  for (std::int64_t n = 1; n <= AllocationsOf(schedule); ++n) {
    const PreparedDisk disk = schedule.disk;
    ASSERT_EQ(disk.Run(FailedAllocation(n, false)), 0) << disk.Errors();
    ASSERT_EQ(disk.Check(), "") << "allocation " << n;
  }
}

class OutOfMemoryParts : public ::testing::TestWithParam<const Workflow*> {};

TEST_P(OutOfMemoryParts, OnceHarmsNoNewStore) { FailAllocations(*GetParam(), true, false); }
TEST_P(OutOfMemoryParts, FromThenOnHarmsNoNewStore) { FailAllocations(*GetParam(), true, true); }
TEST_P(OutOfMemoryParts, OnceHarmsNoStore) { FailAllocations(*GetParam(), false, false); }
TEST_P(OutOfMemoryParts, FromThenOnHarmsNoStore) { FailAllocations(*GetParam(), false, true); }

INSTANTIATE_TEST_SUITE_P(Part, OutOfMemoryParts, ::testing::Values(&kOfRooms, &kOfAnOrder),
                         [](const auto& of) { return of.index == 0 ? "Rooms" : "AnOrder"; });

}  // namespace
}  // namespace testing
}  // namespace leftfold
