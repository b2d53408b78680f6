"""A TCP proxy that misbehaves on command."""

import asyncio
import contextlib

from harness import free_port


class Proxy:
    """Forwards to `target` on loopback. Change the attributes at any time; they hold for open connections too.

    latency       seconds that every chunk waits, in each direction
    accept_delay  seconds before a new connection is forwarded anywhere
    refuse        new connections are ended at once
    blackhole     everything is swallowed; connections stay open and silent (a half-open network)
    slice         forward at most this many bytes at a time
    cut_commits   this many COMMITs reach the server, but their connection ends instead of bringing its answer
    """

    def __init__(self, target):
        self.target, self.port = target, free_port()
        self.latency = self.accept_delay = 0.0
        self.refuse = self.blackhole = False
        self.slice = self.cut_commits = 0
        self.cuts = 0
        self.accepted = 0
        self.tasks = set()
        self.writers = set()
        self.server = None

    async def open(self):
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=1024)
        return self

    async def close(self):
        self.server.close()
        self.cut_all()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut_all(self):
        """Resets every connection."""
        for writer in list(self.writers):
            writer.transport.abort()

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.writers.add(writer)
        self.accepted += 1
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self.writers.discard(writer)
            self.tasks.discard(task)

    async def _serve(self, reader, writer):
        if self.refuse:
            return
        if self.accept_delay:
            await asyncio.sleep(self.accept_delay)
        while self.blackhole:
            await asyncio.sleep(0.05)
        upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
        pair = _Pair()
        ways = [
            asyncio.ensure_future(self._to_server(reader, upstream_writer, pair)),
            asyncio.ensure_future(self._to_client(upstream_reader, writer, pair)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            # An orderly end, so that what was forwarded arrives.
            upstream_writer.close()

    async def _to_server(self, reader, writer, pair):
        while chunk := await reader.read(65536):
            # A simple query: 'Q', length, text, NUL.
            if self.cut_commits > 0 and b"COMMIT\0" in chunk:
                self.cut_commits -= 1
                self.cuts += 1
                pair.commit_sent = True
            await self._forward(chunk, writer)

    async def _to_client(self, reader, writer, pair):
        while chunk := await reader.read(65536):
            if pair.commit_sent:
                return
            await self._forward(chunk, writer)

    async def _forward(self, chunk, writer):
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.blackhole:
            return
        step = self.slice or len(chunk)
        for start in range(0, len(chunk), step):
            writer.write(chunk[start : start + step])
            with contextlib.suppress(ConnectionResetError):
                await writer.drain()
            if self.slice:
                await asyncio.sleep(0)


class _Pair:
    """What the two directions of one connection tell each other."""

    commit_sent = False


class Balancer:
    """Passes each connection to the next of `ports` that accepts, and each request only to a connection that lives.

    Like nginx's `proxy_next_upstream`: a connect that is refused, and a request of which no byte of an answer came
    over a kept connection that the server closed, go to the other instance.
    """

    def __init__(self, ports):
        self.ports, self.port, self.turn = ports, free_port(), 0
        self.server = None
        self.tasks = set()

    async def open(self):
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def close(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        upstream = None
        try:
            while request := await _message(reader):
                upstream, answer = await self._ask(upstream, request)
                writer.write(answer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()
            if upstream:
                upstream[1].close()

    async def _ask(self, upstream, request):
        kept = upstream is not None
        if upstream is None:
            upstream = await self._connect()
        reader, writer = upstream
        try:
            writer.write(request)
            answer = await _message(reader)
        except (ConnectionError, asyncio.IncompleteReadError):
            answer = b""
        if not answer:
            writer.close()
            if kept:
                return await self._ask(None, request)
            raise ConnectionResetError
        if b"\r\nconnection: close\r\n" in answer.split(b"\r\n\r\n")[0].lower() + b"\r\n":
            writer.close()
            return None, answer
        return upstream, answer

    async def _connect(self):
        for _ in range(2 * len(self.ports)):
            self.turn += 1
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self.ports[self.turn % len(self.ports)])
        raise ConnectionRefusedError


async def _message(reader):
    """One request or answer with its body, as bytes; nothing at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)
