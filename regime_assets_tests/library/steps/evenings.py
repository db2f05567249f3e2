"""Sixty evenings of a vendor as vendors are, served to the real yfinance client by a server on this machine.

Evening bars have an open or close cents outside their range and are in order a day later; a close comes without its
range; a dividend is told a week late; a history comes rescaled with its split; the exchange closes on a day that no
calendar knows; one symbol is halted, one has another ticker from a day on, one answers nothing on an evening.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.window import Rolling, Window, read_window
from regime_assets.library.steps.raw_prices import Ingested, RejectedDataError, ingest
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
"""


@dataclass(frozen=True)
class Script:
    """What happens on which evening; each a position among the rehearsed sessions."""

    closing: int = 8
    halt: tuple[int, int] = (15, 20)
    rename: int = 30
    silent: int = 36
    late_dividend: tuple[int, int] = (24, 29)
    split: int = 45


@dataclass
class Evenings:
    """A vendor, a universe, and what was seen on each evening.

    Attributes:
        server: stands in for the vendor.
        root: a folder.
        sessions: the rehearsed sessions.
        script: what happens when.
        lookback: sessions loaded before the first of them.
    """

    server: VendorServer
    root: Path
    sessions: Sequence[date]
    script: Script
    lookback: int = 60
    exceptions: str = ""
    seen: list[str] = field(default_factory=list[str])
    blocks: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        vendor.prepare_yahoo(self.server)
        self.rng = np.random.default_rng(7)
        self._open("")
        history = self.workspace.calendar.sessions(date(2020, 1, 2), self.sessions[-1])
        last = history.index(self.sessions[0])
        self.days = list(history[last - self.lookback : last]) + list(self.sessions)
        closed = self.sessions[self.script.closing]
        self.traded_days = [day for day in self.days if day != closed]
        self.bars = {symbol: self._walk(number) for number, symbol in enumerate((*WATCHED, TRADED))}
        self._open("")

    def rehearse(self) -> None:
        """Every evening after the close: run; what blocks is answered once with what the message says."""
        for number, session in enumerate(self.sessions):
            self._serve(number, session)
            if number == self.script.closing:
                self._block(session)
                self._open(f"accept: [{{session: {session}, rule: unknown_closing, reason: mourning, by: ann}}]\n")
                continue
            if number == self.script.rename + 2:
                until = self.sessions[self.script.rename - 1]
                self._open(f"renamed: [{{symbol: {NEW_NAME}, formerly: CCC, until: {until}}}]\n", renamed=True)
            ingested = self._run(session)
            window = self.window(session)
            held = [str(name) for name in window.prices.columns if np.isnan(window.prices[name].iloc[-1])]
            rules = ", ".join(sorted(set(ingested.warnings["rule"]))) or "none"
            self.seen.append(f"{session}: {len(window.prices.columns) - len(held)} prices, warnings {rules}")

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
        self.exceptions += exception
        start = self.days[0] if hasattr(self, "days") else date(2020, 1, 2)
        symbols = [NEW_NAME if renamed and name == "CCC" else name for name in WATCHED]
        text = UNIVERSE.format(
            server=self.server.base_url, start=start, first=start + timedelta(days=60), symbols=", ".join(symbols)
        )
        (self.root / "evenings.yaml").write_text(text + self.exceptions)
        self.workspace = Workspace(load_universe(self.root / "evenings.yaml"), Home(self.root / "home"))

    def _run(self, session: date) -> Ingested:
        with clock.at(datetime.combine(session, time(18, 30), vendor.NEW_YORK)):
            return ingest(self.workspace, [session], lambda _: None)

    def _block(self, session: date) -> None:
        try:
            self._run(session)
        except RejectedDataError as refused:
            self.blocks.append(str(refused))

    def _walk(self, number: int) -> list[TradedBar]:
        closes = np.round(80.0 * np.exp(np.cumsum(self.rng.normal(0.0, 0.008, len(self.traded_days)))) + number, 2)
        return [
            TradedBar(day, close, round(close + 0.5, 2), round(close - 0.5, 2), close, int(volume))
            for day, close, volume in zip(
                self.traded_days, closes.tolist(), self.rng.integers(900, 1100, len(closes)), strict=True
            )
        ]

    def _serve(self, number: int, session: date) -> None:
        """The vendor's answers on one evening."""
        script, first_halted, last_halted = self.script, *(self.sessions[n] for n in self.script.halt)
        for symbol, traded in self.bars.items():
            bars = [bar for bar in traded if bar.session <= session]
            if symbol == "BBB":
                bars = [bar for bar in bars if not first_halted <= bar.session <= last_halted]
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


def _halved(bar: TradedBar) -> TradedBar:
    prices = {name: round(getattr(bar, name) / 2, 3) for name in ("open", "high", "low", "close")}
    return bar._replace(**prices, volume=bar.volume * 2)


def told(evenings: Evenings) -> pd.DataFrame:
    """Every exception that is visible afterwards: what was refused or held back, and what was decided of it."""
    history = evenings.workspace.quarantine.history()
    return history[["rule", "symbol", "session", "message", "accepted_at"]]
