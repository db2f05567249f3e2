"""Kill a session's run with SIGKILL at many of its writes, and see what is left and what the next run makes of it.

    python benchmarks/sigkills.py --kills 200 [--stages vae gmm]

A session is materialized undisturbed, and everything that it does to a store is counted: synced files, renames, what is
sent to a DuckDB file or to the SQLite stores of Dagster and MLflow, and each of their commits. Then the run is started
again and again on a copy of the folder before it, and killed at one of these moments, spread over all stages. After
each kill: the champion of the session before resolves and verifies; each partition of each table is the one before,
the new one, or not there; and the run that is started after it ends in the stores of the undisturbed one, to the bit.
"""

from __future__ import annotations

import argparse
import atexit
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from regime_assets.library.atomic_files import STAGED
from regime_assets.library.home import Home
from regime_assets.library.universe import HORIZONS
from regime_assets.runs.warm_runs import PRELOADED
from regime_assets_tests.test_universes import opened

BEFORE, KILLED = (date(2018, 8, 23), date(2018, 8, 24)), date(2018, 8, 28)
NAME = "killed"
SYMBOLS = ["VOD.L", "HSBA.L", "BP.L", "AZN.L"]
UNIVERSE = """\
name: killed
calendar: XLON
symbols: [VOD.L, HSBA.L, BP.L, AZN.L]
traded: [VOD.L, HSBA.L, BP.L, AZN.L]
design:
  encoder: {use: mlp_vae, hidden: [8], epochs: 6, warm_up_epochs: 2, steps_per_epoch: 4, fine_tune_epochs: 2}
  policy: {use: tilts, seeds: 2, gradient_steps: 20}
"""
UNDER_WAY = "between steps"
PARTITION = ("as_of", "session", "partition", "horizon", "kind", "subject", "asset", "model_name", "design")
"""Columns that tell what is written in one transaction from what another one writes, where a table has them."""
FORK = multiprocessing.get_context("forkserver")

Column = dict[str, list[str]]
Tables = dict[tuple[str, str], Column]
"""Of each table and partition, the values of each column as text."""


@dataclass(frozen=True)
class Stores:
    """What a data folder holds after a run.

    Attributes:
        tables: of the universe's database.
        files: of fitted models and bundles, by their hash.
        serving: per horizon the champion, its bundle verified, and what the pointer says.
    """

    tables: Tables
    files: dict[str, str]
    serving: tuple[str, ...]


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


def run_session(root: Path, session: date) -> list[str]:
    """Materialize a session as `regime-assets first-run` does; what failed."""
    from regime_assets.first_run import FirstRunError, first_run
    from regime_assets.library.universe import load_universe

    os.environ["REGIME_ASSETS_UNIVERSES"] = str(root / "universes")
    universe = load_universe(root / "universes" / "universe.yaml")
    try:
        first_run(Home(root / "home"), universe, 1, session, lambda _: None)
    except FirstRunError as error:
        return [str(error)]
    return []


def stores(root: Path) -> Stores:
    """Read everything; a bundle that does not verify raises an error."""
    from regime_assets.library.production.bundle import verify_bundle
    from regime_assets.library.production.champion_pointer import read_pointer
    from regime_assets.library.production.names import model_name
    from regime_assets.library.universe import load_universe
    from regime_assets.library.workspace import Workspace

    home = Home(root / "home")
    workspace = Workspace(load_universe(root / "universes" / "universe.yaml"), home)
    database = workspace.database
    tables: Tables = {}
    for (table,) in database.rows("SELECT table_name FROM information_schema.tables WHERE table_catalog = 'project'"):
        frame = database.query(f'SELECT * FROM "{table}"')
        keys = [name for name in PARTITION if name in frame.columns]
        parts = frame.groupby([frame[name].astype(str) for name in keys]) if keys else [("all", frame)]
        for key, part in parts:
            tables[table, str(key)] = {name: [repr(value) for value in part[name]] for name in part.columns}
    files = {
        str(path.relative_to(home.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in ("models", "bundles")
        for path in sorted((home.root / kind).rglob("*"))
        if path.is_file()
        if not STAGED.fullmatch(path.name) and not STAGED.fullmatch(path.parent.name)  # nobody reads these names
    }
    serving: list[str] = []
    for horizon in HORIZONS:
        name = model_name(NAME, horizon)
        champion, pointer = workspace.registry.champion(name), read_pointer(home.mlflow_artifacts, name)
        if champion is not None:
            verify_bundle(champion.path, champion.sha256)
        version = champion and (champion.version, champion.sha256[:12])
        serving.append(f"{name}: champion {version}, pointer {pointer and (pointer.version, pointer.sha256[:12])}")
    return Stores(tables, files, tuple(serving))


def volatile(one: Stores, other: Stores) -> frozenset[tuple[str, str]]:
    """The columns, by table, that differ between two undisturbed runs: moments, run ids, seconds."""
    return frozenset(
        (table, name)
        for (table, session), columns in one.tables.items()
        for name, values in columns.items()
        if values != other.tables.get((table, session), {}).get(name)
    )


def comparable(stores: Stores, ignored: frozenset[tuple[str, str]]) -> dict[tuple[str, str], list[tuple[str, ...]]]:
    """The rows of each table and session without the columns that no two runs share."""
    compared: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for (table, session), columns in stores.tables.items():
        kept = [values for name, values in sorted(columns.items()) if (table, name) not in ignored]
        compared[table, session] = sorted(zip(*kept, strict=True))
    return compared


def halves(before: Stores, left: Stores, after: Stores, ignored: frozenset[tuple[str, str]]) -> list[str]:
    """Partitions that a killed run left neither as they were nor as they were to become."""
    was, found, wanted = (comparable(stores, ignored) for stores in (before, left, after))
    return [
        f"{table}, {session}: {len(rows)} rows, neither the {len(was.get((table, session), []))} of before nor the "
        f"{len(wanted.get((table, session), []))} of after"
        for (table, session), rows in found.items()
        if rows not in (was.get((table, session)), wanted.get((table, session)))
    ]


def differences(healed: Stores, after: Stores, ignored: frozenset[tuple[str, str]]) -> list[str]:
    """What the run after the kill made otherwise than the undisturbed one."""
    found, wanted = comparable(healed, ignored), comparable(after, ignored)
    tables = [f"table {key}" for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key)]
    paths = {*healed.files, *after.files}
    files = [f"file {path}" for path in sorted(paths) if healed.files.get(path) != after.files.get(path)]
    serving = [f"{one} for {other}" for one, other in zip(healed.serving, after.serving, strict=True) if one != other]
    return [*tables, *files, *serving]


def in_a_process(act: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """How a fork of the warm server ended, and what the function returned in it; None when it was killed."""
    receiver, sender = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_answer, args=(sender, act, arguments))
    child.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        answer = None
    child.join()
    return child.exitcode or 0, answer


def _answer(sender: Any, act: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(act(*arguments))


def counted(root: Path) -> list[tuple[str, str]]:
    """Run the session undisturbed; the stage and the kind of each write."""
    seen: list[tuple[str, str]] = []
    watch_writes(lambda what: seen.append((stage(), what)))
    problems = run_session(root, KILLED)
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
    run_session(root, KILLED)


def healed(root: Path) -> tuple[list[str], Stores]:
    """Run the session once more, as anybody would after a failure."""
    return run_session(root, KILLED), stores(root)


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


def copy_of(root: Path, name: str) -> Path:
    """The folder before the session, to be spoilt."""
    target = root.parent / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root, target, symlinks=True)
    return target


def main() -> None:
    """Kill, look, heal, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stages", nargs="+", help="only these; all of them otherwise")
    chosen = parser.parse_args()
    FORK.set_forkserver_preload([PRELOADED])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "before"
        root.mkdir()
        opened(root, UNIVERSE, "XLON", SYMBOLS)
        for session in BEFORE:
            _, problems = in_a_process(run_session, root, session)
            if problems:
                raise SystemExit("\n".join(problems))
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
