"""Several instances on one database: rolling restarts, migrations at once, and one truth about who is signed in."""

import asyncio
import os
import random
import sqlite3
import subprocess

from client import Client, load
from database_faults import signed_up
from file_faults import integrity, start_expecting_failure
from harness import BINARY, check, fault, timed, twin
from proxy import Balancer


@fault("REL-26", "rolling restart of two instances behind a proxy that retries connects: 0 failed requests")
async def rolling_restart(bench, rounds=10):
    cluster = await bench.postgres()
    first = await bench.server(cluster.url)
    second = await twin(bench, first).start()
    _, token = await signed_up(bench, first)
    balancer = await Balancer([first.port, second.port]).open()
    bench.stack.push_async_callback(balancer.close)
    callers = [Client(balancer.port) for _ in range(8)]
    jobs = [lambda c=c: c.profile(token) for c in callers[:4]]
    jobs += [lambda c=c: c.rename(token, "Ann") for c in callers[4:6]]
    jobs += [lambda c=c: c.login("ann@example.com") for c in callers[6:]]
    async with load(*jobs) as record:
        for turn in range(rounds):
            server = (first, second)[turn % 2]
            await asyncio.sleep(0.5)
            server.terminate()
            code = await server.ended(15)
            check(code == 0, f"exit code {code}")
            await server.start()
    check(record.only(200), f"answers: {record.statuses}")
    return f"{rounds} restarts: {record.statuses}, {timed('slowest', record.slowest())}"


@fault("REL-29", "migrations: four at once, and kill -9 in the middle: always repeatable; newer schema: refusal")
async def migrations(bench, rounds=20):
    cluster = await bench.postgres()
    wholes = kills = 0
    for turn in range(rounds):
        name = f"fresh{turn}"
        cluster.psql(f"CREATE DATABASE {name}")
        for database in (cluster.url_at(cluster.port, name), f"sqlite://{bench.directory}/{name}.db"):
            environment = {"PATH": os.environ["PATH"], "DATABASE_URL": database}

            def migrate():
                command = [str(BINARY), "migrate"]
                quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
                return subprocess.Popen(command, env=environment, cwd=bench.directory, **quiet)

            victims = [migrate() for _ in range(3)]
            await asyncio.sleep(random.uniform(0.0, 0.05))
            for victim in victims:
                kills += victim.poll() is None
                victim.kill()
                victim.communicate()
            both = [migrate() for _ in range(4)]
            for process in both:
                _, error = await asyncio.to_thread(process.communicate)
                check(process.returncode == 0, f"{database}: {error.decode()}")
            wholes += 1
    for turn in range(rounds):
        tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        check(cluster.psql(tables, f"fresh{turn}") == "4", f"tables of fresh{turn}")
        check(integrity(bench.directory / f"fresh{turn}.db") == "ok", f"integrity of fresh{turn}.db")
    newer = "INSERT INTO schema_migrations (version, name) VALUES (9999, 'from the future')"
    cluster.psql(newer, "fresh0")
    connection = sqlite3.connect(bench.directory / "fresh0.db")
    with connection:
        connection.execute(newer)
    connection.close()
    for database in (cluster.url_at(cluster.port, "fresh0"), f"sqlite://{bench.directory}/fresh0.db"):
        code, line = await asyncio.to_thread(start_expecting_failure, bench, database)
        check(code and "9999" in line, f"newer schema: exit code {code}, {line!r}")
    left = [path.name for path in bench.directory.iterdir() if ".new-" in path.name]
    return f"{wholes} fresh databases, {kills} kills in the middle, all migrated by 4 at once; newer schema refused; {len(left)} drafts left behind"


@fault("REL-31", "two instances, one database: sign-out, limits, renames and unique e-mails are shared at once")
async def two_instances(bench, rounds=30):
    cluster = await bench.postgres()
    first = await bench.server(cluster.url, login_failure_limit=6)
    second = await twin(bench, first, login_failure_limit=6).start()
    a, b = bench.client(first), bench.client(second)
    for number in range(rounds):
        email = f"pair{number}@example.com"
        both = await asyncio.gather(a.register(email), b.register(email))
        check(sorted(x.status for x in both) == [201, 409], f"one e-mail on both: {[x.status for x in both]}")
        token = next(x for x in both if x.status == 201).token
        renamed = await a.rename(token, f"Ann {number}")
        seen = await b.profile(token)
        check(renamed.status == 200 and seen.json["name"] == f"Ann {number}", "a rename is not seen at once")
        check((await a.logout(token)).status == 200, "sign-out")
        check((await b.profile(token)).status == 401, "signed out on one, alive on the other")
    statuses = [(await (a, b)[n % 2].login("pair0@example.com", "wrong-horse-7")).status for n in range(7)]
    check(statuses == [401] * 6 + [429], f"guesses over both: {statuses}")
    right = await b.login("pair0@example.com")
    check(right.status == 429, f"the right password over the limit: {right.status}")
    return f"{rounds} rounds; guesses over both {statuses}"


@fault("REL-38", "linearizable sign-out: no request that starts after its 200 succeeds, over two instances")
async def linearizable(bench, operations=10_000):
    texts = []
    cluster = await bench.postgres()
    choice = int(os.environ.get("GATEWRIGHT_FAULTS_SEED", random.randrange(10**6)))
    for kind, database in (("PostgreSQL", cluster.url), ("SQLite", bench.sqlite)):
        first = await bench.server(database)
        second = await twin(bench, first).start()
        await signed_up(bench, first)
        history = await recorded(first, second, operations, random.Random(choice))
        sessions, late = verdict(history)
        ends = sum(h[1] == "logout" and h[4] == 200 for h in history)
        check(ends >= sessions // 2, f"{kind}: only {ends} sign-outs")
        check(not late, f"{kind}, seed {choice}: {len(late)} requests succeeded after sign-out, e.g. {late[:2]}")
        texts.append(f"{kind}: {len(history)} operations on {sessions} sessions")
        first.kill()
        second.kill()
    return f"{'; '.join(texts)}; seed {choice}"


async def recorded(first, second, operations, rng):
    """(session, operation, began, ended, status) of sessions that are read, renamed and ended on both instances at once."""
    history, sessions = [], iter(range(10**6))
    ports = (first.port, second.port)

    async def use(clients, session, token, own):
        for _ in range(6):
            operation = own.choices(("profile", "rename", "logout"), (6, 1, 2))[0]
            client = own.choice(clients)
            if operation == "profile":
                answer = await client.profile(token)
            elif operation == "rename":
                answer = await client.rename(token, "Ann")
            else:
                answer = await client.logout(token)
            check(answer.status in (200, 401), f"{operation}: {answer.status}")
            history.append((session, operation, answer.began, answer.ended, answer.status))

    async def worker(own):
        clients = [[Client(port) for port in ports] for _ in range(3)]
        while len(history) < operations:
            session = next(sessions)
            answer = await clients[0][session % 2].login("ann@example.com")
            check(answer.status == 200, f"sign-in: {answer.status}")
            await asyncio.gather(*(use(pair, session, answer.token, own) for pair in clients))

    await asyncio.gather(*(worker(random.Random(rng.random())) for _ in range(6)))
    return history


def verdict(history):
    """Sessions seen, and operations that succeeded although a sign-out was acknowledged before they began."""
    ended = {}
    for session, operation, _, end, status in history:
        if operation == "logout" and status == 200:
            ended[session] = min(end, ended.get(session, end))
    late = [h for h in history if h[4] == 200 and h[2] > ended.get(h[0], float("inf"))]
    return len({h[0] for h in history}), late
