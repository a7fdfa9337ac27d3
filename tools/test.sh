#!/usr/bin/env bash
# make test: builds everything (clang, optimised but for the tests themselves, with symbols) and runs the fast tests.
# Tests that need the model, or data that KWAAI_FIXTURES names, say "skipped" where it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

tools/setup.sh test
tools/fetch_model.sh >/dev/null || echo "Tests that need the model will be skipped." >&2
tools/python_packages.sh >&2 || echo "Tests that need Python packages will be skipped." >&2
tools/build.sh test

status=0
ctest --test-dir build/test --output-on-failure --no-tests=error -j "$(nproc)" || status=$?
skipped=$(grep -ho 'skipped: .*' build/test/Testing/Temporary/LastTest.log | sort | uniq -c || true)
if [ -n "$skipped" ]; then printf 'Parts of tests that were skipped:\n%s\n' "$skipped" >&2; fi
exit $status
