#!/usr/bin/env bash
# The C++ sources that changed, by path, newest first: tools/lint/changed.sh [BASE]
# BASE defaults to the merge base with origin/main, or where that is HEAD itself, the last commit older than a day. A changed
# header stands for the source beside it; with --headers in front, the headers themselves. Exit status 3: there is no commit to
# compare with.
set -euo pipefail
cd "$(dirname "$0")/../.."

wanted=sources
if [ "${1:-}" = --headers ]; then
  wanted=headers
  shift
fi
mkdir -p build/dev
cmake --preset dev >build/dev/configure.log 2>&1 || { cat build/dev/configure.log >&2; exit 1; } # for compile_commands.json
base=${1:-$(git merge-base HEAD origin/main 2>/dev/null || true)}
if [ -z "$base" ] || [ "$(git rev-parse "$base^{commit}")" = "$(git rev-parse HEAD)" ]; then
  base=$(git rev-list -1 --before='24 hours ago' HEAD)
fi
[ -n "$base" ] || exit 3
if [ $wanted = headers ]; then
  git diff --name-only --diff-filter=d "$base" -- 'src/*.hpp'
  exit
fi
files=()
for file in $(git diff --name-only --diff-filter=d "$base" -- 'src/*.[ch]pp' 'apps/*.cpp' | sed 's/\.hpp$/.cpp/' | sort -u); do
  if [ -f "$file" ] && grep -q "/$file\"" build/dev/compile_commands.json; then files+=("$file"); fi
done
if [ ${#files[@]} -gt 0 ]; then ls -t "${files[@]}"; fi
