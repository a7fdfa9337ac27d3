#!/usr/bin/env bash
# Configures a preset of CMakePresets.json when needed and builds it: tools/build.sh PRESET [TARGET..]
# Ninja shows its progress on one line of a terminal; nothing is printed when nothing has to be done.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=$1
shift
folder=build/$preset
targets=()
for target in "$@"; do targets+=(--target "$target"); done

mkdir -p "$folder"
if [ ! -f "$folder/build.ninja" ] || [ CMakePresets.json -nt "$folder/build.ninja" ]; then
  echo "Configuring $folder" >&2
  if ! cmake --preset "$preset" >"$folder/configure.log" 2>&1; then
    cat "$folder/configure.log" >&2
    exit 1
  fi
fi
quiet=()
if ninja -C "$folder" -n "$@" 2>/dev/null | tail -n 1 | grep -q 'no work to do'; then
  quiet=(-- --quiet) # still builds: a new source file shows only when CMake looks again
else
  echo "Building $folder" >&2
fi
export NINJA_STATUS="[%f/%t] "
cmake --build "$folder" "${targets[@]}" "${quiet[@]}" >&2
