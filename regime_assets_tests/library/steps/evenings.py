"""Sixty evenings of a vendor as vendors are, served to the real yfinance client by a server on this machine.

Evening bars have an open or close cents outside their range and are in order a day later; a close comes without its
range; a dividend is told a week late; a history comes rescaled with its split; the exchange closes on a day that no
calendar knows; one symbol is halted, one has another ticker from a day on, one answers nothing on an evening; one falls
to a twentieth, which is right; what is traded comes late once. What blocks is answered with what its message says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.window import Rolling, Window, read_window
from regime_assets.library.steps import bar_decisions
from regime_assets.library.steps.raw_prices import RejectedDataError, ingest
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.market import vendor_formats as vendor
from regime_assets_tests.library.market.vendor_formats import TradedBar, yahoo_chart, yahoo_path
from regime_assets_tests.library.market.vendor_server import VendorServer

WATCHED = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH")
TRADED = "SPX"
NEW_NAME = "NEW"
UNIVERSE = """\
name: evenings
source: {{kind: yahoo, options: {{base_url: "{server}", pause: 0.0, attempts: 1, backoff: 0.01}}}}
calendar: XNYS
history_start: {start}
first_partition: {first}
symbols: [{symbols}]
traded: [SPX]
quality: {{held_back_share: 0.25}}
"""


LONGEST_WINDOW = 500
"""Sessions before the first one from which on its windows hold."""


class BlockedError(Exception):
    """A session whose run failed, with the words that it left."""


@dataclass(frozen=True)
class Script:
    """What happens on which evening; each a position among the rehearsed sessions."""

    closing: int = 8
    halt: tuple[int, int] = (15, 20)
    rename: int = 30
    silent: int = 36
    late_dividend: tuple[int, int] = (24, 29)
    split: int = 45
    crash: tuple[int, int] = (33, 42)
    late: int = 50


@dataclass
class Evenings:
    """A vendor, a universe, and what was seen on each evening.

    Attributes:
        server: stands in for the vendor.
        root: a folder.
        sessions: the rehearsed sessions.
        script: what happens when.
        lookback: sessions loaded before the first of them.
        more: further lines of the universe's file.
        answer: runs one session and tells what came of it; raises when a rule blocks.
    """

    server: VendorServer
    root: Path
    sessions: Sequence[date]
    script: Script
    lookback: int = 60
    more: str = ""
    answer: Callable[[Evenings, date], str] | None = None
    seen: list[str] = field(default_factory=list[str])
    blocks: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        vendor.prepare_yahoo(self.server)
        self.rng = np.random.default_rng(7)
        self._open("")
        history = self.workspace.calendar.sessions(date(2018, 1, 2), self.sessions[-1])
        last = history.index(self.sessions[0])
        self.days = list(history[last - self.lookback : last]) + list(self.sessions)
        closed = self.sessions[self.script.closing]
        self.traded_days = [day for day in self.days if day != closed]
        self.bars = {symbol: self._walk(number) for number, symbol in enumerate((*WATCHED, TRADED))}
        self._open("")

    def rehearse(self) -> None:
        """Every evening after the close: run; what blocks is answered once with what the message says."""
        script = self.script
        for number, session in enumerate(self.sessions):
            self._serve(number, session)
            if number == script.closing:
                self._block(session)
                self._open(f"accept: [{{session: {session}, rule: unknown_closing, reason: mourning, by: ann}}]\n")
                continue
            if number == script.rename + 2:
                until = self.sessions[script.rename - 1]
                self._open(f"renamed: [{{symbol: {NEW_NAME}, formerly: CCC, until: {until}}}]\n", renamed=True)
            if number == script.crash[1]:
                day = self.sessions[script.crash[0]]
                with clock.at(_evening(session)):
                    bar_decisions.accept(self.workspace, "HHH", day, "largest_move", "its licence was withdrawn", "ann")
            if number == script.late:
                self._block(session)
                self._serve(number, session, late=False)
            self.seen.append(f"{session}: {self._run(session)}")

    def window(self, session: date) -> Window:
        """The window as of a session; none of its traded prices is missing."""
        work = self.workspace
        return read_window(
            work.market,
            work.calendar,
            horizon_name="short",
            shape=Rolling(30),
            as_of=session,
            symbols=work.universe.symbols,
            traded=work.universe.held,
            history_start=work.universe.history_start,
            lookback=10,
            membership=work.membership(session),
            accepted=(*work.universe.accept, *work.decided(session)),
        )

    def _open(self, exception: str, *, renamed: bool = False) -> None:
        self.more += exception
        start = self.days[0] if hasattr(self, "days") else date(2018, 1, 2)
        first = self.sessions[0] if self.lookback > LONGEST_WINDOW else start + timedelta(days=60)
        symbols = [NEW_NAME if renamed and name == "CCC" else name for name in WATCHED]
        text = UNIVERSE.format(server=self.server.base_url, start=start, first=first, symbols=", ".join(symbols))
        self.universes.mkdir(exist_ok=True)
        (self.universes / "evenings.yaml").write_text(text + self.more)
        self.workspace = Workspace(load_universe(self.universes / "evenings.yaml"), Home(self.root / "home"))

    @property
    def universes(self) -> Path:
        """The folder of the universe's file."""
        return self.root / "universes"

    def _run(self, session: date) -> str:
        with clock.at(_evening(session)):
            return (self.answer or _ingested)(self, session)

    def _block(self, session: date) -> None:
        try:
            self._run(session)
        except (RejectedDataError, BlockedError) as refused:
            self.blocks.append(f"{session}: {refused}")

    def _walk(self, number: int) -> list[TradedBar]:
        closes = np.round(80.0 * np.exp(np.cumsum(self.rng.normal(0.0, 0.008, len(self.traded_days)))) + number, 2)
        return [
            TradedBar(day, close, round(close + 0.5, 2), round(close - 0.5, 2), close, int(volume))
            for day, close, volume in zip(
                self.traded_days, closes.tolist(), self.rng.integers(900, 1100, len(closes)), strict=True
            )
        ]

    def _serve(self, number: int, session: date, *, late: bool = True) -> None:
        """The vendor's answers on one evening."""
        script, first_halted, last_halted = self.script, *(self.sessions[n] for n in self.script.halt)
        for symbol, traded in self.bars.items():
            bars = [bar for bar in traded if bar.session <= session]
            if symbol == "BBB":
                bars = [bar for bar in bars if not first_halted <= bar.session <= last_halted]
            if symbol == "HHH":
                bars = [_scaled(bar, 0.05) if bar.session >= self.sessions[script.crash[0]] else bar for bar in bars]
            if symbol == TRADED and number == script.late and late:
                bars = [bar for bar in bars if bar.session < session]
            fresh = bars[-1].session == session
            if fresh and (number + len(symbol)) % 3 == 0:
                bars[-1] = bars[-1]._replace(open=round(bars[-1].high + 0.02, 2))  # cents beyond, in order tomorrow
            dividends, splits = {}, {}
            if symbol == "DDD" and number >= script.late_dividend[1]:
                dividends = {self.sessions[script.late_dividend[0]]: 0.4}
            if symbol == "EEE" and number >= script.split:
                splits = {self.sessions[script.split]: (2, 1)}
                bars = [_halved(bar) if bar.session >= self.sessions[script.split] else bar for bar in bars]
            chart = yahoo_chart(bars, splits=splits, dividends=dividends)
            if fresh and symbol == "FFF" and number % 7 == 3:
                for name in ("open", "high", "low"):
                    chart["chart"]["result"][0]["indicators"]["quote"][0][name][-1] = None
            answer = vendor.yahoo_unknown() if symbol == "GGG" and number == script.silent else chart
            if symbol == "CCC" and number >= script.rename:
                self.server.route(yahoo_path(NEW_NAME), chart)
                answer = vendor.yahoo_unknown()
            self.server.route(yahoo_path(symbol), answer)


def _evening(session: date) -> datetime:
    return datetime.combine(session, time(18, 30), vendor.NEW_YORK)


def _ingested(evenings: Evenings, session: date) -> str:
    """The prices alone: fetched, judged, stored and read as a window."""
    ingested = ingest(evenings.workspace, [session], lambda _: None)
    window = evenings.window(session)
    held = [str(name) for name in window.prices.columns if np.isnan(window.prices[name].iloc[-1])]
    rules = ", ".join(sorted(set(ingested.warnings["rule"]))) or "none"
    return f"{len(window.prices.columns) - len(held)} prices, warnings {rules}"


def _scaled(bar: TradedBar, factor: float) -> TradedBar:
    prices = {name: round(getattr(bar, name) * factor, 3) for name in ("open", "high", "low", "close")}
    return bar._replace(**prices)


def _halved(bar: TradedBar) -> TradedBar:
    return _scaled(bar, 0.5)._replace(volume=bar.volume * 2)


def told(evenings: Evenings) -> pd.DataFrame:
    """Every exception that is visible afterwards: what was refused or held back, and what was decided of it."""
    history = evenings.workspace.quarantine.history()
    return history[["rule", "symbol", "session", "message", "accepted_at"]]
