"""A small universe whose sessions are run, damaged and compared: what benchmarks of faults share.

A folder holds the universe's file, its prices and the data folder. Everything that touches a data folder is done in
forks of one warm process, so that nothing which a process remembers of a folder is taken for what is stored.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shutil
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from regime_assets.library.atomic_files import STAGED
from regime_assets.library.home import Home
from regime_assets.library.universe import HORIZONS
from regime_assets.runs.warm_runs import PRELOADED
from regime_assets_tests.test_universes import opened

BEFORE, SESSION = (date(2018, 8, 23), date(2018, 8, 24)), date(2018, 8, 28)
"""The sessions that a folder has, and the one that is run next."""

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
PARTITION = ("as_of", "session", "partition", "horizon", "kind", "subject", "asset", "model_name", "design")
"""Columns that tell what is written in one transaction from what another one writes, where a table has them."""
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload([PRELOADED])

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


def made(root: Path, sessions: Sequence[date], name: str = NAME) -> Path:
    """A new folder with the universe's file, its prices, and a data folder with these sessions.

    Under another name the symbols have each other's prices.
    """
    root.mkdir()
    opened(root, UNIVERSE.replace(NAME, name), "XLON", SYMBOLS if name == NAME else SYMBOLS[::-1])
    for session in sessions:
        _, problems = in_a_process(run_session, root, session)
        if problems:
            raise SystemExit("\n".join(problems))
    return root


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


def run_and_listen(root: Path) -> tuple[str, list[str], Stores | None]:
    """Run the session; whether it succeeded, was refused or fell over, what was said, and what is stored."""
    try:
        problems = run_session(root, SESSION)
    except Exception as error:
        own = type(error).__module__.startswith("regime_assets.")
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{error}" if own else f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        return "refused" if own else "fault", [said], None
    if problems:
        # The sentence of an error of our own comes without the name of its class.
        foreign = any(line.split(": ", 2)[1:2] and _is_class(line.split(": ", 2)[1]) for line in problems)
        return "fault" if foreign else "refused", problems, None
    return "ended", warnings(root), stores(root)


def _is_class(word: str) -> bool:
    return word.isidentifier() and word.endswith(("Error", "Exception", "Warning"))


def warnings(root: Path) -> list[str]:
    """What the newest run warned of."""
    import logging

    import dagster as dg

    from regime_assets.instance import prepare_dagster_home

    os.environ.update(prepare_dagster_home(Home(root / "home")))
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs(limit=1)
        entries = instance.all_logs(run.run_id)
    return [entry.user_message for entry in entries if entry.level >= logging.WARNING and not entry.is_dagster_event]


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


def undisturbed(root: Path) -> tuple[Stores, frozenset[tuple[str, str]]]:
    """What the next session leaves in a folder when nothing disturbs it, and the columns that no two runs share."""
    one, other = (copy_of(root, name) for name in ("one", "two"))
    for copied in (one, other):
        _, problems = in_a_process(run_session, copied, SESSION)
        if problems:
            raise SystemExit("\n".join(problems))
    after, again = (in_a_process(stores, copied)[1] for copied in (one, other))
    return after, volatile(after, again)


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


def copy_of(root: Path, name: str) -> Path:
    """The folder before the session, to be spoilt."""
    target = root.parent / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(root, target, symlinks=True)
    return target
