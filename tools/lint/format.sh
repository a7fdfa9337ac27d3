#!/usr/bin/env bash
# Fails when clang-format 19 would change a C++ file; `tools/lint/format.sh --fix` changes it.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v clang-format-19 >/dev/null; then
  echo "skipped: no clang-format-19 (tools/setup.sh test installs it)"
  exit 77
fi
files=()
while IFS= read -r -d '' file; do
  if [ -f "$file" ]; then files+=("$file"); fi
done < <(git ls-files -z --cached --others --exclude-standard -- '*.cpp' '*.hpp' '*.c' '*.h' 2>/dev/null ||
  find src apps examples wasm tests -name '*.[ch]pp' -print0)
each() { printf '%s\0' "${files[@]}" | xargs -0 -n 16 -P "$(nproc)" clang-format-19 "$@"; }
if [ "${1:-}" = --fix ]; then
  each -i
  exit 0
fi
wrong=$(each --dry-run 2>&1 | grep -oE '^[^ :]+' | sort -u | grep -E '\.[ch](pp)?$' || true)
if [ -n "$wrong" ]; then
  printf 'Not formatted (tools/lint/format.sh --fix formats them):\n%s\n' "$wrong"
  exit 1
fi
echo "format: ${#files[@]} files"
