#!/usr/bin/env bash
# clang-tidy 19 on the C++ sources that changed: tools/lint/tidy.sh [BASE]
# BASE defaults to the merge base with origin/main, or where that is HEAD itself, the last commit older than a day; with no such
# commit there is nothing that changed. Stops starting new files after TIDY_SECONDS (600) and names those it did not reach.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${TIDY_SECONDS:-600}
database=build/dev/compile_commands.json
[ -f $database ] || { echo "There is no $database: run tools/build.sh dev first." >&2; exit 1; }

base=${1:-$(git merge-base HEAD origin/main 2>/dev/null || true)}
if [ -z "$base" ] || [ "$(git rev-parse "$base^{commit}")" = "$(git rev-parse HEAD)" ]; then
  base=$(git rev-list -1 --before='24 hours ago' HEAD)
fi
if [ -z "$base" ]; then
  echo "tidy: no commit to compare with; tools/lint/tidy.sh BASE checks what changed since BASE"
  exit 0
fi
changed=$(git diff --name-only --diff-filter=d "$base" -- 'src/*.[ch]pp' 'apps/*.cpp')

# A changed header is seen through the source beside it. Newest first: what is reached in time is what matters most.
files=()
for file in $(for name in $changed; do echo "${name%.hpp}" | sed 's/$/.cpp/; s/\.cpp\.cpp$/.cpp/'; done | sort -u); do
  if [ -f "$file" ] && grep -q "/$file\"" $database; then files+=("$file"); fi
done
if [ ${#files[@]} -eq 0 ]; then
  echo "tidy: no source changed"
  exit 0
fi
mapfile -t files < <(ls -t "${files[@]}")

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
