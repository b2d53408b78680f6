"""A minimal HTTP/1.1 client over asyncio streams, and a recorder of what it was answered."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field

PASSWORD = "correct-horse-7"


@dataclass
class Answer:
    """One request and what became of it. `status` is 0 where the connection ended without an answer."""

    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    began: float = 0.0
    ended: float = 0.0

    @property
    def seconds(self):
        return self.ended - self.began

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def token(self):
        return self.json["access_token"]


class Client:
    """One kept connection, re-made when it is lost. `address` is the local one: each is a client network of its own."""

    def __init__(self, port, address="127.0.0.1", patience=30.0):
        self.port, self.address, self.patience = port, address, patience
        self.reader = self.writer = None

    async def call(self, method, path, body=None, token=None):
        began = time.monotonic()
        try:
            async with asyncio.timeout(self.patience):
                status, headers, content = await self._exchange(method, path, body, token)
        except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
            self.close()
            return Answer(0, began=began, ended=time.monotonic())
        except asyncio.CancelledError:
            self.close()
            raise
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, content, began, time.monotonic())

    async def _exchange(self, method, path, body, token):
        if self.writer is None or self.writer.is_closing() or self.reader.at_eof():
            self.close()
            self.reader, self.writer = await asyncio.open_connection(
                "127.0.0.1", self.port, local_addr=(self.address, 0)
            )
        self.writer.write(request_bytes(method, path, body, token))
        return await read_answer(self.reader)

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def register(self, email, password=PASSWORD):
        fields = {"email": email, "name": "Ann", "password": password}
        return await self.call("POST", "/api/auth/register", fields)

    async def login(self, email, password=PASSWORD):
        return await self.call("POST", "/api/auth/login", {"email": email, "password": password})

    async def profile(self, token):
        return await self.call("GET", "/api/auth/profile", token=token)

    async def rename(self, token, name):
        return await self.call("PUT", "/api/auth/profile", {"name": name}, token)

    async def logout(self, token):
        return await self.call("POST", "/api/auth/logout", token=token)


def request_bytes(method, path, body=None, token=None):
    head = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    if token:
        head.append(f"Authorization: Bearer {token}")
    content = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + content


async def read_answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ")[1])
    headers = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return status, headers, content


class Record:
    """Answers in the order in which they came."""

    def __init__(self):
        self.answers = []

    def add(self, answer):
        self.answers.append(answer)
        return answer

    def between(self, start, end):
        """Those whose whole life lies between the two moments."""
        part = Record()
        part.answers = [a for a in self.answers if a.began >= start and a.ended <= end]
        return part

    @property
    def statuses(self):
        return dict(sorted(Counter(a.status for a in self.answers).items()))

    def only(self, *statuses):
        return all(a.status in statuses for a in self.answers)

    def count(self, *statuses):
        return sum(a.status in statuses for a in self.answers)

    def slowest(self):
        return max((a.seconds for a in self.answers), default=0.0)

    def percentile(self, share):
        times = sorted(a.seconds for a in self.answers)
        return times[min(len(times) - 1, int(share * len(times)))] if times else 0.0


@contextlib.asynccontextmanager
async def load(*workers):
    """Runs `workers` (functions that make one request and return its answer) in loops while the body runs."""
    record, running = Record(), True

    async def loop(worker):
        while running:
            answer = record.add(await worker())
            if answer.status == 0:
                await asyncio.sleep(0.05)

    tasks = [asyncio.ensure_future(loop(worker)) for worker in workers]
    try:
        yield record
    finally:
        running = False
        await asyncio.gather(*tasks)


async def wait_for(condition, at_most, every=0.02):
    """Seconds until the async `condition` holds; None when it does not in time."""
    began = time.monotonic()
    while time.monotonic() - began < at_most:
        if await condition():
            return time.monotonic() - began
        await asyncio.sleep(every)
    return None
