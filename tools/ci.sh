#!/usr/bin/env bash
# What continuous integration runs after `make test`: the second compiler, sanitizers, lints, WebAssembly, fuzzing.
# Each step is named and timed; the first that fails ends the run with its name. tools/ci.sh STEP.. runs only those.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

# Builds and tests a preset: check_preset PRESET [CTEST ARGUMENT..]
check_preset() {
  local preset=$1
  shift
  tools/build.sh "$preset"
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "$@"
}

step_gcc() {
  export KWAAI_SIM_SEEDS=100 # make test runs a thousand, and many networks of tables
  check_preset gcc -LE lint
}

step_asan() {
  export KWAAI_SIM_SEEDS=20 # the same
  # Small fake stacks: all of them are searched after each exception.
  export ASAN_OPTIONS=detect_stack_use_after_return=1:max_uar_stack_size_log=16:malloc_context_size=10:strict_string_checks=1
  export UBSAN_OPTIONS=print_stacktrace=1
  check_preset asan -LE lint -E '^(golden|install)' # the numbers of whole models and the installed tree: as in any other build
}

# The rooms that have threads.
step_tsan() {
  local room targets=() rooms=()
  for room in engine io http api petals node; do
    if [ -f "src/$room/CMakeLists.txt" ]; then
      rooms+=("$room")
      targets+=("kwaai_${room}_test")
    fi
  done
  tools/build.sh tsan "${targets[@]}"
  ctest --test-dir build/tsan --output-on-failure --no-tests=error -R "^($(IFS='|' && echo "${rooms[*]}"))\$"
}

step_headers() { tools/build.sh dev all_verify_interface_header_sets; }

step_coroutines() { tools/lint/coroutines.sh; }

step_tidy() { TIDY_SECONDS=${TIDY_SECONDS:-150} tools/lint/tidy.sh; }

step_wasm() {
  tools/build.sh wasm
  node --test wasm/greedy_test.mjs
}

step_fuzz() { FUZZ_PRESET=asan tools/fuzz.sh 300; } # the sanitizers' build has the targets

if [ "${1:-}" = --step ]; then
  "step_$2"
  exit
fi

steps=(headers coroutines gcc asan tsan tidy wasm fuzz)
if [ $# -gt 0 ]; then steps=("$@"); fi

tools/setup.sh ci
tools/python_packages.sh || echo "Tests that need Python packages will be skipped."
passed=0
begin=$SECONDS
for step in "${steps[@]}"; do
  echo "== $step"
  start=$SECONDS
  status=0
  "$0" --step "$step" || status=$?
  if [ $status -ne 0 ]; then
    [ $status -ne 130 ] || exit 130
    echo "== $step FAILED after $((SECONDS - start)) s; again with: tools/ci.sh $step"
    exit 1
  fi
  echo "== $step passed in $((SECONDS - start)) s"
  passed=$((passed + 1))
done
echo "all of tools/ci.sh took $((SECONDS - begin)) s"
echo "steps: $passed passed, 0 failed"
