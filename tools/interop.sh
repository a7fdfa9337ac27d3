#!/usr/bin/env bash
# make interop: the tests against other programs and libraries (label "interop"), then real peers on loopback
# (tests/interop), each with what it needs installed. Arguments go to tests/interop/run.py.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

tools/setup.sh interop
tools/fetch_model.sh >/dev/null
tools/python_packages.sh
tools/build.sh test
ctest --test-dir build/test --output-on-failure --no-tests=error -L interop
tools/build.sh test kwaai_interop_peer kwaai_transport_peer
python3 -B tests/interop/run.py --peer build/test/tests/interop/kwaai_interop_peer --kwaai build/test/apps/kwaai/kwaai "$@"
