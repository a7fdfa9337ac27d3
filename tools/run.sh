#!/usr/bin/env bash
# make run: from a fresh checkout to a text that four nodes write together. PROMPT, SEED and MODEL may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

if [ ! -x build/kwaai ]; then
  echo "First kwaai is built (minutes, once) and a small language model fetched (once); then four nodes on this machine write a story together." >&2
fi
tools/setup.sh run
tools/build.sh release
ln -sfn release/apps/kwaai/kwaai build/kwaai
model=${MODEL:-$(tools/fetch_model.sh)}

echo >&2
build/kwaai demo "$model" ${PROMPT:+--prompt "$PROMPT"} ${SEED:+--seed "$SEED"}

cat >&2 <<TEXT

More (kwaai is build/kwaai here)
  build/kwaai run                              chat with the model on this machine
  build/kwaai run --prompt "Hello" --seed 7    the same answer each time, on every machine
  build/kwaai serve                            an OpenAI-compatible server; in another terminal:
    curl -N http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
      -d '{"messages":[{"role":"user","content":"Hello"}],"stream":true}'
  build/kwaai bench                            tokens per second on this machine
  make run MODEL=/path/to/another.gguf         your own model
  make test                                    build and run the tests
TEXT
