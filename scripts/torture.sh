#!/usr/bin/env bash
# The suites that try to break the guarantees (docs/guarantees.md), again and again with new seeds.
#   scripts/torture.sh MINUTES     `make torture MINUTES=30` builds first
# A line sums up every half minute. At the first failure it says how to run that case again, and ends with 1.
# FIRST=n gives the seeds of an earlier run back, ONLY=regex chooses suites, JOBS how many run at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-}
[[ $minutes =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/torture.sh MINUTES" >&2; exit 2; }
jobs=${JOBS:-$(nproc)}
every=30
longest=900 # Of one suite, in seconds.

# binary | suite | how many | which variable says so | what they are | "seed": it takes LEFTFOLD_SEED; "own": it chooses its own and tells them
suites=(
  'crash|Part/WholeKill.*|40|LEFTFOLD_KILLS|kills of the whole server|seed'
  'crash|Part/Drain.*|40|LEFTFOLD_DRAINS|drains|seed'
  'crash|ClockJumps.*|100|LEFTFOLD_CLOCK_JUMPS|jumps of the clock|seed'
  'crash|Kill.*|5||kills of the server|seed'
  'crash|KillPoints.*|50|LEFTFOLD_KILL_POINTS|kills at steps of reactors|seed'
  'crash|RoomKillPoints.*|25|LEFTFOLD_KILL_POINTS|kills at steps of reactors|seed'
  'crash|Layouts/RolesKill.*|32||rounds of killed roles|seed'
  'crash|OrdersKill.*|6||rounds of killed roles|seed'
  'crash|Processes/RebuildKill.*|42||kills of rebuilds|seed'
  'crash|Part/PowerLoss.*:PowerLossAtCheckpoints.*:PowerLossAtRestarts.*:PowerLossBetweenTransactions.*:Part/ViewsPowerLoss.*:BackupPowerLoss.*:MigrationPowerLoss.*|1100|LEFTFOLD_POINTS|points of lost power and failed calls|own'
  'crash|Part/StoredBytes.*|200|LEFTFOLD_DAMAGES|stores with changed bytes|own'
  'crash|WholePathDisk.*|20|LEFTFOLD_STORIES|stories of all engines on disks that fail|own'
  'crash|OperatorNew.*|40|LEFTFOLD_NEW_FAILURES|allocations that fail|seed'
  'integration|HostileClients.*|4000|LEFTFOLD_HOSTILE|hostile connections|seed'
  'integration|DiskFull.*:OrdersOnAFullDisk.*|4|LEFTFOLD_DISK_FILLS|full disks|seed'
  'property|Part/OrderProcess.*|1000|LEFTFOLD_SCHEDULES|schedules|seed'
  'property|EventStoreDifferential.*|20000|LEFTFOLD_OPERATIONS|operations on two stores|seed'
  'property|ProjectorResequencing.*|1000|LEFTFOLD_SEQUENCES|disturbed deliveries|own'
  'property|ReactorSchedules.*|300|LEFTFOLD_SCHEDULES|schedules|own'
  'property|ConsumerSchedules.*|100|LEFTFOLD_SCHEDULES|schedules|own'
  'property|WholePath.*|16|LEFTFOLD_STORIES|stories of all engines, as many with a log that is away|own'
  'property|ProjectorSchedule.*|60||lives of a projector|own'
  'stress|Stores/EventStoreRace.*|9||races of writers|seed'
)

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
first=${FIRST:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
begun=$SECONDS
end=$((begun + minutes * 60))
told=$begun
round=0
declare -A counts=() running=()
failed=

sum_up() {
  local kind line=
  for kind in "${!counts[@]}"; do line+=", ${counts[$kind]} $kind"; done
  echo "[$(((SECONDS - begun) / 60)):$(printf %02d $(((SECONDS - begun) % 60)))] round $round, seed $((first + round))$line, ${failed:-0} failures"
}

command_of() { # binary suite seed variable count how
  local environment="LEFTFOLD_CASES=full"
  [[ $6 == own ]] || environment="LEFTFOLD_SEED=$3"
  [[ -z $4 ]] || environment+=" $4=$5"
  echo "$environment build/release/tests/leftfold_$1_test --gtest_filter='$2'"
}

start() { # suite's line, seed
  local binary suite count variable kind how
  IFS='|' read -r binary suite count variable kind how <<<"$1"
  local output="$folder/$RANDOM$RANDOM"
  local command
  command=$(command_of "$binary" "$suite" "$2" "$variable" "$count" "$how")
  timeout -s KILL "$longest" bash -c "$command" >"$output" 2>&1 &
  running[$!]="$output|$count|$kind|$command"
}

# Waits for one of those that run.
finish_one() {
  local pid= code=0 output count kind command
  wait -n -p pid "${!running[@]}" || code=$?
  IFS='|' read -r output count kind command <<<"${running[$pid]}"
  unset "running[$pid]"
  if ((code == 0)) && grep -qF '[       OK ]' "$output"; then
    counts[$kind]=$((${counts[$kind]:-0} + count))
  else
    failed=$((${failed:-0} + 1))
    echo "== FAILED ($code): $kind"
    tail -n 60 "$output"
    echo "== seeds that it told of:"
    grep -o 'LEFTFOLD_[A-Z_]*=[0-9]*' "$output" | awk '!told[$0]++' | tail -n 20 || true
    echo "== again: $command"
    echo "   (with the LEFTFOLD_SEED above for that case alone, where it told of one)"
  fi
  rm -f "$output"
  if ((SECONDS - told >= every)); then
    told=$SECONDS
    sum_up
  fi
}

printf '%s\n' "${suites[@]}" | grep -qE "${ONLY:-.}" || { echo "no suite is called $ONLY" >&2; exit 2; }
echo "torture for $minutes min, $jobs at a time, seeds from $first (FIRST=$first gives them back)"
while ((SECONDS < end)) && [[ ! $failed ]]; do
  round=$((round + 1))
  for suite in "${suites[@]}"; do
    [[ $suite =~ ${ONLY:-.} ]] || continue
    ((SECONDS < end)) && [[ ! $failed ]] || break
    start "$suite" $((first + round))
    ((${#running[@]} < jobs)) || finish_one
  done
done
while ((${#running[@]})); do finish_one; done
sum_up
[[ ! $failed ]] || exit 1
