"""kwaai p2p: two or three nodes on this machine that find each other and keep values for each other."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from kwaai_process import KWAAI, TIMEOUT_S, run

NOBODY = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWM6CgA9iBFZmcYAHA6A2qvbAxqfkmrYiRQuz3XEsk4Ksv"
KAD = "/kwaai/kad/1.0.0"


class Running:
    """A verb of `kwaai p2p` that runs until Ctrl-C; its first line is its address. A context manager."""

    def __init__(self, *arguments, environment):
        # A file: nobody reads a pipe while a test looks elsewhere.
        self.notes = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [KWAAI, "p2p", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.notes,
            env={**os.environ, **environment},
        )
        self.address = self.process.stdout.readline().decode().strip()
        if not self.address:
            self.process.wait(TIMEOUT_S)
            raise AssertionError(self.said())

    def said(self):
        self.notes.seek(0)
        return self.notes.read().decode()

    @property
    def peer(self):
        return self.address.rpartition("/")[2]

    def line(self):
        return self.process.stdout.readline().decode().strip()

    def stop(self):
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(TIMEOUT_S)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT_S)
        self.process.stdout.close()
        self.notes.close()


class P2pTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        # Identities of its own: not the user's.
        self.environment = {"XDG_DATA_HOME": folder.name}
        self.folder = folder.name

    def start(self, *arguments, key=None):
        key = key or f"{len(os.listdir(self.folder))}.key"
        node = Running(*arguments, "--identity", f"{self.folder}/{key}", environment=self.environment)
        self.addCleanup(node.end)
        return node

    def pair(self, *names):
        """Two nodes that know each other; the second one provides `names`."""
        first = self.start("provide", "name")
        second = self.start("provide", *names, "--bootstrap", first.address)
        for node in (first, second):
            self.until(lambda: {first.peer, second.peer} == self.peers(node))
        return first, second

    def peers(self, node):
        """The ids of the network that a node leads to."""
        return {one["peer_id"] for one in json.loads(self.p2p("peers", "--bootstrap", node.address, "--json"))}

    def until(self, condition):
        """Asks again and again for what another process does in its own time."""
        for _ in range(TIMEOUT_S * 20):
            if condition():
                return
            time.sleep(0.05)
        self.fail("it did not happen")

    def p2p(self, *arguments):
        """What a verb that ends printed; it must succeed."""
        done = run("p2p", *arguments, environment=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.decode()

    def refused(self, *arguments, status=1):
        """The sentence with which a verb fails."""
        done = run("p2p", *arguments, environment=self.environment)
        self.assertEqual(done.returncode, status, done.stderr)
        sentence = done.stderr.decode().splitlines()[-1]
        self.assertTrue(sentence.startswith("kwaai: "), sentence)
        return sentence


class Looking(P2pTest):
    def test_without_a_verb_it_lists_them(self):
        text = self.p2p()
        for verb in ("info", "peers", "connect", "ping", "put", "get", "provide", "find", "perf", "relay"):
            self.assertRegex(text, rf"\n  {verb} ")
        self.assertEqual(run("p2p", "pnig").returncode, 2)

    def test_info_shows_this_node(self):
        told = json.loads(self.p2p("info", "--listen", "/ip4/127.0.0.1/tcp/0", "--json"))
        again = json.loads(self.p2p("info", "--json"))
        self.assertEqual(told["peer_id"], again["peer_id"])
        self.assertRegex(told["addresses"][0], rf"^/ip4/127\.0\.0\.1/tcp/\d+/p2p/{told['peer_id']}$")
        self.assertEqual(again["addresses"], [])
        self.assertIn(KAD, told["protocols"])
        self.assertNotIn(KAD, again["protocols"])  # it does not listen: a client
        self.assertGreater(told["limits"]["connections"], 0)
        self.assertIn(told["peer_id"], self.p2p("info"))

    def test_info_and_connect_show_what_a_peer_tells(self):
        node = self.start("provide", "name")
        for verb in ("info", "connect"):
            told = json.loads(self.p2p(verb, node.address, "--json"))
            self.assertEqual(told["peer_id"], node.peer)
            self.assertTrue(told["agent"].startswith("kwaai/"))
            self.assertIn(KAD, told["protocols"])
            self.assertEqual([f"{address}/p2p/{node.peer}" for address in told["addresses"]], [node.address])
            self.assertTrue(told["is_record_signed"])
            self.assertRegex(told["observed"], r"^/ip4/127\.0\.0\.1/tcp/\d+$")
            self.assertGreater(told["rtt_ms"], 0)
            text = self.p2p(verb, node.address)
            for part in (node.peer, "round trip", "sees us at", "signed      yes", KAD):
                self.assertIn(part, text)

    def test_ping_by_address_and_by_id(self):
        first, second = self.pair("name")
        self.assertEqual(len(self.p2p("ping", second.address, "-c", "2").splitlines()), 3)
        # Only the first one is named; the second one is looked up.
        told = json.loads(self.p2p("ping", second.peer, "-c", "3", "--json", "--bootstrap", first.address))
        self.assertEqual((told["peer_id"], len(told["rtt_ms"])), (second.peer, 3))
        self.assertIn("--bootstrap", run("p2p", "ping", "--help").stdout.decode())
        self.refused("ping", second.peer, status=2)

    def test_peers_lists_the_network_and_another_network_is_another_one(self):
        first, second = self.pair("name")
        text = self.p2p("peers", "--bootstrap", first.address)
        for node in (first, second):
            self.assertIn(node.address, text)
        other = run("p2p", "peers", "--bootstrap", first.address, "--kad-protocol", "/other/kad/1.0.0", environment=self.environment)
        self.assertEqual(other.returncode, 1)
        self.assertIn(b"does not serve /other/kad/1.0.0", other.stderr)

    def test_mistakes_say_what_to_do(self):
        self.assertIn("--bootstrap", self.refused("peers", status=2))
        self.assertIn("--bootstrap", self.refused("get", "key", status=2))
        self.assertIn("/p2p/ID", self.refused("connect", "/ip4/127.0.0.1/tcp/1", status=2))
        self.assertIn("nonsense", self.refused("connect", "nonsense", status=2))
        self.assertIn("nonsense", self.refused("provide", "name", "--listen", "nonsense", status=2))
        self.refused("connect", NOBODY)
        done = run("p2p", "peers", "--bootstrap", NOBODY, environment=self.environment)
        self.assertEqual(done.returncode, 1)
        self.assertIn(NOBODY.encode(), done.stderr)

    def test_ctrl_c_ends_what_takes_long(self):
        with socket.create_server(("127.0.0.1", 0)) as mute:  # it takes connections and never answers
            address = NOBODY.replace("/tcp/1/", f"/tcp/{mute.getsockname()[1]}/")
            node = self.start("provide", "name", "--bootstrap", address)
            begin = time.monotonic()
            self.assertEqual(node.stop(), 130)
            self.assertLess(time.monotonic() - begin, 5)


class Values(P2pTest):
    def test_a_value_is_read_through_another_node(self):
        first, second = self.pair("name")
        stored = json.loads(self.p2p("put", "mykey", "hello world", "--bootstrap", first.address, "--json"))
        self.assertEqual((stored["key"], stored["nodes"]), ("mykey", 2))
        self.assertEqual(self.p2p("get", "mykey", "--bootstrap", second.address), "hello world\n")
        # The writer has gone, and so has the node that it named.
        self.assertEqual(first.stop(), 0)
        told = json.loads(self.p2p("get", "mykey", "--bootstrap", second.address, "--json"))
        writer = json.loads(self.p2p("info", "--json"))["peer_id"]
        self.assertEqual((told["value"], told["publisher"]), ("hello world", writer))
        self.assertIn("no", self.refused("get", "other", "--bootstrap", second.address))

    def test_a_node_that_begins_again_has_its_values_and_finds_its_network(self):
        first = self.start("provide", "name", key="first.key")
        second = self.start("provide", "name", "--bootstrap", first.address)
        self.until(lambda: {first.peer, second.peer} == self.peers(second))
        self.p2p("put", "mykey", "hello world", "--bootstrap", first.address)
        self.assertEqual(first.stop(), 0)
        again = self.start("provide", "name", key="first.key")  # nobody is named
        self.until(lambda: {first.peer, second.peer} == self.peers(again))
        self.assertEqual(second.stop(), 0)
        self.assertEqual(self.p2p("get", "mykey", "--bootstrap", again.address), "hello world\n")

    def test_who_writes_last_is_read_and_the_reader_may_insist_on_a_writer(self):
        node = self.start("provide", "name")
        network = ["--bootstrap", node.address]
        self.p2p("put", "key", "one", *network)
        self.p2p("put", "key", "two", *network, "--identity", f"{self.folder}/other.key")
        self.assertEqual(self.p2p("get", "key", *network), "two\n")
        first = json.loads(self.p2p("info", "--json"))["peer_id"]
        self.assertIn("not by " + first, self.refused("get", "key", *network, "--publisher", first))
        self.p2p("put", "key", "three", *network)
        self.assertEqual(self.p2p("get", "key", *network, "--publisher", first), "three\n")

    def test_a_node_that_is_alone_hands_its_value_out(self):
        node = self.start("put", "mykey", "hello world", "--stay")
        self.assertEqual(node.line(), "Stored on 0 nodes.")
        self.assertEqual(self.p2p("get", "mykey", "--bootstrap", node.address), "hello world\n")
        self.assertEqual(node.stop(), 0)

    def test_limits_are_said(self):
        node = self.start("provide", "name")
        network = ["--bootstrap", node.address]
        self.assertIn("64", self.refused("put", "k" * 65, "v", *network, status=2))
        self.assertIn("8192", self.refused("put", "k", "v" * 8192, *network))


class Offers(P2pTest):
    def test_who_offers_a_name_is_found_and_nobody_else(self):
        first, second = self.pair("inference:llama2", "more")
        network = ["--bootstrap", first.address]
        self.until(lambda: "node knows that this one provides inference:llama2." in second.said())
        found = json.loads(self.p2p("find", "inference:llama2", *network, "--json"))
        self.assertEqual([(one["peer_id"], one["address"]) for one in found], [(second.peer, second.address)])
        self.assertEqual(found[0]["names"], ["inference:llama2", "more"])
        self.assertTrue(self.p2p("find", "inference:llama2", *network).startswith(second.address))
        raw = json.loads(self.p2p("find", "inference:llama2", *network, "--raw", "--json"))
        self.assertEqual([one["peer_id"] for one in raw], [second.peer])
        self.assertEqual(self.p2p("find", "inference:llama2", *network, "--raw").split()[0], second.peer)
        self.assertIn("nobody offers nothing", self.refused("find", "nothing", *network))
        # Once it has gone it is still said to offer, but not found.
        self.assertEqual(second.stop(), 0)
        self.assertIn("nobody offers", self.refused("find", "inference:llama2", *network))
        self.assertIn(second.peer, self.p2p("find", "inference:llama2", *network, "--raw"))


class Speed(P2pTest):
    def test_bytes_go_both_ways_and_only_where_they_are_wanted(self):
        node = self.start("perf")
        told = json.loads(self.p2p("perf", node.address, "--upload", "3", "--download", "5", "--json"))
        self.assertEqual(told["peer_id"], node.peer)
        self.assertEqual((told["upload"]["bytes"], told["download"]["bytes"]), (3 << 20, 5 << 20))
        for way in ("upload", "download"):
            self.assertGreater(told[way]["seconds"], 0)
        self.assertRegex(self.p2p("perf", node.address, "--upload", "0", "--download", "1"), r"^down +[\d.]+ MiB/s")
        other = self.start("provide", "name")
        self.assertIn("/perf/1.0.0", self.refused("perf", other.address))
        self.assertEqual(node.stop(), 0)


if __name__ == "__main__":
    unittest.main()
