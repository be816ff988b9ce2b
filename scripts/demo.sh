#!/usr/bin/env bash
# A tour of rooms, of an order's way to the door and of a thousand with the real grpcurl, on fresh data and free ports. The commands are printed as a reader
# would type them in a folder of their own, with the default ports. Fails when an answer is not the expected one.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PWD/build/release:$PWD/build/tools:$PATH
folder=$(mktemp -d)
cd "$folder"
server=
watcher=
provider=
trap 'kill $watcher $server $provider 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

wait_for() {  # wait_for FILE PATTERN: at most 10 s
  for ((try = 0; try < 200; try++)); do
    grep -qE "$2" "$1" && return
    sleep 0.05
  done
  echo "demo: did not see '$2' in:" >&2
  cat "$1" >&2
  exit 1
}

with_real_ports() {
  sed -e "s/127.0.0.1:50051/$write/g" -e "s/127.0.0.1:50052/$read/g" -e "s/127.0.0.1:50060/$payments/g"
}
with_shown_ports() {
  sed -e "s/$write/127.0.0.1:50051/g" -e "s/$read/127.0.0.1:50052/g" -e "s/$admin/127.0.0.1:50053/g"
}

say() { printf '\n# %s\n' "$*"; }

# run EXPECTED COMMAND: prints the command and its output, in which EXPECTED must occur. The command must succeed.
run() {
  show "$2" || { echo "demo: the command failed" >&2; exit 1; }
  expect "$1"
}
# refused EXPECTED COMMAND: the same for a command that must fail.
refused() {
  if show "$2"; then echo "demo: expected a refusal" >&2; exit 1; fi
  expect "$1"
}
show() {
  local status=0
  echo "\$ $1"
  eval "$(with_real_ports <<<"$1")" </dev/null >output 2>&1 || status=$?
  with_shown_ports <output
  return "$status"
}
expect() { grep -qF -- "$1" output || { echo "demo: expected '$1'" >&2; exit 1; }; }

# The text of a field in the last output.
field() { sed -nE "s/.*\"$1\": \"([^\"]*)\".*/\1/p" output | head -n 1; }

# watch LINES COMMAND: begins a watch beside what follows; LINES makes one line of each message, which is printed as it arrives.
watch() {
  echo "\$ $2 &"
  : >watch.log
  eval "exec $(with_real_ports <<<"$2")" </dev/null > >("$1" | tee -a watch.log) 2>&1 &
  watcher=$!
}
end_watch() {
  kill "$watcher"
  wait "$watcher" 2>/dev/null || true
  watcher=
}
room_lines() {
  local line version=
  while IFS= read -r line; do
    [[ $line =~ ^\ *\"version\":\ \"([0-9]+)\" ]] && version=${BASH_REMATCH[1]}
    [[ $line =~ ^\ *\"name\":\ \"(.*)\" ]] && echo "# watch: ${BASH_REMATCH[1]}, version $version"
  done
}
# When an order came to its status, and the stages that are new.
order_lines() {
  local line status= at= new=
  declare -A stages=()
  while IFS= read -r line; do
    [[ $line =~ \"status\":\ \"ORDER_STATUS_(.*)\" ]] && status=${BASH_REMATCH[1]}
    [[ $line =~ \"updated_at\":\ \".*T(.*)Z\" ]] && at=${BASH_REMATCH[1]:0:12}
    if [[ $line =~ \"(.*)\":\ \"STAGE_STATE_(RUNNING|DONE|FAILED)\" && ${stages[${BASH_REMATCH[1]}]-} != "${BASH_REMATCH[2]}" ]]; then
      stages[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
      new+="${new:+, }${BASH_REMATCH[1]} ${BASH_REMATCH[2],,}"
    fi
    if [[ $line == "}" && $new ]]; then
      printf '# watch: %-12s  %-18s  %s\n' "$at" "$status" "$new"
      new=
    fi
  done
}

: >server.log
: >watch.log
: >provider.log
# Provider and server are to know each other's port: this one is chosen from below those that the kernel gives to others.
inbound=127.0.0.1:$((16384 + RANDOM / 2))
leftfold simulate-payments --listen 127.0.0.1:0 --late-after 1 --webhook "http://$inbound/payments" >>provider.log 2>&1 &
provider=$!
wait_for provider.log "listening on "
payments=$(grep -oE "127\.0\.0\.1:[0-9]+" provider.log | head -n 1)
LEFTFOLD_PAYMENTS_URL=http://$payments LEFTFOLD_PAYMENTS_API_KEY=sk_test LEFTFOLD_PAYMENTS_WEBHOOK_SECRET=whsec_test leftfold serve --data data --write-listen 127.0.0.1:0 --read-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 --inbound-listen "$inbound" \
  >>server.log 2>&1 &
server=$!
wait_for server.log "commands +listening on "
wait_for server.log "queries +listening on "
wait_for server.log "admin +listening on "
wait_for server.log "inbound +listening on "
address() { sed -nE "s/.*$1 +listening on (127\.0\.0\.1:[0-9]+).*/\1/p" server.log | head -n 1; }
write=$(address commands)
read=$(address queries)
admin=$(address admin)

echo "$ leftfold simulate-payments --listen 127.0.0.1:50060 --late-after 1 --webhook http://127.0.0.1:50065/payments &"
echo "$ LEFTFOLD_PAYMENTS_URL=http://127.0.0.1:50060 LEFTFOLD_PAYMENTS_API_KEY=sk_test LEFTFOLD_PAYMENTS_WEBHOOK_SECRET=whsec_test leftfold serve --data data --inbound-listen 127.0.0.1:50065 &"

say "Two APIs: one decides, one answers. Both describe themselves."
run leftfold.rooms.v1.RoomCommandService \
  "grpcurl -plaintext 127.0.0.1:50051 list"
run leftfold.rooms.v1.RoomQueryService \
  "grpcurl -plaintext 127.0.0.1:50052 list"

say "Commands. Each returns a receipt once its events are on disk."
send() { run "$1" "grpcurl -plaintext -d '$3' 127.0.0.1:50051 leftfold.rooms.v1.RoomCommandService/$2"; }
query() { run "$1" "grpcurl -plaintext -d '$3' 127.0.0.1:50052 leftfold.rooms.v1.RoomQueryService/$2"; }

send '"aggregate_id": "blue"' CreateRoom '{"room_id": "blue", "name": "Blue room"}'
send '"version": "1"' RenameRoom '{"room_id": "blue", "name": "Blue hall", "command_id": "rename-1"}'
send '"version": "2"' Invite \
  '{"room_id": "blue", "invitees": [{"type": "user", "id": "ada"}, {"type": "user", "id": "grace"}]}'
send '"created_id"' ScheduleSession '{"room_id": "blue", "cron": "0 18 24 12 *", "duration_minutes": 90}'
position=$(field position)

say "Queries. min_position is the receipt's position: read your own write."
query '"Blue hall"' GetRoom "{\"room_id\": \"blue\", \"min_position\": \"$position\"}"
query '"Blue hall"' ListRooms "{\"page_size\": 10, \"min_position\": \"$position\"}"
query '"Blue hall"' SearchRooms "{\"text\": \"hall\", \"min_position\": \"$position\"}"
query '2030-12-24T18:00:00Z' ListUpcomingSessions \
  "{\"from\": \"2030-12-01T00:00:00Z\", \"to\": \"2031-01-01T00:00:00Z\", \"min_position\": \"$position\"}"

say "A watch delivers the state now and every later one."
watch room_lines "grpcurl -plaintext -d '{\"room_id\": \"blue\"}' 127.0.0.1:50052 leftfold.rooms.v1.RoomQueryService/WatchRoom"
wait_for watch.log "Blue hall"
send '"version": "4"' RenameRoom '{"room_id": "blue", "name": "Green hall", "command_id": "rename-2"}'
wait_for watch.log "Green hall"
end_watch

say "A retry with the same command id gets the stored receipt; nothing is appended."
send '"duplicate": true' RenameRoom '{"room_id": "blue", "name": "Green hall", "command_id": "rename-2"}'

say "Somebody else was faster: expected_version is stale."
stale='{"room_id": "blue", "name": "Red hall", "expected_version": "1"}'
refused VERSION_CONFLICT \
  "grpcurl -plaintext -d '$stale' 127.0.0.1:50051 leftfold.rooms.v1.RoomCommandService/RenameRoom"

say "Food orders: a restaurant that approves by itself, and an agent who delivers."
orders() { run "$1" "grpcurl -plaintext -d '$3' 127.0.0.1:50051 leftfold.orders.v1.$2"; }
orders '"receipt"' RestaurantCommandService/RegisterRestaurant \
  '{"restaurant_id": "roma", "name": "Roma", "currency": "EUR", "approval_mode": "APPROVAL_MODE_AUTO"}'
orders '"receipt"' RestaurantCommandService/OpenRestaurant '{"restaurant_id": "roma"}'
orders '"receipt"' RestaurantCommandService/AddMenuItem \
  '{"restaurant_id": "roma", "item_id": "pizza", "name": "Pizza", "price_minor": "950"}'
orders '"receipt"' AgentCommandService/RegisterAgent '{"agent_id": "bo", "name": "Bo"}'
orders '"receipt"' AgentCommandService/AgentGoOnline '{"agent_id": "bo"}'
orders '"receipt"' CustomerCommandService/RegisterCustomer '{"customer_id": "ada", "username": "ada"}'

say "An order: each command is one decision; reactors bring it to the next. A watch shows its stages live. The provider settles this card later, and tells by its webhook."
orders '"receipt"' OrderCommandService/PlaceOrder \
  '{"order_id": "o-1", "customer_id": "ada", "restaurant_id": "roma", "address": "1 Main Street", "lines": [{"item_id": "pizza", "qty": 2}]}'
position=$(field position)
watch order_lines "grpcurl -plaintext -d '{\"order_id\": \"o-1\", \"min_position\": \"$position\"}' 127.0.0.1:50052 leftfold.orders.v1.OrderQueryService/WatchOrder"
wait_for watch.log AWAITING_PAYMENT
orders '"receipt"' OrderCommandService/PayForOrder \
  '{"order_id": "o-1", "customer_id": "ada", "payment_id": "pay-1", "method_type": "card", "payment_token": "tok_late", "amount_minor": "1900", "card_last4": "4242"}'
wait_for watch.log AGENT_ASSIGNED
orders '"receipt"' OrderCommandService/ConfirmPickup '{"order_id": "o-1", "agent_id": "bo"}'
orders '"receipt"' OrderCommandService/ConfirmDelivery '{"order_id": "o-1", "agent_id": "bo"}'
wait_for watch.log DELIVERED
end_watch
leftfold tail --data data --type leftfold.payments.v1.PaymentSucceeded >output
expect '"actor":"webhook"'
run '"webhooks_delivered":"1"' \
  "curl -s -H 'Authorization: Bearer sk_test' http://127.0.0.1:50060/v1/stats"

say "A thousand agents register and come online, over one command session."
session() {  # session LABEL <COMMANDS: sends them in messages of 250, fails when one is refused. A command is TYPE, then fields as JSON.
  awk '{ type = $1; sub(/^[^ ]+ /, "")
         if (n % 250 == 0) printf "%s{\"commands\": [", n ? "]}\n" : ""
         printf "%s{\"id\": %d, \"command\": {\"@type\": \"type.googleapis.com/leftfold.orders.v1.%s\", %s}}", n % 250 ? ", " : "", ++n, type, $0
       } END { print "]}" }' >session.json
  echo "\$ grpcurl -plaintext -d @ 127.0.0.1:50051 leftfold.commands.v1.CommandSessionService/CommandSession <$1.json"
  grpcurl -plaintext -max-msg-sz 16000000 -d @ "$write" leftfold.commands.v1.CommandSessionService/CommandSession <session.json >output 2>&1 || { cat output >&2; exit 1; }
  if grep -q '"error"' output; then cat output >&2; exit 1; fi
  echo "# $(grep -c '"receipt"' output) accepted"
}
for ((n = 1; n <= 1000; n++)); do
  echo "RegisterAgentRequest \"agent_id\": \"agent-$n\", \"name\": \"Agent $n\""
  echo "AgentGoOnlineRequest \"agent_id\": \"agent-$n\""
done | session agents

say "A thousand orders in one call; the funnel, which has o-1 too, counts them as reactors bring them on."
{ printf '{"orders": ['
  for ((n = 1; n <= 1000; n++)); do
    ((n == 1)) || printf ', '
    printf '{"order_id": "m-%d", "customer_id": "ada", "restaurant_id": "roma", "address": "1 Main Street", "lines": [{"item_id": "pizza", "qty": 1}]}' "$n"
  done
  printf '], "command_id": "demo-1000"}'
} >orders.json
slowest= slowest_ms=0
# Waits until all have come through the stages of the funnel, at most half a minute each; a stage takes from the end of the one before it on.
reaches() {  # reaches STAGE SERIES...: the call that begins them began at $begin
  local before=0 now
  while (($#)); do
    for ((try = 0; try < 600; try++)); do
      grpcurl -plaintext "$read" leftfold.orders.v1.OrderReportQueryService/GetFunnel >output
      grep -qE "\"$2\": \"1001\"" output && break
      sleep 0.05
    done
    expect "\"$2\": \"1001\""
    now=$((($(date +%s%N) - begin) / 1000000))
    printf '# %-10s 1000 orders %6d ms after the call began, %6d ms after the stage before\n' "$1" "$now" $((now - before))
    if ((now - before > slowest_ms)); then slowest=$1 slowest_ms=$((now - before)); fi
    before=$now
    shift 2
  done
}
begin=$(date +%s%N)
echo "\$ grpcurl -plaintext -d @ 127.0.0.1:50051 leftfold.orders.v1.OrderCommandService/PlaceOrders <orders.json"
grpcurl -plaintext -max-msg-sz 16000000 -d @ "$write" leftfold.orders.v1.OrderCommandService/PlaceOrders <orders.json >output 2>&1 || { cat output >&2; exit 1; }
echo "# $(grep -c '"receipt"' output) accepted"
reaches placed number_orders validated number_orders_validated

say "One wish pays for all of them; the restaurant approves by itself, agents are found."
begin=$(date +%s%N)
orders '"receipt"' OrderCommandService/PayAllOrders \
  '{"bulk_payment_id": "all", "customer_id": "ada", "method_type": "card", "payment_token": "tok_visa", "card_last4": "4242"}'
reaches paid number_orders_payment_valid approved number_orders_approved assigned number_orders_driver_assigned
for ((try = 0; try < 600; try++)); do
  grpcurl -plaintext -d '{"bulk_payment_id": "all"}' "$read" leftfold.orders.v1.OrderQueryService/GetBulkPayment >output
  grep -q '"orders_begun"' output && break
  sleep 0.05
done
run '"orders_begun": 1000' \
  "grpcurl -plaintext -d '{\"bulk_payment_id\": \"all\"}' 127.0.0.1:50052 leftfold.orders.v1.OrderQueryService/GetBulkPayment"

say "The agents bring them."
for ((try = 0; try < 600; try++)); do  # Another view than the funnel.
  grpcurl -plaintext -d '{"status": "AGENT_STATUS_BUSY", "page_size": 1000}' "$read" leftfold.orders.v1.AgentQueryService/ListAgents |
    awk -F '"' '$2 == "agent_id" { agent = $4 } $2 == "order_id" { print "\"order_id\": \"" $4 "\", \"agent_id\": \"" agent "\"" }' >jobs
  if (($(wc -l <jobs) == 1000)); then break; fi
  sleep 0.05
done
begin=$(date +%s%N)
sed 's/^/ConfirmPickupRequest /' jobs | session pickups
reaches "picked up" number_orders_picked
begin=$(date +%s%N)
sed 's/^/ConfirmDeliveryRequest /' jobs | session deliveries
reaches delivered number_orders_delivered
echo "# slowest: $slowest, $slowest_ms ms"
run '"number_orders"' "grpcurl -plaintext 127.0.0.1:50052 leftfold.orders.v1.OrderReportQueryService/GetFunnel"

say "What the reactors do, and whether anything is parked."
echo "\$ grpcurl -plaintext 127.0.0.1:50053 leftfold.admin.v1.ReactorService/ListReactors"
grpcurl -plaintext "$admin" leftfold.admin.v1.ReactorService/ListReactors | grep -E '"(name|delivered|parked_keys)"'

say "Views are rebuilt from the log beside the running server, then switched."
run "room_directory" "leftfold replay room_directory --data data"

say "The log is checked against its own chain."
run "" "leftfold verify --data data"
