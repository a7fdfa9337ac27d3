#!/usr/bin/env python3
"""Lets nodes of other libraries and this project's dial each other on loopback, and prints what worked.

run.py --peer BINARY [--kwaai BINARY] [--cache DIR] [--only go,rust,js,chromium,p2pd,petals]. What cannot be installed is
skipped by name. The last line counts; the exit status is 1 where something failed.
"""

import argparse
import itertools
import json
import pathlib
import signal
import sys
import tempfile

from certificate import make_certificate
from dcutr_case import run_punches
from gateway_case import run_gateways
from grid import Grid
from kad_case import run_kad
from nat_case import run_autonat, run_mdns
from peers import Chromium, Go, Js, Kwaai, P2pd, Rust, Unavailable
from petals_case import PetalsCase
from processes import Failed
from router_case import run_router
from transport_case import run_transports

KEYS = ["ed25519", "rsa", "secp256k1", "ecdsa"]
ECHO_MIB = 10
PINGS = 5
STREAMS = 50
MANY_STREAMS = 1000
PERF_MIB = 4


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.skipped = []

    def row(self, what, problems, note=""):
        print(f"  {what:<46} {'FAILED' if problems else 'ok':<8}{note}", flush=True)
        for problem in problems:
            print("      " + problem.replace("\n", "\n      "), flush=True)
        if problems:
            self.failed += 1
        else:
            self.passed += 1

    def others(self, what, problems):
        """What libraries that are not ours do with each other: told, not judged."""
        why = " ".join(problems[0].split())[:90] if problems else ""
        print(f"  {what:<46} {'no' if problems else 'ok':<8}{why}", flush=True)

    def skip(self, what, why):
        self.skipped.append(what)
        print(f"  {what:<46} skipped  {why}", flush=True)


def has_perf(dialler, listener, transport):
    """Whose request, eight bytes, may have its end right behind it."""
    return dialler.has_perf and listener.has_perf and transport not in listener.loses_early_ends_over


def problems_of(report, dialler, listener, transport):
    """What a dialler's report should say and does not."""
    problems = [f"{what}: {why}" for what, why in report["failures"].items()]
    if report.get("pings") != PINGS:
        problems.append(f"{report.get('pings', 0)} pings of {PINGS} were answered")
    if not report.get("echo_ok"):
        problems.append(f"{ECHO_MIB} MiB did not come back as they were sent")
    if report.get("streams") != STREAMS:
        problems.append(f"not all of {STREAMS} streams beside each other gave their bytes back")
    measured = report.get("perf_up_mib_s") and report.get("perf_down_mib_s")
    if has_perf(dialler, listener, transport) and not measured:
        problems.append(f"perf: {PERF_MIB} MiB did not go one way and come the other")
    can_reset = listener.can_reset and transport not in listener.cannot_reset_over
    if can_reset and transport not in dialler.blind_to_resets_over and not report.get("reset_seen"):
        problems.append("a reset by the listener did not reach the dialler")
    if dialler.sees_half_close and listener.sees_half_close and not report.get("half_close_seen"):
        problems.append("the listener did not see the dialler's half-close")
    if dialler.tells_early_muxer and transport in ("tcp", "ws", "tls/ws"):
        if report.get("early_muxer") != listener.has_early_muxer:
            problems.append(f"that the handshake agreed on the muxer is said to be {report.get('early_muxer')}")
    if dialler.agent is not None:  # it tells what identify brought
        if listener.agent is not None and report.get("agent") != listener.agent:
            problems.append(f"identify: agent {report.get('agent')!r} instead of {listener.agent!r}")
        if "/echo/1.0.0" not in report.get("protocols", []) and listener.agent is not None:
            problems.append(f"identify: no /echo/1.0.0 among {report.get('protocols')}")
        if dialler.reads_records and not report.get("signed_record"):
            problems.append("identify: no signed peer record")
    return problems


def dial(dialler, listener, key, folder, transport, security, *more):
    process, address = listener.listen(folder, key, transport, security)
    with process:
        flags = ["--key", key, *dialler.security_flags(security), *dialler.transport_flags(transport), *more]
        if not listener.sees_half_close and isinstance(dialler, Kwaai):
            flags.append("--ends-last")
        if transport in listener.loses_early_ends_over and isinstance(dialler, Kwaai):
            flags.append("--short-ends-last")
        report = json.loads(dialler.dial(folder, address, *flags))
        # A sanitizer speaks when the program ends.
        if isinstance(listener, Kwaai) and (status := process.stop()) != 0:
            raise process.failure(f"ended with {status} when it was asked to end")
        return report


def note_of(report):
    parts = []
    if "connect_ms" in report:
        parts.append(f"connect {report['connect_ms']:.1f} ms")
    if "ping_ms_median" in report:
        parts.append(f"ping {report['ping_ms_median']:.2f} ms")
    if "echo_mib_s" in report:
        parts.append(f"echo {report['echo_mib_s']:.0f} MiB/s each way")
    return ", ".join(parts)


def run_cell(dialler, listener, case, folder, tally, grid):
    transport, security, key = case
    what = f"{dialler.name} → {listener.name}, {transport}, {security}, {key}"
    flags = ["--pings", str(PINGS), "--echo-mib", str(ECHO_MIB), "--streams", str(STREAMS), "--resets"]
    if has_perf(dialler, listener, transport):
        flags += ["--perf-mib", str(PERF_MIB)]
    try:
        report = dial(dialler, listener, key, folder, transport, security, *flags)
        problems, note = problems_of(report, dialler, listener, transport), note_of(report)
    except Failed as failure:
        problems, note = [str(failure)], ""
    is_ours = isinstance(dialler, Kwaai) or isinstance(listener, Kwaai)
    if is_ours:
        tally.row(what, problems, note)
    else:
        tally.others(what, problems)
    column = f"{transport} {security}" if transport == "tcp" else transport
    grid.add(dialler.name, listener.name, column, "ok" if not problems else "FAILED" if is_ours else "no")


def can_meet(dialler, listener, case):
    transport, security, key = case
    return listener.can_listen and transport not in listener.cannot_listen_over and all(
        transport in peer.transports and security in peer.securities and key in peer.keys for peer in (dialler, listener)
    )


def run_matrix(kwaai, peers, folder, tally):
    """Ours with every peer and itself, with each type of key; the others with each other, with one."""
    print(f"yamux, and QUIC: identify, {PINGS} pings, {ECHO_MIB} MiB each way, {STREAMS} streams, half-close, resets, perf", flush=True)
    cases = [("tcp", security, key) for security in ("noise", "tls") for key in KEYS]
    cases += [(transport, "noise", KEYS[0]) for transport in ("ws", "tls/ws")]
    cases += [("quic", "tls", key) for key in KEYS]
    if kwaai.certificate is None:
        tally.skip("tls/ws", "openssl is not installed")
        cases = [case for case in cases if case[0] != "tls/ws"]
    pairs = [(kwaai, kwaai)] + [pair for peer in peers for pair in ((kwaai, peer), (peer, kwaai))]
    others = list(itertools.product(peers, repeat=2))
    works = [(pair, case) for pair in pairs for case in cases]
    works += [(pair, case) for pair in others for case in cases if case[2] == KEYS[0]]
    grid = Grid()
    for (dialler, listener), case in works:
        if can_meet(dialler, listener, case):
            run_cell(dialler, listener, case, folder, tally, grid)
    grid.print()


def run_streams(kwaai, peers, folder, tally):
    """Many streams open at a time, each with a few bytes; and streams that begin before their protocol is agreed."""
    print(f"{MANY_STREAMS} streams of a connection at a time; lazy streams", flush=True)
    many = ["--streams", str(MANY_STREAMS)]
    works = []
    for peer in peers:
        if peer.takes_many_streams and "tcp" in peer.transports:
            works += [(kwaai, peer, security, many) for security in peer.securities]
            works += [(peer, kwaai, security, many) for security in peer.securities]
        if peer.can_be_lazy:
            works += [(peer, kwaai, security, ["--lazy", "--streams", str(STREAMS)]) for security in peer.securities]
    for dialler, listener, security, flags in works:
        what = f"{dialler.name} → {listener.name}, {security}, {' '.join(flags)}"
        try:
            report = dial(dialler, listener, KEYS[0], folder, "tcp", security, *flags)
        except Failed as failure:
            tally.row(what, [str(failure)])
            continue
        problems = [f"{doing}: {why}" for doing, why in report["failures"].items()]
        if report.get("streams") != int(flags[-1]):
            problems.append(f"not all of {flags[-1]} streams beside each other gave their bytes back")
        tally.row(what, problems, note_of(report))


def dial_through(relay, target, dialler, transport, limits, folder, *flags):
    """What a dialler reports of a target that it reaches through a relay whose circuits are limited or unlimited; both are
    connected to the relay over `transport`."""
    relaying, relay_address = relay.listen(folder, KEYS[0], transport, role="relays", more=["--relay", limits])
    with relaying:
        reserve = ["--reserve", relay_address]
        reached, address = target.listen(folder, KEYS[0], transport, role="is reached", more=reserve)
        with reached:
            return json.loads(dialler.dial(folder, address, *flags))


def run_changes(kwaai, peers, folder, tally):
    print("identify push, ids without a slash, and a peer that leaves", flush=True)
    able = [peer for peer in peers if peer.has_changes]
    for dialler, listener in ((kwaai, kwaai), *((kwaai, peer) for peer in able), *((peer, kwaai) for peer in able)):
        what = f"{dialler.name} → {listener.name}"
        try:
            report = dial(dialler, listener, "ed25519", folder, "tcp", "noise", "--changes")
        except Failed as failure:
            tally.row(what, [str(failure)])
            continue
        problems = [f"{doing}: {why}" for doing, why in report["failures"].items()]
        expected = ["push_seen", "leave_seen"]
        if not dialler.needs_slashes and not listener.needs_slashes:
            expected.append("slashless_ok")
        problems += [f"no {seen}" for seen in expected if not report.get(seen)]
        tally.row(what, problems)


def run_relays(kwaai, peers, folder, tally):
    """Each of the three roles is ours once, the other two are the peer's."""
    print("circuit relay v2: relay, target and dialler; all of the above through it, or with limits pings alone", flush=True)
    all_of_it = ["--pings", str(PINGS), "--echo-mib", str(ECHO_MIB), "--streams", str(STREAMS), "--resets"]
    all_of_it += ["--perf-mib", str(PERF_MIB)]
    for peer in peers:
        if not peer.can_relay:
            continue
        roles = [(kwaai, peer, peer), (peer, kwaai, peer), (peer, peer, kwaai), (kwaai, kwaai, peer), (kwaai, peer, kwaai)]
        cases = itertools.product(("tcp", "quic"), roles, ("unlimited", "limited"))
        for transport, (relay, target, dialler), limits in cases:
            if limits == "unlimited" and dialler.heeds_limits and not relay.has_unlimited_circuits:
                continue
            what = f"{dialler.name} → {relay.name} → {target.name}, {transport}, {limits}"
            flags = all_of_it if limits == "unlimited" else ["--pings", str(PINGS)]
            try:
                report = dial_through(relay, target, dialler, transport, limits, folder, *flags)
            except Failed as failure:
                tally.row(what, [str(failure)])
                continue
            if limits == "unlimited":
                problems = problems_of(report, dialler, target, "circuit")
            else:
                problems = [f"{doing}: {why}" for doing, why in report["failures"].items()]
                if report.get("pings") != PINGS:
                    problems.append(f"{report.get('pings', 0)} pings of {PINGS} were answered")
            if report.get("limited") != (limits == "limited" or not relay.has_unlimited_circuits):
                problems.append(f"the connection's being limited is said to be {report.get('limited')}")
            if "/p2p-circuit" not in report.get("remote", ""):
                problems.append(f"the connection leads to {report.get('remote')}")
            tally.row(what, problems, note_of(report))


def run_petals(case, tally):
    print("Petals 2.2.0: greedy tokens against plain transformers", flush=True)
    try:
        for what, problems, report in case.run():
            note = f"{report['ms_per_token']:.1f} ms a token" if "ms_per_token" in report else ""
            tally.row(what, problems, note)
    except Failed as failure:
        tally.row("Petals", [str(failure)])


def prepared(peers, cache, tally):
    ready = []
    for peer in peers:
        print(f"Preparing {peer.name} …", file=sys.stderr, flush=True)
        try:
            peer.prepare(cache)
            ready.append(peer)
        except Unavailable as why:
            tally.skip(peer.name, str(why))
    return ready


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, type=pathlib.Path, help="kwaai_interop_peer")
    parser.add_argument("--kwaai", type=pathlib.Path, help="the program, for routers and Petals")
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path("build/peers"))
    parser.add_argument("--only", default="go,rust,js,chromium,p2pd,petals")
    flags = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped

    only = flags.only.split(",")
    cache = flags.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    tally = Tally()
    kwaai = Kwaai(flags.peer.resolve())
    python = P2pd()
    js = Js()
    wanted = [peer for peer in (Go(), Rust(), js, Chromium(js), python) if peer.name in only or (peer is python and "petals" in only)]
    ready = prepared(wanted, cache, tally)
    matrix = [peer for peer in ready if peer.name in only]
    with tempfile.TemporaryDirectory(prefix="kwaai-interop-") as folder:
        certificate = make_certificate(folder)
        for peer in (kwaai, *matrix):
            peer.certificate = certificate
        run_matrix(kwaai, matrix, folder, tally)
        run_streams(kwaai, matrix, folder, tally)
        run_transports(flags.peer.resolve().with_name("kwaai_transport_peer"), matrix, cache, folder, tally)
        run_gateways(kwaai, folder, tally)
        run_autonat(kwaai, [peer for peer in matrix if peer.has_autonat], folder, tally)
        run_mdns(kwaai, [peer for peer in matrix if peer.has_mdns], folder, tally)
        run_changes(kwaai, matrix, folder, tally)
        run_kad(kwaai, [peer for peer in matrix if peer.has_kad], folder, tally)
        run_relays(kwaai, matrix, folder, tally)
        run_punches(kwaai, matrix, folder, tally)
        if flags.kwaai is not None:
            run_router(str(flags.kwaai.resolve()), folder, tally)
        if "petals" in only and flags.kwaai is not None:
            if python in ready:
                run_petals(PetalsCase(python, flags.kwaai.resolve(), pathlib.Path(folder), cache), tally)
            else:
                tally.skip("petals", "its Python environment is missing")
    print(f"{tally.passed} passed, {tally.failed} failed, {len(tally.skipped)} skipped")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
