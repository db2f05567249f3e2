"""Two of a kind on one page: what differs between two sessions, versions or designs, without scripts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup

if TYPE_CHECKING:
    import pandas as pd

FIGURES: tuple[tuple[str, str, str], ...] = (
    ("Sharpe ratio", "sharpe", "{:.2f}"),
    ("growth a year", "cagr", "{:.1%}"),
    ("volatility a year", "volatility", "{:.1%}"),
    ("deepest fall", "max_drawdown", "{:.1%}"),
    ("turnover a year, multiples of wealth", "turnover", "{:.1f}"),
    ("mean exposure", "exposure", "{:.0%}"),
    ("switches a year", "switches_per_year", "{:.1f}"),
    ("sessions", "sessions", "{:.0f}"),
)
"""What is shown of a strategy: words, name in the report's table, format."""

Figures = Mapping[str, Any]
"""A strategy's row of a report's table `comparison`."""


class Row(NamedTuple):
    """One thing that both sides say."""

    label: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        """Whether they say it differently."""
        return self.first != self.second


@dataclass(frozen=True)
class Section:
    """Rows under a title; where `only_differing`, equal ones are counted and not shown."""

    title: str
    note: str
    rows: tuple[Row, ...]
    only_differing: bool = False

    @property
    def shown(self) -> list[Row]:
        """The rows that are shown."""
        return [row for row in self.rows if row.differs] if self.only_differing else list(self.rows)


@dataclass(frozen=True)
class Compared:
    """Everything that the page says.

    Attributes:
        title: what is compared.
        names: of the two.
        said: what it comes to, sentences.
        sections: rows by topic.
        net: name → net simple returns by session, drawn over one another.
        links: words and address of what the page was made of.
    """

    title: str
    names: tuple[str, str]
    said: tuple[str, ...]
    sections: tuple[Section, ...]
    net: Mapping[str, pd.Series]
    links: tuple[tuple[str, str], ...] = ()


def compared_page(compared: Compared) -> str:
    """The page as HTML."""
    from regime_assets.library.report.figures import equity_and_drawdown

    drawn = {name: returns for name, returns in compared.net.items() if len(returns) > 1}
    picture = Markup(equity_and_drawdown(drawn)) if len(drawn) > 1 else ""  # the chart escapes its texts
    return _template().render(compared=compared, picture=picture)


def figure_rows(first: Figures, second: Figures) -> tuple[Row, ...]:
    """A strategy's figures on both sides, the Sharpe ratio with its 95 % interval."""
    return tuple(Row(words, _figure(first, name, form), _figure(second, name, form)) for words, name, form in FIGURES)


def difference_rows(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Row, ...]:
    """Whatever two documents say under the same name; nested ones by a path of names."""
    ours, theirs = dict(_flat(first)), dict(_flat(second))
    return tuple(Row(name, ours.get(name, "–"), theirs.get(name, "–")) for name in dict.fromkeys([*ours, *theirs]))


def held_otherwise(first: pd.DataFrame, second: pd.DataFrame) -> tuple[str, ...]:
    """On how many of the sessions that both decide they held something else, and on which last, a sentence."""
    common = first.index.intersection(second.index)
    if common.empty:
        return ("They have no session in common.",)
    columns = [name for name in first.columns if name in second.columns]
    gap = (first.loc[common, columns] - second.loc[common, columns]).abs().sum(axis=1)
    other = common[gap.to_numpy() > 1e-9]
    if not len(other):
        return (f"On all {len(common)} sessions that both decide they held the same.",)
    newest = ", ".join(f"{day:%Y-%m-%d}" for day in other[-5:][::-1])
    return (
        f"On {len(other)} of the {len(common)} sessions that both decide they held something else, on average "
        f"{gap.loc[other].mean():.0%} of the capital apart; last on {newest}.",
    )


def _figure(values: Figures, name: str, form: str) -> str:
    value = values.get(name)
    if value is None or not math.isfinite(value):
        return "–"
    text = form.format(value)
    if name == "sharpe" and values.get("sharpe_low") is not None:
        text += f" ({values['sharpe_low']:.2f} to {values['sharpe_high']:.2f})"
    return text.replace("-", "−")


def _flat(document: Mapping[str, Any], prefix: str = "") -> Sequence[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in document.items():
        if isinstance(value, Mapping):
            found += _flat({str(key): each for key, each in value.items()}, f"{prefix}{name}.")  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        else:
            found.append((f"{prefix}{name}", str(value)))
    return found


@cache
def _template() -> Template:
    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("compared_page.html")
