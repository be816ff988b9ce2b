#!/usr/bin/env bash
# Brings a Debian 12 machine to where this repository builds, tests and runs; says what it installs, and does nothing
# when all is there. `setup.sh checks` adds what the deep checks of .ci/run need.
set -euo pipefail
cd "$(dirname "$0")/.."

# The newest version that both Debian 12's Go (1.19) and today's Go can build.
grpcurl_version=v1.9.1
go_minor_min=19

packages=(
  make cmake ninja-build g++ ccache git ca-certificates curl
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libabsl-dev
  libsqlitecpp-dev libsqlite3-dev libfmt-dev libcli11-dev libssl-dev libcurl4-openssl-dev prometheus-cpp-dev
  libcivetweb-dev libjemalloc-dev python3
  libgtest-dev libgmock-dev
)

case "${1:-}" in
  "") ;;
  checks)
    packages+=(clang-14 lld-14 clang-tidy-14 clang-format-14 libclang-rt-14-dev llvm-14)
    command -v npm >/dev/null || packages+=(nodejs npm)
    ;;
  *) echo "usage: scripts/setup.sh [checks]" >&2; exit 2 ;;
esac

# Prints the go command to use, nothing when there is none that is new enough.
find_go() {
  local go
  for go in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-1.19/bin/go; do
    if [[ -x $go ]] && [[ $(GOTOOLCHAIN=local "$go" version) =~ go1\.([0-9]+) ]] &&
       ((BASH_REMATCH[1] >= go_minor_min)); then
      echo "$go"
      return
    fi
  done
}

tools=$PWD/build/tools
grpcurl_missing=
if [[ $("$tools/grpcurl" -version 2>&1 || true) != "grpcurl $grpcurl_version" ]]; then
  grpcurl_missing=yes
  [[ -n $(find_go) ]] || packages+=(golang-go)
fi

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
  grep -qxF "installed $package" <<<"$installed" || missing+=("$package")
done

if ((${#missing[@]})); then
  if ((EUID != 0)); then
    echo "setup: these packages are missing; install them with:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing with apt-get: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q
  apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

if [[ $grpcurl_missing ]]; then
  go=$(find_go)
  echo "setup: building grpcurl $grpcurl_version into build/tools with $("$go" version)"
  mkdir -p "$tools"
  (cd "$tools" && GOTOOLCHAIN=local GOBIN=$tools "$go" install -ldflags "-X main.version=$grpcurl_version" \
    "github.com/fullstorydev/grpcurl/cmd/grpcurl@$grpcurl_version")
fi

if ((${#missing[@]})) || [[ $grpcurl_missing ]]; then
  echo "setup: done"
else
  echo "setup: everything is there"
fi
