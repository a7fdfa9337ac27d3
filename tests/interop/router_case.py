"""`kwaai serve` behind a home router, told nothing of it: AutoNAT finds out, relays are found, and texts come through."""

import contextlib
import os
import pathlib
import re
import subprocess

from dcutr_case import RELAY, Lan, missing
from processes import Failed, Process

RELAYS = 3  # a verdict of AutoNAT takes several servers
START_S = 60
PLACE_S = 240
TEXT_S = 180
WORDS = ["--raw", "--prompt", "Once upon a time", "--temperature", "0", "--max-tokens", "60"]


def find_model():
    """A small model; nothing where there is none."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    places = [
        pathlib.Path(os.environ.get("KWAAI_FIXTURES", "/nonexistent")) / "models/stories260K.gguf",
        pathlib.Path(os.environ.get("KWAAI_MODEL") or f"{cache}/kwaai/models/SmolLM2-135M-Instruct.Q4_1.gguf"),
    ]
    return next((str(place) for place in places if place.exists()), None)


class Neighbourhood:
    """Relays in public, a server of all blocks behind one router, a client behind another."""

    def __init__(self, lan, program, model, folder):
        self.lan, self.program, self.model, self.folder = lan, program, model, pathlib.Path(folder)

    def command(self, what, *arguments):
        return ["ip", "netns", "exec", self.lan.name(what), self.program, *arguments]

    def start(self, what, name, *arguments):
        """Where nobody has an earlier run's key or network."""
        home = {"XDG_DATA_HOME": str(self.folder / f"{name}.data")}
        return Process(name, self.command(what, *arguments), self.folder / f"router-{name}.log", env=home)

    def relay(self, number, network):
        listen = f"/ip4/{RELAY}/tcp/{4100 + number}"
        return self.start("relay", f"relay{number}", "p2p", "relay", "--listen", listen, *network)

    def address(self, process):
        return process.wait_for_line(r"(/ip4/[0-9.]+/tcp/\d+/p2p/\w+)", START_S)[1]

    def run(self):
        """The text that came through, and where the server was reached."""
        with contextlib.ExitStack() as stack:
            network = []
            for number in range(RELAYS):
                relay = stack.enter_context(self.relay(number, network))
                network = network or ["--bootstrap", self.address(relay)]
                self.address(relay)
            serve = ["serve", self.model, "--blocks", "0:5" if "stories" in self.model else "0:30"]
            hidden = stack.enter_context(self.start("h0", "server", *serve, "--listen", "/ip4/0.0.0.0/tcp/4001", *network))
            place = hidden.wait_for_line(r"Reached over a relay at (\S+)", PLACE_S)[1]
            client = self.start("h1", "client", "run", self.model, "--swarm", *network, *WORDS, "--json")
            return stack.enter_context(client).wait(TEXT_S), place


def text_of(output):
    found = re.search(r'"text":\s*"((?:[^"\\]|\\.)*)"', output)
    if not found:
        raise Failed(f"no text in {output!r}")
    return found[1]


def run_router(program, folder, tally):
    print("A server behind a router, made of network namespaces, that nobody tells what to do", flush=True)
    why, model = missing(), find_model()
    if why is None and model is None:
        why = "no model (run tools/fetch_model.sh, or set KWAAI_MODEL)"
    if why is not None:
        return tally.skip("a server behind a router", why)
    try:
        alone = subprocess.run([program, "run", model, *WORDS, "--json"], capture_output=True, text=True, check=True, timeout=TEXT_S)
        with Lan("cone") as lan:
            output, place = Neighbourhood(lan, program, model, folder).run()
        problems = [] if text_of(output) == text_of(alone.stdout) else ["the text is not that of one machine"]
        tally.row("kwaai run → router → kwaai serve", problems, f"found at {place.rpartition('/p2p/')[0]}")
    except (Failed, subprocess.SubprocessError) as failure:
        tally.row("kwaai run → router → kwaai serve", [str(failure)])
