#!/usr/bin/env python3
"""Loads a listener from other processes and prints what that costs it.

    tests/load/run.py [--program build/test/tests/load/kwaai_p2p_load] [--connections 10000] [--streams 10]
                      [--dialers 2] [--only hold|hostile] [--seconds 15]

First: so many connections with so many streams each, held open; the listener's memory for each of them. Then, one
after the other, peers that attack a listener with a host's usual limits while another peer connects and pings it again
and again: how many of its pings were answered, how fast, and the listener's memory at its highest.
"""
import argparse
import re
import signal
import socket
import subprocess
import sys
import threading
import time

ATTACKS = ["never-reads", "opens-streams", "window-updates", "unread-bytes", "dribbles"]
DRIBBLERS = 48


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


class Process:
    """A program whose last line of output can be asked for."""

    def __init__(self, *command):
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.first = None
        self.last = ""
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._drop, daemon=True).start()

    def _read(self):
        for line in self.popen.stdout:
            self.first = self.first or line.strip()
            self.last = line.strip()

    def _drop(self):
        for line in self.popen.stderr:
            if not line.startswith("descriptors"):
                self.error = line.strip()

    def wait_for(self, pattern, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if re.search(pattern, self.last):
                return self.last
            if self.popen.poll() is not None:
                time.sleep(0.2)
                return self.last
            time.sleep(0.1)
        return self.last

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()


def start_listener(program, *flags):
    listener = Process(program, "listen", *flags)
    while listener.first is None:
        time.sleep(0.05)
    return listener


def hold(args, connections, streams):
    listener = start_listener(args.program, "--connections", str(connections), "--streams", str(streams))
    time.sleep(0.5)
    before = rss_kib(listener.popen.pid)
    each = connections // args.dialers
    begin = time.monotonic()
    dialers = [
        Process(args.program, "dial", listener.first, "--connections", str(each), "--streams", str(streams))
        for _ in range(args.dialers)
    ]
    held = [dialer.wait_for("^held", 1200) for dialer in dialers]
    took = time.monotonic() - begin
    time.sleep(3)
    after = rss_kib(listener.popen.pid)
    print(f"  dialers: {'; '.join(held)} ({took:.0f} s)")
    print(f"  listener: {listener.last}; {before / 1024:.1f} -> {after / 1024:.1f} MiB", flush=True)
    for process in [*dialers, listener]:
        process.stop()
    return (after - before) / max(each * args.dialers, 1)


def dribble(address, stop):
    host, port = re.match(r"/ip4/([^/]+)/tcp/(\d+)", address).groups()
    sockets = []
    while not stop.is_set():
        while len(sockets) < DRIBBLERS:
            sockets.append(socket.create_connection((host, int(port))))
        for one in list(sockets):
            try:
                one.send(b"\x13")
            except OSError:
                sockets.remove(one)
        stop.wait(1)


def attack(args, kind):
    listener = start_listener(args.program, "--default-limits")
    time.sleep(0.5)
    before = rss_kib(listener.popen.pid)
    stop = threading.Event()
    attackers = []
    if kind == "dribbles":
        threading.Thread(target=dribble, args=(listener.first, stop), daemon=True).start()
    elif kind != "nobody":
        attackers = [Process(args.program, kind, listener.first) for _ in range(2)]
    time.sleep(1)
    pinger = Process(args.program, "ping", listener.first, "--seconds", str(args.seconds))
    highest = before
    while pinger.popen.poll() is None:
        highest = max(highest, rss_kib(listener.popen.pid))
        time.sleep(0.1)
    time.sleep(0.2)
    print(f"  {kind:15} {pinger.last}; memory {before / 1024:.1f} -> at most {highest / 1024:.1f} MiB", flush=True)
    stop.set()
    for process in [*attackers, listener]:
        process.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/test/tests/load/kwaai_p2p_load")
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--dialers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--only", choices=["hold", "hostile"])
    args = parser.parse_args()
    if args.only != "hostile":
        print(f"{args.connections} connections without streams")
        idle = hold(args, args.connections, 0)
        print(f"  {idle:.1f} KiB a connection")
        print(f"{args.connections} connections with {args.streams} streams each")
        loaded = hold(args, args.connections, args.streams)
        print(f"  {loaded:.1f} KiB a connection, {(loaded - idle) / args.streams:.2f} KiB a stream")
    if args.only != "hold":
        print("a peer that connects and pings, beside two that attack")
        for kind in ["nobody", *ATTACKS]:
            attack(args, kind)
    return 0


if __name__ == "__main__":
    sys.exit(main())
