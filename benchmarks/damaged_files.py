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
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.file_damages import DAMAGES, KINDS, OTHER, Kind, Replace, Sources, file_of
from benchmarks.session_folders import (
    BEFORE,
    Stores,
    copy_of,
    differences,
    in_a_process,
    made,
    run_and_listen,
    run_session,
    undisturbed,
)
from regime_assets.library.home import Home

REMEDIES = ("restore", "--repair", "doctor", "roll back", "materialize", "move it away", "write that", "let this user")


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
        after, ignored = undisturbed(root)

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
