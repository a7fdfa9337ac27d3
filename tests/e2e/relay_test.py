"""Nodes that nobody dials, and texts through them: relays lead there."""

import json
import unittest

from kwaai_process import run
from p2p_test import P2pTest, Running
from swarm_test import GREEDY, PROMPT, SAMPLED, Node, Swarm, Writing


class Relayed(Swarm):
    """A node with all blocks that is reached over relays alone, and clients that know a relay."""

    def relay(self, *flags):
        number = len(list(self.folder.glob("relay*.key")))
        relay = Running("relay", "--identity", f"{self.folder}/relay{number}.key", *flags, environment={})
        self.addCleanup(relay.end)
        return relay

    def hidden(self, relays, *flags):
        places = [word for relay in relays for word in ("--relay", relay.address)]
        node = Node(self.model, "0:5", "--relay-only", *places, "--bootstrap", relays[0].address, *flags)
        self.addCleanup(node.__exit__)
        node.says("p2p-circuit")
        for relay in relays:
            self.assertEqual(relay.line(), "1 reservation, 0 circuits")
        return node

    def test_the_text_over_a_relay_is_that_of_one_machine(self):
        relay = self.relay()
        node = self.hidden([relay])
        for flags in (GREEDY, SAMPLED):
            found = run("run", self.model, "--swarm", "--bootstrap", relay.address, *PROMPT, *flags, "--max-tokens", "100")
            self.assertEqual(found.returncode, 0, found.stderr)
            self.assertEqual(found.stdout, run("run", self.model, *PROMPT, *flags, "--max-tokens", "100").stdout)
            self.assertIn(node.short.encode(), found.stderr)
            self.assertEqual(relay.line(), "1 reservation, 1 circuit")
            self.assertEqual(relay.line(), "1 reservation, 0 circuits")
        # Where it listens, it tells nobody.
        name = "inference:stories260K"
        told = run("p2p", "find", name, "--raw", "--json", "--bootstrap", relay.address)
        (provider,) = json.loads(told.stdout)
        self.assertEqual(provider["peer_id"], node.peer)
        self.assertEqual(provider["addresses"], [f"{relay.address}/p2p-circuit"])
        self.assertEqual(node.ctrl_c(), 0)
        self.assertEqual(relay.line(), "0 reservations, 0 circuits")

    def test_a_text_goes_on_over_another_relay_when_its_own_dies(self):
        relays = [self.relay()]
        relays.append(self.relay("--bootstrap", relays[0].address))
        node = self.hidden(relays)
        flags = [*GREEDY, "--max-tokens", "400", "--ignore-end"]
        over_first = f"{relays[0].address}/p2p-circuit/p2p/{node.peer}"
        over_second = f"{relays[1].address}/p2p-circuit/p2p/{node.peer}"
        # Both ways are known to it, the first one by its name.
        writing = Writing(self.model, [], "--peer", over_first, *flags)
        self.assertEqual(relays[0].line(), "1 reservation, 1 circuit")
        relays[0].end()
        text, notes = writing.finish()
        self.assertEqual(text, run("run", self.model, *PROMPT, *flags).stdout)
        self.assertIn("failed", notes)
        self.assertEqual(relays[1].line(), "1 reservation, 1 circuit")
        again = run("p2p", "ping", over_second, "-c", "1")
        self.assertEqual(again.returncode, 0, again.stderr)

    def test_a_relay_that_is_none_and_flags_that_make_no_sense_are_told(self):
        plain = Running("provide", "name", "--identity", f"{self.folder}/plain.key", environment={})
        self.addCleanup(plain.end)
        node = Node(self.model, "0:5", "--relay", plain.address)
        self.addCleanup(node.__exit__)
        node.says("A relay does not work; it is tried again")
        for flags in (
            ["--http", "127.0.0.1:0", "--relay", plain.address],
            ["--blocks", "0:5", "--relay", plain.address.rpartition("/p2p/")[0]],
            ["--blocks", "0:5", "--relay", f"{plain.address}/p2p-circuit/p2p/{node.peer}"],
            ["--blocks", "0:5", "--relay-service", "maybe"],
            ["--blocks", "0:5", "--relay-only", "--relay-service", "on"],
        ):
            refused = run("serve", self.model, *flags)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn(b"--relay", refused.stderr)


class Places(P2pTest):
    def test_a_node_holds_a_place_and_is_reached_there(self):
        relay = self.start("relay", "--json")
        address = json.loads(relay.address)["addresses"][0]
        place = self.start("relay", "--at", address)
        self.assertIn(f"{address}/p2p-circuit/p2p/", place.address)
        self.assertEqual(json.loads(relay.line()), {"reservations": 1, "circuits": 0})
        told = json.loads(self.p2p("ping", place.address, "-c", "2", "--json"))
        self.assertEqual(len(told["rtt_ms"]), 2)
        self.assertEqual(json.loads(relay.line())["circuits"], 1)
        self.assertEqual(place.stop(), 0)
        self.refused("ping", place.address)


if __name__ == "__main__":
    unittest.main()
