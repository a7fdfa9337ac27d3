"""Texts through nodes that nobody named: they are found in the network that one of them belongs to."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

from kwaai_process import Server, run
from swarm_test import GREEDY, PROMPT, SAMPLED, Node, Swarm, Writing


LOCAL_IP = "10.9.8.7"  # in a network of the test's own


@contextlib.contextmanager
def local_network():
    """What to put in front of a command so that it runs in a network of its own, where multicast works."""
    name = f"kwaai-{os.getpid()}"
    commands = [
        f"ip netns add {name}",
        f"ip -n {name} link set lo up",
        f"ip -n {name} link add cable type veth peer name end",
        f"ip -n {name} addr add {LOCAL_IP}/24 dev cable",
        f"ip -n {name} link set cable up",
        f"ip -n {name} link set end up",
    ]
    try:
        for command in commands:
            try:
                done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            except FileNotFoundError as error:
                raise unittest.SkipTest("skipped: network namespaces need the program ip") from error
            if done.returncode != 0:
                raise unittest.SkipTest(f"skipped: {command}: {done.stderr.strip()}")
        yield ["ip", "netns", "exec", name]
    finally:
        if shutil.which("ip"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def network(node):
    return ["--bootstrap", node.address]


class Finding(Swarm):
    """Nodes with blocks of the first ones' network; a client that knows one of them."""

    def joined(self, *blocks):
        first = Node(self.model, blocks[0])
        self.addCleanup(first.__exit__)
        nodes = [first]
        for part in blocks[1:]:
            nodes.append(Node(self.model, part, *network(nodes[-1])))
            self.addCleanup(nodes[-1].__exit__)
        return nodes

    def find(self, node, *flags):
        return run("run", self.model, "--swarm", *network(node), *PROMPT, *flags)

    def test_the_text_is_that_of_one_machine_whichever_node_is_named(self):
        nodes = self.joined("0:2", "2:4", "4:5")
        for flags in (GREEDY, SAMPLED):
            alone = run("run", self.model, *PROMPT, *flags, "--max-tokens", "100")
            for node in nodes:
                found = self.find(node, *flags, "--max-tokens", "100")
                self.assertEqual(found.returncode, 0, found.stderr)
                self.assertEqual(found.stdout, alone.stdout)
        for node in nodes:
            self.assertIn(node.short.encode(), found.stderr)

    def test_who_is_found_says_what_it_serves_and_how_fast(self):
        (node,) = self.joined("1:3")
        name = pathlib.Path(self.model).stem
        for _ in range(50):  # until the blocks are loaded and told of
            found = run("p2p", "find", f"inference:{name}", *network(node), "--json")
            if found.returncode == 0:
                break
            time.sleep(0.1)
        self.assertEqual(found.returncode, 0, found.stderr)
        (one,) = json.loads(found.stdout)
        self.assertEqual(one["models"], [{"name": name, "begin": 1, "end": 3, "rows": one["models"][0]["rows"]}])
        self.assertGreater(one["rows_per_second"], 1)

    def test_a_client_waits_for_blocks_that_nobody_has_yet(self):
        (first,) = self.joined("0:3")
        writing = None
        try:
            writing = Writing(self.model, [], "--swarm", *network(first), *GREEDY, "--max-tokens", "50", wait=False)
            time.sleep(1)
            self.assertIsNone(writing.process.poll())
            last = Node(self.model, "3:5", *network(first))
            self.addCleanup(last.__exit__)
            text, notes = writing.finish()
        finally:
            if writing is not None and writing.process.poll() is None:
                writing.process.kill()
        alone = run("run", self.model, *PROMPT, *GREEDY, "--max-tokens", "50")
        self.assertEqual(text, alone.stdout)
        self.assertIn("Waiting for servers", notes)

    def test_a_twin_that_is_found_takes_over(self):
        nodes = self.joined("0:2", "2:5", "2:5")
        flags = [*GREEDY, "--max-tokens", "400", "--ignore-end"]
        writing = Writing(self.model, [], "--swarm", *network(nodes[0]), *flags)
        nodes[1].kill()
        text, _ = writing.finish()
        self.assertEqual(text, run("run", self.model, *PROMPT, *flags).stdout)

    def test_a_server_in_front_finds_the_other_blocks(self):
        nodes = self.joined("0:2", "2:5")
        fields = {"prompt": "Once upon a time", "max_tokens": 40, "temperature": 0}
        with Server(self.model) as alone:
            expected = alone.completion(**fields)
        with Server(self.model, "--swarm", *network(nodes[1])) as server:
            self.assertEqual(server.completion(**fields), expected)
        with Server(self.model, "--blocks", "0:2", "--swarm", *network(nodes[1])) as server:
            self.assertEqual(server.completion(**fields), expected)

    def test_a_node_that_begins_again_comes_back_to_its_network_and_serves_what_it_was_given(self):
        key = str(self.folder / "returning.key")
        (first,) = self.joined("0:2")
        with Node(self.model, "2:5", "--identity", key, *network(first)) as returning:
            returning.says("Joined the network")
            self.assertEqual(returning.ctrl_c(), 0, returning.said())
        file = pathlib.Path(key + ".network")
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        with Node(self.model, "2:5", "--identity", key) as returned:
            returned.says("Joined the network")
            found = self.find(returned, *GREEDY, "--max-tokens", "100")
            alone = run("run", self.model, *PROMPT, *GREEDY, "--max-tokens", "100")
            self.assertEqual(found.stdout, alone.stdout, found.stderr)
            self.assertIn(first.short.encode(), found.stderr)
            returned.ctrl_c()
        file.write_bytes(b"no database" * 1000)
        with Node(self.model, "2:5", "--identity", key) as damaged:
            damaged.says("A damaged file was put aside as " + key + ".network.damaged")
            self.assertNotIn("Joined", damaged.said())

    def test_a_client_remembers_whom_it_met(self):
        home = {"XDG_DATA_HOME": str(self.folder / "client")}
        nodes = self.joined("0:2", "2:5")
        words = ["run", self.model, "--swarm", *PROMPT, *GREEDY, "--max-tokens", "20"]
        named = run(*words, *network(nodes[1]), environment=home)
        self.assertEqual(named.returncode, 0, named.stderr)
        file = self.folder / "client" / "kwaai" / "client.network"
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        nodes[1].kill()  # the one that was named; the other is known, too
        twin = Node(self.model, "2:5", *network(nodes[0]))
        self.addCleanup(twin.__exit__)
        remembered = run(*words, environment=home)
        self.assertEqual(remembered.returncode, 0, remembered.stderr)
        self.assertEqual(remembered.stdout, named.stdout)
        nodes[0].kill()
        twin.kill()
        alone = run(*words, environment=home)
        self.assertNotEqual(alone.returncode, 0)
        self.assertIn(b"met in the past", alone.stderr)

    def test_neighbours_are_found_without_being_named(self):
        home = {"XDG_DATA_HOME": str(self.folder / "client")}
        words = ["run", self.model, "--swarm", "--mdns", *PROMPT, *GREEDY, "--max-tokens", "20"]
        with local_network() as within:
            with Node(self.model, "0:5", "--mdns", "--listen", f"/ip4/{LOCAL_IP}/tcp/0", within=within) as node:
                found = run(*words, environment=home, within=within)
                self.assertEqual(found.returncode, 0, found.stderr)
                self.assertIn(node.short.encode(), found.stderr)
            lost = run(*words, environment={"XDG_DATA_HOME": str(self.folder / "other")}, within=within)
            self.assertNotEqual(lost.returncode, 0)
            self.assertIn(b"no node was found on the local network", lost.stderr)

    def test_nodes_whose_table_has_another_name_are_another_network(self):
        home = {"XDG_DATA_HOME": str(self.folder / "client")}
        own = ["--kad-protocol", "/own/kad/1.0.0"]
        with Node(self.model, "0:5", *own) as node:
            found = run("run", self.model, "--swarm", *network(node), *own, *PROMPT, *GREEDY, "--max-tokens", "4", environment=home)
            self.assertEqual(found.returncode, 0, found.stderr)
            self.assertIn(node.short.encode(), found.stderr)
            lost = run("run", self.model, "--swarm", *network(node), *PROMPT, *GREEDY, "--max-tokens", "4", environment=home)
            self.assertNotEqual(lost.returncode, 0)
            self.assertIn(b"does not serve /kwaai/kad/1.0.0", lost.stderr)

    def test_what_is_missing_is_said(self):
        home = {"XDG_DATA_HOME": str(self.folder / "client")}
        alone = run("run", self.model, "--swarm", *PROMPT, environment=home)
        self.assertNotEqual(alone.returncode, 0)
        self.assertIn(b"--bootstrap", alone.stderr)
        nobody = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"
        lost = run("run", self.model, "--swarm", "--bootstrap", nobody, *PROMPT)
        self.assertNotEqual(lost.returncode, 0)
        self.assertIn(nobody.encode(), lost.stderr)
        unasked = run("run", self.model, "--bootstrap", nobody, *PROMPT)
        self.assertNotEqual(unasked.returncode, 0)
        self.assertIn(b"--swarm", unasked.stderr)


if __name__ == "__main__":
    unittest.main()
