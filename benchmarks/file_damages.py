"""The kinds of file in a data folder, and how each is damaged or replaced by a sound one of elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.session_folders import BEFORE, NAME

OTHER = "other"
"""The name of another universe, of which files are taken."""

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
