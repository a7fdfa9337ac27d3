#!/usr/bin/env python3
"""Loads a listener from other processes and prints what that costs it.

    tests/load/run.py [--program build/test/tests/load/kwaai_p2p_load] [--connections 10000] [--streams 10]
                      [--dialers 2] [--only hold|hostile] [--seconds 15] [--memory-mib 64]

First: so many connections with so many streams each, held open; the listener's memory for each of them. All must be
held, none may have failed, and the listener's memory must stay within what its accounts say of them. Then, one after
the other, peers that attack a listener with a host's usual limits and a budget of memory, while another peer connects
and pings it again and again: how many of its pings were answered, how fast, and the listener's memory at its highest.
All must be answered, one a second at least, within the budget. Ends with 1 and names every number that was off.
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
# Limits::connection_bytes and stream_bytes: what the listener's accounts say that an idle one takes.
CONNECTION_KIB = 40
STREAM_KIB = 4
# Beyond that and beyond a budget: Limits::memory_pending_max for handshakes, which come and go, half as much for the
# heap's holes, and pages of the program that were not touched before.
ALLOWANCE_MIB = 48


class Checks:
    """What was off."""

    def __init__(self):
        self.failures = []

    def expect(self, is_right, what):
        if not is_right:
            self.failures.append(what)
            print(f"  OFF: {what}", flush=True)


def memory_kib(pid, name="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(rf"{name}:\s+(\d+)", status.read()).group(1))


def peak_kib(pid):
    return memory_kib(pid, "VmHWM")


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
        if listener.popen.poll() is not None:
            sys.exit("the listener has ended before it listened")
        time.sleep(0.05)
    return listener


def numbers(line, pattern, count):
    """Of a line of kwaai_p2p_load; zeros where it says something else."""
    match = re.search(pattern, line)
    return [int(group) for group in match.groups()] if match else [0] * count


def check_held(checks, lines, listener, connections, streams):
    held = [numbers(line, r"held (\d+) connections (\d+) streams (\d+) failed", 3) for line in lines]
    asked = connections * streams
    totals = [sum(column) for column in zip(*held)]
    there = numbers(listener.last, r"(\d+) connections (\d+) streams", 2)
    checks.expect(totals[0] == connections, f"the dialers hold {totals[0]} connections of {connections}")
    checks.expect(totals[1] == asked, f"the dialers hold {totals[1]} streams of {asked}")
    checks.expect(totals[2] == 0, f"{totals[2]} of the dialers' hosts failed")
    checks.expect(there[0] == connections, f"the listener counts {there[0]} connections of {connections}")
    checks.expect(there[1] >= asked, f"the listener counts {there[1]} streams of {asked}")


def hold(args, checks, connections, streams):
    listener = start_listener(args.program, "--connections", str(connections), "--streams", str(streams))
    time.sleep(0.5)
    pid = listener.popen.pid
    before = memory_kib(pid)
    shares = [(connections + i) // args.dialers for i in range(args.dialers)]
    begin = time.monotonic()
    dialers = [
        Process(args.program, "dial", listener.first, "--connections", str(share), "--streams", str(streams))
        for share in shares
    ]
    held = [dialer.wait_for("^held", 1200) for dialer in dialers]
    took = time.monotonic() - begin
    time.sleep(3)
    after, peak = memory_kib(pid), peak_kib(pid)
    print(f"  dialers: {'; '.join(held)} ({took:.0f} s)")
    print(f"  listener: {listener.last}; {before / 1024:.1f} -> {after / 1024:.1f}, at most {peak / 1024:.1f} MiB", flush=True)
    check_held(checks, held, listener, connections, streams)
    accounted = connections * (CONNECTION_KIB + streams * STREAM_KIB)
    bound = before + accounted + 1024 * ALLOWANCE_MIB
    checks.expect(peak <= bound, f"the listener took {peak} KiB, at most {bound} expected")
    for process in [*dialers, listener]:
        process.stop()
    return (after - before) / max(connections, 1)


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


def check_served(checks, args, kind, line, grown_kib):
    served, failed = numbers(line, r"served (\d+) failed (\d+)", 2)
    checks.expect(served >= args.seconds, f"{kind}: {served} pings answered in {args.seconds} s")
    checks.expect(failed == 0, f"{kind}: {failed} pings failed")
    bound = 1024 * (args.memory_mib + ALLOWANCE_MIB)
    checks.expect(grown_kib <= bound, f"{kind}: the listener grew by {grown_kib} KiB, at most {bound} expected")


def attack(args, checks, kind):
    listener = start_listener(args.program, "--default-limits", "--memory-mib", str(args.memory_mib))
    time.sleep(0.5)
    before = memory_kib(listener.popen.pid)
    stop = threading.Event()
    attackers = []
    if kind == "dribbles":
        threading.Thread(target=dribble, args=(listener.first, stop), daemon=True).start()
    elif kind != "nobody":
        attackers = [Process(args.program, kind, listener.first) for _ in range(2)]
    time.sleep(1)
    pinger = Process(args.program, "ping", listener.first, "--seconds", str(args.seconds))
    line = pinger.wait_for("^served", 4 * args.seconds + 60)
    is_listening = listener.popen.poll() is None
    checks.expect(is_listening, f"{kind}: the listener has ended")
    checks.expect(all(one.popen.poll() is None for one in attackers), f"{kind}: an attacker has ended")
    highest = peak_kib(listener.popen.pid) if is_listening else before
    print(f"  {kind:15} {line}; memory {before / 1024:.1f} -> at most {highest / 1024:.1f} MiB", flush=True)
    check_served(checks, args, kind, line, highest - before)
    stop.set()
    for process in [pinger, *attackers, listener]:
        process.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/test/tests/load/kwaai_p2p_load")
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--dialers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--memory-mib", type=int, default=64, help="the budget of a listener under attack")
    parser.add_argument("--only", choices=["hold", "hostile"])
    args = parser.parse_args()
    checks = Checks()
    if args.only != "hostile":
        print(f"{args.connections} connections without streams")
        idle = hold(args, checks, args.connections, 0)
        print(f"  {idle:.1f} KiB a connection")
        print(f"{args.connections} connections with {args.streams} streams each")
        loaded = hold(args, checks, args.connections, args.streams)
        print(f"  {loaded:.1f} KiB a connection, {(loaded - idle) / max(args.streams, 1):.2f} KiB a stream")
    if args.only != "hold":
        print("a peer that connects and pings, beside two that attack")
        for kind in ["nobody", *ATTACKS]:
            attack(args, checks, kind)
    for failure in checks.failures:
        print(f"tests/load: {failure}", file=sys.stderr)
    return 1 if checks.failures else 0


if __name__ == "__main__":
    sys.exit(main())
