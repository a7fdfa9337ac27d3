#!/usr/bin/env bash
# Fuzzes every target for its share of the time: tools/fuzz.sh [SECONDS [TARGET..]], 300 s in all by default, as many at once as
# there are CPUs. Targets are those of build/fuzz, or of the preset that FUZZ_PRESET names.
# Seeds are tests/corpus/<target>; what is found new lies in build/fuzz/corpus/<target>, a crash in build/fuzz/crash-<target>-*.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

seconds=${1:-300}
shift || true
preset=${FUZZ_PRESET:-fuzz}
tools/build.sh "$preset" fuzz_targets
mapfile -t targets < <(grep . "build/$preset/fuzz_targets.txt" | while read -r path; do
  if [ $# -eq 0 ] || [[ " $* " == *" ${path##*/} "* ]]; then echo "$path"; fi
done)
if [ ${#targets[@]} -eq 0 ]; then
  echo "fuzz: no target${*:+ named $*}" >&2
  exit 1
fi
share=$((seconds / ${#targets[@]}))
if [ $share -lt 5 ]; then share=5; fi

fuzz_one() {
  local path=$1 name=${1##*/} seeds
  mkdir -p "build/fuzz/corpus/$name"
  seeds=()
  if [ -d "tests/corpus/$name" ]; then seeds=("tests/corpus/$name"); fi
  if "$path" -max_total_time="$share" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="build/fuzz/crash-$name-" "build/fuzz/corpus/$name" "${seeds[@]}" >"build/fuzz/$name.log" 2>&1; then
    echo "  $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log") inputs in $share s, nothing found"
  else
    tail -n 60 "build/fuzz/$name.log"
    echo "  $name: FOUND SOMETHING; replay with $path build/fuzz/crash-$name-*"
    return 255 # xargs starts no more
  fi
}
export -f fuzz_one
export share
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz_one "$0"'
