"""Port mappings with a router on loopback, through the libraries that speak to real ones."""

from fake_gateway import OUTER_IP, Natpmp, Upnp
from processes import Failed

ANSWER_S = 20


def map_once(kwaai, folder, *flags):
    with kwaai.start(folder, "maps", *flags) as process:
        return process.wait(ANSWER_S).strip()


def try_upnp(kwaai, folder, router, expected, tally, what):
    with router:
        try:
            line = map_once(kwaai, folder, "--upnp", router.url)
        except Failed as failure:
            tally.row(what, [str(failure)])
            return
        problems = [] if line == expected else [f"{line!r} instead of {expected!r}"]
        port = expected.split()[2]
        if router.calls[-1][0] != "DeletePortMapping" or router.calls[-1][1]["NewExternalPort"] != port:
            problems.append(f"not removed: {router.calls[-1]}")
        tally.row(what, problems)


def run_gateways(kwaai, folder, tally):
    print("port mappings, with a router of our own on loopback", flush=True)
    mapped = f"MAPPED {OUTER_IP}"
    try_upnp(kwaai, folder, Upnp(), f"{mapped} 4001 600", tally, "UPnP")
    try_upnp(kwaai, folder, Upnp(taken=[4001]), f"{mapped} 5001 600", tally, "UPnP, the port is taken")
    try_upnp(kwaai, folder, Upnp(only_permanent=True), f"{mapped} 4001 0", tally, "UPnP, without leases")
    try:
        router = Natpmp()
    except OSError as why:
        tally.skip("NAT-PMP", f"port 5351: {why}")
        return
    with router:
        try:
            line = map_once(kwaai, folder, "--natpmp", "127.0.0.1")
            problems = [] if line == f"{mapped} 4001 300" else [line]
            if router.leases != [(4001, 600), (4001, 0)]:
                problems.append(f"leases: {router.leases}")
        except Failed as failure:
            problems = [str(failure)]
        tally.row("NAT-PMP", problems)
