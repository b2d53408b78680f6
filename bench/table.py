"""The one table: a row for each figure, with its target, and a column for each server."""

from lab import median


def show(results, hash_seconds, cores):
    limit = cores / hash_seconds
    rows = [
        ("password hash", "", lambda r: r["hash"]),
        ("sign-in, 16 connections", f"≥ 3.5 H = {3.5 * limit:.1f}/s", lambda r: sign_in(r["sign_in"], 3.5 * limit)),
        ("sign-in, 1000 connections", f"≥ 3.5 H = {3.5 * limit:.1f}/s", lambda r: sign_in(r["crowd"], 3.5 * limit)),
        ("sign-in, alone", "≤ 1.1 hash times", alone),
        ("100 sign-ins at once", f"all, last ≤ 35 hash times / cores = {35 * hash_seconds / cores:.1f} s",
         lambda r: at_once(r["at_once"], 35 * hash_seconds / cores)),
        ("sign-up, 16 connections", "", lambda r: rate(r["sign_up"])),
        ("profile, 64 connections", "≥ 0.6 of the bare route (SQLite), ≥ 0.5 of pgbench (PostgreSQL)", profile),
        ("  bare route, token check alone", "", lambda r: rate(r["bare"])),
        ("  pgbench -M prepared, best of 10 and 64 clients", "", lambda r: f"{r['pgbench']:.0f}/s"),
        ("profile, 8 connections", "", lambda r: rate(r["profile_8"])),
        ("flood: profile, 8 connections", "p99 ≤ 20 ms, ≥ 0.5 of without", lambda r: flooded_profile(r, "flood")),
        ("flood without a quiet network: the same", "the same", lambda r: flooded_profile(r, "flood_alone")),
        ("flood: /health", "p99 ≤ 20 ms", lambda r: health(r["flood"]["health"])),
        ("flood: quiet network's sign-in", "longest ≤ 3 hash times", lambda r: quiet(r["flood"]["quiet"], hash_seconds)),
        ("flood: sign-in answers", "200, 503, 429, the last two with Retry-After", answers),
        ("memory, idle", "≤ 25 MB", lambda r: at_most(r["idle_mb"], 25, "{:.0f} MB")),
        ("memory, peak of all, thousand clients included", "≤ 60 MB", lambda r: at_most(r["peak_mb"], 60, "{:.0f} MB")),
        ("start to ready", "≤ 50 ms (SQLite)", starts),
        ("binary", "≤ 16 MB", lambda r: at_most(r["binary_mb"], 16, "{:.1f} MB")),
        ("a million users: profile p99, 8 connections; rate with 64", "≤ 1.5 times", lambda r: million(r["million"]["profile"])),
        ("a million users: sign-in p99", "≤ 1.5 times", lambda r: million(r["million"]["sign_in"])),
    ]
    print("| | target | " + " | ".join(result["name"] for result in results) + " |")
    print("|---|---|" + "---|" * len(results))
    for label, target, cell in rows:
        cells = [shown(cell, result) for result in results]
        if any(cells):
            print(f"| {label} | {target} | " + " | ".join(cells) + " |")


def shown(cell, result):
    """Empty where this server has no such figure. Only Gatewright is held to the targets."""
    try:
        text = cell(result)
    except KeyError:
        return ""
    return text if result["name"].startswith("Gatewright") else text.removesuffix(" **miss**").removesuffix(" pass")


def judged(text, passes):
    return f"{text} {'pass' if passes else '**miss**'}"


def at_most(value, limit, form):
    return judged(form.format(value), value <= limit)


def rate(load):
    if not load.successes_per_second and not load.refusals:
        return "no answer in time"
    refused = f", {load.refusals} refused" if load.refusals else ""
    broken = f", {load.broken} broken" if load.broken else ""
    digits = 0 if load.successes_per_second >= 100 else 1
    return f"{load.successes_per_second:.{digits}f}/s, p50 {load.p50_ms:.3g} ms, p99 {load.p99_ms:.3g} ms{refused}{broken}"


def sign_in(load, target):
    return judged(f"{rate(load)}{statuses(load)}", load.successes_per_second >= target)


def statuses(load):
    others = {status: number for status, number in load.statuses.items() if status >= 300}
    return f" {others}" if others else ""


def alone(result):
    lone = result["lone"]
    ratio = lone["sign_in"] / lone["hash"]
    return judged(f"{lone['sign_in'] * 1000:.0f} ms = {ratio:.2f}", ratio <= 1.1)


def at_once(outcome, limit):
    succeeded, last = outcome
    return judged(f"{succeeded}, last {last:.1f} s", succeeded == 100 and last <= limit)


def profile(result):
    load = result["profile"]
    reference, share = (result["pgbench"], 0.5) if "pgbench" in result else (result.get("bare"), 0.6)
    if reference is None:
        return rate(load)
    reference = getattr(reference, "successes_per_second", reference)
    ratio = load.successes_per_second / reference
    return judged(f"{rate(load)} = {ratio:.2f}", ratio >= share and not load.refusals)


def flooded_profile(result, flood):
    load, before = result[flood]["profile"], result["profile_8"]
    ratio = load.successes_per_second / before.successes_per_second
    return judged(f"{rate(load)} = {ratio:.2f}", load.p99_ms <= 20 and ratio >= 0.5 and not load.refusals)


def health(load):
    return judged(rate(load), load.p99_ms <= 20 and load.successes_per_second > 0 and not load.refusals)


def quiet(seconds, hash_seconds):
    if not seconds:
        return judged("none", False)
    typical, longest = median(seconds) / hash_seconds, max(seconds) / hash_seconds
    return judged(f"{max(seconds) * 1000:.0f} ms = {longest:.1f} (median {typical:.1f}) of {len(seconds)}", longest <= 3)


def answers(result):
    load = result["flood"]["sign_in"]
    counts = ", ".join(f"{status}: {number}" for status, number in sorted(load.statuses.items()))
    allowed = set(load.statuses) <= {200, 503, 429}
    return judged(counts, allowed and not load.without_retry_after and not load.broken)


def starts(result):
    first, *others = (seconds * 1000 for seconds in result["starts"])
    text = f"{first:.0f} ms new" + (f", {median(others):.0f} ms later" if others else "")
    if "PostgreSQL" in result["name"]:
        return text
    return judged(text, max(first, median(others) if others else 0) <= 50)


def million(figures):
    before, after, per_second = figures
    digits = 0 if per_second >= 100 else 1
    return judged(f"{after:.3g} ms = {after / before:.2f}, {per_second:.{digits}f}/s", after <= 1.5 * before)
