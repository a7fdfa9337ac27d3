#!/usr/bin/env bash
# Installs stock Hivemind 1.1.12 and Petals 2.2.0.post1 (CPU) into DIR and touches nothing outside it: Debian's torch
# 1.13.1 is unpacked there, the rest comes from the Python package index. About 1.5 GB, 1 to 2 minutes.
# usage: setup.sh DIR      then: . DIR/env && python -m petals.cli.run_server …
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1"
if [ -f done ] && cmp -s done "$here/setup.sh"; then exit 0; fi
rm -rf deb debroot venv env done
mkdir deb debroot

apt-get -o DPkg::Lock::Timeout=120 update -qq
# The simulation lists only what this machine lacks; torch itself must be among the files.
packages=$(apt-get install -s --no-install-recommends python3-torch | awk '/^Inst/{print $2}')
# shellcheck disable=SC2086 # a list of names
(cd deb && apt-get download -q $packages python3-torch libtorch1.13 >/dev/null)
for deb in deb/*.deb; do dpkg -x "$deb" debroot; done
rm -rf deb

/usr/bin/python3 -m venv --without-pip venv
install() { python3 -m pip --python venv/bin/python install --quiet --disable-pip-version-check "$@"; }
install "numpy<2" scipy filelock "typing_extensions>=4" sympy networkx jinja2 fsspec PyYAML prefetch_generator "msgpack>=1" \
  sortedcontainers uvloop "grpcio-tools" "protobuf>=5.29" configargparse "py-multihash>=0.2.3" cryptography "pydantic>=2" \
  packaging varint base58 netaddr idna py-cid psutil sentencepiece humanfriendly async-timeout Dijkstar cpufeature \
  speedtest-cli==2.1.3 safetensors regex requests tqdm transformers==4.34.1 tokenizers==0.14.1 huggingface-hub==0.17.3
install --no-deps accelerate==0.24.1 hivemind==1.1.12 petals==2.2.0.post1 peft==0.5.0 tensor-parallel==1.0.23 bitsandbytes==0.41.1
site=$(echo venv/lib/python3.*/site-packages)
torch=debroot/usr/lib/python3/dist-packages/torch
ln -s "$PWD/$torch" "$site/torch"
mkdir -p "$site/torch-1.13.1.dist-info"
printf 'Metadata-Version: 2.1\nName: torch\nVersion: 1.13.1\n' >"$site/torch-1.13.1.dist-info/METADATA"
cat "$here/hivemind_compat.py" >>"$site/hivemind/__init__.py"
# Names that torch 1.13 lacks: Petals' server imports the first, safetensors the others.
printf 'def empty_cache():\n    pass\n' >$torch/mps.py
printf 'float8_e4m3fn, float8_e5m2 = object(), object()\n' >>$torch/__init__.py

root=$PWD/debroot
cat >env <<ENV
export PATH=$PWD/venv/bin:\$PATH
export LD_LIBRARY_PATH=$root/usr/lib:$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/blas:$root/usr/lib/x86_64-linux-gnu/lapack
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore OMP_NUM_THREADS=1
export PETALS_CACHE=$PWD/cache PETALS_MAX_RETRIES=3
ENV
cp "$here/setup.sh" done
