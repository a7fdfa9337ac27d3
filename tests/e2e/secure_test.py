"""A node with a web server's certificate, reached inside TLS at /tls/ws."""

import pathlib
import subprocess
import tempfile
import unittest

from kwaai_process import KWAAI, run
from swarm_test import GREEDY, PROMPT, Node, Swarm

NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class SecureWebSocket(Swarm):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.certificate = pathlib.Path(folder.name) / "certificate.pem"
        cls.key = pathlib.Path(folder.name) / "key.pem"
        # Signed by itself: its own authority.
        names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", *NEW_KEY, "-subj", "/CN=test", "-days", "2", *names]
        subprocess.run([*command, "-keyout", cls.key, "-out", cls.certificate], check=True, capture_output=True)

    def node(self, *more):
        flags = ["--tls-certificate", str(self.certificate), "--tls-key", str(self.key), *more]
        node = Node(self.model, "0:5", *flags)
        self.addCleanup(node.__exit__)
        return node

    def secure(self, node, kind, name):
        return f"/{kind}/{name}/tcp/{node.port}/tls/ws/p2p/{node.peer}"

    def test_a_text_goes_through_a_node_that_is_reached_inside_tls(self):
        self.key.chmod(0o640)
        node = self.node()
        node.says(f"chmod 600 {self.key}")
        told = [node.process.stdout.readline().decode().strip() for _ in range(2)]
        by_ip, by_name = self.secure(node, "ip4", "127.0.0.1"), self.secure(node, "dns4", "localhost")
        self.assertEqual(told, [by_ip, by_name])
        alone = run("run", self.model, *PROMPT, *GREEDY, "--max-tokens", "30")
        flags = [*GREEDY, "--max-tokens", "30", "--tls-authorities", str(self.certificate)]
        for address in told:
            through = run("run", self.model, *PROMPT, *flags, "--peer", address)
            self.assertEqual(through.stdout, alone.stdout, through.stderr)

    def test_nobody_believes_a_certificate_of_nobody_known_or_for_others(self):
        self.key.chmod(0o600)
        node = self.node()
        unknown = run("p2p", "ping", "-c", "1", self.secure(node, "dns4", "localhost"))
        self.assertEqual(unknown.returncode, 1)
        self.assertIn(b"self-signed certificate", unknown.stderr)
        believed = ["--tls-authorities", str(self.certificate)]
        there = run("p2p", "ping", "-c", "1", self.secure(node, "dns4", "localhost"), *believed)
        self.assertEqual(there.returncode, 0, there.stderr)
        others = self.secure(node, "ip4", "127.0.0.1").replace("/tls/ws", "/tls/sni/other.example/ws")
        other = run("p2p", "ping", "-c", "1", others, *believed)
        self.assertEqual(other.returncode, 1)
        self.assertIn(b"hostname mismatch", other.stderr)
        self.assertNotIn("Warning", node.said())

    def test_files_that_are_not_there_or_are_no_certificate_are_named(self):
        pair = ["--tls-certificate", str(self.certificate), "--tls-key"]
        for flags, status in ((["--tls-certificate", str(self.certificate)], 2), ([*pair, "/nowhere.pem"], 1), ([*pair, __file__], 1)):
            done = subprocess.run([KWAAI, "serve", self.model, "--blocks", "0:5", *flags], capture_output=True, timeout=60)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(flags[-1].encode() if status == 1 else b"--tls-key", done.stderr)


if __name__ == "__main__":
    unittest.main()
