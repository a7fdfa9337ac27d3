"""AutoNAT and mDNS between nodes in two network namespaces with public addresses: peers dial nobody back on loopback."""

import itertools
import json
import os
import re
import shutil
import subprocess

from peers import Unavailable
from processes import Failed

SITES = {"near": "5.6.7.8", "far": "5.6.7.9"}  # nobody's: they exist inside the namespaces alone
MDNS_S = 30
EXPECTED = {
    "autonat_v1": "reachable",
    "autonat_v2": "reachable",
    "autonat_v2_closed": "unreachable",
    "autonat_v2_elsewhere": "unreachable",  # after 30 to 100 kB
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")


class Sites:
    """Two namespaces with a cable between them, for the time of the `with` block."""

    def __init__(self):
        if shutil.which("ip") is None:
            raise Unavailable("network namespaces need the program ip")
        self.names = {site: f"kwaai-{os.getpid()}-{site}" for site in SITES}

    def __enter__(self):
        try:
            for name in self.names.values():
                run("ip", "netns", "add", name)
            near, far = self.names.values()
            run("ip", "-n", near, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", far)
            for site, ip in SITES.items():
                run("ip", "-n", self.names[site], "addr", "add", f"{ip}/24", "dev", "cable")
                run("ip", "-n", self.names[site], "link", "set", "cable", "up")
                run("ip", "-n", self.names[site], "link", "set", "lo", "up")
        except Unavailable:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def command(self, site, peer):
        return ["ip", "netns", "exec", self.names[site], *peer.command()]


def ask(sites, asker, server, transport, folder):
    """What `asker` learns about itself from `server`, both listening over `transport` alone."""
    process, address = server.listen_at(folder, SITES["far"], sites.command("far", server), "--autonat", transport=transport)
    with process:
        flags = ["--listen", transport, "--ip", SITES["near"], "--autonat"]
        return json.loads(asker.dial(folder, address, *flags, command=sites.command("near", asker)))


def find_each_other(sites, one, other, folder):
    """Both listen and say FOUND with the other's address."""
    first, first_address = one.listen_at(folder, SITES["far"], sites.command("far", one), "--mdns")
    with first:
        second, second_address = other.listen_at(folder, SITES["near"], sites.command("near", other), "--mdns", role="beside")
        with second:
            second.wait_for_line("FOUND " + re.escape(first_address), MDNS_S)
            first.wait_for_line("FOUND " + re.escape(second_address), MDNS_S)


def run_mdns(kwaai, peers, folder, tally):
    print("mDNS, in two network namespaces", flush=True)
    try:
        with Sites() as sites:
            for one, other in ((kwaai, kwaai), *((kwaai, peer) for peer in peers), *((peer, kwaai) for peer in peers)):
                what = f"{one.name}, then {other.name}: they find each other"
                try:
                    find_each_other(sites, one, other, folder)
                    tally.row(what, [])
                except Failed as failure:
                    tally.row(what, [str(failure)])
    except Unavailable as why:
        tally.skip("mdns", str(why))


def run_autonat(kwaai, peers, folder, tally):
    print("AutoNAT v1 and v2, in two network namespaces", flush=True)
    try:
        with Sites() as sites:
            for peer in peers:
                pairs = ((kwaai, kwaai), (kwaai, peer), (peer, kwaai))
                for transport, (asker, server) in itertools.product(("tcp", "quic"), pairs):
                    what = f"{asker.name} asks {server.name}, {transport}"
                    try:
                        report = ask(sites, asker, server, transport, folder)
                    except Failed as failure:
                        tally.row(what, [str(failure)])
                        continue
                    problems = [f"{name}: {why}" for name, why in report["failures"].items()]
                    for name, wanted in EXPECTED.items():
                        if report.get(name) != wanted:
                            problems.append(f"{name}: {report.get(name)} instead of {wanted}")
                    tally.row(what, problems)
    except Unavailable as why:
        tally.skip("autonat", str(why))
