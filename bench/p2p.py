#!/usr/bin/env python3
"""Measures connections and streams between processes on loopback: this project's node beside go-, rust- and js-libp2p.

    bench/p2p.py [--rounds N] [--mib N] [--only kwaai,go,rust,js] [--json] [--peer BINARY] [--load BINARY] [--cache DIR]

Each library's node talks to another one of the same library. Machines drift and do other things, so a round measures everything once, one
library after the other for each number; the table shows medians over rounds (of round trips the least), and how ours compares with
the better one of go's and rust's. What cannot be installed is left out by name.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/interop"))
from delay import DelayedPort, DelayedUdpPort  # noqa: E402
from peers import Go, Js, Kwaai, Rust, Unavailable  # noqa: E402
from processes import Failed, Process  # noqa: E402

RIVALS = ("go", "rust")
DELAY_S = 0.025  # each way
CONNECTIONS = 150  # held while nothing is said; fewer than ours begins to trim at
WAIT_S = 120


class Row:
    """One number of every library: a value a round."""

    def __init__(self, name, unit, is_more_better=False, aim=""):
        self.name, self.unit, self.is_more_better, self.aim = name, unit, is_more_better, aim
        self.values = {}

    def add(self, library, value):
        if value is not None:
            self.values.setdefault(library, []).append(value)

    def value(self, library):
        if not self.values.get(library):
            return None
        # Round trips are a count, to which a busy machine adds.
        return min(self.values[library]) if self.unit == "round trips" else statistics.median(self.values[library])

    def ratio(self):
        """Ours by the better of RIVALS: above 1 is better for us, whatever is measured."""
        ours, others = self.value("kwaai"), [self.value(name) for name in RIVALS if self.value(name)]
        if not ours or not others:
            return None
        theirs = max(others) if self.is_more_better else min(others)
        return ours / theirs if self.is_more_better else theirs / ours


ROWS = {
    row.name: row
    for row in (
        Row("1 stream, noise, up", "MiB/s", True, "2 x"),
        Row("1 stream, noise, down", "MiB/s", True, "2 x"),
        Row("1 stream, tls, up", "MiB/s", True),
        Row("1 stream, tls, down", "MiB/s", True),
        Row("10 streams, noise, up", "MiB/s", True),
        Row("10 streams, noise, down", "MiB/s", True),
        Row("10 streams, tls, up", "MiB/s", True),
        Row("10 streams, tls, down", "MiB/s", True),
        Row("1 stream, noise, processor", "ms/GiB"),
        Row("1 stream, tls, processor", "ms/GiB"),
        Row("10 streams, noise, processor", "ms/GiB"),
        Row("10 streams, tls, processor", "ms/GiB"),
        Row("1 stream, quic, up", "MiB/s", True, "1 x"),
        Row("1 stream, quic, down", "MiB/s", True, "1 x"),
        Row("10 streams, quic, up", "MiB/s", True),
        Row("10 streams, quic, down", "MiB/s", True),
        Row("1 stream, quic, processor", "ms/GiB"),
        Row("10 streams, quic, processor", "ms/GiB"),
        Row("64 bytes and back, noise, p50", "us", aim="60"),
        Row("64 bytes and back, noise, p99", "us"),
        Row("64 bytes and back, tls, p50", "us"),
        Row("64 bytes and back, tls, p99", "us"),
        Row("64 bytes and back, quic, p50", "us"),
        Row("64 bytes and back, quic, p99", "us"),
        Row("handshakes one after the other, noise", "1/s", True),
        Row("handshakes one after the other, tls", "1/s", True),
        Row("handshakes one after the other, quic", "1/s", True),
        Row("dial to first byte, noise", "round trips", aim="3"),
        Row("dial to first byte, tls", "round trips"),
        Row("dial to first byte, quic", "round trips", aim="2"),
        Row("idle connection, noise", "KiB", aim="40"),
    )
}


def used_s(pid):
    """Processor time of a process that runs."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_used_s():
    """Of those that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def listen(library, security, folder):
    """`security` is noise or tls over TCP, or quic, which has its own."""
    transport, security = ("quic", "tls") if security == "quic" else ("tcp", security)
    if transport not in library.transports:
        raise Failed(f"{library.name} has no {transport} here")
    return library.listen(folder, "ed25519", transport, security)


def dial(library, security, folder, *flags):
    process, address = listen(library, security, folder)
    transport, security = ("quic", "tls") if security == "quic" else ("tcp", security)
    with process:
        before = used_s(process.process.pid) + children_used_s()
        report = json.loads(library.dial(folder, address, *library.security_flags(security), *flags))
        report["used_s"] = used_s(process.process.pid) + children_used_s() - before
    for what, why in report["failures"].items():
        print(f"{library.name}, {transport}, {security}: {what}: {why}", file=sys.stderr, flush=True)
    return report


def measure_streams(library, security, count, mib, folder):
    """The processor time is that of both ends, with the dialler's start."""
    report = dial(library, security, folder, "--perf-mib", str(mib), "--perf-streams", str(count))
    name = "1 stream" if count == 1 else f"{count} streams"
    for way in ("up", "down"):
        ROWS[f"{name}, {security}, {way}"].add(library.name, report.get(f"perf_{way}_mib_s"))
    ROWS[f"{name}, {security}, processor"].add(library.name, 1000 * report["used_s"] * 1024 / (2 * mib))


def measure_small(library, security, folder):
    report = dial(library, security, folder, "--requests", "3000", "--first-bytes", "20")
    for part in ("p50", "p99"):
        ROWS[f"64 bytes and back, {security}, {part}"].add(library.name, report.get(f"request_us_{part}"))
    if report.get("handshake_ms_median"):
        rate = 1000 / report["handshake_ms_median"]
        ROWS[f"handshakes one after the other, {security}"].add(library.name, rate)


def measure_round_trips(library, security, folder):
    """Over TCP the delay begins behind its own handshake, which is one more; over QUIC with the first packet."""
    is_quic = security == "quic"
    process, address = listen(library, security, folder)
    with process:
        kind, late_port = ("udp", DelayedUdpPort) if is_quic else ("tcp", DelayedPort)
        port = address.split(f"/{kind}/")[1].split("/")[0]
        with late_port(int(port), DELAY_S) as late:
            through = address.replace(f"/{kind}/{port}", f"/{kind}/{late}")
            flags = [*library.security_flags("tls" if is_quic else security), "--first-bytes", "1"]
            report = json.loads(library.dial(folder, through, *flags))
    if report.get("first_byte_ms_min"):
        trips = (0 if is_quic else 1) + report["first_byte_ms_min"] / (2000 * DELAY_S)
        ROWS[f"dial to first byte, {security}"].add(library.name, trips)


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


def measure_memory(library, load, folder):
    """What the listener grows by with connections from as many hosts, all of them ours."""
    process, address = library.listen(folder, "ed25519", "tcp", "noise")
    with process:
        before = resident_kib(process.process.pid)
        command = [str(load), "dial", address, "--connections", str(CONNECTIONS)]
        with Process("connections", command, pathlib.Path(folder) / "load.log") as holding:
            held = holding.wait_for_line(r"held (\d+) connections", WAIT_S)
            grown = resident_kib(process.process.pid) - before
        if int(held[1]) < CONNECTIONS:
            raise Failed(f"{library.name} held {held[1]} of {CONNECTIONS} connections")
    ROWS["idle connection, noise"].add(library.name, grown / CONNECTIONS)


def prepared(names, peer, cache):
    known = {library.name: library for library in (Kwaai(peer), Go(), Rust(), Js())}
    ready = []
    for name in names:
        print(f"Preparing {name} …", file=sys.stderr, flush=True)
        try:
            known[name].prepare(cache)
            ready.append(known[name])
        except Unavailable as why:
            print(f"Left out: {name}: {why}", file=sys.stderr, flush=True)
    return ready


def run_round(libraries, mib, load, folder):
    works = []
    for security in ("noise", "tls", "quic"):
        works += [
            lambda library, s=security: measure_streams(library, s, 1, mib, folder),
            lambda library, s=security: measure_streams(library, s, 10, mib, folder),
            lambda library, s=security: measure_small(library, s, folder),
        ]
    for security in ("noise", "tls", "quic"):
        works.append(lambda library, s=security: measure_round_trips(library, s, folder))
    works.append(lambda library: measure_memory(library, load, folder))
    for work in works:
        for library in libraries:
            try:
                work(library)
            except Failed as failure:
                print(failure, file=sys.stderr, flush=True)


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", text)
    return {"cpu": model[1] if model else "unknown", "cores": os.cpu_count(), "load_average": os.getloadavg()}


def show(libraries, about):
    names = [library.name for library in libraries]
    load = ", ".join(f"{one:.1f}" for one in about["load_average"])
    print(f"{about['cpu']}, {about['cores']} cores, load average {load}; {about['rounds']} rounds")
    print(f"{'':<38}{'':<12}" + "".join(f"{name:>9}" for name in names) + f"{'ours':>9}{'aim':>6}")
    for row in ROWS.values():
        values = [row.value(name) for name in names]
        texts = ["–" if value is None else f"{value:.{0 if value >= 100 else 1}f}" for value in values]
        ratio = row.ratio()
        told = f"{ratio:.2f} x" if ratio else "–"
        print(f"{row.name:<38}{row.unit:<12}" + "".join(f"{text:>9}" for text in texts) + f"{told:>9}{row.aim:>6}")
    print("ours: by the better of go and rust; above 1 is better. aim: of that, or of our number.")


def as_json(libraries, about):
    rows = [
        {
            "name": row.name,
            "unit": row.unit,
            "ratio": row.ratio(),
            "result": {library.name: row.value(library.name) for library in libraries},
            "values": row.values,
        }
        for row in ROWS.values()
    ]
    return json.dumps({**about, "rows": rows}, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=256, help="each way, of each measurement of streams")
    parser.add_argument("--only", default="kwaai,go,rust,js")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peer", type=pathlib.Path, default=ROOT / "build/test/tests/interop/kwaai_interop_peer")
    parser.add_argument("--load", type=pathlib.Path, default=ROOT / "build/test/tests/load/kwaai_p2p_load")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/peers")
    flags = parser.parse_args()
    flags.cache.mkdir(parents=True, exist_ok=True)
    libraries = prepared(flags.only.split(","), flags.peer.resolve(), flags.cache.resolve())
    with tempfile.TemporaryDirectory(prefix="kwaai-bench-") as folder:
        for number in range(flags.rounds):
            print(f"Round {number + 1} of {flags.rounds}", file=sys.stderr, flush=True)
            run_round(libraries, flags.mib, flags.load.resolve(), folder)
    about = {**machine(), "rounds": flags.rounds, "mib": flags.mib}
    if flags.json:
        print(as_json(libraries, about))
    else:
        show(libraries, about)


if __name__ == "__main__":
    main()
