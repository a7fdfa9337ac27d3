"""Nodes that hold parts of a model, as processes of their own, and texts through them."""

import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

from kwaai_process import KWAAI, TIMEOUT_S, Server, at_once, run, smollm2, stories

try:
    # Its folder is below a home that these tests move.
    SMOLLM2 = smollm2()
except unittest.SkipTest:
    SMOLLM2 = None

PROMPT = ["--raw", "--prompt", "Once upon a time"]
GREEDY = ["--temperature", "0"]
SAMPLED = ["--temperature", "1.2", "--seed", "11"]


class Node:
    """`kwaai serve --blocks` on a port that the system chooses. A context manager; its process has ended after it."""

    def __init__(self, model, blocks, *arguments, within=()):
        """`within` is put in front of the command."""
        # A file: nobody reads a pipe while a test looks elsewhere.
        self.notes = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [*within, KWAAI, "serve", model, "--blocks", blocks, "--threads", "1", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.notes,
        )
        self.address = self.process.stdout.readline().decode().strip()
        if not self.address:
            self.process.wait(TIMEOUT_S)
            raise AssertionError(self.said())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdout.close()
        self.notes.close()

    @property
    def peer(self):
        return self.address.rpartition("/")[2]

    @property
    def short(self):
        return self.peer[-6:]

    @property
    def port(self):
        return int(self.address.split("/")[4])

    def said(self):
        self.notes.seek(0)
        return self.notes.read().decode()

    def says(self, text):
        """Waits until it has said it."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.said():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.01)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT_S)

    def ctrl_c(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(TIMEOUT_S)


def peers(nodes):
    return [word for node in nodes for word in ("--peer", node.address)]


class Writing:
    """`kwaai run` through nodes, under way: its first letters have come, unless it is not waited for."""

    def __init__(self, model, nodes, *flags, wait=True):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [KWAAI, "run", model, *PROMPT, *flags, "--threads", "1", *peers(nodes)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.begun = os.read(self.process.stdout.fileno(), 20) if wait else b""

    def finish(self):
        """Text and stderr."""
        text, _ = self.process.communicate(timeout=TIMEOUT_S)
        self.errors.seek(0)
        errors = self.errors.read().decode()
        self.errors.close()
        assert self.process.returncode == 0, errors
        return self.begun + text, errors


class Swarm(unittest.TestCase):
    """A home of its own: other nodes of this user may run."""

    @classmethod
    def setUpClass(cls):
        cls.model = stories()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        before = {name: os.environ.get(name) for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME")}

        def restore():
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value

        cls.addClassCleanup(restore)
        os.environ.update(XDG_DATA_HOME=f"{folder.name}/data", XDG_CACHE_HOME=f"{folder.name}/cache")

    def nodes(self, *blocks):
        nodes = [Node(self.model, part) for part in blocks]
        for node in nodes:
            self.addCleanup(node.__exit__)
        return nodes

    def write(self, nodes, *flags):
        return run("run", self.model, *PROMPT, *flags, *peers(nodes))

    def assert_writes(self, nodes, *flags):
        through = self.write(nodes, *flags)
        self.assertEqual(through.returncode, 0, through.stderr)
        self.assertEqual(through.stdout, self.write([], *flags).stdout)
        self.assertGreater(len(through.stdout), 100)
        return through.stderr.decode()


class SameText(Swarm):
    def assert_split(self, *blocks):
        nodes = self.nodes(*blocks)
        notes = self.assert_writes(nodes, *GREEDY, "--max-tokens", "200")
        self.assert_writes(nodes, *SAMPLED, "--max-tokens", "200")
        return nodes, notes

    def test_one_node_with_all_blocks(self):
        self.assert_split("0:5")

    def test_two_nodes(self):
        self.assert_split("0:2", "2:5")

    def test_three_nodes_and_the_route_is_told_with_milliseconds(self):
        nodes, notes = self.assert_split("0:1", "1:3", "3:5")
        route = next(line for line in notes.splitlines() if line.startswith("route: "))
        hops = re.findall(r"(\w{6}) (\d:\d) [0-9.]+ ms", route)
        self.assertEqual(hops, [(n.short, b) for n, b in zip(nodes, ("0:1", "1:3", "3:5"))])

    def test_four_nodes_that_overlap(self):
        self.assert_split("0:3", "1:4", "2:5", "0:2")

    def test_many_at_once(self):
        nodes = self.nodes("0:2", "2:5")
        alone = self.write([], *SAMPLED, "--max-tokens", "100").stdout
        texts = at_once([lambda: self.write(nodes, *SAMPLED, "--max-tokens", "100").stdout] * 4)
        self.assertEqual(texts, [alone] * 4)

    def test_json_has_the_route(self):
        nodes = self.nodes("0:2", "2:5")
        answer = json.loads(self.write(nodes, *GREEDY, "--max-tokens", "20", "--json").stdout)
        self.assertEqual([hop["peer"] for hop in answer["route"]], [node.peer for node in nodes])
        self.assertEqual([(hop["begin"], hop["end"]) for hop in answer["route"]], [(0, 2), (2, 5)])
        self.assertTrue(all(hop["median_ms"] > 0 for hop in answer["route"]))

    def test_rows_in_sixteen_bits_give_some_text(self):
        nodes = [Node(self.model, blocks, "--rows", "bf16") for blocks in ("0:2", "2:5")]
        for node in nodes:
            self.addCleanup(node.__exit__)
        result = self.write(nodes, *GREEDY, "--max-tokens", "20", "--rows", "bf16")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertGreater(len(result.stdout), 20)


class SameAnswers(Swarm):
    """As SameText, with the model that people run, and its chat template."""

    QUESTION = ["--prompt", "Name three animals that live in the sea, and say what they eat.", "--max-tokens", "48"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = SMOLLM2
        if SMOLLM2 is None:
            raise unittest.SkipTest("skipped: no SmolLM2 model (run tools/fetch_model.sh, or set KWAAI_MODEL)")

    def test_answers_do_not_depend_on_the_split(self):
        ways = (GREEDY, ["--seed", "3"])
        alone = [run("run", self.model, *self.QUESTION, *way).stdout for way in ways]
        self.assertNotEqual(alone[0], alone[1])
        for split in (["0:30"], ["0:15", "15:30"], ["0:10", "10:20", "20:30"]):
            nodes = self.nodes(*split)
            for way, expected in zip(ways, alone):
                result = run("run", self.model, *self.QUESTION, *way, *peers(nodes))
                self.assertEqual(result.stdout, expected, (split, way, result.stderr))
            for node in nodes:
                self.assertEqual(node.ctrl_c(), 0)


class Failing(Swarm):
    LONG = [*SAMPLED, "--max-tokens", "1500"]

    def assert_survives(self, harm):
        """`harm` befalls a node of the middle while a text is written; the text is that of one node."""
        first, middle, twin, last = self.nodes("0:1", "1:3", "1:3", "3:5")
        writing = Writing(self.model, [first, middle, twin, last], *self.LONG)
        victim = middle if "opened a session" in middle.said() else twin
        harm(victim)
        text, errors = writing.finish()
        self.assertIn(f"{victim.short} failed", errors)
        self.assertEqual(text, self.write([], *self.LONG).stdout)
        return victim

    def test_a_node_is_killed_while_it_writes(self):
        self.assert_survives(lambda node: node.kill())

    def test_a_node_stops_answering_while_it_writes(self):
        began = time.monotonic()
        victim = self.assert_survives(lambda node: node.process.send_signal(signal.SIGSTOP))
        self.assertLess(time.monotonic() - began, TIMEOUT_S / 2)
        victim.process.send_signal(signal.SIGCONT)
        self.assertEqual(victim.ctrl_c(), 0)

    def test_a_node_that_is_ended_in_order(self):
        self.assert_survives(lambda node: self.assertEqual(node.ctrl_c(), 0))

    def test_a_client_that_goes_away_leaves_no_session(self):
        (node,) = self.nodes("0:5")
        writing = Writing(self.model, [node], *self.LONG)
        writing.process.kill()
        writing.process.communicate(timeout=TIMEOUT_S)
        writing.errors.close()
        node.says("ended its session")
        self.assert_writes([node], *GREEDY, "--max-tokens", "100")

    def test_ctrl_c_ends_a_text_through_a_swarm(self):
        nodes = self.nodes("0:2", "2:5")
        writing = Writing(self.model, nodes, *self.LONG)
        writing.process.send_signal(signal.SIGINT)
        writing.process.communicate(timeout=TIMEOUT_S)
        writing.errors.close()
        self.assertEqual(writing.process.returncode, 130)
        for node in nodes:
            node.says("ended its session")


class Refusing(Swarm):
    def refused(self, nodes, *flags):
        result = self.write(nodes, *GREEDY, "--max-tokens", "5", *flags)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout, b"")
        return result.stderr.decode()

    def test_blocks_that_nobody_serves_are_named(self):
        errors = self.refused(self.nodes("0:2", "3:5"))
        self.assertIn("nobody serves blocks 2:3", errors)

    def test_another_model_is_refused(self):
        other = self.folder / "other.gguf"
        whole = bytearray(pathlib.Path(self.model).read_bytes())
        whole[-1] ^= 1
        other.write_bytes(whole)
        with Node(str(other), "0:5") as node:
            self.assertIn("another model", self.refused([node]))
            # The right one beside it serves.
            self.assert_writes([node, *self.nodes("0:5")], *GREEDY, "--max-tokens", "100")

    def test_a_peer_that_is_not_there(self):
        (node,) = self.nodes("0:5")
        node.kill()
        errors = self.refused([node])
        self.assertIn(node.address, errors)
        self.assertIn("refused", errors)

    def test_a_peer_that_is_someone_else(self):
        first, second = self.nodes("0:2", "2:5")
        second.address = first.address.replace(first.peer, second.peer)
        self.refused([first, second])

    def test_blocks_that_the_model_has_not(self):
        result = run("serve", self.model, "--blocks", "3:6")
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"0:5", result.stderr)
        self.assertEqual(result.stdout, b"")

    def test_an_identity_that_is_in_use(self):
        key = str(self.folder / "node.key")
        with Node(self.model, "0:2", "--identity", key):
            result = run("serve", self.model, "--blocks", "2:5", "--identity", key)
            self.assertEqual(result.returncode, 1)
            self.assertIn(key.encode(), result.stderr)


class Rubbish(Swarm):
    SENT = (
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        bytes.fromhex("1603010200010001fc0303"),
        b"\xff" * 100000,
        b"\x13/multistream/1.0.0\n" + b"\xff" * 1000,
        b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\xff\xff" + os.urandom(65535),
        b"\x13/multistream/1.0.0\n\x07/noise\n\x00\x20" + os.urandom(32),
    )

    def test_a_node_outlives_rubbish_on_its_port(self):
        (node,) = self.nodes("0:5")
        kept = []
        for rubbish in self.SENT:
            sock = socket.create_connection(("127.0.0.1", node.port), timeout=TIMEOUT_S)
            kept.append(sock)
            try:
                sock.sendall(rubbish)
            except OSError:
                pass  # it has hung up already
        self.assert_writes([node], *GREEDY, "--max-tokens", "100")
        for sock in kept:
            sock.close()
        self.assert_writes([node], *GREEDY, "--max-tokens", "100")
        self.assertIsNone(node.process.poll())
        self.assertEqual(node.ctrl_c(), 0)


class Identities(Swarm):
    def test_an_id_is_made_once_and_kept_from_others(self):
        key = self.folder / "keys" / "mine.key"
        first = run("id", "--identity", str(key))
        self.assertRegex(first.stdout, rb"^12D3KooW\w{44}\n$")
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        self.assertEqual(run("id", "--identity", str(key)).stdout, first.stdout)
        told = json.loads(run("id", "--identity", str(key), "--json").stdout)
        self.assertEqual((told["peer_id"].encode() + b"\n", told["key_type"]), (first.stdout, "Ed25519"))
        key.chmod(0o644)
        refused = run("id", "--identity", str(key))
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(b"chmod", refused.stderr)

    def test_a_node_is_the_peer_that_id_tells(self):
        (node,) = self.nodes("0:5")
        self.assertEqual(run("id").stdout.decode(), node.peer + "\n")
        (second,) = self.nodes("0:5")
        self.assertNotEqual(second.peer, node.peer)
        self.assertIn("--identity", second.said())

    def test_ping(self):
        (node,) = self.nodes("0:5")
        lines = run("ping", node.address, "-c", "2").stdout.decode().splitlines()
        self.assertRegex(lines[0], rf"^{node.peer} is kwaai/\S+, \d+ protocols$")
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[1], r"^[0-9.]+ ms$")
        told = json.loads(run("ping", node.address, "-c", "3", "--json").stdout)
        self.assertEqual((told["peer_id"], len(told["rtt_ms"])), (node.peer, 3))
        self.assertIn("/ipfs/ping/1.0.0", told["protocols"])

    def test_a_port_takes_plain_and_websocket_peers(self):
        with Node(self.model, "0:5", "--listen", "/ip4/127.0.0.1/tcp/0/ws") as node:
            plain = node.address
            node.address = node.process.stdout.readline().decode().strip()
            self.assertEqual(node.address, plain.replace("/p2p/", "/ws/p2p/"))
            for address in (plain, node.address):
                self.assertEqual(run("ping", address, "-c", "1").returncode, 0, address)
            self.assert_writes([node], *GREEDY, "--max-tokens", "100")

    def test_a_node_over_quic_writes_the_same(self):
        with Node(self.model, "0:5", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1") as node:
            self.assertRegex(node.address, r"^/ip4/127\.0\.0\.1/udp/\d+/quic-v1/p2p/")
            self.assertEqual(run("ping", node.address, "-c", "1").returncode, 0)
            self.assert_writes([node], *GREEDY, "--max-tokens", "100")

    def test_ping_to_nobody_and_to_nonsense(self):
        (node,) = self.nodes("0:5")
        node.kill()
        nobody = run("ping", node.address)
        self.assertEqual((nobody.returncode, nobody.stdout), (1, b""))
        self.assertIn(b"refused", nobody.stderr)
        for nonsense in ("somewhere", "/ip4/127.0.0.1/tcp/99999", "/ip4/127.0.0.1/tcp/1"):
            self.assertEqual(run("ping", nonsense).returncode, 2, nonsense)

    def test_addresses_come_before_the_blocks_are_loaded_and_work_at_once(self):
        with Node(self.model, "0:5", "--listen", "/ip4/0.0.0.0/tcp/0") as node:
            self.assertIn("/ip4/127.0.0.1/", node.address)
            self.assert_writes([node], *GREEDY, "--max-tokens", "100")
            self.assertIn("Warning", node.said())


class InFrontOfASwarm(Swarm):
    FIELDS = {"prompt": "Once upon a time", "max_tokens": 60, "temperature": 0.9, "seed": 5}

    def assert_answers(self, *arguments):
        with Server(self.model) as alone:
            expected = alone.completion(**self.FIELDS)
        with Server(self.model, *arguments) as server:
            self.assertEqual(server.completion(**self.FIELDS), expected)
            self.assertEqual(server.completion(**self.FIELDS, stream=True), expected)
            texts = at_once([lambda: server.completion(**self.FIELDS)] * 3)
            self.assertEqual(texts, [expected] * 3)
            self.assertEqual(server.stop(), 0)
            return server

    def test_a_node_without_blocks(self):
        self.assert_answers(*peers(self.nodes("0:2", "2:5")))

    def test_a_node_with_some_of_the_blocks(self):
        server = self.assert_answers("--blocks", "1:5", *peers(self.nodes("0:3")))
        self.assertEqual(len(server.addresses), 1)

    def test_a_node_with_all_of_the_blocks(self):
        self.assert_answers("--listen", "/ip4/127.0.0.1/tcp/0")

    def test_a_client_that_goes_away_ends_its_session(self):
        (node,) = self.nodes("0:5")
        with Server(self.model, *peers([node])) as server:
            connection = server.start_stream(prompt="Once upon a time", max_tokens=1500)
            node.says("opened a session")
            connection.close()
            node.says("ended its session")
            self.assertEqual(server.stop(), 0)


class Demo(Swarm):
    def test_the_demo_ends_with_equal_texts(self):
        result = run("demo", self.model, "--json", "--max-tokens", "200")
        self.assertEqual(result.returncode, 0, result.stderr)
        told = json.loads(result.stdout)
        self.assertTrue(told["is_equal"])
        self.assertEqual(told["text"], told["one_node_text"])
        self.assertEqual(told["usage"]["completion_tokens"], 200)
        before, after = told["routes"]
        self.assertEqual(told["killed"], before[1]["peer"])
        self.assertNotEqual(after[1]["peer"], told["killed"])
        self.assertEqual([hop["peer"] for hop in (after[0], after[2])], [before[0]["peer"], before[2]["peer"]])
        self.assertGreater(told["failover_ms"], 0)
        self.assertIn(b"two-machines.md", result.stderr)

    def test_no_node_of_the_demo_outlives_it(self):
        process = subprocess.Popen(
            [KWAAI, "demo", self.model, "--max-tokens", "1500"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        # Four lines with their processes; then the worst that can happen to their parent.
        lines = [process.stderr.readline().decode() for _ in range(5)]
        nodes = [int(re.search(r"process (\d+)", line).group(1)) for line in lines[1:]]
        process.kill()
        process.communicate(timeout=TIMEOUT_S)
        deadline = time.monotonic() + TIMEOUT_S
        while any(map(is_running, nodes)):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)


def is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


if __name__ == "__main__":
    unittest.main()
