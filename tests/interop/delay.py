"""Ports of 127.0.0.1 that pass everything on to another one, late: of TCP and of UDP."""

import asyncio
import threading

CHUNK_BYTES = 1 << 16


async def pass_on(reader, writer, delay_s):
    loop = asyncio.get_running_loop()
    waiting = asyncio.Queue()

    async def send():
        while True:
            due, chunk = await waiting.get()
            await asyncio.sleep(due - loop.time())
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        writer.close()

    sending = asyncio.create_task(send())
    try:
        chunk = b"-"
        while chunk:
            chunk = await reader.read(CHUNK_BYTES)
            waiting.put_nowait((loop.time() + delay_s, chunk))
        await sending
    except (ConnectionError, asyncio.CancelledError):
        sending.cancel()
        writer.close()


class LoopThread:
    """A loop on a thread of its own, which opens a port: `start()` gives it, `stop()` closes everything."""

    def __init__(self, port, delay_s):
        self.target = port
        self.delay_s = delay_s
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self):
        self.thread.start()
        return asyncio.run_coroutine_threadsafe(self.start(), self.loop).result()

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class DelayedPort(LoopThread):
    """`with DelayedPort(port, delay_s) as late:` connections to 127.0.0.1:late lead to `port`; each direction takes `delay_s`."""

    async def serve(self, reader, writer):
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        ways = (pass_on(reader, there[1], self.delay_s), pass_on(there[0], writer, self.delay_s))
        try:
            await asyncio.gather(*ways)
        except (OSError, asyncio.CancelledError):
            writer.close()  # Python 3.11 complains of handlers that end cancelled

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def stop(self):
        self.server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Packets(asyncio.DatagramProtocol):
    """Gives what comes to `take(packet, sender)`."""

    def __init__(self, take):
        self.take = take

    def datagram_received(self, data, addr):
        self.take(data, addr)


class DelayedUdpPort(LoopThread):
    """As DelayedPort, for packets: `port` sees each sender behind a port of its own, and its answers go back to that sender."""

    async def start(self):
        self.senders = {}  # a task each, which opens the port in front of the target
        self.front, _ = await self.loop.create_datagram_endpoint(
            lambda: Packets(self.take), local_addr=("127.0.0.1", 0)
        )
        return self.front.get_extra_info("sockname")[1]

    def take(self, packet, sender):
        if sender not in self.senders:
            self.senders[sender] = self.loop.create_task(self.open_for(sender))
        self.loop.call_later(self.delay_s, self.send_on, packet, sender)

    async def open_for(self, sender):
        transport, _ = await self.loop.create_datagram_endpoint(
            lambda: Packets(lambda packet, _: self.loop.call_later(self.delay_s, self.front.sendto, packet, sender)),
            remote_addr=("127.0.0.1", self.target),
        )
        return transport

    def send_on(self, packet, sender):
        opening = self.senders[sender]
        if opening.done() and not opening.exception():  # else the packet is lost, as packets may be
            opening.result().sendto(packet)

    async def stop(self):
        opened = await asyncio.gather(*self.senders.values(), return_exceptions=True)
        for transport in [self.front, *opened]:
            if not isinstance(transport, BaseException):
                transport.abort()
