"""The nodes that talk to each other: how each is had, and how it is started."""

import os
import pathlib
import re
import shutil
import subprocess

from processes import Failed, Process

HERE = pathlib.Path(__file__).resolve().parent
START_S = 90  # until a node listens: Python's imports take long on a busy machine
DIAL_S = 240  # all that a dialler tries
BEHIND_PORT = {"tcp": "", "ws": "/ws", "tls/ws": "/tls/ws", "quic": "/quic-v1"}


class Unavailable(Exception):
    """Why a peer cannot be had on this machine."""


def run_installer(name, command, log, seconds, cwd=None):
    """Ends with Unavailable where the command fails."""
    try:
        with Process(f"installing {name}", command, log, cwd=cwd) as process:
            process.wait(seconds)
    except (Failed, OSError) as error:
        raise Unavailable(str(error)) from None


def copy_new(source, target):
    """Copies the files of a folder; what is there already stays."""
    shutil.copytree(source, target, dirs_exist_ok=True)


class Peer:
    """A program with the flags of peers/README.md."""

    name = ""
    sees_half_close = True  # its own and the other's ends are two things
    can_reset = True  # a stream, as a listener
    blind_to_resets_over = ()  # transports: as a dialler, it takes them for ends
    loses_early_ends_over = ()  # transports: as a listener, it may not see an end right behind a stream's first bytes
    cannot_reset_over = ()  # transports: as a listener
    has_perf = True
    can_listen = True
    cannot_listen_over = ()  # transports that it dials alone
    has_early_muxer = False  # agrees on the muxer in the handshake
    tells_early_muxer = False  # as a dialler
    transports = ("tcp", "ws", "tls/ws")
    certificate = None  # for tls/ws: a Certificate
    keys = ("ed25519", "rsa", "secp256k1", "ecdsa")
    takes_many_streams = True  # a thousand at a time
    has_changes = False  # news and leaving
    needs_slashes = False  # in ids of protocols
    can_be_lazy = False  # a dialler: be told to write before the protocol of a stream is agreed
    securities = ("noise", "tls")  # it can be told to speak one alone; ("noise",): it always does
    needs_identity_file = False
    has_autonat = False  # and --ip
    has_kad = False
    has_mdns = False
    can_relay = False  # be a relay, use one, and be reached through one
    has_unlimited_circuits = True  # as a relay
    heeds_limits = True  # as a dialler: opens no streams through a circuit that has them, but pings
    can_punch = False  # make a direct connection out of a relayed one
    reads_records = True  # signed ones of peers, in the form that go and js send
    agent = None  # what identify calls it

    def prepare(self, cache):
        """Installs it into a folder of `cache`; Unavailable where that is not possible."""

    def command(self):
        raise NotImplementedError

    def cwd(self):
        return None

    def env(self):
        return {}

    def start(self, folder, role, *flags, command=None):
        command = [*(command or self.command()), *flags]
        if self.needs_identity_file:
            identity = pathlib.Path(folder) / f"{self.name}-{role}.id"
            identity.unlink(missing_ok=True)
            command += ["--identity", str(identity)]
        log = pathlib.Path(folder) / f"{self.name}-{role}.log"
        return Process(f"{self.name} ({role})", command, log, cwd=self.cwd(), env=self.env())

    def security_flags(self, security):
        return ["--sec", security] if len(self.securities) > 1 else []

    def transport_flags(self, transport):
        return self.certificate.flags() if transport == "tls/ws" else []

    def listen(self, folder, key, transport="tcp", security="noise", role="listens", more=()):
        """A running listener and its address; `transport` is tcp, ws, tls/ws or quic, `security` noise or tls (QUIC has its
        own); `more` flags."""
        addresses = pathlib.Path(folder) / f"{self.name}-{role}.addresses"
        addresses.unlink(missing_ok=True)
        flags = ["--listen", transport, "--addrfile", str(addresses), "--key", key, *self.security_flags(security)]
        flags += self.transport_flags(transport)
        process = self.start(folder, role, *flags, *more)
        try:
            process.wait_for(addresses.exists, START_S, "address")
        except BaseException:
            process.stop()
            raise
        begin = "/ip4/127.0.0.1/udp/" if transport == "quic" else "/ip4/127.0.0.1/tcp/"
        lines = [line for line in addresses.read_text().split() if line.startswith(begin)]
        lines = [line for line in lines if re.sub(r"/ip4/[^/]+/(tcp|udp)/[0-9]+(.*?)/p2p/.*", r"\2", line) == BEHIND_PORT[transport]]
        return process, [line for line in lines if ("/p2p-circuit/" in line) == ("--reserve" in more)][0]

    def listen_at(self, folder, ip, command, *more, transport="tcp", role="listens"):
        """A running listener at this IP, started as `command` says, and its address."""
        addresses = pathlib.Path(folder) / f"{self.name}-{role}.addresses"
        addresses.unlink(missing_ok=True)
        flags = ["--listen", transport, "--ip", ip, "--addrfile", str(addresses), *more]
        process = self.start(folder, role, *flags, command=command)
        try:
            process.wait_for(addresses.exists, START_S, "address")
        except BaseException:
            process.stop()
            raise
        return process, [line for line in addresses.read_text().split() if line.startswith(f"/ip4/{ip}/")][0]

    def dial(self, folder, address, *flags, command=None):
        """What the dialler prints, a JSON line."""
        with self.start(folder, "dials", "--dial", address, *flags, command=command) as process:
            output = process.wait(DIAL_S)
        lines = [line for line in output.splitlines() if line.startswith("{")]
        if not lines:
            raise Failed(f"{self.name} printed no result:\n{output}")
        return lines[-1]


class Kwaai(Peer):
    name = "kwaai"
    has_early_muxer = True
    has_changes = True
    transports = ("tcp", "ws", "tls/ws", "quic")
    has_kad = True
    can_relay = True
    can_punch = True
    agent = "kwaai-interop/0.1"

    def __init__(self, binary):
        self.binary = str(binary)

    def command(self):
        return [self.binary]


class Go(Peer):
    name = "go"
    has_early_muxer = True
    tells_early_muxer = True
    has_changes = True
    transports = ("tcp", "ws", "tls/ws", "quic")
    has_autonat = True
    has_mdns = True
    has_kad = True
    can_relay = True
    can_punch = True
    agent = "gopeer/0.1"

    def prepare(self, cache):
        if shutil.which("go") is None:
            raise Unavailable("go is not installed")
        self.folder = cache / "go"
        copy_new(HERE / "peers" / "go", self.folder)
        run_installer(
            self.name, ["go", "build", "-p", "1", "-o", "gopeer", "."], cache / "go.log", 900, cwd=self.folder
        )

    def command(self):
        return [str(self.folder / "gopeer")]


class Rust(Peer):
    name = "rust"
    has_changes = True
    needs_slashes = True
    transports = ("tcp", "ws", "tls/ws", "quic")
    has_autonat = True
    has_kad = True
    can_relay = True
    has_unlimited_circuits = False
    heeds_limits = False
    can_punch = True
    can_be_lazy = True
    cannot_reset_over = ("quic",)
    reads_records = False
    agent = "rustpeer/0.1"

    def prepare(self, cache):
        for tool, package in (("cargo", "Rust 1.88 or later, from rustup.rs"), ("openssl", "openssl, for RSA keys")):
            if shutil.which(tool) is None:
                raise Unavailable(f"{tool} is not installed: it comes with {package}")
        version = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        if tuple(map(int, re.match(r"cargo (\d+)\.(\d+)", version).groups())) < (1, 88):
            raise Unavailable(f"Rust 1.88 or later is needed (rustup.rs has it), this is {version}")
        self.folder = cache / "rust"
        copy_new(HERE / "peers" / "rust", self.folder)
        build = ["cargo", "build", "--release", "--locked", "-j", "2"]
        run_installer(self.name, build, cache / "rust.log", 3600, cwd=self.folder)

    def command(self):
        return [str(self.folder / "target/release/rustpeer")]


class Js(Peer):
    name = "js"
    has_early_muxer = True
    has_changes = True
    transports = ("tcp", "ws", "tls/ws", "quic")
    blind_to_resets_over = ("quic",)
    loses_early_ends_over = ("quic",)
    keys = ("ed25519", "rsa", "secp256k1")
    has_kad = True
    can_relay = True
    agent = "jspeer/0.1"

    def prepare(self, cache):
        for tool in ("node", "npm"):
            if shutil.which(tool) is None:
                raise Unavailable(f"{tool} is not installed")
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        major = int(re.match(r"v(\d+)", version)[1])
        if major < 20:
            raise Unavailable(f"node 20 or later is needed, this is {version}")
        self.node = ["node", "--experimental-websocket"] if major < 22 else ["node"]
        self.folder = cache / "js"
        wanted = (HERE / "peers" / "js" / "package.json").read_text()
        copy_new(HERE / "peers" / "js", self.folder)
        stamp = self.folder / "installed.json"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        run_installer(self.name, command, cache / "js.log", 600, cwd=self.folder)
        stamp.write_text(wanted)

    def command(self):
        return [*self.node, "--import", "./polyfill.mjs", "jspeer.mjs"]

    def cwd(self):
        return self.folder

    def env(self):
        return {"NODE_EXTRA_CA_CERTS": str(self.certificate.authority)} if self.certificate else {}


class Chromium(Peer):
    """js-libp2p in a page, which cannot listen."""

    name = "chromium"
    has_perf = False
    can_listen = False
    transports = ("ws", "tls/ws")
    securities = ("noise",)

    def __init__(self, js):
        self.js = js

    def prepare(self, cache):
        if shutil.which("chromium") is None:
            raise Unavailable("chromium is not installed")
        self.js.prepare(cache)
        bundle = ["npx", "esbuild", "page.mjs", "--bundle", "--format=esm", "--outfile=page.bundle.js"]
        run_installer(self.name, bundle, cache / "chromium.log", 120, cwd=self.js.folder)

    def command(self):
        return ["node", "chromium.mjs"]

    def cwd(self):
        return self.js.folder


class P2pd(Peer):
    """The daemon in Hivemind's wheel, with Hivemind's bindings: a Python environment that Petals shares."""

    name = "p2pd"
    sees_half_close = False
    can_reset = False
    has_perf = False
    has_early_muxer = True
    transports = ("tcp", "ws", "tls/ws", "quic")
    cannot_listen_over = ("tls/ws",)
    keys = ("ed25519", "rsa")
    takes_many_streams = False
    needs_identity_file = True

    def prepare(self, cache):
        if shutil.which("apt-get") is None:
            raise Unavailable("apt-get is not there, and torch comes from Debian")
        self.folder = cache / "python"
        setup = HERE / "peers" / "python" / "setup.sh"
        run_installer(self.name, ["bash", str(setup), str(self.folder)], cache / "python.log", 1200)
        self.environment = read_environment(self.folder / "env")

    def command(self):
        return [str(self.folder / "venv/bin/python"), "-B", str(HERE / "peers/python/p2pd_peer.py")]

    def env(self):
        authority = {"SSL_CERT_FILE": str(self.certificate.authority)} if self.certificate else {}
        return {**self.environment, **authority}

    def transport_flags(self, transport):
        return []


def read_environment(file):
    """The variables that a shell has after reading the file and had not before."""
    script = f'. "{file}" && env -0'
    out = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.decode()
    variables = dict(entry.partition("=")[::2] for entry in out.split("\0") if entry)
    return {name: value for name, value in variables.items() if os.environ.get(name) != value and name != "_"}
