"""Two sessions, or two designs on a session, read from the figures that lie beside their backtest and drift reports.

A report is named by its session, and by its design where that is a challenger: `2024-06-28`, `2024-06-28 four_latents`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_assets.library.report.compared_page import (
    Compared,
    Row,
    Section,
    difference_rows,
    figure_rows,
    held_otherwise,
)
from regime_assets.library.report.data_files import data_folder
from regime_assets.library.shared_files import file_exists, listed, read_file

if TYPE_CHECKING:
    import pandas as pd

BACKTEST_DATA = re.compile(r"(\d{4}-\d\d-\d\d)-backtest(?:-([A-Za-z0-9_]+))?\.data")
HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
SHOWN_STRATEGIES = ("regime rule", "learned policy", "buy & hold")


class ComparedError(Exception):
    """Sessions that cannot be compared; the message says which report is missing."""


def comparable_reports(folder: Path) -> tuple[str, ...]:
    """The names of a horizon's backtest reports that have figures beside them, newest first."""
    found = (BACKTEST_DATA.fullmatch(path.name) for path in listed(folder))
    names = [" ".join(filter(None, named.groups())) for named in found if named]
    return tuple(sorted(names, key=lambda name: (-int(name[:10].replace("-", "")), name)))


@dataclass(frozen=True)
class _Side:
    backtest: Mapping[str, Any]
    drift: Mapping[str, Any]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the backtest report; without rows where it has none."""
        import pandas as pd

        frame = pd.DataFrame(self.backtest["tables"].get(name, {}))
        if "session" in frame:
            frame["session"] = pd.to_datetime(frame["session"])
            frame = frame.set_index("session")
        return frame

    def strategy(self, name: str) -> Mapping[str, Any]:
        """A strategy's figures; empty where it is not in the report."""
        rows = self.table("comparison")
        found = rows[rows["strategy"] == name].to_dict("records") if "strategy" in rows else []
        return {str(key): value for key, value in found[0].items()} if found else {}


def compared_reports(folder: Path, first: str, second: str) -> Compared:
    """Two reports of one horizon.

    Args:
        folder: the horizon's folder of reports.
        first, second: their names.

    Raises:
        ComparedError: one of them has no report with figures beside it.
    """
    sides = (_side(folder, first), _side(folder, second))
    universe, horizon = sides[0].backtest["universe"], sides[0].backtest["horizon"]
    names = (first, second)
    answers = Section(
        "What was answered",
        "As the two reports say it.",
        (
            *difference_rows(sides[0].backtest["facts"], sides[1].backtest["facts"]),
            Row("Drift", *(_drift_in_words(side.drift) for side in sides)),
        ),
    )
    figures = [
        Section(
            f"Out-of-sample record: {name}",
            "Up to each session, with the 95 % interval of the Sharpe ratio.",
            figure_rows(sides[0].strategy(name), sides[1].strategy(name)),
        )
        for name in SHOWN_STRATEGIES
    ]
    made = Section(
        "How they were made",
        "Data, design, code, models and seeds; the same entries give the same bits.",
        difference_rows(*(_provenance(side) for side in sides)),
        only_differing=True,
    )
    net = {name: _net(side) for name, side in zip(names, sides, strict=True)}
    return Compared(
        title=f"{universe}, {horizon} horizon: {names[0]} beside {names[1]}",
        names=names,
        said=(
            *held_otherwise(sides[0].table("weights"), sides[1].table("weights")),
            *_named_otherwise(sides[0].table("regimes"), sides[1].table("regimes")),
            "Two sessions of one design share most of their record: the later one has the new sessions, and drops as "
            "many old ones.",
        ),
        sections=(answers, *figures, made),
        net={name: returns for name, returns in net.items() if returns is not None},
        links=tuple((f"the report of {name}", f"{universe}/{horizon}/{_file(name)}.html") for name in names),
    )


def _file(name: str) -> str:
    """The name of the file of a backtest report, without its ending."""
    session, _, design = name.partition(" ")
    return "-".join(filter(None, (session, "backtest", design)))


def _side(folder: Path, name: str) -> _Side:
    there = comparable_reports(folder)
    if name not in there:
        known = f"there are {there[-1]} to {there[0]}" if there else "there is none yet"
        raise ComparedError(
            f"{folder.parent.name}, {folder.name} horizon, has no backtest report of {name}: {known}. Name sessions "
            "that were materialized."
        )
    files = {"backtest": _file(name), "drift": f"{name[:10]}-drift"}  # drift is of the market, whatever the design
    found: dict[str, Mapping[str, Any]] = {}
    for kind, file in files.items():
        path = data_folder(folder / f"{file}.html") / "figures.json"
        if file_exists(path):
            found[kind] = json.loads(read_file(path))
    return _Side(found["backtest"], found.get("drift", {}))


def _drift_in_words(drift: Mapping[str, Any]) -> str:
    if not drift:
        return "not measured"
    leading = str(drift["leading"]).replace("_", " ")
    return f"{drift['status']}, {drift['largest']:.0%} of its bound ({leading})"


def _provenance(side: _Side) -> Mapping[str, str]:
    """With hashes cut to what a person compares by."""
    return {name: HASH.sub(r"\1", value) for name, value in side.backtest["provenance"].items()}


def _net(side: _Side) -> pd.Series | None:
    table = side.table("net_returns")
    name = next((name for name in SHOWN_STRATEGIES if name in table), None)
    return None if name is None else table[name]


def _named_otherwise(first: pd.DataFrame, second: pd.DataFrame) -> tuple[str, ...]:
    if "regime" not in first or "regime" not in second:
        return ()
    common = first.index.intersection(second.index)
    if common.empty:
        return ()
    share = (first.loc[common, "regime"] == second.loc[common, "regime"]).mean()
    return (f"They give {share:.0%} of {len(common)} common sessions the same regime.",)
