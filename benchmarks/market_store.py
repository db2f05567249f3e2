"""What the market store costs at full size, with pandas beside it on the same rows.

    python benchmarks/market_store.py [--symbols 500] [--years 30]

Prints a markdown table. The pandas column holds every version in one frame in memory and does the same: pick the
newest versions known, adjust, pivot; its upsert rewrites the Parquet file that it needs to last.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from regime_assets.library.database import Database
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.market.store import MarketStore

REPEATS = 5


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds of one call: the median over the repeats."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall * 1000:,.0f} ms ({self.cpu * 1000:,.0f} ms CPU)"


def measure(call: Callable[[int], object], repeats: int = REPEATS) -> Cost:
    """The median cost of `call`, which receives the number of the repeat."""
    costs: list[tuple[float, float]] = []
    for number in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call(number)
        costs.append((time.perf_counter() - wall, time.process_time() - cpu))
    return Cost(*(float(np.median(column)) for column in zip(*costs, strict=True)))


def simulate(symbols: list[str], days: tuple[date, ...]) -> Fetched:
    """Bars of all symbols on all days, with a split a decade and four dividends a year for each symbol."""
    random = np.random.default_rng(1)
    count, width = len(days), len(symbols)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0002, 0.015, (count, width)), axis=0))
    bars = pd.DataFrame(
        {
            "symbol": np.tile(np.array(symbols, dtype=object), count),
            "session": np.repeat(np.array(days, dtype="datetime64[ns]"), width),
            **{name: (close * factor).ravel() for name, factor in (("open", 0.999), ("high", 1.01), ("low", 0.99))},
            "close": close.ravel(),
            "volume": random.integers(1_000, 10_000_000, count * width).astype(float),
        }
    )
    moments = np.array(days, dtype="datetime64[ns]")
    actions: list[pd.DataFrame] = []
    for number, symbol in enumerate(symbols):
        paid, split = moments[number % 63 :: 63], moments[1000 + number :: 2520]
        actions.append(pd.DataFrame({"symbol": symbol, "ex_session": paid, "kind": "dividend", "value": 0.3}))
        actions.append(pd.DataFrame({"symbol": symbol, "ex_session": split, "kind": "split", "value": 2.0}))
    return Fetched(bars, pd.concat(actions, ignore_index=True), {})


class PandasStore:
    """The same point-in-time rows in one frame."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bars = pd.DataFrame()
        self.actions = pd.DataFrame()

    def load(self, fetched: Fetched, calendar: TradingCalendar) -> None:
        """Take over all rows and write them to the file."""
        self.actions = fetched.actions
        days = fetched.bars["session"].unique()
        decided = {day: calendar.decision_time(pd.Timestamp(day).date()).replace(tzinfo=None) for day in days}
        self.bars = fetched.bars.assign(known_at=fetched.bars["session"].map(decided))
        self.bars.to_parquet(self.path)

    def upsert(self, incoming: pd.DataFrame, fetched_at: datetime) -> None:
        """Append what differs from the newest version and write the file."""
        same_days = self.bars[self.bars["session"].isin(incoming["session"].unique())]
        newest = same_days.sort_values("known_at").drop_duplicates(["symbol", "session"], keep="last")
        both = incoming.merge(newest, on=["symbol", "session"], how="left", suffixes=("", "_old"))
        fresh = both.loc[both["close"] != both["close_old"], incoming.columns].assign(known_at=fetched_at)
        self.bars = pd.concat([self.bars, fresh], ignore_index=True)
        self.bars.to_parquet(self.path)

    def adjusted(self, known_by: datetime, first: date, last: date) -> pd.DataFrame:
        """Adjusted closes as known by a moment."""
        session = self.bars["session"]
        within = (session >= pd.Timestamp(first)) & (session <= pd.Timestamp(last))
        rows = self.bars[within & (self.bars["known_at"] <= known_by)]
        newest = rows.sort_values("known_at").drop_duplicates(["symbol", "session"], keep="last")
        closes = newest.pivot_table(index="session", columns="symbol", values="close")
        ex = self.actions["ex_session"]
        acted = self.actions[(ex > pd.Timestamp(first)) & (ex <= pd.Timestamp(last))]
        for symbol, day, kind, value in zip(*(acted[name] for name in acted.columns), strict=True):
            close = closes[symbol].loc[day]
            closes.loc[closes.index < day, symbol] *= 1 / value if kind == "split" else close / (close + value)
        return closes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Costs of the market store, as a markdown table.")
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--years", type=int, default=30)
    options = parser.parse_args()
    days = tuple(day.date() for day in pd.bdate_range("1995-01-02", periods=252 * options.years + REPEATS))
    calendar = TradingCalendar("weekdays", "America/New_York", days)
    symbols = [f"S{number:04d}" for number in range(options.symbols)]
    everything = simulate(symbols, days)
    old = everything.bars["session"] < pd.Timestamp(days[-REPEATS])
    history = Fetched(everything.bars[old], everything.actions, {})
    new_days = [everything.bars[everything.bars["session"] == pd.Timestamp(day)] for day in days[-REPEATS:]]
    as_of, first = days[-REPEATS - 1], days[-REPEATS - 365]
    loaded_at = datetime.combine(as_of, datetime.min.time(), UTC) + timedelta(days=1)
    no_actions = everything.actions.iloc[:0]
    with tempfile.TemporaryDirectory() as folder:
        store = MarketStore(Database(Path(folder) / "market.duckdb"), "benchmark")
        plain = PandasStore(Path(folder) / "bars.parquet")
        rows: list[tuple[str, Cost, Cost, str]] = []

        def upsert(number: int) -> None:
            at = loaded_at + timedelta(days=number + 1)
            store.ingest(Fetched(new_days[number], no_actions, {}), "made", at, calendar)

        def revise(number: int) -> None:
            changed = new_days[number].assign(close=new_days[number]["close"] * 1.001)
            store.ingest(Fetched(changed, no_actions, {}), "made", loaded_at + timedelta(days=40 + number), calendar)

        def same_again(number: int) -> None:
            store.ingest(Fetched(new_days[number], no_actions, {}), "made", loaded_at + timedelta(days=39), calendar)

        def window(_: int) -> pd.DataFrame:
            return store.adjusted_closes(as_of, symbols, first, as_of, calendar)

        def plain_upsert(number: int) -> None:
            plain.upsert(new_days[number], (loaded_at + timedelta(days=number + 1)).replace(tzinfo=None))

        def plain_window(_: int) -> pd.DataFrame:
            known_by = calendar.decision_time(as_of).replace(tzinfo=None)
            return plain.adjusted(known_by, first, as_of)

        loading = measure(lambda _: store.ingest(history, "made", loaded_at, calendar), 1)
        plain_loading = measure(lambda _: plain.load(history, calendar), 1)
        pd.testing.assert_frame_equal(window(0), plain_window(0)[symbols], check_names=False, check_freq=False)
        rows.append((f"bootstrap load, {len(history.bars):,} bars", loading, plain_loading, "<= 60 s"))
        target = "<= 0.3 s CPU"
        rows.append(("365-session adjusted window as of a session", measure(window), measure(plain_window), target))
        upserts = measure(upsert)
        rows.append((f"one-day upsert, {len(symbols)} bars", upserts, measure(plain_upsert), "<= 100 ms"))
        again = measure(same_again)
        rows.append(("the same day again, nothing written", again, measure(plain_upsert), "<= 100 ms"))
        revised = measure(revise)
        rows.append(("one day revised", revised, measure(plain_upsert), "<= 100 ms"))
        size = (Path(folder) / "market.duckdb").stat().st_size / 1e6
    print("| operation | market store | pandas | to reach |\n| --- | --- | --- | --- |")
    for name, ours, theirs, target in rows:
        print(f"| {name} | {ours} | {theirs} | {target} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nMedian of {REPEATS} repeats (one load). Database {size:,.0f} MB; peak memory {peak:,.0f} MB.")


if __name__ == "__main__":
    main()
