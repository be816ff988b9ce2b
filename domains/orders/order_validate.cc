#include <absl/strings/ascii.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/money.h"
#include "core/text.h"
#include "domains/orders/checks.h"
#include "domains/orders/order.h"

namespace leftfold::orders {
namespace {

std::string LineField(int line, std::string_view list, std::string_view field) {
  return fmt::format("{}[{}].{}", list, line, field);
}

// False when there are so many that they are not looked at.
bool CheckLineCount(int lines, std::string_view field, Violations& violations) {
  if (lines == 0) {
    violations.Add(v1::ERROR_REASON_EMPTY_ORDER, field, "must have an item: no items selected");
  }
  if (lines <= kOrderLinesMax) return true;
  violations.Add(v1::ERROR_REASON_TOO_MANY_LINES, field,
                 fmt::format("must be at most {}", kOrderLinesMax),
                 {{"maximum", fmt::to_string(kOrderLinesMax)}, {"actual", fmt::to_string(lines)}});
  return false;
}

}  // namespace

void Order::Validate(const v1::PlaceOrderRequest& command, Violations& violations) {
  CheckId(command.customer_id(), "customer_id", violations);
  CheckId(command.restaurant_id(), "restaurant_id", violations);
  if (IsBlank(command.address())) {
    violations.Add(v1::ERROR_REASON_ADDRESS_MISSING, "address", "must say where the food goes");
  } else {
    CheckText(command.address(), "address", kAddressBytesMax, violations, "\n\r");
  }
  if (!CheckLineCount(command.lines_size(), "lines", violations)) return;
  for (int i = 0; i < command.lines_size(); ++i) {
    CheckId(command.lines(i).item_id(), LineField(i, "lines", "item_id"), violations);
    CheckQuantity(command.lines(i).qty(), LineField(i, "lines", "qty"), violations);
  }
}

void Order::Validate(const v1::PayForOrderRequest& command, Violations& violations) {
  CheckId(command.customer_id(), "customer_id", violations);
  if (!command.payment_id().empty()) CheckId(command.payment_id(), "payment_id", violations);
  CheckPaymentMethod(command.method_type(), command.payment_token(), command.card_last4(),
                     violations);
}

void Order::Validate(const v1::CancelOrderRequest& command, Violations& violations) {
  CheckId(command.customer_id(), "customer_id", violations);
  CheckText(command.by(), "by", kNameBytesMax, violations);
  CheckText(command.reason(), "reason", kReasonBytesMax, violations);
}

void Order::Validate(const v1::ApproveOrderRequest& command, Violations& violations) {
  CheckId(command.restaurant_id(), "restaurant_id", violations);
  CheckText(command.by(), "by", kNameBytesMax, violations);
  if (command.prep_minutes() < 0 || command.prep_minutes() > kPrepMinutesMax) {
    violations.Add(v1::ERROR_REASON_INVALID_PREP_MINUTES, "prep_minutes",
                   fmt::format("must be 0 to {}", kPrepMinutesMax),
                   {{"prep_minutes", fmt::to_string(command.prep_minutes())}});
  }
}

void Order::Validate(const v1::RejectOrderRequest& command, Violations& violations) {
  CheckId(command.restaurant_id(), "restaurant_id", violations);
  CheckText(command.by(), "by", kNameBytesMax, violations);
  CheckTextGiven(command.reason(), "reason", kReasonBytesMax, violations);
}

void Order::Validate(const v1::UnassignAgentRequest& command, Violations& violations) {
  CheckId(command.agent_id(), "agent_id", violations);
  CheckTextGiven(command.reason(), "reason", kReasonBytesMax, violations);
}

void Order::Validate(const v1::ConfirmPickupRequest& command, Violations& violations) {
  CheckId(command.agent_id(), "agent_id", violations);
}

void Order::Validate(const v1::ConfirmDeliveryRequest& command, Violations& violations) {
  CheckId(command.agent_id(), "agent_id", violations);
}

void Order::Validate(const v1::ReportDeliveryFailedRequest& command, Violations& violations) {
  CheckId(command.agent_id(), "agent_id", violations);
  CheckTextGiven(command.reason(), "reason", kReasonBytesMax, violations);
}

void Order::Validate(const v1::ConfirmOrderValidRequest& command, Violations& violations) {
  CheckCurrency(command.currency(), violations);
  if (!CheckLineCount(command.priced_lines_size(), "priced_lines", violations)) return;
  bool summable = true;
  std::int64_t total = 0;
  for (int i = 0; i < command.priced_lines_size(); ++i) {
    const v1::PricedLine& line = command.priced_lines(i);
    CheckId(line.item_id(), LineField(i, "priced_lines", "item_id"), violations);
    CheckName(line.name(), LineField(i, "priced_lines", "name"), violations);
    CheckQuantity(line.qty(), LineField(i, "priced_lines", "qty"), violations);
    CheckPrice(line.unit_price_minor(), LineField(i, "priced_lines", "unit_price_minor"),
               violations);
    summable = violations.empty();
    if (summable) total += line.qty() * line.unit_price_minor();
  }
  if (!summable) return;
  if (total != command.total_minor()) {
    violations.Add(v1::ERROR_REASON_INVALID_TOTAL, "total_minor",
                   fmt::format("must be what the lines add up to, {}", total),
                   {{"total_minor", fmt::to_string(command.total_minor())},
                    {"expected", fmt::to_string(total)}});
  } else if (total > kAmountMinorMax) {
    violations.Add(
        v1::ERROR_REASON_INVALID_TOTAL, "total_minor",
        fmt::format("must be at most {}, what one payment takes", kAmountMinorMax),
        {{"total_minor", fmt::to_string(total)}, {"maximum", fmt::to_string(kAmountMinorMax)}});
  }
}

void Order::Validate(const v1::MarkOrderInvalidRequest& command, Violations& violations) {
  if (command.reasons().empty() || command.reasons_size() > kInvalidReasonsMax) {
    violations.Add(v1::ERROR_REASON_NO_REASONS, "reasons",
                   fmt::format("must be 1 to {}", kInvalidReasonsMax));
    return;
  }
  for (int i = 0; i < command.reasons_size(); ++i) {
    const v1::InvalidOrderReason& reason = command.reasons(i);
    if (reason.code() == v1::INVALID_REASON_UNSPECIFIED ||
        !v1::InvalidReason_IsValid(reason.code())) {
      violations.Add(v1::ERROR_REASON_NO_REASONS, LineField(i, "reasons", "code"),
                     "must be one of InvalidReason, and specified");
    }
    if (!reason.item_id().empty()) {
      CheckId(reason.item_id(), LineField(i, "reasons", "item_id"), violations);
    }
  }
}

void Order::Validate(const v1::RecordPaymentOutcomeRequest& command, Violations& violations) {
  CheckId(command.payment_id(), "payment_id", violations);
  if (command.outcome() == v1::PAYMENT_OUTCOME_DECLINED) {
    CheckTextGiven(command.decline_code(), "decline_code", kDeclineCodeBytesMax, violations);
  } else if (command.outcome() != v1::PAYMENT_OUTCOME_SUCCEEDED) {
    violations.Add(v1::ERROR_REASON_INVALID_OUTCOME, "outcome",
                   "must be PAYMENT_OUTCOME_SUCCEEDED or PAYMENT_OUTCOME_DECLINED");
  }
}

void Order::Validate(const v1::RequestApprovalRequest& command, Violations& violations) {
  CheckTime(command.has_respond_by(), command.respond_by(), "respond_by", violations);
}

void Order::Validate(const v1::TimeOutApprovalRequest&, Violations&) {}

void Order::Validate(const v1::StartAgentSearchRequest& command, Violations& violations) {
  CheckTime(command.has_deadline(), command.deadline(), "deadline", violations);
}

void Order::Validate(const v1::AssignAgentRequest& command, Violations& violations) {
  CheckId(command.agent_id(), "agent_id", violations);
}

void Order::Validate(const v1::MarkNoAgentAvailableRequest& command, Violations& violations) {
  if (command.tried_size() > kTriedAgentsMax) {
    violations.Add("tried", fmt::format("must be at most {}", kTriedAgentsMax));
    return;
  }
  for (int i = 0; i < command.tried_size(); ++i) {
    CheckId(command.tried(i), fmt::format("tried[{}]", i), violations);
  }
}

void Order::Validate(const v1::ExpireOrderRequest& command, Violations& violations) {
  if (command.stage() != v1::ORDER_STAGE_UNSPECIFIED && v1::OrderStage_IsValid(command.stage())) {
    return;
  }
  violations.Add(v1::ERROR_REASON_INVALID_STAGE, "stage",
                 "must be one of OrderStage, and specified");
}

void Order::Validate(const v1::RequestRefundRequest&, Violations&) {}

void Order::Validate(const v1::ConfirmRefundRequest& command, Violations& violations) {
  CheckId(command.refund_id(), "refund_id", violations);
}

void Order::Validate(const v1::MarkRefundStuckRequest& command, Violations& violations) {
  CheckId(command.refund_id(), "refund_id", violations);
  CheckTextGiven(command.error(), "error", kReasonBytesMax, violations);
}

void Order::Validate(const v1::RetryRefundRequest&, Violations&) {}

}  // namespace leftfold::orders
