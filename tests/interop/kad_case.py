"""Tables of three nodes of two libraries: one that answers, one that joins, puts and provides, one that looks for all of that."""

import json
import pathlib

from processes import Failed


def problems_of(report, joining, wanted):
    """What a table's client should have found and did not."""
    problems = [f"{what}: {why}" for what, why in report["failures"].items()]
    if report.get("kad_value") != f"1 from {joining.name}":
        problems.append(f"the value got is {report.get('kad_value')!r}")
    if not report.get("kad_key_ok"):
        problems.append("the public key got is not the one of the peer that put it")
    if not report.get("kad_providers", {}).get(wanted):
        problems.append(f"the provider {wanted} with its addresses is not among {report.get('kad_providers')}")
    if not report.get("kad_addresses"):
        problems.append(f"the peer {wanted} was not found")
    if not report.get("kad_replaced"):
        problems.append("a newer value that was put did not come back")
    return problems


def look(asking, serving, joining, folder):
    apart = pathlib.Path(folder) / "joining"
    apart.mkdir(exist_ok=True)
    server, address = serving.listen(folder, "ed25519", more=["--kad"])
    with server:
        # The id of an RSA key does not hold that key.
        member, joined = joining.listen(apart, "rsa", more=["--kad", "--kad-join", address])
        with member:
            wanted = joined.rpartition("/p2p/")[2]
            return json.loads(asking.dial(folder, address, "--kad", "--kad-peer", wanted)), wanted


def run_kad(kwaai, peers, folder, tally):
    if peers:
        print("kad: FIND_NODE, PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS: asks → answers, joined by", flush=True)
    for peer in peers:
        pair = (kwaai, peer)
        for asking in pair:
            for serving in pair:
                for joining in pair:
                    if asking is serving is joining:
                        continue
                    what = f"{asking.name} → {serving.name}, {joining.name}"
                    try:
                        report, wanted = look(asking, serving, joining, folder)
                    except Failed as failure:
                        tally.row(what, [str(failure)])
                        continue
                    tally.row(what, problems_of(report, joining, wanted))
