"""Damage each kind of file of a data folder in four ways, and see what the next session's run makes of it.

    python -m benchmarks.damaged_files            # everything: some twenty minutes of one core
    python -m benchmarks.damaged_files --only mlflow.db

Two sessions are run, then the third one undisturbed, for comparison. For each kind of file and each damage (cut to
its half, one byte flipped, deleted, replaced by a sound file of the same kind: of the session before, of another
universe or horizon) the folder of two sessions is copied and damaged, and then

- the doctor looks: does a finding name the file, and say what to do;
- the third session is run: does it end in the stores of the undisturbed run, to the bit, or say what is wrong;
- where it does neither, what was said is tried: `doctor --repair` and the run, the session before and the run, and last
  a backup taken before the damage and the run.

A row is in order when the run ended in the same bits, or when it stopped and said what to do, or when the doctor named
the file; and when what was said to be done ends in the same bits. The rest is marked with an exclamation mark.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.session_folders import (
    BEFORE,
    NAME,
    SESSION,
    Stores,
    copy_of,
    differences,
    in_a_process,
    made,
    run_session,
    stores,
    volatile,
)
from regime_assets.library.home import Home

OTHER = "other"
"""The name of another universe, of which files are taken."""

REMEDIES = ("restore", "--repair", "doctor", "roll back", "materialize", "move it away", "write that", "let this user")
Replace = Callable[["Sources", Path, Path], None]
"""Takes the sources, the data folder and the file: puts a sound file of the same kind there."""


@dataclass(frozen=True)
class Sources:
    """Where sound files of the same kind come from.

    Attributes:
        older: the folder after the first session.
        other: a folder of another universe.
    """

    older: Path
    other: Path


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        name: as the table calls it.
        pattern: finds it below the data folder; of several the last one by name.
        replacements: by words, how a sound one of elsewhere takes its place.
    """

    name: str
    pattern: str
    replacements: dict[str, Replace]


@dataclass
class Seen:
    """What was seen of one kind of file and one damage.

    Attributes:
        run: how the session's run ended: in the same bits, in others, refused with a sentence, or with a fault.
        said: what the run said; failures, then warnings.
        found: what the doctor found that is not in order: level, subject and remedy.
        healed: by which remedy the run ended in the same bits; empty where none was needed.
    """

    run: str
    said: list[str] = field(default_factory=list[str])
    found: list[str] = field(default_factory=list[str])
    healed: str = ""

    def is_in_order(self) -> bool:
        """Nothing wrong is believed in silence, nothing falls over, and what is said to be done helps."""
        if self.run == "same bits":
            return True
        told = any(any(word in line for word in REMEDIES) for line in (*self.said, *self.found))
        return told and self.run != "fault" and self.healed not in ("", "nothing")


def from_older(sources: Sources, home: Path, file: Path) -> None:
    """The same file as it was a session before."""
    shutil.copyfile(sources.older / "home" / file.relative_to(home), file)


def from_other(sources: Sources, home: Path, file: Path) -> None:
    """The same file of another universe."""
    shutil.copyfile(sources.other / "home" / str(file.relative_to(home)).replace(NAME, OTHER), file)


def neighbour(pattern: str, levels: int) -> Replace:
    """A folder `levels` above the file, by one that a pattern finds elsewhere in the data folder."""

    def replace(sources: Sources, home: Path, file: Path) -> None:  # noqa: ARG001
        target = file.parents[levels - 1]
        found = next(path for path in sorted(home.glob(pattern)) if path != target)
        shutil.rmtree(target)
        shutil.copytree(found, target)

    return replace


def content(text: Callable[[Path], str]) -> Replace:
    """A text that is computed from the file."""

    def replace(sources: Sources, home: Path, file: Path) -> None:  # noqa: ARG001
        file.write_text(text(file))

    return replace


def other_calendar(_: Path) -> str:
    """The calendar of another exchange over the same days."""
    from regime_assets.library.market.calendar import load_calendar

    with tempfile.TemporaryDirectory() as folder:
        load_calendar("XNYS", date(2016, 1, 4), Path(folder))
        return next(Path(folder).iterdir()).read_text()


def other_thresholds(sources: Sources, home: Path, file: Path) -> None:  # noqa: ARG001
    """Thresholds of a market that moves twice as much."""
    from regime_assets.library.artifact import Parts, read_artifact, write_artifact

    parts = read_artifact(file.parent)
    write_artifact(file.parent, Parts({name: 2.0 * array for name, array in parts.arrays.items()}, parts.document))


def model(kind: str, file: str) -> Kind:
    """A file of a fitted model of the short horizon."""
    pattern = f"models/{NAME}/short/{BEFORE[-1]}/*/{kind}/{file}"
    before = neighbour(f"models/{NAME}/short/{BEFORE[0]}/*/{kind}", 1)
    other = neighbour(f"models/{NAME}/long/{BEFORE[-1]}/*/{kind}", 1)
    return Kind(f"model {kind}, {file}", pattern, {"of the session before": before, "of the other horizon": other})


def champion(file: str) -> Kind:
    """A file of the bundle that serves, by the name that it has in a folder of bundles."""
    component = "/" in file
    others = neighbour(f"mlflow_artifacts/{NAME}.short/*[0-9a-f]", 2 if component else 1)
    return Kind(f"champion's bundle, {file}", f"champion:{file}", {"another version's bundle": others})


SESSION_BEFORE, OTHER_UNIVERSE = "of the session before", "of another universe"
BOTH: dict[str, Replace] = {SESSION_BEFORE: from_older, OTHER_UNIVERSE: from_other}
OLDER: dict[str, Replace] = {SESSION_BEFORE: from_older}
KINDS = (
    Kind("universe's database", f"databases/{NAME}.duckdb", BOTH),
    Kind("ledger of trials", "ledger.duckdb", {OTHER_UNIVERSE: from_other}),
    Kind("mlflow.db", "mlflow.db", BOTH),
    Kind("Dagster's runs", "dagster/history/runs.db", BOTH),
    Kind("Dagster's events", "dagster/history/runs/index.db", BOTH),
    Kind("a run's events", "dagster/history/runs/????????-*.db", {}),
    Kind("Dagster's ticks", "dagster/schedules/schedules.db", BOTH),
    Kind("dagster.yaml", "dagster/dagster.yaml", {"Dagster's own": content(lambda _: "telemetry: {enabled: false}\n")}),
    *(model(kind, "arrays.safetensors") for kind in ("vae", "latents", "gmm", "rl_policy")),
    *(model(kind, "document.json") for kind in ("vae", "gmm")),
    champion("manifest.json"),
    champion("regimes/arrays.safetensors"),
    champion("policy/document.json"),
    Kind("pointer file", f"mlflow_artifacts/{NAME}.short/champion.json", BOTH),
    Kind("published signal", f"mlflow_artifacts/{NAME}.signal.json", BOTH),
    Kind("drift thresholds, arrays", f"drift_thresholds/{NAME}/*/*/arrays.safetensors", {"others": other_thresholds}),
    Kind("drift thresholds, document", f"drift_thresholds/{NAME}/*/*/document.json", {}),
    Kind("calendar cache", "calendars/*.json", {"another exchange's": content(other_calendar)}),
    Kind("format.json", "format.json", {"an older format's": content(lambda _: json.dumps({"format": 3}))}),
    Kind("backtest report", f"reports/{NAME}/short/{BEFORE[-1]}-backtest.html", {}),
    Kind("report's data", f"reports/{NAME}/short/{BEFORE[-1]}-backtest.data/figures.json", {}),
    Kind("drift report", f"reports/{NAME}/short/{BEFORE[-1]}-drift.html", {}),
    Kind("morning page", "pages/index.html", OLDER),
    Kind("morning's facts", f"pages/{NAME}.morning.json", BOTH),
    Kind("model card", f"bundles/{NAME}/short/{BEFORE[-1]}/*.md", {}),
    Kind("curves in MLflow", "mlflow_artifacts/*/artifacts/curves.json", {}),
    Kind("a lock", f"locks/{NAME}.short.lock", {}),
    Kind("a run's lease", "locks/runs/*-*", {}),
)


def truncated(file: Path) -> None:
    """Cut to its half."""
    os.truncate(file, file.stat().st_size // 2)


def flipped(file: Path) -> None:
    """Turn the bits of the byte in its middle."""
    whole = bytearray(file.read_bytes())
    if whole:
        whole[len(whole) // 2] ^= 0xFF
        file.write_bytes(bytes(whole))


DAMAGES: dict[str, Callable[[Path], None]] = {"truncated": truncated, "one byte flipped": flipped, "deleted": os.unlink}


def file_of(kind: Kind, root: Path) -> Path:
    """The file that is damaged."""
    home = root / "home"
    pattern = kind.pattern
    if pattern.startswith("champion:"):
        pointer = json.loads((home / "mlflow_artifacts" / f"{NAME}.short" / "champion.json").read_text())
        return home / "mlflow_artifacts" / f"{NAME}.short" / pointer["sha256"] / pattern.removeprefix("champion:")
    return sorted(home.glob(pattern))[-1]


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


def look(root: Path, repair: bool) -> list[tuple[str, str]]:
    """What the doctor finds that is not in order; a level and a line each."""
    from regime_assets.doctor import examine
    from regime_assets.library.universe import load_universe

    universe = load_universe(root / "universes" / "universe.yaml")
    expected = ("daemon", "Python", "disk")  # of the machine that this runs on
    try:
        found = list(examine(Home(root / "home"), [universe], repair))
    except Exception as error:
        own = type(error).__module__.startswith("regime_assets.")
        return [("refused" if own else "fault of the doctor", f"{type(error).__name__}: {error}")]
    return [
        (each.level, f"{each.subject}: {each.what} → {each.remedy}")
        for each in found
        if each.level != "ok" and not each.subject.startswith(expected)
    ]


def restored(root: Path, backup: Path) -> None:
    """Put the backup in the place of the damaged folder."""
    from regime_assets.library.upkeep.backup import restore

    shutil.rmtree(root / "home")
    restore(backup, Home(root / "home"))


def backed_up(root: Path, target: Path) -> None:
    """Take a backup of a folder."""
    from regime_assets.library.upkeep.backup import take_backup

    take_backup(Home(root / "home"), target)


def seen(root: Path, damage: Callable[[Path], None], judge: Callable[[Stores | None], list[str]], backup: Path) -> Seen:
    """Damage a copy of the folder, look, run, and heal."""

    def damaged(name: str) -> Path:
        copied = copy_of(root, name)
        damage(copied)
        return copied

    _, looked = in_a_process(look, damaged("looked at"), False)
    found = [("fault", "the doctor died")] if looked is None else looked
    one = damaged("damaged")
    _, answer = in_a_process(run_and_listen, one)
    run, said, after = answer or ("fault", ["the process died"], None)
    result = Seen(run, said, [f"{level} {line}" for level, line in found])
    if run == "ended":
        differing = judge(after)
        result.run = "other bits" if differing else "same bits"
        result.said += [f"differs: {', '.join(differing[:3])}, {len(differing)} in all"] if differing else []
    if result.run == "same bits":
        return result
    repaired = damaged("repaired")
    in_a_process(look, repaired, True)
    _, again = in_a_process(run_and_listen, repaired)
    if again and again[0] == "ended" and not judge(again[2]):
        result.healed = "doctor --repair"
        return result
    if any(f"materialize {BEFORE[-1]}" in line for line in result.said):
        both = damaged("again")
        in_a_process(run_session, both, BEFORE[-1])
        _, again = in_a_process(run_and_listen, both)
        if again and again[0] == "ended" and not judge(again[2]):
            result.healed = f"{BEFORE[-1]} again"
            return result
    in_a_process(restored, one, backup)
    _, again = in_a_process(run_and_listen, one)
    result.healed = "restore" if again and again[0] == "ended" and not judge(again[2]) else "nothing"
    return result


def cases(sources: Sources, only: str) -> Iterator[tuple[Kind, str, Callable[[Path], None]]]:
    """Every kind of file with every damage."""

    def on_file(kind: Kind, act: Callable[[Path], None]) -> Callable[[Path], None]:
        return lambda root: act(file_of(kind, root))

    def by(kind: Kind, replace: Replace) -> Callable[[Path], None]:
        return lambda root: replace(sources, root / "home", file_of(kind, root))

    for kind in KINDS:
        if only not in kind.name:
            continue
        for name, act in DAMAGES.items():
            yield kind, name, on_file(kind, act)
        for name, replace in kind.replacements.items():
            yield kind, f"replaced by one {name}", by(kind, replace)


def main() -> None:
    """Damage, look, run, heal, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="kinds of file with these words in their name")
    parser.add_argument("--keep", type=Path, help="a folder for the sessions, which are taken from there the next time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        root, backup = prepared(folder)
        sources = Sources(folder / "older", folder / "other")
        undisturbed = [copy_of(root, "one"), copy_of(root, "two")]
        for one in undisturbed:
            _, problems = in_a_process(run_session, one, SESSION)
            if problems:
                raise SystemExit("\n".join(problems))
        after, again = (in_a_process(stores, one)[1] for one in undisturbed)
        ignored = volatile(after, again)

        def judge(found: Stores | None) -> list[str]:
            return differences(found, after, ignored) if found else ["the stores cannot be read"]

        totals: Counter[str] = Counter()
        columns = ("file", "damage", "the next run", "the doctor", "healed by")
        print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
        for kind, name, damage in cases(sources, chosen.only):
            cell = seen(root, damage, judge, backup)
            mark = "" if cell.is_in_order() else "! "
            totals["in order" if cell.is_in_order() else "not in order"] += 1
            totals[cell.run] += 1
            levels = ", ".join(sorted({line.split(" ", 1)[0] for line in cell.found})) or "nothing"
            print(f"| {mark}{kind.name} | {name} | {cell.run} | {levels} | {cell.healed} |", flush=True)
            for line in (*cell.said, *(f"doctor: {line}" for line in cell.found)):
                print(f"    {line}", flush=True)
        print(", ".join(f"{count} {what}" for what, count in totals.items()))


def prepared(folder: Path) -> tuple[Path, Path]:
    """The folder of two sessions with its neighbours and its backup, made where they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    root, backup = folder / "before", folder / "backup"
    if not backup.exists():
        made(folder / "older", BEFORE[:1])
        shutil.copytree(folder / "older", root, symlinks=True)
        in_a_process(run_session, root, BEFORE[1])
        made(folder / "other", BEFORE, OTHER)
        in_a_process(backed_up, root, backup)
    return root, backup


if __name__ == "__main__":
    main()
