"""Kill a session's run with SIGKILL at many of its writes, and see what is left and what the next run makes of it.

    python -m benchmarks.sigkills --kills 200 [--stages vae gmm]

A session is materialized undisturbed, and everything that it does to a store is counted: synced files, renames, what is
sent to a DuckDB file or to the SQLite stores of Dagster and MLflow, and each of their commits. Then the run is started
again and again on a copy of the folder before it, and killed at one of these moments, spread over all stages. After
each kill: the champion of the session before resolves and verifies; each partition of each table is the one before,
the new one, or not there; and the run that is started after it ends in the stores of the undisturbed one, to the bit.
"""

from __future__ import annotations

import argparse
import atexit
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.session_folders import (
    BEFORE,
    SESSION,
    Stores,
    copy_of,
    differences,
    halves,
    in_a_process,
    made,
    run_session,
    stores,
    volatile,
)

UNDER_WAY = "between steps"


def stage() -> str:
    """The asset, check or part of the run that is at work, by the frames of the caller."""
    frame = sys._getframe(1)
    found = UNDER_WAY
    while frame is not None:
        place = Path(frame.f_code.co_filename)
        if place.parent.name == "assets" and place.parent.parent.name == "regime_assets":
            if place.stem not in ("fitting", "lane"):
                return place.stem
            if "kind" in frame.f_locals:  # one asset of a model, whichever it is
                return str(frame.f_locals["kind"])
        if place.name == "checks.py":
            found = "checks"
        frame = frame.f_back
    return found


def watch_writes(at_each: Callable[[str], None]) -> None:
    """Call `at_each`, with what is about to happen, before each write of this process to a store."""
    import duckdb
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def before(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            at_each(name)
            return original(*arguments, **named)

        setattr(owner, name, watched)

    for name in ("fsync", "replace", "rename"):
        before(os, name)
    connection = duckdb.DuckDBPyConnection
    before(connection, "commit")
    execute = connection.execute

    def executed(self: Any, sql: Any, *arguments: Any, **named: Any) -> Any:
        if str(sql).lstrip().split(" ", 1)[0].upper() in ("INSERT", "DELETE", "CREATE", "ALTER", "UPDATE", "DETACH"):
            at_each("DuckDB statement")
        return execute(self, sql, *arguments, **named)

    connection.execute = executed  # type: ignore[method-assign]

    def statement(_: Any, __: Any, sql: str, *___: Any) -> None:
        if sql.lstrip().split(" ", 1)[0].upper() in ("INSERT", "DELETE", "UPDATE", "CREATE"):
            at_each("SQLite statement")

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", lambda _: at_each("SQLite commit"))


def counted(root: Path) -> list[tuple[str, str]]:
    """Run the session undisturbed; the stage and the kind of each write."""
    seen: list[tuple[str, str]] = []
    watch_writes(lambda what: seen.append((stage(), what)))
    problems = run_session(root, SESSION)
    if problems:
        raise SystemExit("\n".join(problems))
    return seen


def killed(root: Path, at: int) -> None:
    """Run the session and die at a write, by its number."""
    made = iter(range(sys.maxsize))

    def die(_: str) -> None:
        if next(made) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    watch_writes(die)
    run_session(root, SESSION)


def healed(root: Path) -> tuple[list[str], Stores]:
    """Run the session once more, as anybody would after a failure."""
    return run_session(root, SESSION), stores(root)


def chosen_moments(writes: list[tuple[str, str]], kills: int, stages: list[str] | None) -> list[int]:
    """Numbers of writes, taken in turn from the stages and evenly within each."""
    by_stage: dict[str, list[int]] = {}
    for number, (name, _) in enumerate(writes):
        if not stages or name in stages:
            by_stage.setdefault(name, []).append(number)
    share = dict.fromkeys(by_stage, 0)
    while sum(share.values()) < min(kills, sum(map(len, by_stage.values()))):
        for name, numbers in by_stage.items():
            if share[name] < len(numbers) and sum(share.values()) < kills:
                share[name] += 1
    moments = [
        numbers[round((position + 0.5) * len(numbers) / share[name] - 0.5)]
        for name, numbers in by_stage.items()
        for position in range(share[name])
    ]
    return sorted(moments)


def main() -> None:
    """Kill, look, heal, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stages", nargs="+", help="only these; all of them otherwise")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = made(Path(folder) / "before", BEFORE)
        _, before = in_a_process(stores, root)
        undisturbed = [copy_of(root, "one"), copy_of(root, "two")]
        writes, _ = (in_a_process(counted, one)[1] for one in undisturbed)
        after, again = (in_a_process(stores, one)[1] for one in undisturbed)
        ignored = volatile(after, again)
        if found := differences(again, after, ignored):
            raise SystemExit("two undisturbed runs differ: " + "; ".join(found))
        print(f"{len(writes)} writes; columns that no two runs share: {', '.join(sorted({n for _, n in ignored}))}")
        table: dict[str, Counter[str]] = {}
        moments = chosen_moments(writes, chosen.kills, chosen.stages)
        atexit.register(print_table, writes, table)
        for moment in random.Random(0).sample(moments, len(moments)):  # so that a run cut short has looked everywhere
            name, what = writes[moment]
            row = table.setdefault(name, Counter())
            spoilt = copy_of(root, "spoilt")
            code, _ = in_a_process(killed, spoilt, moment)
            row["killed"] += code == -signal.SIGKILL
            _, left = in_a_process(stores, spoilt)
            half = halves(before, left, after, ignored) if left else ["the stores cannot be read"]
            _, answer = in_a_process(healed, spoilt)
            problems, found = answer or (["the run died"], None)
            other = problems or differences(found, after, ignored)
            row["a partition half"] += bool(half)
            row["champion resolves"] += left is not None and all("champion None" not in one for one in left.serving)
            row["same bits after a re-run"] += not other
            for sentence in (*half, *other):
                print(f"write {moment} ({name}, {what}): {sentence}", flush=True)


def print_table(writes: list[tuple[str, str]], table: dict[str, Counter[str]]) -> None:
    """The counts of each stage and of all."""
    columns = ("killed", "a partition half", "champion resolves", "same bits after a re-run")
    print(f"| stage | writes | {' | '.join(columns)} |\n{'|---' * (len(columns) + 2)}|")
    totals: Counter[str] = Counter()
    for name, row in table.items():
        total = sum(stage_name == name for stage_name, _ in writes)
        print(f"| {name} | {total} | " + " | ".join(str(row[column]) for column in columns) + " |")
        totals += row
    print(f"| all | {len(writes)} | " + " | ".join(str(totals[column]) for column in columns) + " |")


if __name__ == "__main__":
    main()
