#!/usr/bin/env bash
# make lint: every lint, the slow ones included.
set -euo pipefail
cd "$(dirname "$0")/../.."
trap 'echo >&2; exit 130' INT

tools/setup.sh ci
failed=0
for lint in lint_test.py layers.py size.py banned.py; do python3 -B tools/lint/$lint || failed=1; done
tools/lint/format.sh || failed=1
tools/lint/coroutines.sh || failed=1
exit $failed
