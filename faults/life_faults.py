"""Starting, stopping, backing up and growing old."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import time
from collections import defaultdict

from client import Client, Record, load, wait_for
from database_faults import signed_up
from file_faults import integrity, start_expecting_failure
from flood_faults import SHARED_MACHINE, pause_then, users
from harness import BINARY, Server, check, fault, now, timed, twin


@fault("REL-25", "SIGTERM under load: exit 0 in 15 s, no request in flight lost, even with a head half sent")
async def terminated(bench, sign_ins=60):
    server = await bench.server(bcrypt_cost=12)
    emails, token = await users(server, sign_ins)
    half = await asyncio.open_connection("127.0.0.1", server.port)
    half[1].write(b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nX-Half:")
    idle = bench.client(server)
    check((await idle.profile(token)).status == 200, "a profile before")
    clients = [Client(server.port) for _ in emails]
    flying = [asyncio.ensure_future(c.login(e)) for c, e in zip(clients, emails)]
    await asyncio.sleep(0.7)
    server.terminate()
    began = now()
    await asyncio.sleep(0.2)
    newcomer = await Client(server.port, patience=5).call("GET", "/ready")
    check(newcomer.status in (0, 503), f"/ready while stopping: {newcomer.status}")
    record = Record()
    record.answers = list(await asyncio.gather(*flying))
    code = await server.ended(20)
    seconds = now() - began
    half[1].close()
    check(code == 0, f"exit code {code}")
    check(seconds <= 15, f"ended after {seconds:.1f} s")
    check(record.only(200), f"in flight: {record.statuses} {server.log_tail(2)}")
    await server.start()
    again = bench.client(server)
    for answer in record.answers:
        check((await again.profile(answer.token)).status == 200, "a session given while stopping is gone")
    stuck = [asyncio.ensure_future(Client(server.port).login(e)) for e in emails]
    await asyncio.sleep(0.3)
    server.terminate()
    await asyncio.sleep(0.2)
    server.terminate()
    at_once = now()
    second = await server.ended(5)
    await asyncio.gather(*stuck)
    check(second not in (None, 0), f"second SIGTERM: {second}")
    return (
        f"{sign_ins} sign-ins in flight {record.statuses}, exit 0 after {seconds:.1f} s; "
        f"a second SIGTERM ends it in {now() - at_once:.1f} s"
    )


@fault("REL-30", "hot backup under load restores consistent; the restore ends every session")
async def backups(bench):
    texts = []
    cluster = await bench.postgres()
    for kind, database in (("SQLite", bench.sqlite), ("PostgreSQL", cluster.url)):
        server = await bench.server(database)
        numbers, acknowledged = iter(range(10**6)), []

        async def sign_up(client):
            email = f"saved{next(numbers)}@example.com"
            answer = await client.register(email)
            if answer.status == 201:
                acknowledged.append((answer.ended, email, answer.token))
            return answer

        clients = [Client(server.port) for _ in range(4)]
        async with load(*(lambda c=c: sign_up(c) for c in clients)) as record:
            await asyncio.sleep(2)
            began = now()
            restored = await asyncio.to_thread(BACKUPS[kind], bench, cluster)
            await asyncio.sleep(0.5)
        check(record.only(201), f"{kind}: sign-ups during the backup {record.statuses}")
        before = [(email, token) for ended, email, token in acknowledged if ended < began]
        server.kill()
        copy = twin(bench, server)
        copy.environment["DATABASE_URL"] = restored
        await copy.start()
        client = bench.client(copy)
        for email, token in before:
            check((await client.profile(token)).status == 401, f"{kind}: an old token works after the restore")
        for email, _ in before[-60:]:
            check((await client.login(email)).status == 200, f"{kind}: {email} cannot sign in")
        copy.kill()
        texts.append(f"{kind}: {len(before)} acknowledged before the backup all there, {len(acknowledged)} in all, old tokens 401")
    return "; ".join(texts)


def back_up_sqlite(bench, _):
    target = bench.directory / "restored.db"
    live = sqlite3.connect(bench.file, timeout=10)
    live.execute("VACUUM INTO ?", (str(target),))
    live.close()
    target.chmod(0o600)
    check(integrity(target) == "ok", "integrity_check of the backup")
    copy = sqlite3.connect(target)
    with copy:
        copy.execute("DELETE FROM sessions")
    copy.close()
    return f"sqlite://{target}"


def back_up_postgres(_, cluster):
    dump = cluster.run("pg_dump", cluster.url)
    cluster.psql("CREATE DATABASE restored")
    cluster.psql(dump, "restored")
    cluster.psql("DELETE FROM sessions", "restored")
    return cluster.url_at(cluster.port, "restored")


BACKUPS = {"SQLite": back_up_sqlite, "PostgreSQL": back_up_postgres}


@fault("REL-32", "counters persist: kill -9 between guesses gives no extra guesses")
async def counters_persist(bench):
    texts = []
    cluster = await bench.postgres()
    for kind, database in (("SQLite", bench.sqlite), ("PostgreSQL", cluster.url)):
        server = await bench.server(database)
        await signed_up(bench, server)
        statuses = []
        for turn in range(11):
            statuses.append((await Client(server.port).login("ann@example.com", "wrong-horse-7")).status)
            if turn in (2, 4, 9):
                server.kill()
                await server.start()
        check(statuses == [401] * 10 + [429], f"{kind}: {statuses}")
        server.kill()
        texts.append(f"{kind}: 10 x 401, then {statuses[-1]}, with 3 kills between")
    return "; ".join(texts)


@fault("REL-35", "PostgreSQL absent at start: /health 200, /ready 503, then by itself; bad settings: exit in 2 s")
async def start_order(bench):
    cluster = await bench.postgres()
    await asyncio.to_thread(cluster.kill)
    server = await bench.server(cluster.url, wait=False)
    client = bench.client(server)

    async def healthy():
        return (await client.call("GET", "/health")).status == 200

    check(await wait_for(healthy, 5) is not None, "/health does not answer without a database")
    for path, wanted in (("/ready", 503), ("/api/auth/profile", 503)):
        answer = await client.call("GET", path)
        check(answer.status == wanted and "retry-after" in answer.headers, f"{path}: {answer.status}")
    await asyncio.sleep(4)
    check(server.alive(), "the server has ended")
    await asyncio.to_thread(cluster.start)
    seconds = await server.ready(6)
    check(seconds is not None, "not ready 6 s after the database came")
    check((await client.register("ann@example.com")).status == 201, "a sign-up afterwards")
    server.kill()
    refusals = []
    bad = {
        "BETTER_AUTH_SECRET": "short",
        "DATABASE_URL": "mysql://localhost/x",
        "PORT": "seventy",
        "GATEWRIGHT_BCRYPT_COST": "3",
        "GATEWRIGHT_NO_SUCH_THING": "1",
    }
    for name, value in bad.items():
        wrong = Server(bench, bench.sqlite, {})
        began = time.monotonic()
        environment = wrong.environment | {name: value}
        run = subprocess.run([str(BINARY), "serve"], env=environment, cwd=bench.directory, capture_output=True, text=True)
        check(run.returncode == 2, f"{name}: exit code {run.returncode}")
        check(time.monotonic() - began < 2, f"{name}: {time.monotonic() - began:.1f} s")
        check(len(run.stderr.strip().splitlines()) == 1 and name in run.stderr, f"{name}: {run.stderr!r}")
        refusals.append(name)
    missing, line = await asyncio.to_thread(start_expecting_failure, bench, cluster.url_at(cluster.port, "nowhere"))
    check(missing == 1 and "nowhere" in line, f"no such database: {missing}, {line!r}")
    return f"{timed('ready after the database', seconds)}; {len(refusals)} bad settings and a missing database refused"


@fault("REL-36", "1,000,000 users and sessions: p99 within 1.5 of empty; cleaning up goes unnoticed")
async def grown_database(bench, rows=1_000_000):
    server = await bench.server()
    _, token = await signed_up(bench, server)
    callers = [Client(server.port) for _ in range(3)]

    async def measured(seconds, rest=0.002):
        jobs = [lambda c=c: pause_then(rest, c.profile(token)) for c in callers[:2]]
        async with load(*jobs) as reads, load(lambda: callers[2].login("ann@example.com")) as logins:
            await asyncio.sleep(seconds)
        check(reads.only(200) and logins.only(200), f"{reads.statuses}, {logins.statuses}")
        return reads, logins

    await measured(1)
    empty, empty_logins = await measured(5)
    server.kill()
    await asyncio.to_thread(seed, bench.file, rows)
    await server.start()
    await measured(1)
    full, full_logins = await measured(5)
    floor = 0.005
    for name, a, b in (("profile", empty, full), ("sign-in", empty_logins, full_logins)):
        allowed = max(1.5 * a.percentile(0.99), floor) * SHARED_MACHINE
        check(b.percentile(0.99) <= allowed, f"{name} p99 {a.percentile(0.99):.4f} s empty, {b.percentile(0.99):.4f} s full")
    # Half of the seeded sessions are expired; the first clean-up comes a minute after the start.
    expired = await asyncio.to_thread(count_expired, bench.file)
    check(expired == rows // 2, f"{expired} expired rows")


    async def cleaning():
        return count_expired(bench.file) < expired

    check(await wait_for(cleaning, 70, 0.5) is not None, "nothing is ever cleaned up")
    during, _ = await measured(10)
    gone = expired - await asyncio.to_thread(count_expired, bench.file)
    check(gone >= 2000, f"only {gone} rows in 10 s")
    check(during.percentile(0.999) <= 0.1 * SHARED_MACHINE, timed("p99.9 while cleaning", during.percentile(0.999)))

    p99 = [f"{r.percentile(0.99) * 1000:.1f}" for r in (empty, full, empty_logins, full_logins, during)]
    return (
        f"profile p99 {p99[0]} ms empty, {p99[1]} ms with {rows} rows; sign-in {p99[2]} and {p99[3]} ms; "
        f"{gone} expired rows gone in 10 s, profile p99 {p99[4]} ms meanwhile"
    )


def seed(file, rows):
    connection = sqlite3.connect(file)
    future, past = int(time.time() * 1000) + 10**9, 1000
    with connection:
        many = ((i.to_bytes(16, "big"), f"seed{i}@example.com", "Seed", "x", 1, 1) for i in range(1, rows + 1))
        connection.executemany(
            "INSERT INTO users (id, email, name, password_hash, created_at, updated_at) VALUES (?,?,?,?,?,?)", many
        )
        many = ((os.urandom(16), i.to_bytes(16, "big"), 1, past if i % 2 else future) for i in range(1, rows + 1))
        connection.executemany("INSERT INTO sessions (id, user_id, created_at, expires_at) VALUES (?,?,?,?)", many)
    connection.close()


def count_expired(file):
    connection = sqlite3.connect(file, timeout=10)
    (count,) = connection.execute("SELECT count(*) FROM sessions WHERE expires_at = 1000").fetchone()
    connection.close()
    return count


@fault("REL-37", "soak, mixed 50 requests a second (GATEWRIGHT_FAULTS_SOAK seconds, 60): nothing grows, 0 5xx")
async def soak(bench):
    seconds = float(os.environ.get("GATEWRIGHT_FAULTS_SOAK", "60"))
    cluster = await bench.postgres()
    texts = []
    servers = {"SQLite": await bench.server(), "PostgreSQL": await bench.server(cluster.url)}
    for server in servers.values():
        await signed_up(bench, server)

    async def life(server, client):
        """Sign in, look around, rename, sign out: ten requests, at five a second."""
        answers = [await client.login("ann@example.com")]
        token = answers[0].token if answers[0].status == 200 else ""
        for _ in range(7):
            await asyncio.sleep(0.2)
            answers.append(await client.profile(token))
        answers.append(await client.rename(token, "Ann"))
        await asyncio.sleep(0.2)
        answers.append(await client.logout(token))
        halves[server].append(answers)
        return answers[-1]

    halves, samples = defaultdict(list), defaultdict(list)
    jobs = [
        lambda s=s, c=c: life(s, c) for s in servers.values() for c in [Client(s.port) for _ in range(6)]
    ]
    began = now()
    async with load(*jobs):
        while now() - began < seconds:
            await asyncio.sleep(min(2, seconds / 10))
            for server in servers.values():
                samples[server].append((server.rss_mib(), server.descriptors()))
    for name, server in servers.items():
        record = Record()
        record.answers = [answer for answers in halves[server] for answer in answers]
        check(record.only(200), f"{name}: {record.statuses} {server.failures()}")
        middle = began + seconds / 2
        early, late = record.between(began, middle).percentile(0.99), record.between(middle, now()).percentile(0.99)
        check(late <= max(2 * early, 0.05) * SHARED_MACHINE, f"{name}: p99 {early:.3f} s, then {late:.3f} s")
        half = len(samples[server]) // 2
        memory = [samples[server][i][0] for i in (half, -1)]
        check(memory[1] - memory[0] <= 8, f"{name}: memory {memory[0]:.0f} to {memory[1]:.0f} MiB in the second half")
        open_files = [files for _, files in samples[server][half:]]
        check(max(open_files) - min(open_files) <= 4, f"{name}: descriptors {min(open_files)} to {max(open_files)}")
        texts.append(
            f"{name}: {record.statuses}, p99 {early * 1000:.0f} then {late * 1000:.0f} ms, "
            f"memory {memory[0]:.1f} then {memory[1]:.1f} MiB, {open_files[-1]} descriptors"
        )
    return f"{seconds:.0f} s; {'; '.join(texts)}"


@fault("REL-37b", "the process stands still for 3 s (SIGSTOP) under load: nobody is refused afterwards")
async def stood_still(bench, times=4):
    cluster = await bench.postgres()
    servers = {
        "SQLite": await bench.server(bcrypt_cost=12),
        "PostgreSQL": await bench.server(cluster.url, bcrypt_cost=12),
    }
    texts = []
    for name, server in servers.items():
        callers = [Client(server.port) for _ in range(20)]
        emails = [f"user{number}@example.com" for number in range(16)]
        token = (await asyncio.gather(*(c.register(e) for c, e in zip(callers, emails))))[0].token
        jobs = [lambda c=c, e=e: c.login(e) for c, e in zip(callers, emails)]
        jobs += [lambda c=c: c.rename(token, "Ann") for c in callers[16:18]]
        jobs += [lambda c=c: c.profile(token) for c in callers[18:]]
        async with load(*jobs) as record:
            for _ in range(times):
                await asyncio.sleep(1.5)
                server.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(3)
                server.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.5)
        check(record.only(200), f"{name}: {record.statuses} {server.failures()}")
        texts.append(f"{name}: {record.statuses}")
    return f"{times} times; {'; '.join(texts)}"
