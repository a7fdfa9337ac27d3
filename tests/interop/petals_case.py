"""Stock Petals and this project's nodes, with a llama of four blocks: the tokens must be those of plain transformers."""

import json
import time

from peers import HERE, START_S
from processes import Failed, Process

PREFIX = "tiny-llama-hf"
TOKENS = 20
LONG_TOKENS = 200
FAILOVER_TRIES = 8
PROMPTS = ["hello world, the quick", "jumps over the lazy dog hello", "the", "quick brown fox, quick brown dog; over?"]
SERVER_S = 180  # until a server has loaded its blocks
CLIENT_S = 180


def last_report(output):
    """The JSON object in what a program printed."""
    return json.loads([line for line in output.splitlines() if line.startswith("{")][-1])


def id_of(peer):
    return peer.partition("=")[0].rpartition("/")[2]


class PetalsCase:
    """`python` is a prepared P2pd peer: Petals lives in the same environment."""

    def __init__(self, python, kwaai, folder, cache):
        self.python = python
        self.kwaai = str(kwaai)
        self.folder = folder
        self.model = cache / "tiny-llama"

    def script(self, name, program, *arguments):
        command = [str(self.python.folder / "venv/bin/python"), "-B", *program, *map(str, arguments)]
        return Process(name, command, self.folder / f"{name}.log", cwd=self.folder, env=self.python.env())

    def reference(self, count, *prompts, cache="f32"):
        """What transformers writes after each prompt, with keys and values of that type."""
        sources = HERE / "peers" / "python"
        if not (self.model / "tokenizer.json").exists():
            with self.script("make_tiny_llama", [str(sources / "make_tiny_llama.py")], self.model) as making:
                making.wait(CLIENT_S)
        with self.script("greedy", [str(sources / "greedy.py")], self.model, count, cache, *prompts) as writing:
            lines = [line for line in writing.wait(CLIENT_S).splitlines() if line.startswith("[{")]
        return json.loads(lines[-1])

    def stock_server(self, name, blocks):
        """A stock server of some blocks, and its address."""
        flags = (
            f"--dht_prefix {PREFIX} --block_indices {blocks} --host_maddrs /ip4/127.0.0.1/tcp/0 --new_swarm "
            "--device cpu --torch_dtype float32 --quant_type none --throughput 1 --skip_reachability_check "
            f"--no_auto_relay --num_handlers 2 --attn_cache_tokens 2048 --identity_path {self.folder / name}.id"
        )
        (self.folder / f"{name}.id").unlink(missing_ok=True)
        return self.script(name, ["-m", "petals.cli.run_server"], self.model, *flags.split())

    def address_of(self, server):
        found = server.wait_for_line(r"/ip4/127\.0\.0\.1/tcp/\d+/p2p/\w+", SERVER_S)
        server.wait_for_line(r"Started", SERVER_S)
        return found[0]

    def our_server(self, name, blocks):
        command = [self.kwaai, "serve", str(self.model), "--blocks", blocks, "--listen", "/ip4/127.0.0.1/tcp/0"]
        command += ["--prefix", PREFIX, "--identity", str(self.folder / f"{name}.key")]
        return Process(name, command, self.folder / f"{name}.log", cwd=self.folder)

    def our_address(self, server):
        found = server.wait_for_line(r"/ip4/127\.0\.0\.1/tcp/\d+/p2p/\w+", START_S)
        return found[0]

    def client(self, prompt, count, *peers):
        """Our client at work."""
        command = [self.kwaai, "run", str(self.model), "--raw", "--prompt", prompt, "--max-tokens", str(count)]
        command += ["--temperature", "0", "--ignore-end", "--json"]
        for peer in peers:
            command += ["--peer", peer]
        if peers:
            command += ["--prefix", PREFIX]
        return Process("kwaai run", command, self.folder / "kwaai-run.log", cwd=self.folder)

    def write(self, prompt, count, *peers):
        """The report of our client."""
        with self.client(prompt, count, *peers) as client:
            return last_report(client.wait(CLIENT_S))

    def write_all(self, expected, *peers):
        """Problems of our client with all prompts, and the last report."""
        problems = []
        for answer in expected:
            count = len(answer["tokens"])
            report = self.write(answer["prompt"], count, *peers)
            if report["tokens"] != answer["tokens"]:
                problems.append(f"{answer['prompt']!r}: {report['tokens']} instead of {answer['tokens']}")
            route = [hop["peer"] for hop in report.get("route", [])]
            if route != [id_of(peer) for peer in peers]:
                problems.append(f"the text went through {route}")
            # The first token comes with the prompt.
            report["ms_per_token"] = report["timings"]["completion_seconds"] * 1000 / (count - 1)
        return problems, report

    def stock_client(self, expected, *peers):
        answer = expected[0]
        script = [str(HERE / "peers/python/stock_client.py")]
        arguments = [self.model, PREFIX, TOKENS, answer["prompt"], *peers]
        with self.script("stock_client", script, *arguments) as client:
            output = client.wait(CLIENT_S)
        report = last_report(output)
        problems = []
        if report["tokens"] != answer["tokens"]:
            problems.append(f"{report['tokens']} instead of {answer['tokens']}")
        problems += [f"{what}: other tokens than they should be" for what in ("batch", "beams") if not report[what + "_ok"]]
        return problems, report

    def fail_over(self, low, high):
        """A stock server of all blocks is killed amid a text, and two others, of half the blocks each, go on."""
        answer = self.reference(LONG_TOKENS, PROMPTS[0])[0]
        for attempt in range(FAILOVER_TRIES):
            with self.stock_server("victim", "0:4") as victim:
                # The shortest way, so that the text begins there.
                peers = [f"{self.address_of(victim)}=0:4", f"{low}=0:2", f"{high}=2:4"]
                with self.client(answer["prompt"], LONG_TOKENS, *peers) as client:
                    time.sleep(0.15 * (attempt + 2))
                    victim.kill()
                    report = last_report(client.wait(CLIENT_S))
            if report["tokens"] != answer["tokens"]:
                return [f"{report['tokens']} instead of {answer['tokens']}"], report
            has_begun_elsewhere = report["route"][0]["steps"] < LONG_TOKENS - 2
            if len(report["route"]) == 2 and has_begun_elsewhere:
                return [], {}
        return ["no text was being written when its server was killed"], {}

    def run(self):
        """Yields (what, problems, note) as it goes."""
        expected = self.reference(TOKENS, *PROMPTS)
        rounded = self.reference(LONG_TOKENS, *PROMPTS, cache="f16")
        yield self.attempt("kwaai alone", lambda: self.write_all(expected))
        with self.stock_server("stock-0-4", "0:4") as server:
            address = self.address_of(server)
            yield self.attempt("kwaai run → Petals 0:4", lambda: self.write_all(expected, f"{address}=0:4"))
        with self.stock_server("stock-0-2", "0:2") as first, self.stock_server("stock-2-4", "2:4") as second:
            low, high = self.address_of(first), self.address_of(second)
            yield self.attempt(
                "kwaai run → Petals 0:2, Petals 2:4",
                lambda: self.write_all(expected, f"{low}=0:2", f"{high}=2:4"),
            )
            yield self.attempt(
                "kwaai run → Petals 0:4, killed; then 0:2, 2:4", lambda: self.fail_over(low, high)
            )
            with self.our_server("ours-2-4", "2:4") as ours:
                mine = self.our_address(ours)
                yield self.attempt(
                    "kwaai run → Petals 0:2, kwaai 2:4", lambda: self.write_all(expected, f"{low}=0:2", mine)
                )
                yield self.attempt(
                    "Petals client → Petals 0:2, kwaai 2:4",
                    lambda: self.stock_client(expected, f"{low}=0:2", f"{mine}=2:4"),
                )
        with self.our_server("ours-0-4", "0:4") as ours:
            mine = self.our_address(ours)
            yield self.attempt("kwaai run → kwaai 0:4", lambda: self.write_all(expected, mine))
            # A near tie falls as the cache is rounded.
            what = f"the same, {LONG_TOKENS} tokens, f16 cache"
            yield self.attempt(what, lambda: self.write_all(rounded, mine))
            yield self.attempt("Petals client → kwaai 0:4", lambda: self.stock_client(expected, f"{mine}=0:4"))

    @staticmethod
    def attempt(what, action):
        try:
            problems, report = action()
        except Failed as failure:
            return what, [str(failure)], {}
        return what, problems, report
