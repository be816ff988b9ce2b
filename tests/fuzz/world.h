#ifndef TESTS_FUZZ_WORLD_H_
#define TESTS_FUZZ_WORLD_H_

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/registry.h"
#include "core/status.h"
#include "event_store/memory/memory_event_store.h"
#include "event_store/verify.h"
#include "server/run_by_caller.h"
#include "testing/fake_clock.h"
#include "testing/virtual_scheduler.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/wire.h"
#include "write_api/command_handler.h"

namespace leftfold::fuzz {

// Of all targets' records: the caller has shown the token.
inline constexpr std::uint8_t kTrusted = 0x80;

inline Caller CallerOf(const Record& record) {
  Caller caller;
  caller.trusted = (record.flags & kTrusted) != 0;
  return caller;
}

// All domains; made once, for it is only read.
inline const Registry& AllDomains() {
  static const Registry* const registry = [] {
    auto* made = new Registry;
    RegisterAllDomains(*made);
    return made;
  }();
  return *registry;
}

// A log in memory and what steps it, new for each input, and the wire to what is served from it. No
// time passes but where a target says so.
struct LogWorld {
  testing::FakeClock clock;
  testing::VirtualScheduler scheduler{1};
  rpc::Services services;
  Wire wire{services, scheduler};
  RunByCaller writer{scheduler.Serial()};
  std::unique_ptr<EventStore> store = NewMemoryEventStore(writer, scheduler.Serial(), clock);

  void ExpectWhole() const {
    const absl::Status whole = VerifyLog(*store, [](std::int64_t, std::int64_t) {});
    if (!whole.ok()) Die(whole.ToString());
  }
};

// Past the wire: runs until nothing happens; it is answered once, a refusal has a reason.
inline void SendCommand(LogWorld& world, CommandHandler& handler, const CommandEntry& entry,
                        std::unique_ptr<google::protobuf::Message> command, Caller caller) {
  int answers = 0;
  handler.Handle(entry, std::move(command), std::move(caller),
                 [&](const absl::StatusOr<core::v1::CommandReceipt>& receipt) {
                   ++answers;
                   ExpectReason(receipt.status());
                 });
  world.scheduler.RunReady();
  if (answers != 1) Die(fmt::format("{} answers to one command", answers));
}

// Commands that are all accepted, in this order, from one that is trusted: something of every kind
// comes to be.
inline std::vector<std::string> RoomSteps() {
  return {
      "leftfold.rooms.v1.CreateRoomRequest {room_id: 'oak' name: 'Oak room' description: 'Under "
      "trees'}",
      "leftfold.rooms.v1.CreateRoomRequest {room_id: 'elm' name: 'Elm' external_provider: 'meet'}",
      "leftfold.rooms.v1.RenameRoomRequest {room_id: 'oak' name: 'Oak hall'}",
      "leftfold.rooms.v1.ChangeDescriptionRequest {room_id: 'oak' description: 'A hall'}",
      "leftfold.rooms.v1.ScheduleSessionRequest {room_id: 'oak' schedule_id: 's1' cron: '0 9 * * "
      "MON' duration_minutes: 90}",
      "leftfold.rooms.v1.RescheduleSessionRequest {room_id: 'oak' schedule_id: 's1' cron: '0 10 * "
      "* MON' duration_minutes: 60}",
      "leftfold.rooms.v1.InviteRequest {room_id: 'oak' invitees {type: 'user' id: 'ann'} invitees "
      "{type: 'user' id: 'bob'} invitees {type: 'user' id: 'cy'}}",
      "leftfold.rooms.v1.AcceptInvitationRequest {room_id: 'oak' type: 'user' id: 'ann'}",
      "leftfold.rooms.v1.DeclineInvitationRequest {room_id: 'oak' type: 'user' id: 'bob'}",
      "leftfold.rooms.v1.RevokeInvitationRequest {room_id: 'oak' type: 'user' id: 'cy'}",
      "leftfold.rooms.v1.LinkExternalRoomRequest {room_id: 'elm' provider: 'meet' external_id: "
      "'m1'}",
      "leftfold.rooms.v1.DeleteRoomRequest {room_id: 'elm'}",
      "leftfold.rooms.v1.RestoreRoomRequest {room_id: 'elm'}",
  };
}

inline std::vector<std::string> OrderSteps() {
  return {
      "leftfold.orders.v1.RegisterCustomerRequest {customer_id: 'ann' username: 'ann' email: "
      "'ann@example.org'}",
      "leftfold.orders.v1.RegisterRestaurantRequest {restaurant_id: 'luigi' name: 'Luigi' "
      "currency: "
      "'EUR' approval_mode: APPROVAL_MODE_MANUAL max_open_orders: 10}",
      "leftfold.orders.v1.AddMenuItemRequest {restaurant_id: 'luigi' item_id: 'pizza' name: "
      "'Pizza' "
      "price_minor: 1025 category: 'main'}",
      "leftfold.orders.v1.OpenRestaurantRequest {restaurant_id: 'luigi'}",
      "leftfold.orders.v1.RegisterAgentRequest {agent_id: 'bo' name: 'Bo'}",
      "leftfold.orders.v1.AgentGoOnlineRequest {agent_id: 'bo'}",
      "leftfold.orders.v1.PlaceOrderRequest {order_id: 'o1' customer_id: 'ann' restaurant_id: "
      "'luigi' address: 'Here 1' lines {item_id: 'pizza' qty: 2}}",
      "leftfold.orders.v1.ConfirmOrderValidRequest {order_id: 'o1' priced_lines {item_id: 'pizza' "
      "name: 'Pizza' qty: 2 unit_price_minor: 1025} total_minor: 2050 currency: 'EUR'}",
      "leftfold.orders.v1.PayForOrderRequest {order_id: 'o1' customer_id: 'ann' payment_id: 'p1' "
      "method_type: 'card' payment_token: 'tok' amount_minor: 2050 card_last4: '4242'}",
      "leftfold.payments.v1.InitiatePaymentRequest {payment_id: 'p1' payer_id: 'ann' purpose "
      "{kind: "
      "'order' ref_id: 'o1'} amount_minor: 2050 currency: 'EUR' method_type: 'card' token: 'tok' "
      "card_last4: '4242'}",
      "leftfold.payments.v1.RecordProviderResultRequest {payment_id: 'p1' provider_event_id: 'e1' "
      "status: PROVIDER_STATUS_SUCCEEDED provider_ref: 'r1'}",
      "leftfold.orders.v1.RecordPaymentOutcomeRequest {order_id: 'o1' payment_id: 'p1' outcome: "
      "PAYMENT_OUTCOME_SUCCEEDED}",
      "leftfold.orders.v1.RequestApprovalRequest {order_id: 'o1' respond_by {seconds: 1767226000}}",
      "leftfold.orders.v1.ApproveOrderRequest {order_id: 'o1' restaurant_id: 'luigi' prep_minutes: "
      "20 by: 'luigi'}",
      "leftfold.orders.v1.StartAgentSearchRequest {order_id: 'o1' deadline {seconds: 1767229000}}",
      "leftfold.orders.v1.ReserveAgentRequest {agent_id: 'bo' order_id: 'o1'}",
      "leftfold.orders.v1.AssignAgentRequest {order_id: 'o1' agent_id: 'bo'}",
      "leftfold.orders.v1.ConfirmPickupRequest {order_id: 'o1' agent_id: 'bo'}",
      "leftfold.orders.v1.ConfirmDeliveryRequest {order_id: 'o1' agent_id: 'bo'}",
      "leftfold.orders.v1.PlaceOrderRequest {order_id: 'o2' customer_id: 'ann' restaurant_id: "
      "'luigi' address: 'Here 1' lines {item_id: 'pizza' qty: 1}}",
      "leftfold.orders.v1.CancelOrderRequest {order_id: 'o2' customer_id: 'ann' reason: 'late'}",
      "leftfold.orders.v1.PlaceOrderRequest {order_id: 'o3' customer_id: 'ann' restaurant_id: "
      "'luigi' address: 'Here 1' lines {item_id: 'pizza' qty: 1}}",
      "leftfold.orders.v1.PayAllOrdersRequest {bulk_payment_id: 'b1' customer_id: 'ann' "
      "method_type: 'card' payment_token: 'tok'}",
  };
}

// A step for the type with all that names something, and one with nothing.
inline void AddStepsOf(const google::protobuf::Descriptor& type, std::vector<std::string>& steps) {
  static const std::pair<std::string, std::string> kValues[] = {
      {"room_id", "'oak'"},   {"order_id", "'o1'"},         {"customer_id", "'ann'"},
      {"agent_id", "'bo'"},   {"restaurant_id", "'luigi'"}, {"payment_id", "'p1'"},
      {"item_id", "'pizza'"}, {"page_size", "1"},           {"bulk_payment_id", "'b1'"},
      {"text", "'hall'"},     {"min_position", "'3'"}};
  std::string fields;
  for (const auto& [name, value] : kValues) {
    if (type.FindFieldByName(name) != nullptr) fields += fmt::format("{}: {} ", name, value);
  }
  steps.push_back(type.full_name() + " {}");
  steps.push_back(type.full_name() + " {" + fields + "}");
}

// These steps, so many in a seed.
inline void AddSeeds(const std::string& name, std::uint8_t flags,
                     const std::vector<std::string>& steps, std::size_t steps_max,
                     std::vector<Seed>& seeds) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (i % steps_max == 0) seeds.push_back({fmt::format("{}_{}", name, i / steps_max), flags, {}});
    seeds.back().steps.push_back(steps[i]);
  }
}

// Ids that the steps above give.
inline std::vector<std::string> StepWords() {
  return {"oak", "elm",  "s1",  "ann",  "bob",   "cy",       "user",     "meet",  "m1",
          "bo",  "o1",   "o2",  "o3",   "p1",    "b1",       "luigi",    "pizza", "card",
          "EUR", "main", "Oak", "lf:x", "order", "room-oak", "order-o1", "e1",    "r1"};
}

}  // namespace leftfold::fuzz
#endif  // TESTS_FUZZ_WORLD_H_
