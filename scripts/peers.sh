#!/usr/bin/env bash
# Brings what `make bench-peers` measures beside Leftfold into build/peers, at pinned versions; says what it installs, and does
# nothing when all is there. What cannot be had here is left out, with a line that says so. No part of setup.sh: nothing else
# needs it.
set -euo pipefail
cd "$(dirname "$0")/.."

umadb_version=0.7.8
nats_version=v2.15.2
message_db_version=1.3.1

# The server and the C clients.
packages=(postgresql postgresql-client libpq-dev libnats-dev)
peers=$PWD/build/peers
mkdir -p "$peers/bin" "$peers/proto"

without() { echo "peers: without $1: $2" >&2; }
has() { command -v "$1" >/dev/null; }

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  install=(apt-get install -q -y --no-install-recommends "${missing[@]}")
  if ((EUID != 0)); then
    without "what needs ${missing[*]}" "install it with: sudo ${install[*]}"
  else
    echo "peers: installing with apt-get: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    "${install[@]}" || without "what needs ${missing[*]}" "apt-get cannot install it"
  fi
fi

if [[ ! -f $peers/message-db/database/VERSION.txt ]]; then
  echo "peers: unpacking @eventide/message-db $message_db_version of npm into build/peers/message-db"
  { has npm && npm pack --silent --pack-destination "$peers" "@eventide/message-db@$message_db_version" >/dev/null &&
    mkdir -p "$peers/message-db" &&
    tar -xzf "$peers/eventide-message-db-$message_db_version.tgz" -C "$peers/message-db" --strip-components=1; } ||
    without message-db "npm cannot get it"
fi

if [[ $("$peers/bin/nats-server" --version 2>/dev/null || true) != "nats-server: $nats_version" ]]; then
  echo "peers: building nats-server $nats_version with go into build/peers/bin"
  { has go && GOTOOLCHAIN=local GOBIN="$peers/bin" go install "github.com/nats-io/nats-server/v2@$nats_version"; } ||
    without NATS "go cannot build it"
fi

if [[ $("$peers/bin/umadb" --version 2>/dev/null || true) != *" $umadb_version"* ]]; then
  echo "peers: building umadb $umadb_version with cargo into build/peers/bin (some minutes)"
  { has cargo && cargo install --quiet --locked --root "$peers" "umadb@$umadb_version"; } ||
    without UmaDB "cargo cannot build it"
fi
# Its protocol, of the crate that it was built with.
if [[ ! -f $peers/proto/umadb.proto ]]; then
  find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -path "*/umadb-proto-$umadb_version/*" -name umadb.proto \
    -exec cp {} "$peers/proto/" \; 2>/dev/null || without UmaDB "its protocol is not where cargo keeps sources"
fi
