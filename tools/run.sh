#!/usr/bin/env bash
# make run: from a fresh checkout to text of a language model. PROMPT and MODEL may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'echo >&2; exit 130' INT

prompt=${PROMPT:-Write a story in three sentences about a small robot who finds a friend in the forest.}

tools/setup.sh run
tools/build.sh release
ln -sfn release/apps/kwaai/kwaai build/kwaai
model=${MODEL:-$(tools/fetch_model.sh)}

printf '\n> %s\n\n' "$prompt" >&2
build/kwaai run "$model" --prompt "$prompt" --max-tokens 300 --temperature 0.7 --repeat-penalty 1.1

cat >&2 <<TEXT

Try next
  build/kwaai run                              chat with the model
  build/kwaai run --prompt "Hello" --seed 7    the same answer each time, on every machine
  build/kwaai serve                            an OpenAI-compatible server; in another terminal:
    curl -N http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
      -d '{"messages":[{"role":"user","content":"Hello"}],"stream":true}'
  build/kwaai bench                            tokens per second on this machine
  make run MODEL=/path/to/another.gguf         your own model
  make test                                    build and run the tests
TEXT
