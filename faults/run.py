"""scripts/faults: runs the faults and prints one line for each."""

import asyncio
import importlib
import resource
import signal
import sys
import time
import traceback

from harness import BINARY, FAULTS, Bench, Failed, Skipped

for room in ("database_faults", "file_faults", "flood_faults", "life_faults", "several_faults"):
    importlib.import_module(room)


# Promises that need no processes to be broken, and the tests that keep them.
ELSEWHERE = {
    "REL-02": "here, with REL-01",
    "REL-14": "crates/server/tests/it/store/files.rs",
    "REL-28": "crates/server/tests/it/api/{sessions,limits}.rs, store/counters.rs",
    "REL-39": "crates/server/tests/it/model",
    "REL-40": "fuzz/",
}


async def run_one(name):
    promise, function = FAULTS[name]
    began = time.monotonic()
    bench = Bench()
    try:
        outcome, text = "pass", await function(bench)
    except Skipped as reason:
        outcome, text = "skip", str(reason)
    except Failed as reason:
        outcome, text = "FAIL", str(reason)
    except Exception:
        outcome, text = "FAIL", traceback.format_exc()
    finally:
        await bench.close()
    print(f"{outcome}  {name:8} {promise}: {text}  [{time.monotonic() - began:.0f} s]", flush=True)
    return outcome


def main(arguments):
    if arguments == ["--list"]:
        for name in sorted(FAULTS):
            print(f"{name:8} {FAULTS[name][0]}")
        for name, place in ELSEWHERE.items():
            print(f"{name:8} (kept by {place})")
        return 0
    unknown = [name for name in arguments if name not in FAULTS]
    if unknown:
        print(f"scripts/faults: unknown: {' '.join(unknown)}; see scripts/faults --list", file=sys.stderr)
        return 2
    if not BINARY.exists():
        print(f"scripts/faults: {BINARY} is missing", file=sys.stderr)
        return 2
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A signal ends the run as Ctrl-C does: with everything cleaned up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    outcomes = [asyncio.run(run_one(name)) for name in arguments or sorted(FAULTS)]
    counts = ", ".join(f"{outcomes.count(word)} {word}" for word in ("pass", "skip", "FAIL"))
    print(f"{counts}, in {time.monotonic() - began:.0f} s")
    return 1 if "FAIL" in outcomes else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
