"""The tests of transports that libp2p's projects hold between them, in both spellings of their environment: ours, go and js."""

import contextlib
import itertools
import json
import os
import pathlib
import re
import shutil
import socket

from peers import Unavailable, run_installer
from processes import Failed, Process

CELLS = (("tcp", "noise"), ("tcp", "tls"), ("ws", "noise"), ("quic-v1", ""))
START_S = 30
TEST_S = 60


class Member:
    """How a library's program for these tests is started."""

    def __init__(self, name, command, cwd=None, env=None):
        self.name, self.command, self.cwd, self.env = name, command, cwd, env or {}

    def start(self, folder, role, variables):
        log = pathlib.Path(folder) / f"transport-{self.name}-{role}.log"
        return Process(f"{self.name} ({role})", self.command, log, cwd=self.cwd, env={**self.env, **variables})


def members(binary, peers, cache):
    found = [Member("kwaai", [str(binary)])]
    for peer in peers:
        if peer.name == "go":
            program = ["go", "build", "-p", "1", "-o", "transportpeer", "./transport"]
            run_installer(peer.name, program, cache / "go-transport.log", 900, cwd=peer.folder)
            found.append(Member("go", [str(peer.folder / "transportpeer")]))
        if peer.name == "js":
            command = [*peer.node, "--import", "./polyfill.mjs", "transport.mjs"]
            found.append(Member("js", command, cwd=peer.folder))
    return found


@contextlib.contextmanager
def redis(folder):
    """Its address. It keeps nothing. Debian's redis-tools has the server under another name, and starts no service."""
    if shutil.which("redis-check-rdb") is None:
        raise Unavailable("Redis is not installed (Debian: redis-tools)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    command = ["bash", "-c", 'exec -a redis-server redis-check-rdb "$@"', "redis", *flags]
    with Process("redis-server", command, pathlib.Path(folder) / "redis.log", cwd=folder) as server:
        server.wait_for_line("Ready to accept connections", START_S)
        yield f"127.0.0.1:{port}"


def spelled(is_unified, key, address, transport, security, is_dialer):
    """What stands in the environment of one side."""
    values = {
        ("transport", "TRANSPORT"): transport,
        ("security", "SECURE_CHANNEL"): security,
        ("muxer", "MUXER"): "" if transport == "quic-v1" else "yamux",
        ("is_dialer", "IS_DIALER"): str(is_dialer).lower(),
        ("ip", "LISTENER_IP"): "127.0.0.1",
        ("redis_addr", "REDIS_ADDR"): address,
        ("test_timeout_seconds", "TEST_TIMEOUT_SECS"): str(TEST_S),
    }
    chosen = {names[is_unified]: value for names, value in values.items() if value}
    return {**chosen, "TEST_KEY": key} if is_unified else chosen


def times_of(output, is_unified):
    """Milliseconds until the first ping's answer, and of the ping."""
    if is_unified:
        found = re.search(r"latency:\n  handshake_plus_one_rtt: ([\d.]+)\n  ping_rtt: ([\d.]+)\n  unit: ms\n", output)
        if not found:
            raise Failed(f"no result in {output!r}")
        return float(found[1]), float(found[2])
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if len(lines) != 1:
        raise Failed(f"no result in {output!r}")
    report = json.loads(lines[0])
    return report["handshakePlusOneRTTMillis"], report["pingRTTMilllis"]


def meet(dialler, listener, cell, is_unified, address, folder):
    key = f"{os.getpid()}-{dialler.name}-{listener.name}-{'-'.join(cell)}"
    sides = [spelled(is_unified, key, address, *cell, is_dialer) for is_dialer in (False, True)]
    with listener.start(folder, "listens", sides[0]), dialler.start(folder, "dials", sides[1]) as dialling:
        return times_of(dialling.wait(2 * TEST_S), is_unified)


def run_transports(binary, peers, cache, folder, tally):
    print("libp2p's own tests of transports (handshake and a ping), in both spellings", flush=True)
    if not binary.exists():
        return tally.skip("libp2p's own tests", "kwaai_transport_peer was not built (Debian: libhiredis-dev)")
    try:
        with redis(folder) as address:
            all_of_us = members(binary, peers, cache)
            ours = [pair for pair in itertools.product(all_of_us, repeat=2) if "kwaai" in (pair[0].name, pair[1].name)]
            for (dialler, listener), cell, is_unified in itertools.product(ours, CELLS, (False, True)):
                what = f"{dialler.name} → {listener.name}, {' '.join(filter(None, cell))}, {'new' if is_unified else 'old'}"
                try:
                    until_ping, ping = meet(dialler, listener, cell, is_unified, address, folder)
                    tally.row(what, [], f"{until_ping:.1f} ms, ping {ping:.1f} ms")
                except Failed as failure:
                    tally.row(what, [str(failure)])
    except Unavailable as why:
        tally.skip("libp2p's own tests", str(why))
