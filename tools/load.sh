#!/usr/bin/env bash
# make load: ten thousand connections, and hostile peers, at a listener that has to hold them and to serve others
# (tests/load). Arguments go to tests/load/run.py.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

tools/setup.sh test
tools/build.sh test kwaai_p2p_load
python3 -B tests/load/run.py "$@"
