"""The examples of examples/network, two or three processes of each on this machine, on ports that the system chooses."""

import os
import pathlib
import re
import signal
import subprocess
import unittest

EXAMPLES = pathlib.Path(os.environ["KWAAI_EXAMPLES"])
TIMEOUT_S = 120  # of anything: a test that waits this long has failed


class Running:
    """An example that stays until Ctrl-C."""

    def __init__(self, name, *arguments):
        self.process = subprocess.Popen(
            [EXAMPLES / name, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said = ""

    def says(self, pattern):
        """Reads lines until one matches; the match."""
        for line in self.process.stdout:
            self.said += line
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"no {pattern} in:\n{self.said}")

    def address(self):
        """Its first one, which is that of the loopback interface."""
        return self.says(r"(/ip4/127\.0\.0\.1/tcp/\d+/p2p/\w+)")[1]

    def stop(self):
        """Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(TIMEOUT_S)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT_S)
        self.process.stdout.close()


class NetworkTest(unittest.TestCase):
    def start(self, name, *arguments):
        node = Running(name, *arguments)
        self.addCleanup(node.end)
        return node

    def run_to_end(self, name, *arguments, status=0):
        done = subprocess.run(
            [EXAMPLES / name, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stderr

    def test_p2p_node_connects_to_another_one(self):
        first = self.start("p2p_node")
        address = first.address()
        second = self.start("p2p_node", address)
        peer = address.rpartition("/")[2]
        second.says(rf"^Connected to {peer} \(p2p_node/1\.0\), \d+\.\d\d ms away")
        second.says("^  /kwaai/kad/1.0.0$")
        second.says("^Waiting for others")
        self.assertEqual((second.stop(), first.stop()), (0, 0))
        self.assertIn("p2p_node: ", self.run_to_end("p2p_node", address, status=1))
        self.assertIn("nonsense", self.run_to_end("p2p_node", "nonsense", status=1))

    def test_dht_node_puts_on_one_node_and_gets_on_another(self):
        first = self.start("dht_node", "--listen", "0", "--put", "mykey", "hello world")
        address = first.address()
        first.says('^SUCCESS: Stored "mykey"')
        got = self.run_to_end("dht_node", "--bootstrap", address, "--get", "mykey")
        self.assertIn(f'SUCCESS: Retrieved "mykey" = "hello world", signed by {address.rpartition("/")[2]}\n', got)
        # A third node stores through the first one, and the value is written over.
        written = self.run_to_end("dht_node", "--bootstrap", address, "--put", "mykey", "hello again")
        self.assertIn("on 1 other nodes", written)
        self.assertIn('"hello again"', self.run_to_end("dht_node", "--bootstrap", address, "--get", "mykey"))
        self.assertIn("dht_node: ", self.run_to_end("dht_node", "--bootstrap", address, "--get", "nokey", status=1))
        self.assertIn("usage", self.run_to_end("dht_node", "--put", "mykey", status=2))
        self.assertEqual(first.stop(), 0)

    def test_peer_discovery_finds_who_provides(self):
        first = self.start("peer_discovery", "--listen", "0", "--provide", "inference:llama2")
        address = first.address()
        first.says("^SUCCESS: Providing inference:llama2")
        second = self.start("peer_discovery", "--listen", "0", "--bootstrap", address, "--provide", "inference:llama2")
        other = second.address()
        second.says("^1 node knows that this one provides inference:llama2")
        found = self.run_to_end("peer_discovery", "--bootstrap", address, "--find", "inference:llama2")
        self.assertIn("SUCCESS: Found 2 provider(s) of inference:llama2", found)
        self.assertIn(address, found)
        self.assertIn(other.rpartition("/")[2], found)
        nobody = self.run_to_end("peer_discovery", "--bootstrap", address, "--find", "inference:other", status=1)
        self.assertIn("nobody offers inference:other", nobody)
        self.assertEqual((second.stop(), first.stop()), (0, 0))


if __name__ == "__main__":
    unittest.main()
