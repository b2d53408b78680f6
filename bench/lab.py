"""What every measurement needs: programs that are started and stopped, wrk, single requests, and their times."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PASSWORD = "correct-horse-9"


@dataclass(frozen=True)
class Request:
    """One request; a body may hold `{n}`, which wrk's script turns into a number that is never used twice."""

    method: str
    path: str
    body: str | None = None
    authorization: str | None = None
    content_type: str | None = "application/json"

    def line(self):
        content_type = self.content_type if self.body else None
        return "\t".join(part or "-" for part in (self.method, self.path, self.authorization, content_type, self.body))


@dataclass
class Load:
    """What one wrk saw. Only answers below 400 count as success."""

    successes_per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    refusals: int
    broken: int
    statuses: dict = field(default_factory=dict)
    without_retry_after: int = 0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Program:
    """A process with all its children, from its start to its end; its output goes to a log file."""

    def __init__(self, command, environment=None, directory=None, stdin=None):
        self.command = [str(part) for part in command]
        self.environment = environment or {}
        self.directory = directory
        self.stdin = stdin

    def __enter__(self):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="gatewright-bench.", suffix=".log")
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            self.command,
            cwd=self.directory,
            env={**clean_environment(), **self.environment},
            stdin=subprocess.PIPE if self.stdin else subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        if self.stdin:
            self.process.stdin.write(self.stdin.encode())
            self.process.stdin.close()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()

    def wait_until_ready(self, port, path, patience_seconds=60):
        """Seconds from the start of the process to its first answer below 500."""
        while time.perf_counter() - self.started < patience_seconds:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError, http.client.HTTPException):
                if send(port, Request("GET", path), timeout=1)[0] < 500:
                    return time.perf_counter() - self.started
            time.sleep(0.001)
        self.log.seek(0)
        raise RuntimeError(f"{self.command[0]} did not become ready:\n{self.log.read()[-4000:]}")

    def memory_mb(self, what):
        """`VmRSS` (now) or `VmHWM` (peak) of the process and its children together."""
        total = 0
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError):
                lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith(what + ":"))
        return total / 1024

    def wait_until_idle(self, patience_seconds=60):
        """Until the work of clients that have gone is done or dropped."""
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(0.5)
            if self.cpu_seconds() - before < 0.05:
                return

    def cpu_seconds(self):
        ticks = 0
        for pid in tree(self.process.pid):
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def tree(pid):
    """The process and all its descendants."""
    found = [pid]
    for known in found:
        with contextlib.suppress(OSError):
            for children in pathlib.Path(f"/proc/{known}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
    return found


def clean_environment():
    """The caller's settings must not leak into what is measured."""
    ours = ("BETTER_AUTH_", "GATEWRIGHT_", "DATABASE_URL", "HOST", "PORT", "JWT_ALGORITHM", "RUST_LOG")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@contextlib.contextmanager
def wrk(port, requests, connections, seconds, *ways):
    """Starts wrk with one thread, in the `ways` of load.lua; gives a function that waits for its `Load`."""
    with tempfile.NamedTemporaryFile("w", prefix="gatewright-bench.", suffix=".requests") as file:
        file.writelines(request.line() + "\n" for request in requests)
        file.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", HERE / "load.lua"]
        command += [f"http://127.0.0.1:{port}", "--", file.name, *ways]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield lambda: load(process.communicate()[0])
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def load(output):
    seen = json.loads(output.splitlines()[-1])
    return Load(
        successes_per_second=(seen["answers"] - seen["refusals"]) / seen["seconds"],
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
        max_ms=seen["max_ms"],
        refusals=seen["refusals"],
        broken=seen["broken"],
        statuses={int(status): number for status, number in seen["statuses"].items()},
        without_retry_after=seen["without_retry_after"],
    )


def run_wrk(port, requests, connections, seconds, *ways):
    with wrk(port, requests, connections, seconds, *ways) as result:
        return result()


def send(port, request, timeout=60, source="127.0.0.1"):
    """One request on a connection of its own: status, body, headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=(source, 0))
    headers = {}
    if request.authorization:
        headers["Authorization"] = request.authorization
    if request.body:
        headers["Content-Type"] = request.content_type
    try:
        connection.request(request.method, request.path, request.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def one_by_one(port, requests, source="127.0.0.1", stop=None):
    """Seconds of each successful request, one after the other; an unsuccessful one counts as for ever."""
    times = []
    for request in requests:
        if stop and stop.is_set():
            break
        started = time.perf_counter()
        status = send(port, request, source=source)[0]
        times.append(time.perf_counter() - started if status < 300 else float("inf"))
    return times


def all_at_once(port, requests):
    """How many succeed, and after how many seconds the last one is answered."""
    ends, lock, gate = [], threading.Lock(), threading.Barrier(len(requests) + 1)

    def client(request):
        gate.wait()
        try:
            status = send(port, request)[0]
        except OSError:
            status = 0
        with lock:
            ends.append((time.perf_counter(), status))

    threads = [threading.Thread(target=client, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    gate.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return sum(status < 300 and status > 0 for _, status in ends), max(end for end, _ in ends) - started


def median(values):
    return statistics.median(values)
