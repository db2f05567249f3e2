"""Faults planted into simulated bars, for the tests and for `benchmarks/data_rules.py`.

Simulated bars of 20 correlated shares (returns of Student's t with 4 degrees of freedom and wandering volatility,
volume that grows with the move) are spoiled at one place at a time and checked as one week of bars behind 80
sessions of history, once with all fields and once as a source of closes alone would give them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from regime_assets.library.market.quality import NO_ACTIONS, Finding, QualitySettings, check_bars
from regime_assets.library.market.revision_rules import revised_prices, revisions

ALL_FIELDS = ("open", "high", "low", "close", "volume")
CLOSE_ONLY = ("close",)
PRICES = ["open", "high", "low", "close"]
HISTORY, WEEK, PLANTED_AT, SYMBOLS = 80, 5, 2, 20


@dataclass(frozen=True)
class Sample:
    """Bars of a week with their history, the place where the fault goes, and what an earlier fetch stored of them."""

    bars: pd.DataFrame
    actions: pd.DataFrame
    sessions: tuple[date, ...]
    symbol: str
    stored: pd.DataFrame | None = None

    @property
    def symbols(self) -> list[str]:
        """All symbols, in order."""
        return [f"S{number:02d}" for number in range(SYMBOLS)]

    @property
    def planted(self) -> pd.Timestamp:
        """The session of the fault, with sessions on both sides."""
        return pd.Timestamp(self.sessions[HISTORY + PLANTED_AT])


Plant = Callable[[Sample], Sample]


def simulate(seed: int) -> Sample:
    """A clean sample."""
    random = np.random.default_rng(seed)
    count = HISTORY + WEEK
    volatility = 0.015 * np.exp(np.cumsum(random.normal(0.0, 0.05, (count, 1)), axis=0))
    shocks = random.standard_t(4, (count, 1)) * 0.6 + random.standard_t(4, (count, SYMBOLS)) * 0.8
    returns = np.clip(volatility * shocks / np.sqrt(2.0), -0.4, 0.6)
    close = random.uniform(10.0, 400.0, SYMBOLS) * np.cumprod(1.0 + returns, axis=0)
    opened = close / (1.0 + returns * random.uniform(0.2, 1.0, returns.shape))
    reach = 1.0 + np.abs(random.normal(0.0, 0.004, (2, *returns.shape)))
    volume = 1e6 * np.exp(random.normal(0.0, 0.3, returns.shape) + 10.0 * np.abs(returns))
    sessions = pd.bdate_range("2020-01-06", periods=count)
    values = {
        "open": opened,
        "high": np.maximum(opened, close) * reach[0],
        "low": np.minimum(opened, close) / reach[1],
        "close": close,
        "volume": np.round(volume),
    }
    frame = pd.DataFrame({name: np.round(matrix, 2).ravel() for name, matrix in values.items()})
    frame.insert(0, "session", np.repeat(sessions.to_numpy(), SYMBOLS))
    frame.insert(0, "symbol", [f"S{number:02d}" for number in range(SYMBOLS)] * count)
    symbol = f"S{random.integers(SYMBOLS):02d}"
    return Sample(frame, NO_ACTIONS, tuple(day.date() for day in sessions), symbol)


def _at(sample: Sample, *, onwards: bool = False) -> pd.Series[bool]:
    session = sample.bars["session"]
    when = session >= sample.planted if onwards else session == sample.planted
    return when & (sample.bars["symbol"] == sample.symbol)


def _set(field: str, value: float) -> Plant:
    def plant(sample: Sample) -> Sample:
        bars = sample.bars.copy()
        bars.loc[_at(sample), field] = value
        return replace(sample, bars=bars)

    return plant


def _scaled(prices: float, volume: float = 1.0, *, fields: Sequence[str] = PRICES, onwards: bool = False) -> Plant:
    def plant(sample: Sample) -> Sample:
        bars, rows = sample.bars.copy(), _at(sample, onwards=onwards)
        bars.loc[rows, list(fields)] *= prices
        bars.loc[rows, "volume"] *= volume
        return replace(sample, bars=bars)

    return plant


def _fallen(share: float, volume: float) -> Plant:
    """A real fall in the course of a session, for good."""

    def plant(sample: Sample) -> Sample:
        bars, rows, day = sample.bars.copy(), _at(sample, onwards=True), _at(sample)
        opened = bars.loc[day, "open"].to_numpy()
        bars.loc[rows, PRICES] *= 1.0 - share
        bars.loc[day, "open"] = opened * (1.0 - share / 2.0)
        bars.loc[day, "high"] = bars.loc[day, PRICES].max(axis=1)
        bars.loc[day, "volume"] *= volume
        return replace(sample, bars=bars)

    return plant


def _acted(kind: str, share: float) -> Plant:
    """An action of this ratio, or of this share of the price, that the prices do not show."""

    def plant(sample: Sample) -> Sample:
        price = float(sample.bars.loc[_at(sample), "close"].iloc[0])
        value = share if kind == "split" else share * price
        row = {"symbol": [sample.symbol], "ex_session": [sample.planted], "kind": [kind], "value": [value]}
        return replace(sample, actions=pd.DataFrame(row))

    return plant


def _paid(share: float) -> Plant:
    """A dividend of this share of the price that the price gave up."""

    def plant(sample: Sample) -> Sample:
        price = float(sample.bars.loc[_at(sample), "close"].iloc[0])
        fallen = _scaled(1.0 - share, onwards=True)(sample)
        row = {"symbol": [sample.symbol], "ex_session": [sample.planted], "kind": "dividend", "value": [share * price]}
        return replace(fallen, actions=pd.DataFrame(row))

    return plant


def _swapped(sample: Sample) -> Sample:
    bars, rows = sample.bars.copy(), _at(sample)
    bars.loc[rows, ["high", "low"]] = bars.loc[rows, ["low", "high"]].to_numpy()
    return replace(sample, bars=bars)


def _copied(symbols: Callable[[Sample], Sequence[str]], sessions: int) -> Plant:
    """The bars of the session before, repeated for some sessions."""

    def plant(sample: Sample) -> Sample:
        bars = sample.bars.copy()
        day = HISTORY + PLANTED_AT
        targets = [pd.Timestamp(moment) for moment in sample.sessions[day : day + sessions]]
        for symbol in symbols(sample):
            mine = bars["symbol"] == symbol
            before = bars.loc[mine & (bars["session"] == pd.Timestamp(sample.sessions[day - 1])), list(ALL_FIELDS)]
            for target in targets:
                bars.loc[mine & (bars["session"] == target), list(ALL_FIELDS)] = before.to_numpy()
        return replace(sample, bars=bars)

    return plant


def _revised(prices: float) -> Plant:
    """The bar was stored as it is, and comes again with other prices."""

    def plant(sample: Sample) -> Sample:
        return replace(_scaled(prices)(sample), stored=sample.bars)

    return plant


def _repeated(close: float) -> Plant:
    """The bar comes twice, its close times this the second time."""

    def plant(sample: Sample) -> Sample:
        again = sample.bars[_at(sample)]
        again = again.assign(close=again["close"] * close)
        return replace(sample, bars=pd.concat([sample.bars, again], ignore_index=True))

    return plant


def _dropped(sample: Sample) -> Sample:
    return replace(sample, bars=sample.bars[~_at(sample)])


def _on_a_holiday(sample: Sample) -> Sample:
    extra = sample.bars[_at(sample)].assign(session=sample.planted + pd.offsets.Week(weekday=5))
    return replace(sample, bars=pd.concat([sample.bars, extra], ignore_index=True))


FAULTS: dict[str, Plant] = {
    "close is NaN": _set("close", np.nan),
    "close is infinite": _set("close", np.inf),
    "close is zero": _set("close", 0.0),
    "bar is missing": _dropped,
    "bar comes twice, with another close": _repeated(1.001),
    "the same bar comes twice": _repeated(1.0),
    "bar on a Saturday": _on_a_holiday,
    "high and low swapped": _swapped,
    "one bar in pence (x 100)": _scaled(100.0),
    "one close x 100": _scaled(100.0, fields=["close"]),
    "pounds for pence from now on (x 0.01)": _scaled(0.01, onwards=True),
    "split 2:1 not reported": _scaled(1 / 2, 2.0, onwards=True),
    "split 3:2 not reported": _scaled(2 / 3, 1.5, onwards=True),
    "split 5:4 not reported": _scaled(4 / 5, 1.25, onwards=True),
    "split 13:5 not reported": _scaled(5 / 13, 2.6, onwards=True),
    "split 190:1 not reported": _scaled(1 / 190, 190.0, onwards=True),
    "split 10:1 not reported": _scaled(1 / 10, 10.0, onwards=True),
    "split 1:8 not reported": _scaled(8.0, 1 / 8, onwards=True),
    "split 2:1 reported, prices adjusted already": _acted("split", 2.0),
    "decimal point (x 10), one bar": _scaled(10.0),
    "bar repeated once": _copied(lambda sample: [sample.symbol], 1),
    "bar repeated three times": _copied(lambda sample: [sample.symbol], 3),
    "whole session repeated": _copied(lambda sample: sample.symbols, 1),
    "volume zero": _set("volume", 0.0),
    "close 25 % too high, one bar": _scaled(1.25),
    "close 12 % too high, one bar": _scaled(1.12),
    "close 3 % too high, one bar": _scaled(1.03),
    "close x 12, one bar": _scaled(12.0),
    "close x 1,000,000, one bar": _scaled(1e6),
    "dividend of 193 % never paid": _acted("dividend", 1.93),
    "dividend of 8 % never paid": _acted("dividend", 0.08),
    "dividend of 40 % never paid": _acted("dividend", 0.40),
    "dividend negative": _acted("dividend", -0.01),
    "dividend of 1 % not reported": _scaled(0.99, onwards=True),
    "stored bar comes again 1 % higher": _revised(1.01),
    "stored bar comes again 0.05 % higher": _revised(1.0005),
    "no fault": lambda sample: sample,
    "no fault: dividend of 45 %, paid": _paid(0.45),
    "no fault: falls by half, volume x 12": _fallen(0.5, 12.0),
    "no fault: falls by a third, volume x 8": _fallen(1 / 3, 8.0),
}
"""What is planted → how; the last ones must not block."""


def check(sample: Sample, fields: Sequence[str]) -> list[Finding]:
    """The findings on the sample's week, with the sessions before it as history."""
    week = sample.sessions[HISTORY:]
    recent = sample.bars["session"] >= pd.Timestamp(week[0])
    bars, history = sample.bars[recent], sample.bars[~recent]
    findings = check_bars(bars, sample.symbols, week, fields, history=history, actions=sample.actions)
    if sample.stored is None:
        return findings
    settings = QualitySettings()
    return [*findings, *revisions(revised_prices(sample.stored, bars, fields, settings), settings)]
