"""The units of the figures that the UI shows, by name. The UI plots a number under its name and knows no unit."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNITS: tuple[tuple[str, str], ...] = (
    (r"(\w+_)?sharpe(_\w+)?", "ratio of a year"),
    (r"(\w+_)?max_drawdown", "share of the highest wealth"),
    (r"(\w+_)?(cagr|volatility)|validation_gain\w*|newest_gain|slippage\w*", "share a year"),
    (r"(\w+_)?turnover(_(high|low))?(_per_year)?", "times wealth a year"),
    (r"(\w+_)?switches_per_year", "number a year"),
    (
        r"(absolute_return|return|breadth|dispersion|factor_share|rms|volatility_surprise|largest)(_\d+)?",
        "of its bound",
    ),
    (r"(\w+_)?(exposure|tilt|share)|(\w+_)?probability_\w+|(occupancy|weight)_\d+|smallest_weight", "share"),
    (r"tilt_kept|update_(kept|step)|seed_agreement|alignment_residual|validation_ratio", "share, 1 is all"),
    (r"downside_\d+", "share a session, root mean square of falls"),
    (r"(\w+_)?reconstruction(_error)?|sigma", "standard deviations of scaled features, squared but for sigma"),
    (r"kl(_\w+)?|entropy|loss|log_likelihood", "nats"),
    (r"cumulative_return|band_(high|low)", "share of wealth"),
    (r"cusum_over_bound", "of its bound"),
    (r"penalty", "squared distance that a switch costs"),
    (r"separation", "standard deviations between the centres"),
    (r"validation_z", "standard errors"),
    (r"newest_sample_weight", "times the mean weight"),
    (r"(\w+_)?(drifted|drifting|promoted?|relabelled|cold|finite|kept|ordered_by_risk)", "1 yes, 0 no"),
    (r"(\w+_)?sessions", "sessions"),
    (
        r"dagster/row_count|(\w+_)?(bars|actions|dividends|splits|steps|epochs?|units|anchors|cross_section|version|count)"
        r"|going_ex_on_the_session|symbols_with_a_bar|(\w+_)?facts|subjects|periods|fresh|written|fetched|skipped",
        "number",
    ),
)
"""Pattern of the whole name → unit; the first that matches counts."""


def unit_of(name: str) -> str:
    """The unit of a figure; empty where it is not known, as of a feature of the user's own."""
    return next((unit for pattern, unit in UNITS if re.fullmatch(pattern, name)), "")


def told_units(names: Iterable[str]) -> str:
    """The units of some figures in one line, figures of one unit together; empty where none is known."""
    by_unit: dict[str, list[str]] = {}
    for name in names:
        if unit := unit_of(name):
            by_unit.setdefault(unit, []).append(name)
    return "; ".join(f"{', '.join(members)}: {unit}" for unit, members in by_unit.items())
