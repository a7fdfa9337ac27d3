"""A TCP port of 127.0.0.1 that passes everything on to another one, late."""

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


class DelayedPort:
    """`with DelayedPort(port, delay_s) as late:` connections to 127.0.0.1:late lead to `port`; each direction takes `delay_s`."""

    def __init__(self, port, delay_s):
        self.target = port
        self.delay_s = delay_s
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

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

    async def stop(self):
        self.server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __enter__(self):
        self.thread.start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, "127.0.0.1", 0), self.loop)
        self.server = starting.result()
        return self.server.sockets[0].getsockname()[1]

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.stop(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
