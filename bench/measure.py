"""Measures Gatewright, and with `--peers` others, under the same loads in one run; prints one table. See `bench/run --help`."""

import argparse
import os
import platform
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack

import gatewright
import peers
import table
from gatewright import Cluster, Gatewright, Postgres, Sqlite, bare_route, bcrypt_hashes
from lab import ROOT, Request, all_at_once, median, one_by_one, run_wrk, send, wrk

CROWD = 1000
ACCOUNTS = CROWD
LONE_SIGN_INS = 9


def main():
    options = arguments()
    times, password_hash = bcrypt_hashes(5)
    (ROOT / "target/bench").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run.", dir=ROOT / "target/bench") as directory:
        cluster = Cluster()
        results = []
        for database in (kind(directory, cluster) for kind in (Sqlite, Postgres)):
            server = Gatewright(database, password_hash, ACCOUNTS)
            if chosen(server, options):
                results.append(measure_gatewright(server, password_hash, options, directory))
        for peer in peers.all_of(directory, cluster) if options.peers else []:
            if chosen(peer, options):
                results.append(measure_peer(peer, options.seconds))
        times += bcrypt_hashes(5)[0]
        describe(options, cluster, directory, median(times))
        table.show(results, hash_seconds=median(times), cores=len(os.sched_getaffinity(0)))


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="install and measure the peers in bench/peers too")
    parser.add_argument("--million", action="store_true", help="repeat sign-in and profile with a million users and sessions")
    parser.add_argument("--seconds", type=int, default=8, help="length of each load (default 8)")
    parser.add_argument("--only", metavar="TEXT", default="", help="only servers with this in their name, such as sqlite")
    return parser.parse_args()


def chosen(server, options):
    return options.only.lower() in server.name.lower()


def measure_gatewright(server, password_hash, options, directory):
    say(server.name)
    first_start = server.prepare()
    result = {"name": server.name, "hash": server.hash, "binary_mb": gatewright.BINARY.stat().st_size / 1e6}
    result["starts"] = [first_start] + [start_only(server) for _ in range(5)]
    with server.start() as program:
        result |= measure_loads(server, program, options.seconds)
        result["flood_alone"] = flood(server, options.seconds, with_quiet=False)
        rest(server, program)
        measure_limits(server, result, options.seconds, directory)
        result |= measure_crowd(server, program, options.seconds)
    # The contract's limit on sign-ups (100 a minute and client network) would answer 429 to this load.
    with server.start(GATEWRIGHT_CLIENT_FAILURE_LIMIT="off"):
        result["sign_up"] = run_wrk(server.port, [server.sign_up("load")], 16, options.seconds)
    if options.million:
        result["million"] = measure_million(server, result, password_hash, options.seconds)
    return result


def start_only(server):
    with server.start():
        return server.seconds_to_ready


def measure_loads(server, program, seconds):
    """The loads that everybody gets."""
    time.sleep(1)
    result = {"idle_mb": program.memory_mb("VmRSS")}
    result["lone"] = lone_sign_ins(server)
    say("profile")
    result["profile"] = run_wrk(server.port, server.profiles(64), 64, seconds)
    result["profile_8"] = run_wrk(server.port, server.profiles(8), 8, seconds)
    say("sign-in")
    result["sign_in"] = run_wrk(server.port, server.sign_ins(16), 16, seconds, "count")
    rest(server, program)
    result["flood"] = flood(server, seconds)
    rest(server, program)
    result["at_once"] = all_at_once(server.port, server.sign_ins(100))
    rest(server, program)
    return result


def measure_crowd(server, program, seconds):
    say("sign-in, 1000 connections")
    result = {"crowd": run_wrk(server.port, server.sign_ins(CROWD), CROWD, seconds, "count")}
    result["peak_mb"] = program.memory_mb("VmHWM")
    return result


def lone_sign_ins(server):
    """Seconds of a sign-in and of one hash, measured in turn so that both meet the same machine."""
    one_by_one(server.port, server.sign_ins(1))
    sign_ins, hashes = [], []
    for request in server.sign_ins(LONE_SIGN_INS):
        sign_ins += one_by_one(server.port, [request])
        hashes += bcrypt_hashes(1)[0]
    return {"sign_in": median(sign_ins), "hash": median(hashes)}


def flood(server, seconds, with_quiet=True):
    """64 clients sign in without a break; meanwhile profile, health and, `with_quiet`, a sign-in from another client network."""
    say("flood" if with_quiet else "flood without a quiet network")
    stop, quiet = threading.Event(), []
    watcher = threading.Thread(target=lambda: quiet.extend(quiet_sign_ins(server, stop)))
    with ExitStack() as stack:
        start = lambda *load: stack.enter_context(wrk(server.port, *load))  # noqa: E731
        sign_ins = start(server.sign_ins(64), 64, seconds + 1, "count")
        time.sleep(0.5)
        profile = start(server.profiles(8), 8, seconds)
        health = start([Request("GET", getattr(server, "health", "/health"))], 1, seconds, "probe")
        if with_quiet:
            watcher.start()
        result = {"profile": profile(), "health": health()}
        stop.set()
        result["sign_in"] = sign_ins()
    if with_quiet:
        watcher.join()
    return result | {"quiet": quiet}


def quiet_sign_ins(server, stop):
    """From 127.0.0.2, which is another client network than 127.0.0.1."""
    request = server.sign_ins(100)[-1]
    return one_by_one(server.port, [request] * 10_000, source="127.0.0.2", stop=stop)


def measure_limits(server, result, seconds, directory):
    """What the profile is compared with, measured directly after one another."""
    say("limits")
    again = run_wrk(server.port, server.profiles(64), 64, seconds)
    result["bare"] = bare_route(server.profiles(64, "/bare"), 64, seconds)
    if isinstance(server.database, Postgres):
        result["pgbench"] = max(server.database.pgbench(clients, seconds, directory) for clients in (10, 64))
    best = max(result["profile"], again, key=lambda load: load.successes_per_second)
    result["profile"] = best


def measure_million(server, empty, password_hash, seconds):
    """p99 of sign-in and profile with a million users and sessions, against the thousand of before.

    Profile with 8 connections: what 64 measure is how long the queue before a busy processor is, which jumps from run to run.
    """
    say("seeding a million")
    server.database.seed(ACCOUNTS, 1_000_000, password_hash, server.issued_at)
    server.accounts = 1_000_000
    with server.start() as program:
        server.forget_failures()
        profiles = server.profiles(20_000)
        rate = run_wrk(server.port, profiles, 64, seconds).successes_per_second
        profile = run_wrk(server.port, profiles, 8, seconds)
        step = server.accounts // 997
        sign_ins = [server.sign_in(number * step) for number in range(997)]
        sign_in = run_wrk(server.port, sign_ins, 16, seconds, "count")
        program.wait_until_idle()
    server.forget_failures()
    return {
        "profile": (empty["profile_8"].p99_ms, profile.p99_ms, rate),
        "sign_in": (empty["sign_in"].p99_ms, sign_in.p99_ms, sign_in.successes_per_second),
    }


def measure_peer(peer, seconds):
    say(peer.name)
    peer.prepare()
    result = {"name": peer.name, "hash": peer.hash}
    with peer.start() as program:
        result["starts"] = [peer.seconds_to_ready]
        idle_mb = program.memory_mb("VmRSS")
        peer.make_accounts()
        result |= measure_loads(peer, program, seconds)
        result["idle_mb"] = idle_mb
        result["sign_up"] = run_wrk(peer.port, [peer.sign_up("load")], 16, seconds)
        rest(peer, program)
        result |= measure_crowd(peer, program, seconds)
    return result


def rest(server, program):
    program.wait_until_idle()
    server.forget_failures()


def say(what):
    print(f"… {what}", flush=True)


def describe(options, cluster, directory, hash_seconds):
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    memory = int(open("/proc/meminfo").readline().split()[1]) / 1e6
    disk = subprocess.run(["stat", "-f", "-c", "%T", directory], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    version = lambda *command: subprocess.run(command, capture_output=True, text=True).stdout.split("\n")[0]  # noqa: E731
    runtimes = f", Node {version('node', '--version')}, Python {platform.python_version()}; packages are pinned in bench/peers"
    print(f"""
Machine   {len(os.sched_getaffinity(0))} cores {cpu}, {memory:.0f} GB, {platform.system()} {platform.release()}, {disk}; load before {LOAD_BEFORE}
Versions  {version(gatewright.BINARY, "--version")} at {commit.stdout.strip()}, {version("rustc", "--version")}, PostgreSQL {cluster.psql("postgres", "SHOW server_version").strip()} with fsync, {version("wrk", "-v")}{runtimes if options.peers else ""}
Loads     wrk, 1 thread, {options.seconds} s each; client, server and database share the cores. Only 2xx count. Default settings, except sign-ups:
          GATEWRIGHT_CLIENT_FAILURE_LIMIT=off, for more than 100 a minute and network are answered 429. Sign-ins that wrk leaves unfinished
          count as failures, so the counters are emptied between the loads. {ACCOUNTS} accounts, one for each connection.
          flood = 64 connections sign in without a break; meanwhile profile with 8, /health a hundred times a second, and one sign-in after
          another from another client network (127.0.0.2)
Hash      bcrypt 12 of the bcrypt crate, one alone: {hash_seconds * 1000:.0f} ms; H = cores / hash time = {len(os.sched_getaffinity(0)) / hash_seconds:.1f} /s
""")


LOAD_BEFORE = f"{os.getloadavg()[0]:.1f}"

if __name__ == "__main__":
    main()
