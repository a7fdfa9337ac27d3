"""p2pd_peer: the libp2p daemon of the Hivemind wheel, driven through Hivemind's own bindings.

Flags and output are those of ../README.md, as far as the daemon has the means: it tells neither what identify brought
nor how a stream ended, so --resets looks at what follows, and there is no --perf-mib.
"""

import argparse
import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from importlib.metadata import version

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hivemind.p2p import P2P, PeerID
from hivemind.proto import crypto_pb2
from hivemind.utils.multiaddr import Multiaddr

ECHO = "/echo/1.0.0"
RESET = "/interop/reset/1.0.0"
PING = "/ipfs/ping/1.0.0"
CHUNK = 1 << 16
STREAM_BYTES = 300_000  # of each of --streams: more than a first window
BEHIND_PORT = {"tcp": "tcp/{}", "ws": "tcp/{}/ws", "quic": "udp/{}/quic-v1"}
PATIENCE = 60  # seconds, for any one thing


def write_identity(path: str, kind: str) -> None:
    if kind == "rsa":
        P2P.generate_identity(path)
        return
    key = ed25519.Ed25519PrivateKey.generate()
    seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    message = crypto_pb2.PrivateKey(key_type=crypto_pb2.KeyType.Ed25519, data=seed + public)
    with open(path, "wb") as file:
        file.write(message.SerializeToString())


async def serve_echo(info, reader, writer) -> None:
    while part := await reader.read(CHUNK):
        writer.write(part)
        await writer.drain()
    print("HALF-CLOSED", flush=True)
    writer.close()


async def serve_reset(info, reader, writer) -> None:
    await reader.read(1)
    writer.transport.abort()


def times(result: dict, name: str, measured: list) -> None:
    measured.sort()
    result[f"{name}_min"], result[f"{name}_median"] = measured[0], measured[len(measured) // 2]


class Dialler:
    def __init__(self, p2p: P2P, target: str):
        self.p2p = p2p
        address = Multiaddr(target)
        self.peer = PeerID.from_base58(address["p2p"])
        self.addresses = [address.decapsulate("/p2p/" + address["p2p"])]
        self.result = {"impl": "p2pd", "version": f"p2pd of hivemind {version('hivemind')}", "failures": {}}

    async def attempt(self, what: str, action) -> bool:
        try:
            await asyncio.wait_for(action, PATIENCE)
            return True
        except Exception as error:
            self.result["failures"][what] = f"{type(error).__name__}: {error}"
            return False

    async def open(self, protocol: str):
        _, reader, writer = await self.p2p.call_binary_stream_handler(self.peer, protocol)
        return reader, writer

    async def first_bytes(self, rounds: int) -> None:
        dials, firsts = [], []
        for _ in range(rounds):
            begin = time.perf_counter()
            await self.p2p._client.connect(self.peer, self.addresses)
            dials.append(1000 * (time.perf_counter() - begin))
            reader, writer = await self.open(ECHO)
            writer.write(b"1")
            await reader.readexactly(1)
            firsts.append(1000 * (time.perf_counter() - begin))
            writer.close()
            await self.p2p._client.disconnect(self.peer)
            await asyncio.sleep(0.05)
        times(self.result, "handshake_ms", dials)
        times(self.result, "first_byte_ms", firsts)

    async def connect(self) -> None:
        begin = time.perf_counter()
        await self.p2p._client.connect(self.peer, self.addresses)
        self.result["connect_ms"] = 1000 * (time.perf_counter() - begin)
        peers = await self.p2p.list_peers()
        if not any(info.peer_id == self.peer for info in peers):
            raise RuntimeError("the daemon does not list the peer")

    async def pings(self, count: int) -> None:
        reader, writer = await self.open(PING)
        measured = []
        for _ in range(count):
            sent = os.urandom(32)
            begin = time.perf_counter()
            writer.write(sent)
            back = await reader.readexactly(32)
            measured.append(1000 * (time.perf_counter() - begin))
            if back != sent:
                raise RuntimeError("other bytes came back")
        writer.close()
        self.result["pings"] = count
        times(self.result, "ping_ms", measured)

    async def echo(self, mib: int) -> None:
        sent = os.urandom(mib << 20)
        reader, writer = await self.open(ECHO)
        begin = time.perf_counter()

        async def send() -> None:
            for at in range(0, len(sent), CHUNK):
                writer.write(sent[at : at + CHUNK])
                await writer.drain()

        sending = asyncio.create_task(send())
        back = bytearray()
        while len(back) < len(sent) and (part := await reader.read(CHUNK)):
            back += part
        await sending
        writer.write_eof()  # not before: the daemon then ends both directions
        rest = await reader.read()
        writer.close()
        took = time.perf_counter() - begin
        self.result["echo_ok"] = hashlib.sha256(back).digest() == hashlib.sha256(sent).digest()
        if len(back + rest) != len(sent):
            raise RuntimeError(f"{len(back + rest)} bytes of {len(sent)} came back")
        self.result["echo_mib_s"] = mib / took

    async def streams(self, count: int) -> None:
        async def one(value: int) -> None:
            sent = bytes([value % 256]) * STREAM_BYTES
            reader, writer = await self.open(ECHO)
            writer.write(sent)
            if await reader.readexactly(len(sent)) != sent:
                raise RuntimeError("other bytes came back")
            writer.close()

        await asyncio.gather(*map(one, range(count)))
        self.result["streams"] = count

    async def resets(self) -> None:
        reader, writer = await self.open(RESET)
        writer.write(b"1")
        try:
            self.result["reset_seen"] = await reader.read() == b""
        except ConnectionError:
            self.result["reset_seen"] = True
        writer.close()
        _, writer = await self.open(ECHO)
        writer.write(b"1")
        writer.transport.abort()
        reader, writer = await self.open(ECHO)  # our reset ended that stream alone
        writer.write(b"2")
        await reader.readexactly(1)
        writer.close()

    async def try_all(self, flags) -> None:
        if flags.first_bytes:
            await self.attempt("first bytes", self.first_bytes(flags.first_bytes))
        if not await self.attempt("connect", self.connect()):
            return
        await self.attempt("ping", self.pings(flags.pings))
        if flags.echo_mib:
            await self.attempt("echo", self.echo(flags.echo_mib))
        if flags.streams:
            await self.attempt("streams", self.streams(flags.streams))
        if flags.resets:
            await self.attempt("reset", self.resets())


def read_flags():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", choices=list(BEHIND_PORT))
    parser.add_argument("--sec", default="noise", choices=["noise", "tls"], help="what it can besides Noise")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--addrfile")
    parser.add_argument("--key", default="ed25519", choices=["ed25519", "rsa"])
    parser.add_argument("--identity", required=True, help="a file that is written for the daemon")
    parser.add_argument("--dial")
    parser.add_argument("--pings", type=int, default=5)
    parser.add_argument("--echo-mib", type=int, default=0)
    parser.add_argument("--streams", type=int, default=0)
    parser.add_argument("--resets", action="store_true")
    parser.add_argument("--first-bytes", type=int, default=0)
    parser.add_argument("--perf-mib", type=int, default=0)
    return parser.parse_args()


async def main() -> None:
    flags = read_flags()
    write_identity(flags.identity, flags.key)
    p2p = await P2P.create(
        host_maddrs=[f"/ip4/127.0.0.1/{BEHIND_PORT[flags.listen or 'tcp'].format(flags.port)}"],
        identity_path=flags.identity,
        no_listen=not flags.listen,
        auto_nat=False,
        nat_port_map=False,
        use_relay=False,
        tls=flags.sec == "tls",
    )
    await p2p.add_binary_stream_handler(ECHO, serve_echo)
    await p2p.add_binary_stream_handler(RESET, serve_reset)
    if flags.dial:
        dialler = Dialler(p2p, flags.dial)
        await dialler.try_all(flags)
        print(json.dumps(dialler.result), flush=True)
    else:
        lines = "".join(f"{address}\n" for address in await p2p.get_visible_maddrs())
        print(lines, end="", flush=True)
        if flags.addrfile:
            with open(flags.addrfile + ".new", "w") as file:
                file.write(lines)
            os.rename(flags.addrfile + ".new", flags.addrfile)
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
    await p2p.shutdown()
    sys.stdout.flush()
    os._exit(0)  # threads of the bindings would keep the process


if __name__ == "__main__":
    asyncio.run(main())
