"""A project of one's own around a universe: files to start from, each of them the user's to change."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from regime_assets.instance import TEMPLATE as DAGSTER_TEMPLATE
from regime_assets.library.clock import clock

if TYPE_CHECKING:
    from pandas import DatetimeIndex

FILES = Path(__file__).parent / "project_template"
PLACES = {
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    "workspace.yaml": "workspace.yaml",
    "env": ".env",
    "gitignore": ".gitignore",
    "Dockerfile": "Dockerfile",
    "compose.yaml": "compose.yaml",
    "ci.yml": ".github/workflows/ci.yml",
    "definitions.py": "{name}/definitions.py",
    "features.py": "{name}/features.py",
    "universe.yaml": "universes/{name}.yaml",
}
"""File of the template → where it goes in the project."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
MOST_SHOWN = 3
"""Files that a refusal names one by one."""

SHORTEST_HISTORY = 600
"""Sessions of prices that a first fit needs: 300 that features look back at, and a window of a year behind them."""


class ProjectError(Exception):
    """A project that cannot be made; nothing was written."""


@dataclass(frozen=True)
class FirstUniverse:
    """What the universe file of a new project says.

    Attributes:
        title: the comment above it.
        source: as YAML.
        calendar: of its sessions.
        history_start, first_partition: days.
        last_partition: where its data ends; None while it goes on.
        symbols: watched instruments.
        traded: held instruments; the watched ones when empty.
    """

    title: str
    source: str
    calendar: str
    history_start: date
    first_partition: date
    last_partition: date | None
    symbols: tuple[str, ...]
    traded: tuple[str, ...] = ()


SAMPLE = FirstUniverse(
    "Sample prices that ship with a dependency: no network, no key. `source: {kind: yahoo}` is live data.",
    "{kind: sample}",
    "XNYS",
    date(2010, 1, 4),
    date(2014, 1, 2),
    date(2022, 12, 28),
    ("AAPL", "BAC", "CVX", "GE", "HD", "JNJ", "KO", "MSFT", "PG", "WMT"),
    ("SP500",),
)


def create_project(folder: Path, universe: FirstUniverse) -> list[Path]:
    """Write a project into a new folder; its name is the folder's.

    Returns:
        The files, relative to the folder.

    Raises:
        ProjectError: the folder holds something, or its name is no name of a Python package.
    """
    name = folder.name
    if not NAME.fullmatch(name):
        raise ProjectError(
            f"{name!r} cannot name a project: it becomes the name of a Python package and of its first universe. Take "
            "small letters, digits and _, such as my_desk"
        )
    if folder.exists() and any(folder.iterdir()):
        raise ProjectError(f"{folder} is not empty: name a new folder, or empty this one")
    values = {
        "name": name,
        "version": version("regime_assets"),
        "title": universe.title,
        "description": f"the first universe of {name}",
        "source": universe.source,
        "calendar": universe.calendar,
        "history_start": universe.history_start.isoformat(),
        "first_partition": universe.first_partition.isoformat(),
        "last_partition": f"last_partition: {universe.last_partition}" if universe.last_partition else "",
        "symbols": ", ".join(_quoted(symbol) for symbol in universe.symbols),
        "traded": f"traded: [{', '.join(map(_quoted, universe.traded))}]" if universe.traded else "",
    }
    written: list[Path] = []
    for file, place in PLACES.items():
        target = Path(place.format(name=name))
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        text = Template((FILES / f"{file}.template").read_text()).substitute(values)
        if target.suffix == ".yaml":
            text = re.sub(r"\n{3,}", "\n\n", text)  # where a value is left out
        (folder / target).write_text(text)
        written.append(target)
    for package in (Path(name), Path(name) / "defs"):
        (folder / package).mkdir(exist_ok=True)
        (folder / package / "__init__.py").touch()
    dagster = Path("data") / "dagster" / "dagster.yaml"
    (folder / dagster).parent.mkdir(parents=True)
    shutil.copyfile(DAGSTER_TEMPLATE, folder / dagster)
    return [*written, dagster]


def universe_of_files(prices: Path, calendar: str) -> FirstUniverse:
    """A universe over a folder of CSV or Parquet files, with the dates and columns that they have.

    Args:
        prices: the folder, one file a symbol.
        calendar: of the files' sessions.

    Raises:
        ProjectError: no usable files, or too few sessions that all of them have.
    """
    from regime_assets.library.market.sources.base import PRICE_FIELDS

    paths = sorted(path for path in prices.glob("*") if path.suffix in (".csv", ".parquet")) if prices.is_dir() else []
    if not paths:
        raise ProjectError(f"{prices} holds no .csv or .parquet file: put one a symbol there, such as KO.csv")
    columns: set[str] | None = None
    days: DatetimeIndex | None = None
    for path in paths:
        own, sessions = _columns_and_sessions(path)
        columns = own if columns is None else columns & own
        days = sessions if days is None else days.intersection(sessions)
    fields = [field for field in PRICE_FIELDS if field in (columns or set())]
    if days is None or len(days) < SHORTEST_HISTORY:
        raise ProjectError(
            f"{prices}: {0 if days is None else len(days)} sessions are in all {len(paths)} files, and a first fit "
            f"needs {SHORTEST_HISTORY}: a year's window and the 300 sessions that its features look back at"
        )
    _held_against(calendar, days, prices)
    first, last = days[0].date(), days[-1].date()
    symbols = tuple(path.stem for path in paths)
    _refuse_unreadable(prices, list(symbols), fields, first, last)
    start = days[SHORTEST_HISTORY - 1].date()
    some = "" if len(fields) == len(PRICE_FIELDS) else f", fields: [{', '.join(fields)}]"
    options = f'folder: "{prices.resolve()}"{some}'
    ended = last < clock.today() - timedelta(days=7)
    return FirstUniverse(
        f"Your own files, {len(paths)} of them: {first} to {last}, columns {', '.join(fields)}, as traded.",
        f"{{kind: files, options: {{{options}}}}}",
        calendar,
        first,
        start,
        last if ended else None,
        symbols,
    )


def _held_against(name: str, days: DatetimeIndex, prices: Path) -> None:
    """Refuse a calendar that is not the files'.

    Raises:
        ProjectError: files and calendar differ on more sessions than exceptions are written for.
        CalendarError: an unknown calendar.
    """
    import tempfile

    from regime_assets.library.market.calendar_fit import (
        LIKELY_CALENDARS,
        MOST_EXCEPTIONS,
        better_calendar,
        differing_days,
    )

    there = [day.date() for day in days]
    with tempfile.TemporaryDirectory() as folder:
        differing = differing_days(name, there, Path(folder))
        if len(differing) <= MOST_EXCEPTIONS:
            return
        best = better_calendar(name, there, Path(folder))
    shown = ", ".join(str(day) for day in differing[:3])
    advice = (
        f"{best} fits: try --calendar {best}"
        if best
        else f"none of {', '.join(LIKELY_CALENDARS)} fits; any calendar of exchange_calendars can be named"
    )
    raise ProjectError(
        f"{prices}: the files and the calendar {name} differ on {len(differing)} days, first on {shown}. {advice}"
    )


def _refuse_unreadable(prices: Path, symbols: list[str], fields: list[str], first: date, last: date) -> None:
    """Let the source itself read every file, as each run will.

    Raises:
        ProjectError: naming the files that it cannot read, with line and reason.
    """
    from regime_assets.library.market.sources.files import FilesSource

    fetched = FilesSource(folder=str(prices), fields=fields).fetch(symbols, first, last)
    if fetched.failures:
        shown = list(fetched.failures.values())[:MOST_SHOWN]
        more = len(fetched.failures) - len(shown)
        raise ProjectError("\n".join([*shown, *([f"and {more} more files"] if more else [])]))


def _columns_and_sessions(path: Path) -> tuple[set[str], DatetimeIndex]:
    import pandas as pd

    try:
        frame = pd.read_parquet(path).reset_index() if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path.name}: unreadable ({error})") from error
    for column, what in (("session", "the trading day, such as 2024-06-28"), ("close", "the closing price")):
        if column not in frame.columns:
            raise ProjectError(
                f"{path.name} has no column `{column}`, but {', '.join(map(str, frame.columns[:8]))}: give the column "
                f"of {what} that name. Used are session, open, high, low, close, volume, split, dividend; session and "
                "close are needed"
            )
    try:
        sessions = pd.DatetimeIndex(pd.to_datetime(frame["session"].astype(str).str[:10], format="%Y-%m-%d"))
    except ValueError as error:
        raise ProjectError(
            f"{path.name}: column session has {frame['session'].iloc[0]!r}; write days as 2024-06-28, since 03/04 can "
            "be read two ways"
        ) from error
    twice = sessions[sessions.duplicated(keep=False)]
    if len(twice):
        lines = [str(number + 2) for number in range(len(sessions)) if sessions[number] == twice[0]]
        where = f", in lines {' and '.join(lines)}" if path.suffix == ".csv" else ""
        raise ProjectError(f"{path.name} has {twice[0]:%Y-%m-%d} more than once{where}: keep the right row")
    return {str(column) for column in frame.columns}, sessions.sort_values()


def _quoted(symbol: str) -> str:
    """The symbol as YAML takes it for text."""
    plain = re.fullmatch(r"[A-Z][A-Z0-9.]*", symbol) and symbol not in ("ON", "NO", "YES", "Y", "N", "OFF", "NULL")
    return symbol if plain else f'"{symbol}"'
