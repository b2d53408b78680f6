"""The peers, each a minimal honest set-up with pinned versions in `bench/peers`, installed into target/bench/peers."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.parse

from lab import HERE, PASSWORD, ROOT, Program, Request, free_port, send

SECRET = "8mUq1xv0bTn5cYwR2kGdLs7HfJzPe4Ai9oXQhVtByCM"
INSTALLED = ROOT / "target/bench/peers"
ACCOUNTS = 64


def all_of(directory, cluster):
    return [kind(pathlib.Path(directory), cluster) for kind in (FastApiDesign, FastApiUsers, BetterAuth, PocketBase)]


class Peer:
    """What `measure.py` asks of a server. Rate limits are off and logs are small wherever there is a switch."""

    profile_path = None

    def __init__(self, directory, cluster):
        self.directory = directory
        self.cluster = cluster
        self.port = None
        self.tokens = []

    def start(self):
        self.port = free_port()
        return Started(self, self.program())

    def make_accounts(self):
        """Through its own sign-up and sign-in, because every peer keeps accounts in a way of its own."""
        for number in range(ACCOUNTS):
            self.succeed(self.sign_up("seed"), number)
        for request in self.sign_ins(8):
            answer, headers = self.succeed(request, 0)
            self.tokens.append(self.authorization(answer, headers))

    def succeed(self, request, number):
        body = request.body.replace("{n}", str(number))
        status, answer, headers = send(self.port, Request(request.method, request.path, body, None, request.content_type))
        if status >= 300:
            raise RuntimeError(f"{self.name}: {request.path} answered {status}: {answer[:300]}")
        return json.loads(answer), headers

    def forget_failures(self):
        """Nobody here counts them."""

    def authorization(self, answer, _headers):
        return f"Bearer {answer['access_token']}"

    def profiles(self, count):
        return [Request("GET", self.profile_path, authorization=token) for token in self.tokens[:count]]

    def sign_ins(self, count):
        return [self.sign_in(f"new-seed-{number % ACCOUNTS}@example.com") for number in range(count)]

    def json_request(self, path, **members):
        return Request("POST", path, json.dumps(members))


class Started:
    """A started peer: ready when entered."""

    def __init__(self, peer, program):
        self.peer = peer
        self.program = program

    def __enter__(self):
        self.program.__enter__()
        try:
            self.peer.seconds_to_ready = self.program.wait_until_ready(self.peer.port, self.peer.health)
        except BaseException:
            self.program.__exit__()
            raise
        return self.program

    def __exit__(self, *problem):
        self.program.__exit__(*problem)


class PythonPeer(Peer):
    """Two uvicorn workers on PostgreSQL."""

    health = "/openapi.json"
    folder = None

    def prepare(self):
        environment(self.folder)
        self.cluster.create(self.folder)
        self.run_python("-c", "import asyncio, service; asyncio.run(service.create_tables())")

    def program(self):
        arguments = ["service:app", "--port", self.port, "--workers", "2", "--no-access-log", "--log-level", "warning"]
        return Program([self.python, "-m", "uvicorn", *arguments], self.settings(), HERE / "peers" / self.folder)

    @property
    def python(self):
        return INSTALLED / self.folder / "bin/python"

    def settings(self):
        url = self.cluster.url(self.folder).replace("postgres://", "postgresql+asyncpg://")
        return {"SERVICE_DATABASE_URL": url, "SERVICE_SECRET": SECRET, "PYTHONDONTWRITEBYTECODE": "1"}

    def run_python(self, *arguments):
        folder = HERE / "peers" / self.folder
        subprocess.run([self.python, *arguments], cwd=folder, env={**os.environ, **self.settings()}, check=True)


class FastApiDesign(PythonPeer):
    """The five endpoints on the stack that teams write by hand; its rules are in peers/fastapi_design/service.py."""

    name = "FastAPI design, 2 workers, PostgreSQL"
    hash = "bcrypt 12"
    folder = "fastapi_design"
    profile_path = "/api/auth/profile"

    def sign_up(self, tag):
        return self.json_request("/api/auth/register", email=f"new-{tag}-{{n}}@example.com", name="New", password=PASSWORD)

    def sign_in(self, email):
        return self.json_request("/api/auth/login", email=email, password=PASSWORD)


class FastApiUsers(PythonPeer):
    name = "fastapi-users 15.0.5, 2 workers, PostgreSQL"
    hash = "argon2id 64 MiB t3 p4"
    folder = "fastapi_users"
    profile_path = "/users/me"

    def sign_up(self, tag):
        return self.json_request("/auth/register", email=f"new-{tag}-{{n}}@example.com", password=PASSWORD)

    def sign_in(self, email):
        form = urllib.parse.urlencode({"username": email, "password": PASSWORD})
        return Request("POST", "/auth/jwt/login", form, content_type="application/x-www-form-urlencoded")


class BetterAuth(Peer):
    name = "Better Auth 1.6.9, Node, PostgreSQL"
    hash = "scrypt N16384 r16"
    health = "/api/auth/ok"
    profile_path = "/api/auth/get-session"

    def prepare(self):
        if not shutil.which("npm"):
            subprocess.run([ROOT / "scripts/install", "apt=nodejs npm", "dnf=nodejs npm", "apk=nodejs npm", "brew=node"], check=True)
        folder = INSTALLED / "better_auth"
        folder.mkdir(parents=True, exist_ok=True)
        for file in (HERE / "peers/better_auth").iterdir():
            shutil.copy(file, folder)
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
        self.cluster.create("better_auth")
        subprocess.run(["node", "service.mjs", "migrate"], cwd=folder, env={**os.environ, **self.settings()}, check=True)

    def settings(self):
        settings = {"SERVICE_DATABASE_URL": self.cluster.url("better_auth"), "SERVICE_SECRET": SECRET}
        return settings | {"NODE_ENV": "production", "SERVICE_PORT": str(self.port or 0), "BETTER_AUTH_TELEMETRY": "0"}

    def program(self):
        return Program(["node", "service.mjs"], self.settings(), INSTALLED / "better_auth")

    def authorization(self, _answer, headers):
        return f"Bearer {headers['set-auth-token']}"

    def sign_up(self, tag):
        return self.json_request("/api/auth/sign-up/email", email=f"new-{tag}-{{n}}@example.com", name="New", password=PASSWORD)

    def sign_in(self, email):
        return self.json_request("/api/auth/sign-in/email", email=email, password=PASSWORD)


class PocketBase(Peer):
    name = "PocketBase 0.40.6, SQLite"
    hash = "bcrypt 10"
    health = "/api/health"

    def prepare(self):
        environment("pocketbase")
        self.data = self.directory / "pocketbase"

    def program(self):
        command = [INSTALLED / "pocketbase/bin/pocketbase", "serve", f"--http=127.0.0.1:{self.port}", f"--dir={self.data}"]
        return Program(command, {}, self.directory)

    def authorization(self, answer, _headers):
        # Reading one's own record takes its id along.
        return answer["token"], answer["record"]["id"]

    def profiles(self, count):
        path = "/api/collections/users/records/"
        return [Request("GET", path + user, authorization=token) for token, user in self.tokens[:count]]

    def sign_up(self, tag):
        email = f"new-{tag}-{{n}}@example.com"
        path = "/api/collections/users/records"
        return self.json_request(path, email=email, name="New", password=PASSWORD, passwordConfirm=PASSWORD)

    def sign_in(self, email):
        return self.json_request("/api/collections/users/auth-with-password", identity=email, password=PASSWORD)


def environment(folder):
    """A Python environment with the pinned packages; made once."""
    place, wanted = INSTALLED / folder, HERE / "peers" / folder / "requirements.txt"
    stamp = place / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
    subprocess.run([place / "bin/pip", "install", "-q", "--disable-pip-version-check", "-r", wanted], check=True)
    shutil.copy(wanted, stamp)
