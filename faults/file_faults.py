"""SQLite: the server is killed, the file is locked, the disk is full or fails, or the file is not what it should be."""

import asyncio
import os
import random
import re
import shutil
import sqlite3
import stat
import subprocess

from client import Client, Record, load, wait_for
from database_faults import check_outage, signed_up
from harness import BINARY, Server, Skipped, as_user, check, fault, now, timed


def integrity(file):
    connection = sqlite3.connect(file)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        connection.close()


@fault("REL-01", "kill -9 under 8 writers: every acknowledged change survives; no half-made account (REL-02)")
async def killed_under_writers(bench, kills=200):
    server = await bench.server()
    acknowledged, doubtful = [], set()
    number = iter(range(10**9))
    names = [await Renamed(server, f"renamed{i}@example.com").sign_up() for i in range(4)]

    async def sign_up(client):
        email = f"writer{next(number)}@example.com"
        answer = await client.register(email)
        if answer.status == 201:
            acknowledged.append((email, answer.token))
        else:
            check(answer.status in (0, 503), f"sign-up: {answer.status}")
            doubtful.add(email)
        return answer.status

    async def keep_on(write, stop):
        client = Client(server.port, patience=5)
        while not stop.is_set() and await write(client):
            pass
        client.close()

    for turn in range(kills):
        stop, before = asyncio.Event(), len(acknowledged)
        writers = [keep_on(write, stop) for write in [sign_up] * 4 + [name.write for name in names]]
        writers = [asyncio.ensure_future(writer) for writer in writers]
        await asyncio.sleep(random.uniform(0.0, 0.3))
        if turn % 3 == 0:
            await wait_for(lambda: true_later(len(acknowledged) > before), 3, 0.001)
        server.kill()
        stop.set()
        await asyncio.gather(*writers)
        await server.start()
        for name in names:
            await name.check_kept()
    renames = sum(name.acknowledged for name in names)
    check(len(acknowledged) >= kills // 4 and renames >= kills, f"too little was written: {len(acknowledged)}, {renames}")
    client = bench.client(server)
    for email, token in acknowledged:
        answer = await client.profile(token)
        check(answer.status == 200 and answer.json["email"] == email, f"{email}: {answer.status} after {kills} kills")
    verdicts = Record()

    async def probe(email, known):
        prober = Client(server.port)
        if not known:
            again = verdicts.add(await prober.register(email))
            check(again.status in (201, 409), f"{email}: {again.status}")
        login = await prober.login(email)
        check(login.status == 200, f"sign-in of {email}: {login.status}")
        prober.close()

    known = random.sample(acknowledged, min(40, len(acknowledged)))
    probes = [(email, True) for email, _ in known] + [(email, False) for email in sorted(doubtful)]
    for first in range(0, len(probes), 40):
        await asyncio.gather(*(probe(*one) for one in probes[first : first + 40]))
    server.kill()
    check(integrity(bench.file) == "ok", "integrity_check")
    return (
        f"{kills} kills; {len(acknowledged)} acknowledged sign-ups and {renames} renames all kept, "
        f"{len(doubtful)} unanswered sign-ups {verdicts.statuses} and all sign in, integrity ok"
    )


async def true_later(value):
    return value


class Renamed:
    """An account that counts in its name; what it reads after a kill is the last acknowledged number, or the next."""

    def __init__(self, server, email):
        self.server, self.email, self.token = server, email, None
        self.number = self.acknowledged = 0

    async def sign_up(self):
        client = Client(self.server.port)
        answer = await client.register(self.email)
        check(answer.status == 201, f"sign-up: {answer.status}")
        self.token = answer.token
        await self.write(client)
        client.close()
        return self

    async def write(self, client):
        answer = await client.rename(self.token, f"number {self.number + 1}")
        check(answer.status in (0, 200, 503), f"rename: {answer.status}")
        if answer.status == 200:
            self.number += 1
            self.acknowledged += 1
        return answer.status

    async def check_kept(self):
        client = Client(self.server.port)
        answer = await client.profile(self.token)
        client.close()
        check(answer.status == 200, f"profile of {self.email}: {answer.status}")
        kept = int(answer.json["name"].split()[1])
        check(kept in (self.number, self.number + 1), f"{self.email}: {self.number} was acknowledged, {kept} is kept")
        self.number = kept


@fault("REL-12", "write lock held 3 s: served late; held 15 s: 503 in 6 s; profile reads go on")
async def write_lock_held(bench):
    server = await bench.server()
    client, token = await signed_up(bench, server)
    holder = sqlite3.connect(bench.file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    late = asyncio.ensure_future(bench.client(server).rename(token, "Late"))
    await asyncio.sleep(3)
    holder.execute("ROLLBACK")
    late = await late
    check(late.status == 200 and late.seconds >= 2.5, f"held 3 s: {late.status} after {late.seconds:.1f} s")

    holder.execute("BEGIN IMMEDIATE")
    reading, writing = Client(server.port), [Client(server.port) for _ in range(6)]
    jobs = [lambda c=c: c.rename(token, "Ann") for c in writing[:4]]
    jobs += [lambda c=c: c.login("ann@example.com") for c in writing[4:]]
    began = now()
    async with load(lambda: reading.profile(token)) as reads, load(*jobs) as writes:
        await asyncio.sleep(15)
        ended = now()
        holder.execute("ROLLBACK")
    holder.close()
    inside = writes.between(began, ended)
    check_outage(inside, 6)
    check(reads.only(200), f"reads: {reads.statuses}")
    check(reads.percentile(0.99) < 0.25, timed("reads p99", reads.percentile(0.99)))
    after = await client.rename(token, "Ann")
    check(after.status == 200 and after.seconds < 1, f"afterwards: {after.status}")
    return (
        f"3 s: {late.status} after {late.seconds:.1f} s; 15 s: writes {inside.statuses}, "
        f"{timed('slowest', inside.slowest())}, reads {reads.statuses}, {timed('p99', reads.percentile(0.99))}"
    )


@fault("REL-13", "disk full: writes 503, reads 200, the process lives, heals itself, file intact")
async def disk_full(bench):
    mounted = await asyncio.to_thread(mount_small, bench)
    folder = bench.directory / "small"
    server = await bench.server(f"sqlite://{folder}/accounts.db")
    client, token = await signed_up(bench, server)
    filler = folder / "filler"
    fill(filler)
    refused = await refused_writes(bench, server, client, token, r"disk|full|I/O")
    filler.unlink()
    healed = await healed_after(client, token)
    server.kill()
    check(integrity(folder / "accounts.db") == "ok", "integrity_check")
    text = f"{mounted}: {refused}, {timed('healed after', healed)}, integrity ok"
    return f"{text}; {await page_limit_reached(bench)}"


async def page_limit_reached(bench):
    """The same by a quota, which needs no mount: no file may grow over 1 MiB."""
    server = Server(bench, f"sqlite://{bench.directory}/quota.db", {})
    server.wrapper = ["sh", "-c", 'ulimit -f 2048; trap "" XFSZ; exec "$0" "$@"']
    bench.stack.callback(server.kill)
    await server.start()
    client, token = await signed_up(bench, server, "quota@example.com")
    record = Record()
    for number in range(4000):
        answer = record.add(await client.rename(token, f"{number} " + "x" * 90))
        if answer.status != 200:
            break
    check(record.only(200, 503), f"renames at a file quota: {record.statuses}")
    check((await client.profile(token)).status == 200, "no profile at a file quota")
    check(server.alive(), f"the server has ended: {server.log_tail()}")
    server.kill()
    check(integrity(bench.directory / "quota.db") == "ok", "integrity_check of the quota file")
    return f"file quota: {record.statuses}, integrity ok"


def mount_small(bench):
    folder = bench.directory / "small"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, text=True)
    if mount.returncode != 0:
        raise Skipped(f"no tmpfs can be mounted here: {mount.stderr.strip()}")
    bench.stack.callback(subprocess.run, ["umount", "-l", folder], check=False)
    return "4 MiB tmpfs"


def fill(filler):
    with open(filler, "wb", buffering=0) as file:
        size = 65536
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2


async def refused_writes(bench, server, client, token, cause):
    record = Record()
    others = [bench.client(server) for _ in range(4)]
    for turn in range(120):
        jobs = [client.rename(token, "x" * 99)]
        jobs += [other.register(f"full{turn}.{i}@example.com") for i, other in enumerate(others)]
        answers = [record.add(answer) for answer in await asyncio.gather(*jobs)]
        if turn > 10 and all(answer.status in (503, 507) for answer in answers):
            break
    else:
        check(False, f"writes are never refused: {record.statuses}")
    check(record.only(200, 201, 503, 507), f"writes on a full disk: {record.statuses}")
    check(server.alive(), f"the server has ended: {server.log_tail()}")
    reads = Record()
    for _ in range(200):
        reads.add(await client.profile(token))
    check(reads.only(200), f"reads on a full disk: {reads.statuses} {server.log_tail(2)}")
    check(re.search(cause, " ".join(server.log_lines("status=503")), re.I), "the log does not name the cause")
    return f"writes {record.statuses}, reads {reads.statuses}"


async def healed_after(client, token):
    async def works():
        return (await client.rename(token, "Ann")).status == 200

    seconds = await wait_for(works, 10)
    check(seconds is not None, "writes do not work again with the space back")
    return seconds


def start_expecting_failure(bench, database, **options):
    """Exit code and last line of a server that should not start; the code is None when it still ran after 3 s."""
    server = Server(bench, database, {})
    command = [str(BINARY), "serve"]
    try:
        result = subprocess.run(
            command, env=server.environment, cwd=bench.directory, capture_output=True, text=True, timeout=3, **options
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return result.returncode, (result.stderr.strip().splitlines() or [""])[-1]


@fault("REL-15", "second server on one file: safe; read-only, missing, truncated, foreign file: clear refusal")
async def unusable_files(bench):
    first = await bench.server()
    client, token = await signed_up(bench, first)
    second = Server(bench, bench.sqlite, {})
    second.environment["BETTER_AUTH_SECRET"] = first.environment["BETTER_AUTH_SECRET"]
    bench.stack.callback(second.kill)
    await second.start()
    other = bench.client(second)
    jobs = [c.register(f"{name}{i}@example.com") for i in range(25) for name, c in (("a", Client(first.port)), ("b", Client(second.port)))]
    both = Record()
    both.answers = list(await asyncio.gather(*jobs))
    check(both.only(201), f"sign-ups over both: {both.statuses}")
    check((await other.profile(token)).status == 200, "the second does not know the first's session")
    check((await client.logout(token)).status == 200, "sign-out on the first")
    check((await other.profile(token)).status == 401, "signed out on the first, alive on the second")
    first.kill()
    second.kill()
    check(integrity(bench.file) == "ok", "integrity_check")

    outcomes = []
    for name, database, options in unusable(bench):
        target = bench.directory / database
        before = target.read_bytes() if target.is_file() else None
        code, line = await asyncio.to_thread(start_expecting_failure, bench, f"sqlite://{target}", **options)
        check(code, f"{name}: exit code {code}, {line!r}")
        check(target.name in line, f"{name}: the line does not name the file: {line!r}")
        after = target.read_bytes() if target.is_file() else None
        check(before == after, f"{name}: the file was changed")
        outcomes.append(f"{name} {code}")
    return f"pair: {both.statuses}, integrity ok; exit codes: {', '.join(outcomes)}"


def unusable(bench):
    """Name, path and process options of databases that cannot be used."""
    good = bench.file
    nobody = as_user("nobody")

    def copy(name, change):
        target = bench.directory / name
        shutil.copy(good, target)
        target.chmod(0o600)
        change(target)
        return name

    def foreign(target):
        target.unlink()
        connection = sqlite3.connect(target)
        connection.execute("CREATE TABLE somebody_elses (x)")
        connection.commit()
        connection.close()
        target.chmod(0o600)

    def read_only(target):
        if nobody:
            os.chown(target, nobody["user"], nobody["group"])
        target.chmod(stat.S_IRUSR)

    yield "missing directory", "nowhere/accounts.db", {}
    yield "header overwritten", copy("header.db", lambda t: overwrite(t, b"\0" * 512)), {}
    yield "empty", copy("empty.db", lambda t: t.write_bytes(b"")), {}
    yield "cut to half", copy("half.db", lambda t: os.truncate(t, t.stat().st_size // 2 // 4096 * 4096)), {}
    yield "text", copy("text.db", lambda t: t.write_text("hello " * 2000)), {}
    yield "foreign SQLite file", copy("foreign.db", foreign), {}
    yield "directory", "pg-like", make_directory(bench, "pg-like")
    yield "read-only file", copy("readonly.db", read_only), nobody
    folder = bench.directory / "sealed"
    folder.mkdir()
    shutil.copy(good, folder / "sealed.db")
    if nobody:
        os.chown(folder / "sealed.db", nobody["user"], nobody["group"])
    folder.chmod(0o555)
    yield "read-only directory", "sealed/sealed.db", nobody


def make_directory(bench, name):
    (bench.directory / name).mkdir()
    return {}


def overwrite(target, content):
    with open(target, "r+b") as file:
        file.write(content)


@fault("REL-16", "fsync fails with EIO: that request fails; what is acknowledged later is durable")
async def fsync_fails(bench):
    if not shutil.which("strace"):
        raise Skipped("strace is not installed")
    plain = await bench.server()
    client, _ = await signed_up(bench, plain)
    plain.kill()
    # Every ninth sync of the running server fails.
    server = Server(bench, bench.sqlite, {})
    inject = "inject=fdatasync,fsync:error=EIO:when=9+9"
    server.wrapper = ["strace", "-f", "-qq", "-e", "trace=fdatasync,fsync", "-e", inject, "-o", bench.directory / "trace"]
    bench.stack.callback(kill_group, server)
    server.run_as = {"start_new_session": True}
    await server.start()
    client = bench.client(server)
    record, acknowledged = Record(), []
    for number in range(60):
        answer = record.add(await client.register(f"sync{number}@example.com"))
        if answer.status == 201:
            acknowledged.append((f"sync{number}@example.com", answer.token))
    check(record.only(201, 503), f"sign-ups: {record.statuses} {server.log_tail(3)}")
    check(record.count(503) and record.count(201), f"no mixture: {record.statuses}")
    failed = (bench.directory / "trace").read_text().count("EIO")
    kill_group(server)
    again = await bench.server()
    again.kill()
    again.environment["BETTER_AUTH_SECRET"] = server.environment["BETTER_AUTH_SECRET"]
    await again.start()
    client = bench.client(again)
    for email, token in acknowledged:
        answer = await client.profile(token)
        check(answer.status == 200, f"{email} was acknowledged and is gone: {answer.status}")
    again.kill()
    check(integrity(bench.file) == "ok", "integrity_check")
    return f"{failed} syncs failed: sign-ups {record.statuses}, all {len(acknowledged)} acknowledged ones there after kill -9"


def kill_group(server):
    """strace and the server under it."""
    if server.process and server.process.poll() is None:
        os.killpg(server.process.pid, 9)
        server.process.wait()



