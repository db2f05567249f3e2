"""Facts as features: for each session the value that was known at its decision time, carried forward until a newer one.

A row is decided by the versions known by then alone: a later revision, or a period that is published later, changes
nothing before its `known_at`. So a session's row is the same in every later window, as it is for prices.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.market.fact_store import FactsStore
from regime_assets.library.market.sources.fred import LEVEL

if TYPE_CHECKING:
    from regime_assets.library.database import Database
    from regime_assets.library.market.calendar import TradingCalendar
    from regime_assets.library.market.window import Window
    from regime_assets.library.universe import Universe

Array = NDArray[np.float64]


class FactFeatureError(Exception):
    """A fact that features are made of does not cover the window; the message names it and since when it is known."""


def read_fact_features(
    universe: Universe, database: Database, calendar: TradingCalendar, window: Window
) -> pd.DataFrame | None:
    """The features that the universe makes of facts, on the sessions of a window; None when it names none.

    A macro series is a feature of its own. A fact of companies is one feature, its median over the companies.

    Raises:
        FactFeatureError: a series or a company has no value that was known at the window's first session.
    """
    features = _wanted(universe)
    if not features:
        return None
    sessions = [moment.date() for moment in window.sessions]
    return pd.concat(
        [
            fact_features(FactsStore(database, universe.name, kind), calendar, window.as_of, sessions, wanted)
            for kind, wanted in features.items()
        ],
        axis=1,
    )


def fact_feature_names(universe: Universe) -> tuple[str, ...]:
    """The features that the universe makes of facts, in their order."""
    return tuple(name for wanted in _wanted(universe).values() for name in wanted)


def _wanted(universe: Universe) -> dict[str, dict[str, list[tuple[str, str]]]]:
    """Source → feature → its (subject, fact) pairs."""
    wanted: dict[str, dict[str, list[tuple[str, str]]]] = {}
    if universe.macro and universe.macro.features:
        series = universe.macro.features
        wanted[universe.macro.kind] = {feature_name("macro", name): [(name, LEVEL)] for name in series}
    if universe.fundamentals and universe.fundamentals.features:
        companies = universe.fundamentals.symbols or universe.symbols
        wanted[universe.fundamentals.kind] = {
            feature_name("fundamentals", fact): [(company, fact) for company in companies]
            for fact in universe.fundamentals.features
        }
    return wanted


def fact_features(
    store: FactsStore,
    calendar: TradingCalendar,
    as_of: date,
    sessions: Sequence[date],
    wanted: Mapping[str, Sequence[tuple[str, str]]],
) -> pd.DataFrame:
    """One column a feature: the median over its (subject, fact) pairs of what was known of each.

    Args:
        store: the facts.
        calendar: gives the decision times.
        as_of: a session; nothing known later than its decision time is read.
        sessions: the T sessions, ascending, none later than `as_of`.
        wanted: the pairs of each feature, by the feature's name.

    Returns:
        (T, F) float64 without gaps, index `session`.

    Raises:
        FactFeatureError: a pair has no value that was known at the first session's decision time.
    """
    subjects = sorted({subject for pairs in wanted.values() for subject, _ in pairs})
    versions = dict(iter(store.history(as_of, calendar, subjects).groupby(["subject", "fact"])))
    moments = np.array([calendar.decision_time(day).replace(tzinfo=None) for day in sessions], dtype="datetime64[us]")
    columns: dict[str, Array] = {}
    for name, pairs in wanted.items():
        paths = [_path(versions, pair, moments, sessions[0], store) for pair in pairs]
        columns[name] = np.median(np.column_stack(paths), axis=1)
    index = pd.DatetimeIndex(pd.to_datetime(list(sessions)), dtype="datetime64[ns]", name="session")
    return pd.DataFrame(columns, index=index)


def known_values(versions: pd.DataFrame, moments: NDArray[np.datetime64]) -> Array:
    """The value of the period that ends last among those known at each moment, NaN before the first one.

    Of periods that end on one day the shortest counts, of a period's versions the one published last.

    Args:
        versions: columns period, value, published_at, known_at; of one fact.
        moments: (T,) ascending.
    """
    ordered = versions.sort_values(["known_at", "published_at"], kind="stable")
    known_at = ordered["known_at"].to_numpy(dtype="datetime64[us]")
    values: Array = np.full(len(known_at) + 1, np.nan)
    published: dict[tuple[str, str], tuple[pd.Timestamp, float]] = {}
    rows = zip(ordered["period"], ordered["published_at"], ordered["value"], strict=True)
    for position, (period, at, value) in enumerate(rows, start=1):
        key = (str(period).rsplit("/", maxsplit=1)[-1], str(period))
        if key not in published or at >= published[key][0]:
            published[key] = (at, float(value))
        values[position] = published[max(published)][1]
    return values[np.searchsorted(known_at, moments, side="right")]


def feature_name(kind: str, fact: str) -> str:
    """The column of a macro series or of a concept: letters, digits and `_` only, for every store that keeps it."""
    return f"{kind}_{re.sub(r'[^A-Za-z0-9]+', '_', fact)}"


def _path(
    versions: Mapping[tuple[Hashable, ...], pd.DataFrame],
    pair: tuple[str, str],
    moments: NDArray[np.datetime64],
    first: date,
    store: FactsStore,
) -> Array:
    found = versions.get(pair)
    label = f"{store.universe}: {' '.join(pair)} from {store.source}"
    if found is None:
        others = ", ".join(sorted({str(key[1]) for key in versions if key[0] == pair[0]}))
        raise FactFeatureError(f"{label}: nothing is known; of {pair[0]} there is {others or 'nothing'}")
    path = known_values(found, moments)
    if np.isnan(path[0]):
        known = found["known_at"].min()
        raise FactFeatureError(
            f"{label}: first known on {known:%Y-%m-%d %H:%M} UTC, and the window begins on {first}. Leave it out "
            "of the features, or start the history later"
        )
    return path
