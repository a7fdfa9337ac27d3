#!/usr/bin/env bash
# Builds llama.cpp (MIT) in build/peers/llama.cpp, from the source package of llama-cpp-python, to measure beside it:
# llama-bench and llama-quantize. About 10 minutes on 2 cores the first time; nothing the second.
set -euo pipefail
cd "$(dirname "$0")/../.."

package='llama-cpp-python==0.3.36'
folder=build/peers/llama.cpp
if [ -x $folder/bin/llama-bench ] && [ -x $folder/bin/llama-quantize ]; then exit 0; fi

tools/setup.sh bench
mkdir -p build/peers
if [ ! -f build/peers/llama_cpp_source/CMakeLists.txt ]; then
  echo "Fetching the source of llama.cpp ($package, 77 MB)"
  python3 -m pip download --disable-pip-version-check --no-binary llama-cpp-python --no-deps \
    --dest build/peers "$package" >build/peers/download.log 2>&1 || true # pip also tries to prepare it; the archive is what we want
  archive=$(ls build/peers/llama_cpp_python-*.tar.gz 2>/dev/null || true)
  [ -n "$archive" ] || { tail -n 3 build/peers/download.log >&2; echo "The source of llama.cpp could not be fetched: is this machine offline?" >&2; exit 1; }
  rm -rf build/peers/unpacked build/peers/llama_cpp_source
  mkdir build/peers/unpacked
  tar -xzf "$archive" -C build/peers/unpacked
  mv build/peers/unpacked/*/vendor/llama.cpp build/peers/llama_cpp_source
  rm -rf build/peers/unpacked
fi
cmake -S build/peers/llama_cpp_source -B $folder -G Ninja -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
  -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF >build/peers/configure.log
NINJA_STATUS="[%f/%t] " cmake --build $folder --target llama-bench llama-quantize
