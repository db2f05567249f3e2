"""The drift report: first what matters (which feature, how far from its bound, since when, what follows), then all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, Template

from regime_assets.library.report.data_files import data_folder, write_figures
from regime_assets.library.report.morning_page import WIDTH, in_words, level, percent
from regime_assets.library.report.plain_words import DRIFT_FEATURES
from regime_assets.library.shared_files import write_file

HEIGHT = 160
MOST_DRAWN = 126  # sessions of the history: half a year


@dataclass(frozen=True)
class DriftContent:
    """What one session's drift report says.

    Attributes:
        universe, horizon, session: whose and when.
        status: calm, suspected or drifting.
        largest: the largest distance as a share of its bound; 1 is the bound.
        leading, leading_window: the feature that it is of, and over how many sessions.
        opened: the open episode's first session; None while there is none.
        sessions_since: sessions since then; None while there is none.
        refitted: whether the model was trained from scratch since then.
        cool_down: sessions left in which no episode opens.
        confirm: sessions in a row at or over a bound that open an episode.
        scores: a row a feature and window: feature, window, distance, bound, ratio.
        history: session and largest ratio of this and earlier sessions, ascending.
        reference: first and last session of what is compared with.
        calibrated: first and last session of the history that the bounds come from.
        alarms_per_year: the budget of false alarms that the bounds keep.
        notice: what a reader must know of the bounds; empty when there is nothing.
        textbook_share: share of features that a Kolmogorov-Smirnov test at 5 % would call drifted.
        tables: the file of Evidently's tables, relative to the report; empty where they were not written.
    """

    universe: str
    horizon: str
    session: date
    status: str
    largest: float
    leading: str
    leading_window: int
    opened: date | None
    sessions_since: int | None
    refitted: bool
    cool_down: int
    confirm: int
    scores: pd.DataFrame
    history: pd.DataFrame
    reference: tuple[date, date]
    calibrated: tuple[date, date]
    alarms_per_year: float
    notice: str
    textbook_share: float
    tables: str

    @property
    def follows(self) -> str:
        """What follows, in a sentence or two."""
        if self.status == "drifting" and self.refitted:
            return (
                "The model was trained from scratch since. The episode ends when the market is back well within its "
                "bounds."
            )
        if self.status == "drifting":
            return "The model is trained from scratch, once for this episode."
        if self.status == "suspected":
            return (
                f"Nothing yet: {self.confirm} sessions in a row over a bound open an episode, and the model is then "
                "trained from scratch."
            )
        quiet = f" For {self.cool_down} more sessions no new episode opens." if self.cool_down else ""
        return f"Nothing: the newest sessions look like those that the model was fitted on.{quiet}"


def write_drift_page(content: DriftContent, path: Path) -> None:
    """Write the report, and its figures as CSV and JSON beside it; each file is the old or the whole new one."""
    said = {
        "universe": content.universe,
        "horizon": content.horizon,
        "as_of": content.session.isoformat(),
        "status": content.status,
        "largest": content.largest,
        "leading": content.leading,
        "opened": None if content.opened is None else content.opened.isoformat(),
        "follows": content.follows,
    }
    write_figures(path, {"scores": content.scores, "history": content.history}, said)
    write_file(path, render_drift_page(content, data_folder(path).name).encode())


def render_drift_page(content: DriftContent, data: str) -> str:
    """The report as HTML."""
    by_feature = content.scores.sort_values("ratio").groupby("feature").tail(1).iloc[::-1]
    shown = content.history.tail(MOST_DRAWN)
    return _template().render(
        content=content,
        data=data,
        rows=by_feature.to_dict("records"),
        windows={str(name): group.to_dict("records") for name, group in content.scores.groupby("feature")},
        words=DRIFT_FEATURES,
        line=_line([float(value) for value in shown["largest"]]),
        bound=_height(1.0, [float(value) for value in shown["largest"]]),
        first=pd.Timestamp(shown["session"].iloc[0]).date(),
        last=pd.Timestamp(shown["session"].iloc[-1]).date(),
        width=WIDTH,
        height=HEIGHT,
        drawn=len(shown),
    )


def _line(values: Sequence[float]) -> str:
    step = WIDTH / max(len(values) - 1, 1)
    return " ".join(f"{place * step:.1f},{_height(value, values):.1f}" for place, value in enumerate(values))


def _height(value: float, values: Sequence[float]) -> float:
    """Where a value is drawn: 0 at the bottom, a little more than the highest value or the bound at the top."""
    return HEIGHT * (1 - value / (1.1 * max(1.0, *values)))


@cache
def _template() -> Template:
    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "in_words": in_words, "level": level}
    return environment.get_template("drift_page.html")
