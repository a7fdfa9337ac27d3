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
# Ninja decides what to do; whether a file is newer than the last build only decides what is said about it.
built=$folder/.built
quiet=()
if [ $# -eq 0 ] && [ -f "$built" ] &&
  [ -z "$(find CMakeLists.txt cmake src apps wasm tests -newer "$built" -print -quit)" ]; then
  quiet=(-- --quiet)
else
  echo "Building $folder" >&2
fi
now=$(mktemp "$folder/.begun.XXXXXX")
trap 'rm -f "$now"' EXIT
export NINJA_STATUS="[%f/%t] "
# Clones in other folders share what ccache has.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
if [ ${#quiet[@]} -gt 0 ]; then
  cmake --build "$folder" "${quiet[@]}" | sed '/no work to do/d' >&2
else
  cmake --build "$folder" "${targets[@]}" >&2
fi
if [ $# -eq 0 ]; then mv "$now" "$built"; fi
