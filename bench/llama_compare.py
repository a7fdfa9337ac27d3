#!/usr/bin/env python3
"""Measures `kwaai bench` and llama.cpp's llama-bench in turns, on the same model, and prints both and their ratio.

    bench/llama_compare.py [--rounds N] [--threads 1,2] [--prompt 512] [--generate 128] MODEL.gguf ...

Machines drift: a number means something only beside the other program's from the same minutes, so each round runs both,
one sample each, and the table shows medians over rounds. LLAMA_BENCH names the llama-bench to use, KWAAI the kwaai.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def find(variable: str, default: str, how: str) -> str:
    path = os.environ.get(variable) or str(ROOT / default)
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} does not exist: {how}, or set {variable}.")
    return path


def run_json(command: list[str]):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"failed ({done.returncode}): {' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def kwaai_speeds(program: str, model: str, threads: int, prompt: int, generate: int) -> dict[str, float]:
    command = [program, "bench", model, "--json", "--threads", str(threads), "--repetitions", "1"]
    report = run_json([*command, "--prompt-tokens", str(prompt), "--generate", str(generate)])
    return {entry["test"]: statistics.median(entry["samples"]) for entry in report["tests"]}


def llama_speeds(program: str, model: str, threads: int, prompt: int, generate: int) -> dict[str, float]:
    command = [program, "-m", model, "-o", "json", "-t", str(threads), "-r", "1"]
    report = run_json([*command, "-p", str(prompt), "-n", str(generate)])
    return {
        (f"pp{entry['n_prompt']}" if entry["n_prompt"] else f"tg{entry['n_gen']}"): entry["avg_ts"] for entry in report
    }


def cpu_name() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"


def measure_round(kwaai: str, llama: str, common: tuple, is_ours_first: bool) -> tuple[dict, dict]:
    """Both programs once; who begins alternates, so that neither always finds the cooler machine."""
    if is_ours_first:
        ours = kwaai_speeds(kwaai, *common)
        return ours, llama_speeds(llama, *common)
    theirs = llama_speeds(llama, *common)
    return kwaai_speeds(kwaai, *common), theirs


def compare(arguments: argparse.Namespace, kwaai: str, llama: str) -> None:
    load = os.getloadavg()[0]
    print(f"{cpu_name()}, {os.cpu_count()} cores; load {load:.1f}; {arguments.rounds} rounds; tokens/s, medians")
    if load > 0.5:
        print("Other programs are running: these ratios say how each shares the machine, not how fast it is.")
    print(f"| {'model':<40} | threads | test  | {'kwaai':>8} | {'llama.cpp':>9} | ratio | lowest and highest ratio |")
    print(f"|{'-' * 42}|---------|-------|{'-' * 9}:|{'-' * 10}:|------:|-------------------------:|")
    for model in arguments.models:
        for threads in arguments.threads:
            common = (model, threads, arguments.prompt, arguments.generate)
            rounds = [measure_round(kwaai, llama, common, is_ours_first=i % 2 == 0) for i in range(arguments.rounds)]
            for test in rounds[0][0]:
                ours = [round_[0][test] for round_ in rounds]
                theirs = [round_[1][test] for round_ in rounds]
                ratios = sorted(a / b for a, b in zip(ours, theirs))
                print(
                    f"| {pathlib.Path(model).stem:<40} | {threads:>7} | {test:<5} | {statistics.median(ours):>8.1f} "
                    f"| {statistics.median(theirs):>9.1f} | {statistics.median(ratios):>5.2f} "
                    f"| {ratios[0]:>15.2f} .. {ratios[-1]:>5.2f} |",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2])
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    arguments = parser.parse_args()
    kwaai = find("KWAAI", "build/release/apps/kwaai/kwaai", "run tools/build.sh release")
    llama = find("LLAMA_BENCH", "build/peers/llama.cpp/bin/llama-bench", "run tools/peers/llama_cpp.sh")
    compare(arguments, kwaai, llama)


if __name__ == "__main__":
    main()
