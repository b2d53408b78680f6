"""What every fault needs: servers, a PostgreSQL cluster, a directory, and the promise that all of it is gone afterwards."""

import asyncio
import contextlib
import glob
import os
import pwd
import random
import re
import resource
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from client import Client, wait_for

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = Path(os.environ.get("GATEWRIGHT_FAULTS_BINARY", TARGET / "release/gatewright")).resolve()
FAULTS = {}


class Failed(Exception):
    """A promise was not kept."""


class Skipped(Exception):
    """This machine cannot make the fault."""


def fault(name, promise):
    """Registers an async function (bench) -> text of what was measured."""

    def register(function):
        FAULTS[name] = (promise, function)
        return function

    return register


def check(condition, message):
    if not condition:
        raise Failed(message)


def free_port():
    # Below the range of outgoing connections, so that no client takes it in between.
    for _ in range(100):
        port = random.randint(12000, 31999)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise Failed("no free port")


def as_user(name):
    """Arguments of Popen for programs that refuse to be root; nothing for everybody else."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def database_owner():
    return "postgres" if any(e.pw_name == "postgres" for e in pwd.getpwall()) else "nobody"


class Bench:
    """The work place of one fault; `close` ends every process and removes every file that it made."""

    def __init__(self):
        self.stack = contextlib.AsyncExitStack()
        self.directory = Path(tempfile.mkdtemp(prefix="gatewright-fault."))
        self.directory.chmod(0o755)
        self.stack.callback(shutil.rmtree, self.directory, ignore_errors=True)

    async def close(self):
        await self.stack.aclose()

    @property
    def sqlite(self):
        return f"sqlite://{self.directory}/accounts.db"

    @property
    def file(self):
        return self.directory / "accounts.db"

    async def server(self, database=None, wait=True, **environment):
        """A running server. Names in lower case stand for GATEWRIGHT_ settings."""
        server = Server(self, database or self.sqlite, environment)
        self.stack.callback(server.kill)
        await server.start(wait)
        return server

    async def postgres(self):
        cluster = Postgres(self.directory / "pg")
        self.stack.callback(cluster.destroy)
        await asyncio.to_thread(cluster.create)
        return cluster

    async def proxy(self, port):
        # Imported here because the proxy needs this module.
        from proxy import Proxy

        proxy = await Proxy(port).open()
        self.stack.push_async_callback(proxy.close)
        return proxy

    def client(self, server, address="127.0.0.1", patience=30.0):
        client = Client(server.port, address, patience)
        self.stack.callback(client.close)
        return client


class Server:
    def __init__(self, bench, database, environment, wrapper=()):
        self.bench, self.database, self.wrapper = bench, database, list(wrapper)
        self.port = free_port()
        # Cheap hashes, many sign-ups from one address: whoever measures these says so.
        settings = {"bcrypt_cost": "10", "client_failure_limit": "off"} | environment
        settings = {f"GATEWRIGHT_{name.upper()}": str(value) for name, value in settings.items()}
        self.environment = {
            "PATH": os.environ["PATH"],
            "BETTER_AUTH_SECRET": secrets.token_urlsafe(32),
            "DATABASE_URL": database,
            "PORT": str(self.port),
        } | settings
        self.log = bench.directory / f"server-{self.port}.log"
        self.limits = None
        self.stderr = None
        self.run_as = {}
        self.process = None

    async def start(self, wait=True):
        def prepare():
            if self.limits:
                resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)

        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, str(BINARY), "serve"],
                env=self.environment,
                cwd=self.bench.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=self.stderr or log,
                preexec_fn=prepare,
                **self.run_as,
            )
        if wait:
            seconds = await self.ready()
            check(seconds is not None, f"the server is not ready: {self.log_tail()}")
        return self

    async def ready(self, at_most=15.0):
        client = Client(self.port, patience=2.0)

        async def is_ready():
            check(self.process.poll() is None, f"the server has ended: {self.log_tail()}")
            return (await client.call("GET", "/ready")).status == 200

        try:
            return await wait_for(is_ready, at_most)
        finally:
            client.close()

    def kill(self):
        """kill -9."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, at_most):
        """The exit code, or None when it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self.process.wait, at_most)
        return None

    def alive(self):
        return self.process.poll() is None

    def rss_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_lines(self, text):
        return [line for line in self.log.read_text(errors="replace").splitlines() if text in line]

    def failures(self, lines=5):
        """The first requests that ended in a 5xx, with their causes."""
        return " | ".join(self.log_lines(" status=5")[:lines])

    def log_tail(self, lines=6):
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def twin(bench, server, **environment):
    """A second instance with the same database and secret; not started."""
    other = Server(bench, server.database, environment)
    other.environment["BETTER_AUTH_SECRET"] = server.environment["BETTER_AUTH_SECRET"]
    bench.stack.callback(other.kill)
    return other


class Postgres:
    """A private cluster that survives the death of its processes (though not of the machine: it does not sync)."""

    SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 200
fsync = off
log_min_messages = error
"""

    def __init__(self, directory):
        self.directory, self.port = directory, free_port()
        self.binaries = find_postgres()
        self.owner = as_user(database_owner())
        self.stopped = []

    @property
    def url(self):
        return self.url_at(self.port)

    def url_at(self, port, database="postgres"):
        return f"postgres://gatewright@127.0.0.1:{port}/{database}"

    def create(self):
        self.directory.mkdir()
        if self.owner:
            os.chown(self.directory, self.owner["user"], self.owner["group"])
        data = self.directory / "data"
        options = ["-U", "gatewright", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self.run("initdb", "-D", data, *options)
        with open(data / "postgresql.conf", "a") as conf:
            conf.write(self.SETTINGS + f"unix_socket_directories = '{self.directory}'\n")
        self.start()

    def start(self):
        self.control("-l", self.directory / "log", "-o", f"-p {self.port}", "-w", "-t", "60", "start")

    def kill(self):
        """-m immediate: every process is told to quit at once; what was committed is in the write-ahead log."""
        self.control("-m", "immediate", "-w", "stop")

    def control(self, *arguments):
        self.run("pg_ctl", "-D", self.directory / "data", *arguments)

    def run(self, program, *arguments, check_code=True, text=None, database="postgres"):
        command = [str(self.binaries / program), *map(str, arguments)]
        result = subprocess.run(
            command,
            input=text,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            text=True,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            **self.owner,
        )
        if check_code:
            check(result.returncode == 0, f"{program} failed: {result.stderr}")
        return result.stdout

    def psql(self, statement, database="postgres", check_code=True):
        address = self.url_at(self.port, database)
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return (self.run("psql", address, *options, text=statement, check_code=check_code) or "").strip()

    def hold(self, statement):
        """A psql that runs `statement` and keeps its transaction open until its standard input is closed."""
        process = subprocess.Popen(
            [str(self.binaries / "psql"), self.url, "-X", "-q"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            **self.owner,
        )
        process.stdin.write(f"BEGIN; {statement};\n\\echo held\n".encode())
        process.stdin.flush()
        check(process.stdout.readline() == b"held\n", "psql did not take the lock")
        return process

    def processes(self):
        """The postmaster and its children."""
        postmaster = int((self.directory / "data/postmaster.pid").read_text().split("\n")[0])
        found = [postmaster]
        for status in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = Path(status).read_text().rsplit(")", 1)
                if int(fields[1].split()[1]) == postmaster:
                    found.append(int(status.split("/")[2]))
        return found

    def pause(self):
        self.stopped = self.processes()
        for process in self.stopped:
            os.kill(process, signal.SIGSTOP)

    def resume(self):
        for process in self.stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
        self.stopped = []

    def destroy(self):
        self.resume()
        if (self.directory / "data/postmaster.pid").exists():
            with contextlib.suppress(Failed):
                self.kill()


def find_postgres():
    initdb = shutil.which("initdb")
    places = ["/usr/lib/postgresql/*/bin/initdb", "/usr/libexec/postgresql*/initdb"]
    places += ["/opt/homebrew/opt/postgresql@*/bin/initdb", "/usr/local/opt/postgresql@*/bin/initdb"]
    found = [initdb] if initdb else sorted(path for place in places for path in glob.glob(place))
    if not found:
        raise Skipped("PostgreSQL is not installed")
    return Path(found[-1]).resolve().parent


def needs_the_processor():
    """Skips a fault whose figures mean nothing beside other programs: sign-ins are computed at low priority."""
    before, idle_before = processor_ticks()
    time.sleep(1.5)
    after, idle_after = processor_ticks()
    busy = 1 - (idle_after - idle_before) / max(after - before, 1)
    if busy > 0.4:
        raise Skipped(f"other programs use {busy:.0%} of the processor; run it on a quiet machine")


def processor_ticks():
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def timed(label, seconds):
    return f"{label} {seconds:.2f} s" if seconds >= 1 else f"{label} {seconds * 1000:.0f} ms"


def now():
    return time.monotonic()
