"""Two versions or designs on one page: the paired comparison, their figures, and what differs in how they are made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from regime_assets.library.evaluation.comparison import Comparison
from regime_assets.library.evaluation.contenders import POLICY, RULE
from regime_assets.library.report.compared_page import (
    Compared,
    Section,
    compared_page,
    difference_rows,
    figure_rows,
    held_otherwise,
)
from regime_assets.library.research.tries import Pair
from regime_assets.library.shared_files import write_file
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


def compared_pair(
    workspace: Workspace,
    horizon: Horizon,
    pair: Pair,
    notes: tuple[str, ...],
    made: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> Compared:
    """What the page of a pair says.

    Args:
        notes: what must be known of the two, such as sessions that one of them was fitted on.
        made: how each was made (`side_by_side.made_of`).
    """
    first, second = pair.comparisons
    figures = [
        Section(
            name[0].upper() + name[1:],
            "Over the same sessions, net of costs, with the 95 % interval of the Sharpe ratio.",
            figure_rows(_figures(first[name]), _figures(second[name])),
        )
        for name in (RULE, POLICY)
    ]
    begin, end = pair.sessions[0], pair.sessions[-1]
    return Compared(
        title=f"{workspace.universe.name}, {horizon} horizon: {pair.names[0]} beside {pair.names[1]}",
        names=pair.names,
        said=(
            f"{len(pair.sessions)} sessions, {begin:%Y-%m-%d} to {end:%Y-%m-%d}.",
            *pair.verdict(),
            *(f"{RULE}: {sentence}" for sentence in held_otherwise(first[RULE].weights, second[RULE].weights)),
            *notes,
        ),
        sections=(
            *figures,
            Section(
                "How they were made",
                "Settings of the design, and where a version comes from.",
                difference_rows(*made),
                only_differing=True,
            ),
        ),
        net={name: one[RULE].net for name, one in zip(pair.names, pair.comparisons, strict=True)},
    )


def write_compared(workspace: Workspace, horizon: Horizon, compared: Compared, last: date) -> Path:
    """Write the page among the reports, where the UI and the service list it; return where it is."""
    label = "-and-".join(name.replace(" ", "-").replace("_", "-") for name in compared.names)
    path = workspace.home.report(workspace.universe.name, horizon, f"compare-{label}", last)
    write_file(path, compared_page(compared).encode())
    return path


def _figures(one: Comparison) -> Mapping[str, Any]:
    interval = one.interval
    bounds = {} if interval is None else {"sharpe_low": interval.low, "sharpe_high": interval.high}
    return {**one.summary.as_dict(), **bounds}
