"""Peers behind routers that translate addresses, made of network namespaces: a relay joins them, and they punch through."""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import subprocess

from processes import Failed, Process

PREFIX = f"kwaai{os.getpid() % 10000}"
# Public ones: go-libp2p punches no others. They exist in these namespaces alone.
RELAY = "45.1.0.1"
ROUTERS = ("45.1.0.2", "45.2.0.2")
MASQUERADE = {"cone": "masquerade", "symmetric": "masquerade random"}
START_S = 60
DIAL_S = 120


def missing():
    """Why this machine cannot make such routers; nothing where it can."""
    for tool in ("ip", "nft"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    made = subprocess.run(["ip", "netns", "add", f"{PREFIX}-try"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"no network namespaces: {made.stderr.strip()}"
    command = ["ip", "netns", "exec", f"{PREFIX}-try", "nft", "add", "table", "ip", "nat"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", f"{PREFIX}-try"], check=False)
    return f"no address translation: {tried.stderr.strip()}" if tried.returncode != 0 else None


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr.strip()}")


class Lan:
    """The relay in the middle, two routers at it, and a host behind each."""

    def __init__(self, kind):
        self.kind = kind
        self.made = []

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def name(self, what):
        return f"{PREFIX}-{what}"

    def _add(self, what):
        run("ip", "netns", "add", self.name(what))
        self.made.append(self.name(what))
        self.inside(what, "ip", "link", "set", "lo", "up")

    def inside(self, what, *command):
        run("ip", "netns", "exec", self.name(what), *command)

    def _join(self, inner, inner_ip, outer, outer_ip):
        """A cable from a namespace to the one that it reaches all others through."""
        ends = (f"to-{outer}", f"to-{inner}")
        cable = ["name", ends[0], "netns", self.name(inner), "type", "veth", "peer"]
        run("ip", "link", "add", *cable, "name", ends[1], "netns", self.name(outer))
        for what, end, ip in ((inner, ends[0], inner_ip), (outer, ends[1], outer_ip)):
            self.inside(what, "ip", "addr", "add", f"{ip}/24", "dev", end)
            self.inside(what, "ip", "link", "set", end, "up")
        self.inside(inner, "ip", "route", "add", "default", "via", outer_ip)
        self.inside(outer, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def _build(self):
        for what in ("relay", "r0", "r1", "h0", "h1"):
            self._add(what)
        for i, public in enumerate(ROUTERS):
            router = f"r{i}"
            self._join(router, public, "relay", public.rsplit(".", 1)[0] + ".1")
            self._join(f"h{i}", f"10.{i + 1}.0.2", router, f"10.{i + 1}.0.1")
            rules = f"""
                add table ip nat
                add chain ip nat post {{ type nat hook postrouting priority 100 ; }}
                add rule ip nat post oifname "to-relay" {MASQUERADE[self.kind]}
                add table ip filter
                add chain ip filter in {{ type filter hook input priority 0 ; }}
                add rule ip filter in iifname "to-relay" ct state new drop
            """
            self.inside(router, "nft", rules)

    def start(self, what, peer, role, folder, *flags):
        log = pathlib.Path(folder) / f"dcutr-{peer.name}-{role}.log"
        command = ["ip", "netns", "exec", self.name(what), *peer.command(), *flags]
        return Process(f"{peer.name} ({role})", command, log, cwd=peer.cwd(), env=peer.env())


def address_of(process, file, wanted):
    process.wait_for(file.exists, START_S, "address")
    return [line for line in file.read_text().split() if wanted in line][0]


def punch(relay, target, dialler, kind, transport, folder):
    """What the dialler reports of a target behind another router of that kind; all three speak `transport` alone."""
    folder = pathlib.Path(folder)
    files = {role: folder / f"dcutr-{role}.addresses" for role in ("relay", "target")}
    for file in files.values():
        file.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        lan = stack.enter_context(Lan(kind))
        listen = ["--listen", transport, "--ip", RELAY, "--relay", "limited", "--addrfile", str(files["relay"])]
        relaying = stack.enter_context(lan.start("relay", relay, "relays", folder, *listen))
        address = address_of(relaying, files["relay"], f"/ip4/{RELAY}/")
        anywhere = ["--listen", transport, "--ip", "0.0.0.0", "--port", "4001", "--punch"]
        reserve = ["--reserve", address, "--addrfile", str(files["target"])]
        reached = stack.enter_context(lan.start("h0", target, "is reached", folder, *anywhere, *reserve))
        circuit = address_of(reached, files["target"], "/p2p-circuit/")
        dialling = stack.enter_context(lan.start("h1", dialler, "dials", folder, *anywhere, "--dial", circuit, "--pings", "3"))
        output = dialling.wait(DIAL_S)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise Failed(f"{dialler.name} printed no result:\n{output}")
    return json.loads(lines[-1])


def run_punches(kwaai, peers, folder, tally):
    """Between two routers, the relay's kind being that of the target."""
    why = missing()
    if why is not None:
        tally.skip("hole punching", why)
        return
    print("DCUtR: two hosts behind routers made of network namespaces, joined by a relay", flush=True)
    pairs = [(kwaai, kwaai)]
    for peer in peers:
        if peer.can_punch:
            pairs += [(kwaai, peer), (peer, kwaai)]
    for transport, (dialler, target), kind in itertools.product(("tcp", "quic"), pairs, ("cone", "symmetric")):
        what = f"{dialler.name} → {target.name}, {transport}, {kind}"
        try:
            report = punch(target, target, dialler, kind, transport, folder)
        except Failed as failure:
            tally.row(what, [str(failure)])
            continue
        problems = [f"{doing}: {reason}" for doing, reason in report["failures"].items()]
        if report.get("pings") != 3:
            problems.append(f"{report.get('pings', 0)} pings of 3 were answered")
        direct = report.get("direct")
        if kind == "cone" and ROUTERS[0] not in str(direct):
            problems.append(f"the direct connection leads to {direct!r}")
        if kind == "symmetric" and direct:
            problems.append(f"a direct connection leads to {direct!r}")
        tally.row(what, problems, f"direct: {direct}" if direct else "stays relayed")
