#!/usr/bin/env bash
# make run: from a fresh checkout to text of a language model. PROMPT and MODEL may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

kwaai=build/release/apps/kwaai/kwaai
prompt=${PROMPT:-Write a short story about a small robot who finds a friend in the forest.}

tools/setup.sh run
tools/build.sh release
model=${MODEL:-$(tools/fetch_model.sh)}

printf '\n> %s\n\n' "$prompt" >&2
"$kwaai" run "$model" --prompt "$prompt"

cat >&2 <<TEXT

Try next
  $kwaai run                                chat with the model
  $kwaai run --prompt "Hello" --seed 7      the same text each time
  $kwaai serve                              an OpenAI-compatible server; then, in another terminal:
      curl -N http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
        -d '{"messages":[{"role":"user","content":"Hello"}],"stream":true}'
  $kwaai inspect $model
  $kwaai bench                              tokens per second on this machine
  make test                                                   build and run the tests
TEXT
