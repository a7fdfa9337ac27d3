#!/usr/bin/env bash
# make interop: the tests against other programs and libraries (label "interop"), with what they need installed.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

tools/setup.sh test
tools/fetch_model.sh >/dev/null
tools/python_packages.sh
tools/build.sh dev
ctest --test-dir build/dev --output-on-failure --no-tests=error -L interop
