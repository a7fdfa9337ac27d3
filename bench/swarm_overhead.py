#!/usr/bin/env python3
"""Measures what the network costs: ms per token through 1, 2 and 3 `kwaai serve` processes on loopback, less what the same
text costs in one process; and a node's time from start to listening and its memory at rest.

    bench/swarm_overhead.py [--rounds N] [--tokens N] [--threads N] [--awake] MODEL.gguf

Machines drift, so each round measures every shape once; the table shows medians over rounds. The servers of a shape run one after the other
for each token, so they share the cores without taking them from each other. KWAAI names the program.
A CPU that has nothing to do sleeps, and in a virtual machine waking it takes long: --awake keeps the CPUs busy with work that gives
way to everything else (SCHED_IDLE), so that the difference is what of a hop is waking.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KWAAI = os.environ.get("KWAAI") or str(ROOT / "build/release/apps/kwaai/kwaai")
WAIT_S = 120


def block_count(model: str) -> int:
    report = json.loads(subprocess.run([KWAAI, "inspect", "--json", model], capture_output=True, check=True).stdout)
    for key, value in report["metadata"].items():
        if key.endswith(".block_count"):
            return int(value)
    sys.exit(f"{model} does not say how many blocks it has")


class Node:
    """`kwaai serve --blocks` with an identity of its own; `.address` is where it listens."""

    def __init__(self, model: str, blocks: tuple[int, int], folder: str, threads: int):
        begin = time.monotonic()
        identity = pathlib.Path(folder) / f"{blocks[0]}-{blocks[1]}-{time.monotonic_ns()}.key"
        command = [KWAAI, "serve", model, "--blocks", f"{blocks[0]}:{blocks[1]}", "--identity", str(identity)]
        self.log = open(identity.with_suffix(".log"), "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)], stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.address = self.process.stdout.readline().strip()
        self.listening_ms = (time.monotonic() - begin) * 1000
        if not self.address:
            sys.exit(f"a node did not start; its words are in {self.log.name}")

    def resident_bytes(self) -> int:
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


@contextlib.contextmanager
def cpus_awake(is_wanted: bool):
    spin = "import os\nos.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\nwhile True: pass"
    spinners = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range((os.cpu_count() or 1) * is_wanted)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def write(model: str, peers: list[str], tokens: int, threads: int) -> dict:
    command = [KWAAI, "run", model, "--raw", "--prompt", "Once upon a time", "--temperature", "0", "--json"]
    command += ["--max-tokens", str(tokens), "--threads", str(threads)]
    for peer in peers:
        command += ["--peer", peer]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def ms_per_token(answer: dict) -> float:
    return answer["timings"]["completion_seconds"] * 1000 / max(1, answer["usage"]["completion_tokens"] - 1)


def splits(blocks: int) -> dict[int, list[tuple[int, int]]]:
    shapes = {}
    for count in (1, 2, 3):
        edges = [blocks * i // count for i in range(count + 1)]
        shapes[count] = list(zip(edges[:-1], edges[1:]))
    return shapes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--awake", action="store_true", help="keep the CPUs from sleeping")
    parser.add_argument("model")
    options = parser.parse_args()
    shapes = splits(block_count(options.model))
    times: dict[int, list[float]] = {count: [] for count in (0, *shapes)}
    listening, resting = [], []
    with tempfile.TemporaryDirectory() as folder, cpus_awake(options.awake):
        nodes = {
            count: [Node(options.model, blocks, folder, options.threads) for blocks in shape]
            for count, shape in shapes.items()
        }
        try:
            texts = set()
            for round_number in range(options.rounds):
                for count in times:
                    peers = [node.address for node in nodes.get(count, [])]
                    answer = write(options.model, peers, options.tokens, options.threads)
                    texts.add(answer["text"])
                    times[count].append(ms_per_token(answer))
                    print(f"  round {round_number + 1}, {count} servers: {times[count][-1]:.3f} ms", file=sys.stderr)
            if len(texts) != 1:
                sys.exit("the texts differ: that must not be")
            for shape in nodes.values():
                listening += [node.listening_ms for node in shape]
                resting += [node.resident_bytes() for node in shape]
        finally:
            for shape in nodes.values():
                for node in shape:
                    node.stop()
    local = statistics.median(times[0])
    print(f"{pathlib.Path(options.model).name}, {options.tokens} tokens, {options.threads} threads, medians of {options.rounds} rounds{', CPUs kept awake' * options.awake}")
    print(f"  here                {local:8.3f} ms a token")
    for count in shapes:
        median = statistics.median(times[count])
        print(f"  through {count} server{'s' if count > 1 else ' '}  {median:8.3f} ms a token, {(median - local) / count:6.3f} ms a hop")
    print(f"  start to listening  {statistics.median(listening):8.1f} ms (process start included)")
    print(f"  resident, all nodes {sum(resting) / 2**20:8.1f} MiB in {len(resting)} processes, models included")


if __name__ == "__main__":
    main()
