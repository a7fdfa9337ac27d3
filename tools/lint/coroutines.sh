#!/usr/bin/env bash
# Fails on coroutine statements that g++ 12 miscompiles (coroutines.query), in sources that changed: tools/lint/coroutines.sh [BASE]
# BASE as for tools/lint/changed.sh; with no such commit all are read. They are read many at a time, as the preset asan compiles
# them, whose build/asan/compile_commands.json is made when it is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

database=build/asan/compile_commands.json
if ! command -v clang-query-19 >/dev/null; then
  echo "skipped: no clang-query-19 (tools/setup.sh ci installs it)"
  exit 77
fi
mkdir -p build/asan
cmake --preset asan >build/asan/configure.log 2>&1 || { cat build/asan/configure.log >&2; exit 1; }

status=0
changed=$(tools/lint/changed.sh "$@") || status=$?
[ $status -eq 0 ] || [ $status -eq 3 ] || exit $status
if [ $status -eq 0 ]; then
  # Headers are seen through the sources that include them.
  while read -r header; do
    if ! grep -qE '\bco_await\b' "$header"; then continue; fi
    changed+=$'\n'$(grep -rlF "#include \"${header#src/}\"" src --include='*.cpp' || true)
  done < <(tools/lint/changed.sh --headers "$@")
fi
is_read() { [ $status -eq 3 ] || printf '%s\n' "${@#"$PWD"/}" | grep -qxFf <(printf '%s\n' "$changed"); }

# What is compiled in one go, holds a coroutine, and is to be read.
mapfile -t files < <(sed -n 's/^ *"file": "\(.*\)",*$/\1/p' $database | while read -r file; do
  case $file in
    */Unity/*) mapfile -t sources < <(sed -n 's/^#include "\(.*\)"$/\1/p' "$file") ;;
    *) sources=("$file") ;;
  esac
  if grep -qE '\bco_await\b' "${sources[@]}" && is_read "${sources[@]}"; then echo "$file"; fi
done)
if [ ${#files[@]} -eq 0 ]; then
  echo "coroutines: no changed source has one"
  exit 0
fi
log=build/coroutines.log
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-query-19 -p build/asan -f tools/lint/coroutines.query >$log 2>&1 || true
if grep -E 'binds here|error:' $log | sort -u; then
  echo "coroutines: g++ 12 miscompiles these: one co_await a statement, its operands names, literals, moves or calls"
  exit 1
fi
grep -q '0 matches' $log || { tail -n 20 $log; echo "coroutines: clang-query did not run" >&2; exit 1; }
echo "coroutines: ${#files[@]} compilations"
