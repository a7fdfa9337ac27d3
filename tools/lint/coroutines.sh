#!/usr/bin/env bash
# Fails on coroutine statements that g++ 12 miscompiles (coroutines.query). Reads build/dev/compile_commands.json.
# tools/lint/coroutines.sh changed looks at the sources that changed alone (tools/lint/changed.sh): for CI, a day's work.
set -euo pipefail
cd "$(dirname "$0")/../.."

database=build/dev/compile_commands.json
if ! command -v clang-query-19 >/dev/null; then
  echo "skipped: no clang-query-19 (tools/setup.sh ci installs it)"
  exit 77
fi
[ -f $database ] || { echo "There is no $database: run tools/build.sh dev first." >&2; exit 1; }

# The sources that hold a coroutine; headers are seen through the sources that include them.
mapfile -t files < <(grep -lE --include='*.cpp' -r '\bco_await\b' src apps 2>/dev/null | while read -r file; do
  if grep -q "/$file\"" $database; then echo "$file"; fi
done)
if [ "${1:-}" = changed ]; then
  status=0
  changed=$(tools/lint/changed.sh) || status=$?
  if [ $status -eq 0 ]; then mapfile -t files < <(printf '%s\n' "${files[@]}" | grep -xF "$changed" || true); fi
fi
if [ ${#files[@]} -eq 0 ]; then
  echo "coroutines: no source has one"
  exit 0
fi
log=build/coroutines.log
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-query-19 -p build/dev -f tools/lint/coroutines.query >$log 2>&1 || true
if grep -E 'binds here|error:' $log | sort -u; then
  echo "coroutines: g++ 12 miscompiles these: one co_await a statement, its operands names, literals, moves or calls"
  exit 1
fi
grep -q '0 matches' $log || { tail -n 20 $log; echo "coroutines: clang-query did not run" >&2; exit 1; }
echo "coroutines: ${#files[@]} files"
