"""Listings and their tickers: one that was renamed keeps one history, stored under the ticker of each day.

What the universe's file names is the listing, by its ticker of today. The store's rows carry the ticker that was in
force on their session, so that a rename touches nothing that is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd


class Rename(NamedTuple):
    """One former ticker of a listing.

    Attributes:
        listing: its ticker today.
        ticker: the former one.
        until: last day of the former one.
    """

    listing: str
    ticker: str
    until: date


@dataclass(frozen=True)
class Tickers:
    """The former tickers of some listings; without any, ticker and listing are the same."""

    renames: tuple[Rename, ...] = ()

    def of(self, listings: Iterable[str]) -> list[str]:
        """Every ticker under which these listings are or were traded."""
        named = list(listings)
        return list(dict.fromkeys([*named, *(one.ticker for one in self.renames if one.listing in named)]))

    def ticker(self, listing: str, session: date) -> str:
        """The ticker of a listing on a session."""
        former = [one for one in self.renames if one.listing == listing and session <= one.until]
        return min(former, key=lambda one: one.until).ticker if former else listing

    def as_stored(self, frame: pd.DataFrame, session: str) -> pd.DataFrame:
        """`frame` by listing (column symbol) with the ticker of each row's session instead."""
        return self._replaced(frame, session, to_listing=False)

    def as_listed(self, frame: pd.DataFrame, session: str) -> pd.DataFrame:
        """Stored rows by listing; without those that another company has under one of the tickers."""
        listed = self._replaced(frame, session, to_listing=True)
        if not self.renames:
            return listed
        stored = self._replaced(listed, session, to_listing=False)["symbol"]
        return listed[(stored == frame["symbol"]).to_numpy()].reset_index(drop=True)

    def _replaced(self, frame: pd.DataFrame, session: str, *, to_listing: bool) -> pd.DataFrame:
        if not self.renames or frame.empty:
            return frame
        symbols = frame["symbol"].to_numpy(dtype=object).copy()
        given, days = frame["symbol"].to_numpy(dtype=object), pd.to_datetime(frame[session]).to_numpy()
        for one in sorted(self.renames, key=lambda rename: rename.until, reverse=True):  # the earliest one decides
            until = days <= np.datetime64(one.until)
            if to_listing:
                symbols[(given == one.ticker) & until] = one.listing
            else:
                symbols[(given == one.listing) & until] = one.ticker
        return frame.assign(symbol=symbols)

    def late(self, stretches: Iterable[tuple[str, date, date]]) -> Sequence[tuple[str, date, date]]:
        """Stretches by listing, for each ticker that the listing has or had."""
        return [(ticker, first, last) for listing, first, last in stretches for ticker in self.of([listing])]
