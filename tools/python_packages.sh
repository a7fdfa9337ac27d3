#!/usr/bin/env bash
# Puts the Python packages of tests/requirements.txt into build/python, once; prints nothing when they are there.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=tests/requirements.txt
folder=build/python
[ -f $wanted ] || exit 0
if cmp -s $wanted $folder/installed.txt; then exit 0; fi
echo "Installing Python packages for the tests into $folder: $(grep -v '^#' $wanted | tr '\n' ' ')"
rm -rf $folder
python3 -m venv $folder
if ! $folder/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 30 -r $wanted; then
  echo "The Python packages could not be installed: is this machine offline?"
  exit 1
fi
cp $wanted $folder/installed.txt
