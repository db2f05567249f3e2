"""Rules that a bar breaks or keeps on its own: there, once, finite, positive, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.market.findings import Finding, QualitySettings, Severity, found
from regime_assets.library.universe.membership import Membership

PRICES = ("open", "high", "low", "close")

TOLD_ONE_BY_ONE = 50
"""Bars of an answer that lack a field which no window reads, each named; more are told by symbol."""

ORDER_TOLERANCE = 1e-6
"""Relative excess that the rounding of single-precision prices explains."""


def complete(
    bars: pd.DataFrame, symbols: Sequence[str], sessions: Sequence[date], membership: Membership
) -> Iterator[Finding]:
    """Every symbol has a bar on every session on which it is a member, and there are no others."""
    held, days = membership.mask(symbols, sessions).T.ravel(), pd.DatetimeIndex(list(sessions))
    if _are(
        bars, np.repeat(np.array(symbols, dtype=object), len(days))[held], np.tile(days.to_numpy(), len(symbols))[held]
    ):
        return  # in the order of a window, which is looked at each session
    expected = pd.MultiIndex.from_product([symbols, days], names=["symbol", "session"])[held]
    present = pd.MultiIndex.from_frame(bars[["symbol", "session"]]).drop_duplicates()
    for symbol, session in expected.difference(present):
        yield found("complete", "error", symbol, session.date(), bound="a bar on each session")
    for symbol, session in present.difference(expected):
        yield found("complete", "error", symbol, session.date(), bound="no bar but of known symbols on sessions")


def _are(bars: pd.DataFrame, symbols: NDArray[np.object_], sessions: NDArray[np.datetime64]) -> bool:
    """Whether bars are those of (n,) symbols and sessions, one each and in this order."""
    return np.array_equal(bars["session"].to_numpy(), sessions) and np.array_equal(
        bars["symbol"].to_numpy(dtype=object), symbols
    )


def unique(bars: pd.DataFrame, *, same: Severity = "warn") -> Iterator[Finding]:
    """No symbol has two bars on one session; two that are the same are one that came twice.

    Args:
        bars: columns symbol, session and values.
        same: severity where they do not differ.
    """
    twice = bars[bars.duplicated(["symbol", "session"], keep=False)]
    for (symbol, session), rows in twice.groupby(["symbol", "session"], observed=True):
        differ = len(rows.drop_duplicates()) > 1
        severity: Severity = "error" if differ else same
        detail = "they differ" if differ else "all the same: one is stored"
        day, count = pd.Timestamp(str(session)).date(), float(len(rows))
        yield found("unique", severity, str(symbol), day, value=count, bound="one bar", detail=detail)


def finite(bars: pd.DataFrame, fields: Sequence[str], settings: QualitySettings) -> Iterator[Finding]:
    """What the source supplies is a finite number."""
    for field in fields:
        values = bars[field].to_numpy(dtype="float64")
        missing = np.flatnonzero(~np.isfinite(values))
        if _severity(field, settings) == "warn" and len(missing) > TOLD_ONE_BY_ONE:
            yield from _whole_columns(bars.iloc[missing], field)
            continue
        for row in missing:
            severity = _severity(field, settings)
            value = float(values[row])
            yield _at(bars, int(row), "finite", severity, field=field, value=value, bound="a finite number")


def positive(bars: pd.DataFrame, fields: Sequence[str], settings: QualitySettings) -> Iterator[Finding]:
    """Prices are above zero, volumes not below."""
    for field in fields:
        values = bars[field].to_numpy(dtype="float64")
        wrong = values < 0.0 if field == "volume" else values <= 0.0
        for row in np.flatnonzero(wrong):
            bound = ">= 0" if field == "volume" else "> 0"
            severity = _severity(field, settings)
            yield _at(bars, int(row), "positive", severity, field=field, value=float(values[row]), bound=bound)


def ordered(bars: pd.DataFrame, fields: Sequence[str], settings: QualitySettings) -> Iterator[Finding]:
    """No price of the bar is above its high or below its low; an error where one that is read is so by much."""
    others = [field for field in PRICES if field in fields]
    for edge, sign in (("high", 1.0), ("low", -1.0)):
        if edge not in others or len(others) < 2:
            continue
        values = bars[edge].to_numpy(dtype="float64")
        prices = bars[[field for field in others if field != edge]].to_numpy(dtype="float64")
        extreme = np.fmax.reduce(prices, axis=1) if sign > 0 else np.fmin.reduce(prices, axis=1)
        ends = [bars[end if end in others else edge].to_numpy(dtype="float64") for end in ("high", "low")]
        read = bars[[field for field in settings.read_fields if field in others]].to_numpy(dtype="float64")
        with np.errstate(invalid="ignore"):
            wrong = sign * (extreme - values) > ORDER_TOLERANCE * np.abs(values)
            outer = np.fmax(*ends) if sign > 0 else np.fmin(*ends)  # ends that are swapped throw no doubt on the close
            far = (sign * (read - outer[:, None]) > settings.range_excess * np.abs(read)).any(axis=1)
        for row in np.flatnonzero(wrong):
            bound = f"{'>=' if sign > 0 else '<='} {extreme[row]:.6g}"
            severity: Severity = "error" if far[row] else "warn"
            yield _at(bars, int(row), "ordered", severity, field=edge, value=float(values[row]), bound=bound)


def action_values(actions: pd.DataFrame) -> Iterator[Finding]:
    """Split ratios and dividends are finite and above zero."""
    values = actions["value"].to_numpy(dtype="float64")
    for row in np.flatnonzero(~(np.isfinite(values) & (values > 0.0))):
        action = actions.iloc[int(row)]
        yield found(
            "positive",
            "error",
            action["symbol"],
            action["ex_session"].date(),
            field=action["kind"],
            value=float(values[row]),
            bound="> 0",
        )


def _whole_columns(bars: pd.DataFrame, field: str) -> Iterator[Finding]:
    """One warning a symbol for a column that it lacks, such as a range that its source never had."""
    for symbol, of_symbol in bars.groupby("symbol", observed=True)["session"]:
        detail = f"none in {len(of_symbol)} bars since {of_symbol.min():%Y-%m-%d}; windows do not read it"
        last = of_symbol.max().date()
        yield found("finite", "warn", str(symbol), last, field=field, bound="a finite number", detail=detail)


def _severity(field: str, settings: QualitySettings) -> Severity:
    return "error" if field in settings.read_fields else "warn"


def _at(
    bars: pd.DataFrame, row: int, rule: str, severity: Severity, *, field: str, value: float, bound: str
) -> Finding:
    bar = bars.iloc[row]
    return found(rule, severity, bar["symbol"], bar["session"].date(), field=field, value=value, bound=bound)
