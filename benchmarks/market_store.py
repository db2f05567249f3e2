"""What the market store costs at full size, with pandas beside it on the same rows.

    python benchmarks/market_store.py [--symbols 500] [--years 30]

Prints a markdown table. The pandas column holds every version in one frame in memory and does the same: pick the
newest versions known, adjust, pivot; its upsert rewrites the Parquet file that it needs to last.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from regime_assets.library.home import Home
from regime_assets.library.market.calendar import TradingCalendar, load_calendar
from regime_assets.library.market.sources.base import Fetched
from regime_assets.library.steps.raw_prices import ingest, store_accepted
from regime_assets.library.universe import Universe
from regime_assets.library.workspace import Workspace

REPEATS = 9
RIVAL_REPEATS = 3
START = date(1993, 1, 4)


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds of one call, one row a repeat."""

    seconds: np.ndarray

    def __str__(self) -> str:
        if len(self.seconds) == 1:
            return " / ".join(_shown(value) for value in self.seconds[0])
        least, median = self.seconds.min(axis=0), np.median(self.seconds, axis=0)
        return " / ".join(f"{_shown(low)} to {_shown(middle)}" for low, middle in zip(least, median, strict=True))


def _shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 10.0 else f"{seconds * 1000:,.0f} ms"


def measure(call: Callable[[int], object], repeats: int = REPEATS) -> Cost:
    """The cost of `call`, which receives the number of the repeat."""
    costs: list[tuple[float, float]] = []
    for number in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        call(number)
        costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    return Cost(np.array(costs))


def simulate(symbols: list[str], days: tuple[date, ...]) -> Fetched:
    """Bars as traded of all symbols on all days, with a split a decade and four dividends a year for each symbol."""
    random = np.random.default_rng(1)
    count, width = len(days), len(symbols)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0002, 0.015, (count, width)), axis=0))
    moments = np.array(days, dtype="datetime64[ns]")
    actions: list[pd.DataFrame] = []
    for number, symbol in enumerate(symbols):
        paid, split = moments[number % 63 :: 63], np.arange(1000 + number, count, 2520)
        cash = close[number % 63 :: 63, number] * 0.003
        for first in split:
            close[first:, number] /= 2.0
            cash[paid >= moments[first]] /= 2.0
        actions.append(pd.DataFrame({"symbol": symbol, "ex_session": paid, "kind": "dividend", "value": cash}))
        actions.append(pd.DataFrame({"symbol": symbol, "ex_session": moments[split], "kind": "split", "value": 2.0}))
    bars = pd.DataFrame(
        {
            "symbol": np.tile(np.array(symbols, dtype=object), count),
            "session": np.repeat(moments, width),
            **{name: (close * factor).ravel() for name, factor in (("open", 0.999), ("high", 1.01), ("low", 0.99))},
            "close": close.ravel(),
            "volume": random.integers(1_000, 10_000_000, count * width).astype(float),
        }
    )
    return Fetched(bars, pd.concat(actions, ignore_index=True), {})


def write_files(fetched: Fetched, folder: Path) -> None:
    """A Parquet file a symbol, as the source `files` reads them."""
    folder.mkdir()
    values = fetched.actions.pivot(index=["symbol", "ex_session"], columns="kind", values="value")
    joined = fetched.bars.merge(values, left_on=["symbol", "session"], right_index=True, how="left")
    for symbol, rows in joined.groupby("symbol"):
        rows.drop(columns="symbol").to_parquet(folder / f"{symbol}.parquet", index=False)


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


def read_files(folder: Path) -> pd.DataFrame:
    """All files of the folder as one frame."""
    return pd.concat([pd.read_parquet(path).assign(symbol=path.stem) for path in sorted(folder.iterdir())])


def make_chain(folder: Path, files: Path, symbols: list[str]) -> Workspace:
    """An empty store below `folder`, for a universe that reads `files`."""
    universe = {
        "name": "benchmark",
        "source": {"kind": "files", "options": {"folder": str(files)}},
        "history_start": START,
        "first_partition": START + timedelta(days=800),
        "symbols": symbols,
    }
    return Workspace(Universe.model_validate(universe), Home(folder))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Costs of the market store, as a markdown table.")
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--years", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows, size, bars = _measured(Path(scratch), options.symbols, options.years)
    print("| operation | market store: CPU / wall | pandas: CPU / wall | to reach |\n| --- | --- | --- | --- |")
    for name, ours, theirs, target in rows:
        print(f"| {name} | {ours} | {theirs} | {target} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\n{bars:,} bars. Minimum to median of {REPEATS} repeats, pandas {RIVAL_REPEATS}; loads once. "
        f"Load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores. Database {size:,.0f} MB; "
        f"peak memory {peak:,.0f} MB."
    )


def _measured(folder: Path, width: int, years: int) -> tuple[list[tuple[str, Cost, Cost, str]], float, int]:
    calendar: TradingCalendar = load_calendar("XNYS", START, folder)
    days = calendar.all_sessions[: 252 * years + REPEATS]
    symbols = [f"S{number:04d}" for number in range(width)]
    everything = simulate(symbols, days)
    moments = [pd.Timestamp(day) for day in days]
    history = everything.bars["session"] < moments[-REPEATS]
    known = everything.actions["ex_session"] < moments[-REPEATS]
    loaded = Fetched(everything.bars[history], everything.actions[known], {})
    new_days = [everything.bars[everything.bars["session"] == moment] for moment in moments[-REPEATS:]]
    as_of, first = days[-REPEATS - 1], days[-REPEATS - 365]
    loaded_at = datetime.combine(as_of, datetime.min.time(), UTC) + timedelta(days=1)
    no_actions = everything.actions.iloc[:0]
    write_files(loaded, folder / "files")
    workspace = make_chain(folder / "whole", folder / "files", symbols)
    plain = PandasStore(folder / "bars.parquet")

    def load_in_parts(_: int) -> None:
        ingest(make_chain(folder / "parts", folder / "files", symbols), [as_of], log=lambda _: None)

    def plain_load(_: int) -> None:
        plain.load(Fetched(read_files(folder / "files"), loaded.actions, {}), calendar)

    def store(rows: pd.DataFrame, at: datetime) -> None:
        store_accepted(workspace, Fetched(rows, no_actions, {}), "made", at)

    def upsert(number: int) -> None:
        store(new_days[number], loaded_at + timedelta(days=number + 1))

    def revise(number: int) -> None:
        changed = new_days[number].assign(close=new_days[number]["close"] * 1.001)
        store(changed, loaded_at + timedelta(days=40 + number))

    def same_again(number: int) -> None:
        store(new_days[number], loaded_at + timedelta(days=39))

    def window(_: int) -> pd.DataFrame:
        return workspace.market.adjusted_closes(as_of, symbols, first, as_of, calendar)

    def plain_upsert(number: int) -> None:
        plain.upsert(new_days[number], (loaded_at + timedelta(days=number + 1)).replace(tzinfo=None))

    def plain_window(_: int) -> pd.DataFrame:
        return plain.adjusted(calendar.decision_time(as_of).replace(tzinfo=None), first, as_of)

    whole = measure(lambda _: workspace.market.ingest(loaded, "made", loaded_at, calendar), 1)
    plain_whole = measure(lambda _: plain.load(loaded, calendar), 1)
    pd.testing.assert_frame_equal(window(0), plain_window(0)[symbols], check_names=False, check_freq=False)
    windows, plain_windows = measure(window), measure(plain_window, RIVAL_REPEATS)
    upserts, plain_upserts = measure(upsert), measure(plain_upsert, RIVAL_REPEATS)
    again, revised = measure(same_again), measure(revise)
    parts, plain_parts = measure(load_in_parts, 1), measure(plain_load, 1)
    rows = [
        ("bootstrap: bars in memory, stored at once", whole, plain_whole, "<= 60 s"),
        ("bootstrap: files read, validated, stored in parts", parts, plain_parts, "<= 60 s"),
        ("365-session adjusted window as of a session", windows, plain_windows, "<= 0.3 s CPU"),
        (f"one-day upsert, {width} bars", upserts, plain_upserts, "<= 100 ms"),
        ("the same day again, nothing written", again, plain_upserts, "<= 100 ms"),
        ("one day revised", revised, plain_upserts, "<= 100 ms"),
    ]
    return rows, workspace.home.database(workspace.universe.name).stat().st_size / 1e6, len(loaded.bars)


if __name__ == "__main__":
    main()
