"""Gatewright itself: started on either database, with accounts and sessions written by SQL, and the limits of both."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import time

from lab import PASSWORD, ROOT, Program, Request, free_port, run_wrk

SECRET = "8mUq1xv0bTn5cYwR2kGdLs7HfJzPe4Ai9oXQhVtByCM"
BINARY = ROOT / "target/release/gatewright"
LIMITS = ROOT / "target/release/examples/limits"
TTL_SECONDS = 7 * 86400


def user_id(number):
    return f"019a0000-0000-7000-8000-{number:012x}"


def session_id(number):
    return f"019a0000-0000-7000-9000-{number:012x}"


def email(number):
    return f"bench-{number:07}@example.com"


def token(number, issued_at):
    """The access token of a seeded session."""
    claims = {
        "sub": user_id(number),
        "email": email(number),
        "iat": issued_at,
        "exp": issued_at + TTL_SECONDS,
        "jti": session_id(number),
        "sid": session_id(number),
    }
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    message = b".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    signature = hmac.new(SECRET.encode(), message, hashlib.sha256).digest()
    return (message + b"." + base64url(signature)).decode()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Sqlite:
    """A file of its own on the disk of this checkout."""

    name = "SQLite"

    def __init__(self, directory, _postgres):
        self.file = pathlib.Path(directory) / "gatewright.db"
        self.url = f"sqlite://{self.file}"

    def create(self):
        for suffix in ("", "-wal", "-shm"):
            pathlib.Path(f"{self.file}{suffix}").unlink(missing_ok=True)

    def seed(self, first, end, password_hash, issued_at):
        times = (issued_at * 1000, (issued_at + TTL_SECONDS) * 1000)
        connection = sqlite3.connect(self.file)
        packed = lambda text: bytes.fromhex(text.replace("-", ""))  # noqa: E731
        with connection:
            connection.executemany(
                "INSERT INTO users (id, email, name, password_hash, created_at, updated_at) VALUES (?, ?, 'Bench', ?, ?, ?)",
                ((packed(user_id(n)), email(n), password_hash, times[0], times[0]) for n in range(first, end)),
            )
            connection.executemany(
                "INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
                ((packed(session_id(n)), packed(user_id(n)), *times) for n in range(first, end)),
            )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def forget_failures(self):
        connection = sqlite3.connect(self.file, timeout=10)
        with connection:
            connection.execute("DELETE FROM limits")
        connection.close()


class Postgres:
    """A database in the run's own cluster, which syncs to disk as PostgreSQL does by default."""

    name = "PostgreSQL"

    def __init__(self, _directory, postgres):
        self.server = postgres
        self.url = postgres.url("gatewright")

    def create(self):
        self.server.create("gatewright")

    def seed(self, first, end, password_hash, issued_at):
        number = f"lpad(to_hex(n), 12, '0') FROM generate_series({first}, {end - 1}) AS n"
        created, ends = issued_at * 1000, (issued_at + TTL_SECONDS) * 1000
        user = "('019a0000-0000-7000-8000-' || hex)::uuid"
        session = "('019a0000-0000-7000-9000-' || hex)::uuid"
        self.server.psql(
            "gatewright",
            f"""INSERT INTO users (id, email, name, password_hash, created_at, updated_at)
                SELECT {user}, 'bench-' || lpad(n::text, 7, '0') || '@example.com', 'Bench', '{password_hash}', {created}, {created}
                FROM (SELECT n, {number}) AS numbers (n, hex);
                INSERT INTO sessions (id, user_id, created_at, expires_at)
                SELECT {session}, {user}, {created}, {ends} FROM (SELECT n, {number}) AS numbers (n, hex);
                VACUUM ANALYZE; CHECKPOINT""",
        )

    def forget_failures(self):
        self.server.psql("gatewright", "DELETE FROM limits")

    def pgbench(self, clients, seconds, directory):
        """Look-ups per second of the statement behind a protected request, by PostgreSQL's own client."""
        script = pathlib.Path(directory) / "profile.sql"
        script.write_text(profile_statement().replace("$1", ":user").replace("$2", ":session") + ";\n")
        output = self.server.run(
            "pgbench", "-n", "-M", "prepared", "-c", clients, "-j", 1, "-T", seconds, "-f", script,
            "-D", f"user={user_id(0)}", "-D", f"session={session_id(0)}", self.url,
        )
        return float(re.search(r"tps = ([\d.]+)", output)[1])


def profile_statement():
    """Taken from the source, so that the comparison stays that of the same statement."""
    source = (ROOT / "crates/server/src/store/sessions.rs").read_text()
    text = re.search(r"fn credential\(.*?\"(SELECT .*?)\",", source, re.DOTALL)[1]
    return re.sub(r"\\\n\s*", "", text)


class Cluster:
    """The private cluster that `scripts/postgres` has started, made as durable as PostgreSQL's default."""

    def __init__(self):
        self.address = os.environ["GATEWRIGHT_TEST_POSTGRES"]
        self.binaries = pathlib.Path(os.environ["GATEWRIGHT_TEST_POSTGRES_BIN"])
        if self.psql("postgres", "SELECT count(*) FROM pg_database").strip() != "3":
            raise RuntimeError("this cluster has databases of somebody else: start with bench/run")
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            self.psql("postgres", f"ALTER SYSTEM SET {setting} = on")
        # Clients that would prefer TLS on loopback would be measured with it, and we without.
        self.psql("postgres", "ALTER SYSTEM SET ssl = off")
        self.psql("postgres", "SELECT pg_reload_conf()")
        deadline = time.monotonic() + 10
        while self.psql("postgres", "SHOW fsync").strip() != "on":
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster does not sync to disk")
            time.sleep(0.05)

    def url(self, database):
        return self.address.rpartition("/")[0] + "/" + database

    def create(self, database):
        self.psql("postgres", f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self.psql("postgres", f"CREATE DATABASE {database}")

    def psql(self, database, statements):
        options = [option for statement in statements.split(";") for option in ("-c", statement)]
        return self.run("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", *options, self.url(database))

    def run(self, program, *arguments):
        command = [str(self.binaries / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")
        return done.stdout


class Gatewright:
    """The server under test, with seeded accounts; the same face as the peers in `peers.py`."""

    hash = "bcrypt 12"

    def __init__(self, database, password_hash, accounts):
        self.database = database
        self.name = f"Gatewright, {database.name}"
        self.password_hash = password_hash
        self.accounts = accounts
        self.issued_at = int(time.time()) - 60
        self.port = None

    def prepare(self):
        """A new database, its schema and accounts; gives the seconds of the first start, which makes the database."""
        self.database.create()
        with self.start():
            first_start = self.seconds_to_ready
        self.database.seed(0, self.accounts, self.password_hash, self.issued_at)
        return first_start

    def start(self, **settings):
        self.port = free_port()
        environment = {
            "BETTER_AUTH_SECRET": SECRET,
            "DATABASE_URL": self.database.url,
            "PORT": str(self.port),
            **settings,
        }
        return Started(self, Program([BINARY, "serve"], environment, directory=ROOT / "target"))

    def forget_failures(self):
        """wrk hangs up on the sign-ins under way when its time is over, and they count as failures: start afresh."""
        self.database.forget_failures()

    def sign_up(self, tag):
        return Request("POST", "/api/auth/register", body('{n}', tag))

    def sign_ins(self, count):
        return [self.sign_in(number % self.accounts) for number in range(count)]

    def sign_in(self, number):
        return Request("POST", "/api/auth/login", json.dumps({"email": email(number), "password": PASSWORD}))

    def profiles(self, count, path="/api/auth/profile"):
        step = max(1, self.accounts // count)
        numbers = range(0, self.accounts, step)
        return [Request("GET", path, authorization=f"Bearer {token(n, self.issued_at)}") for n in numbers]


def body(number, tag):
    return json.dumps({"email": f"new-{tag}-{number}@example.com", "name": "New", "password": PASSWORD})


class Started:
    """A started server: ready when entered."""

    def __init__(self, server, program):
        self.server = server
        self.program = program

    def __enter__(self):
        self.program.__enter__()
        try:
            self.server.seconds_to_ready = self.program.wait_until_ready(self.server.port, "/ready")
        except BaseException:
            self.program.__exit__()
            raise
        return self.program

    def __exit__(self, *problem):
        self.program.__exit__(*problem)


def bcrypt_hashes(count):
    """Seconds of each of so many single hashes by the `bcrypt` crate, and one hash of the password."""
    lines = subprocess.run([LIMITS, "hash", str(count)], capture_output=True, text=True, check=True).stdout.split()
    return [float(line) for line in lines[:-1]], lines[-1]


def bare_route(requests, connections, seconds):
    """The load on a route that checks the token and does nothing else, on the same listener."""
    port = free_port()
    with Program([LIMITS, "serve", f"127.0.0.1:{port}"], stdin=SECRET) as program:
        program.wait_until_ready(port, "/bare")
        return run_wrk(port, requests, connections, seconds)
