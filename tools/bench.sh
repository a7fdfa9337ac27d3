#!/usr/bin/env bash
# make bench: what a hop of a swarm costs; streams, dials and connections beside those of go-, rust- and js-libp2p; then
# kwaai beside llama.cpp on SmolLM2, and with BENCH_1B=1 on random weights of a 1B shape in Q4_0, Q4_K_M and Q8_0 (needs 6 GB of disk and memory for the largest). ROUNDS=5 is the number of turns.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

tools/setup.sh test
tools/build.sh release
models=("$(tools/fetch_model.sh)")
python3 bench/swarm_overhead.py --rounds "${ROUNDS:-5}" "${models[0]}"
python3 bench/swarm_overhead.py --awake --rounds "${ROUNDS:-5}" "${models[0]}"
tools/build.sh test kwaai_interop_peer kwaai_p2p_load
python3 -B bench/p2p.py --rounds "${ROUNDS:-5}" --only kwaai,go,rust,js
if [ -z "${LLAMA_BENCH:-}" ]; then
  tools/peers/llama_cpp.sh
  LLAMA_BENCH=$PWD/build/peers/llama.cpp/bin/llama-bench
fi
export LLAMA_BENCH

if [ -n "${BENCH_1B:-}" ]; then
  quantize=$(dirname "$LLAMA_BENCH")/llama-quantize
  folder=build/models
  mkdir -p $folder
  for type in Q4_0 Q4_K_M Q8_0; do
    model=$folder/random-1b-$type.gguf
    if [ ! -f "$model" ]; then
      if [ ! -f $folder/random-1b-F16.gguf ]; then
        tools/setup.sh bench
        if [ ! -x build/peers/python/bin/python ]; then python3 -m venv build/peers/python; fi
        build/peers/python/bin/python -m pip install --quiet --disable-pip-version-check gguf numpy
        build/peers/python/bin/python bench/make_random_gguf.py 1b $folder/random-1b-F16.part
        mv $folder/random-1b-F16.part $folder/random-1b-F16.gguf
      fi
      "$quantize" $folder/random-1b-F16.gguf "$model.part" $type >$folder/quantize.log 2>&1
      mv "$model.part" "$model"
    fi
    models+=("$model")
  done
fi
python3 bench/llama_compare.py --rounds "${ROUNDS:-5}" --threads "${THREADS:-1,2}" "${models[@]}"
