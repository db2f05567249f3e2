"""The page for the morning: every universe at a glance, as one HTML file without scripts.

Its pictures are SVG of rectangles and lines, drawn here: they cost no CPU worth naming and follow the page's colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup, escape

from regime_assets.library.report.morning import Horizon, Live, Morning
from regime_assets.library.report.plain_words import ACTIONS, HORIZONS, VERDICTS, gate_reason, weights_in_words

CALM, UNEASY, TURBULENT = (58, 127, 193), (227, 167, 47), (207, 74, 28)
WIDTH, RIBBON_HEIGHT, LIVE_HEIGHT = 1000, 60, 150
FEWEST_DRAWN = 5  # live sessions; fewer are said in words


@dataclass(frozen=True)
class Links:
    """Where the page's links lead, each without a slash at its end.

    Attributes:
        reports: of the folder of reports.
        dagster: of the Dagster UI.
        mlflow: of the MLflow UI.
    """

    reports: str = "../reports"
    dagster: str = "http://127.0.0.1:3000"
    mlflow: str = "http://127.0.0.1:5000"


class Stay(NamedTuple):
    """A rectangle of the ribbon: an uninterrupted stay in one regime."""

    left: float
    width: float
    colour: str


def morning_page(mornings: Sequence[Morning], links: Links, now: datetime) -> str:
    """The page of these universes."""
    return _template().render(mornings=mornings, links=links, now=now)


def regime_colour(position: int, n_regimes: int) -> str:
    """The colour of a regime, calm to turbulent: the ends are the same for every number of regimes."""
    place = position / max(n_regimes - 1, 1) * 2
    low, high = ((CALM, UNEASY), (UNEASY, TURBULENT))[min(int(place), 1)]
    share = place - min(int(place), 1)
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def stays(horizon: Horizon) -> list[Stay]:
    """The ribbon as rectangles in a picture of `WIDTH`."""
    found: list[Stay] = []
    step = WIDTH / max(len(horizon.ribbon), 1)
    begin = 0
    regimes = [regime for _, regime, _ in horizon.ribbon]
    for place, regime in enumerate(regimes):
        if place + 1 == len(regimes) or regimes[place + 1] != regime:
            colour = regime_colour(regime, len(horizon.names))
            found.append(Stay(round(begin * step, 1), round((place + 1 - begin) * step, 1), colour))
            begin = place + 1
    return found


def risk_line(horizon: Horizon) -> str:
    """The probability of the most turbulent regime over the ribbon, as the points of a polyline."""
    step = WIDTH / max(len(horizon.ribbon), 1)
    return " ".join(
        f"{(place + 0.5) * step:.1f},{RIBBON_HEIGHT * (1 - risk):.1f}"
        for place, (_, _, risk) in enumerate(horizon.ribbon)
    )


class LivePicture(NamedTuple):
    """The live return in its band, as points; `zero` is the height of no return."""

    line: str
    band: str
    zero: float
    low: float
    high: float


def live_picture(live: Live) -> LivePicture | None:
    """None while there are fewer than `FEWEST_DRAWN` sessions."""
    if len(live.path) < FEWEST_DRAWN:
        return None
    values = [value for _, *row in live.path for value in row] + [0.0]
    low, high = min(values), max(values)
    span = max(high - low, 1e-9)

    def at(place: int, value: float) -> str:
        return f"{place * WIDTH / (len(live.path) - 1):.1f},{LIVE_HEIGHT * (high - value) / span:.1f}"

    line = " ".join(at(place, own) for place, (_, own, _, _) in enumerate(live.path))
    above = [at(place, top) for place, (_, _, _, top) in enumerate(live.path)]
    below = [at(place, bottom) for place, (_, _, bottom, _) in enumerate(live.path)]
    return LivePicture(line, " ".join([*above, *reversed(below)]), LIVE_HEIGHT * high / span, low, high)


def percent(value: float | None, digits: int = 0, sign: bool = False) -> str:
    """A share as a percentage with a true minus; an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    rounded = round(100 * value, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''}.{digits}f} %".replace("-", "−")


def probability(value: float) -> str:
    """A percentage that calls nothing certain."""
    return "over 99 %" if value > 0.99 else "under 1 %" if value < 0.01 else percent(value)


def in_words(day: date | None) -> str:
    """A date that cannot be misread."""
    return "–" if day is None else f"{day:%a} {day.day} {day:%b %Y}"


def with_code(text: str) -> Markup:
    """A sentence with what stands between backticks as code."""
    parts = (
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(text.split("`"))
    )
    return Markup("").join(parts)


def after(text: str, beginning: str) -> str:
    """A message without the beginning that stands before it already."""
    return text.removeprefix(beginning).lstrip()


def level(ratio: float | None) -> str:
    """How near a figure is to its bound: the class of its bar."""
    return "good" if ratio is None or ratio < 0.8 else "near" if ratio < 1 else "bad"


@cache
def _template() -> Template:
    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Any] = {
        "percent": percent,
        "weights_in_words": lambda weights: weights_in_words(weights, percent),
        "probability": probability,
        "in_words": in_words,
        "level": level,
        "gate_reason": gate_reason,
        "with_code": with_code,
        "after": after,
    }
    environment.filters.update(filters)
    shown: dict[str, Any] = {
        "stays": stays,
        "risk_line": risk_line,
        "live_picture": live_picture,
        "regime_colour": regime_colour,
        "verdicts": VERDICTS,
        "actions": ACTIONS,
        "horizons": HORIZONS,
        "width": WIDTH,
        "ribbon_height": RIBBON_HEIGHT,
        "live_height": LIVE_HEIGHT,
    }
    environment.globals.update(shown)
    return environment.get_template("morning_page.html")
