#!/usr/bin/env bash
# clang-tidy 19 on the C++ sources that changed: tools/lint/tidy.sh [BASE]
# BASE as for tools/lint/changed.sh; with no such commit there is nothing that changed. Stops starting new files after TIDY_SECONDS (600) and names those it did not reach.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${TIDY_SECONDS:-600}

status=0
changed=$(tools/lint/changed.sh "$@") || status=$?
if [ $status -eq 3 ]; then
  echo "tidy: no commit to compare with; tools/lint/tidy.sh BASE checks what changed since BASE"
  exit 0
fi
[ $status -eq 0 ] || exit $status
if [ -z "$changed" ]; then
  echo "tidy: no source changed"
  exit 0
fi
mapfile -t files <<<"$changed" # newest first: what is reached in time is what matters most

work=build/tidy
rm -rf $work
mkdir -p $work
export work deadline=$(($(date +%s) + seconds))
check_one() {
  local file=$1 report
  report=$work/${file//\//_}
  if [ "$(date +%s)" -ge "$deadline" ]; then
    echo "$file" >>"$work/not_reached"
    return
  fi
  # The analyser follows calls into libraries; what it says of their headers is not ours to mend.
  local status=0 ours
  clang-tidy-19 --quiet -p build/dev "$file" >"$report" 2>"$report.errors" || status=$?
  ours=$(grep -E "^$PWD/(src|apps)/[^ ]*: (warning|error):" "$report" || true)
  if [ -n "$ours" ] || { [ $status -ne 0 ] && ! grep -qE '^/[^ ]*: (warning|error):' "$report"; }; then
    echo "$file" >>"$work/failed"
    if [ -n "$ours" ]; then echo "${ours//$PWD\//}"; else cat "$report.errors"; fi
  fi
}
export -f check_one
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'check_one "$0"'

if [ -f $work/not_reached ]; then
  echo "tidy: not reached within $seconds s: $(sort $work/not_reached | tr '\n' ' ')"
fi
if [ -f $work/failed ]; then
  echo "tidy: $(wc -l <$work/failed) of ${#files[@]} files have findings"
  exit 1
fi
echo "tidy: ${#files[@]} files"
