"""Real prices without a network: 20 US stocks and the S&P 500 index, 1995 to 2022.

The files ship in skfolio's wheel. They are read from the installed distribution without importing skfolio, whose
optimisers take seconds to load. The closes are adjusted for splits and dividends already, so there are no actions and
no other price field. The 20 stocks are survivors: whatever uses their cross-section is optimistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

from regime_assets.library.market.sources.base import (
    Fetched,
    History,
    PriceBasis,
    SourceError,
    assemble,
    check_request,
    no_actions,
)

DISTRIBUTION = "skfolio"
FILES = ("skfolio/datasets/data/sp500_dataset.csv.gz", "skfolio/datasets/data/sp500_index.csv.gz")
INDEX_SYMBOL = "SP500"
FIRST_DATE = date(1995, 1, 1)
LAST_SESSION = date(2022, 12, 28)


class SampleSource:
    """The embedded default source; see the module's text for what its data is."""

    name = "sample"
    basis: PriceBasis = "adjusted by the vendor"
    fields = ("close",)

    def fetch(self, symbols: Sequence[str], first: date, last: date) -> Fetched:
        """Adjusted closes of `symbols` from `first` to `last`; sessions after 2022-12-28 do not exist here.

        Raises:
            SourceError: `first` lies before 1995, skfolio's files are missing, or the request is malformed.
        """
        wanted = check_request(symbols, first, last)
        if first < FIRST_DATE:
            raise SourceError(
                f"the sample data starts at {FIRST_DATE}, not at {first}: earlier adjusted prices are rounded so "
                "coarsely, and RRC is flat for so long, that their returns mean nothing"
            )
        closes = _closes().loc[pd.Timestamp(first) : pd.Timestamp(last)]
        histories: dict[str, History] = {}
        failures: dict[str, str] = {}
        for symbol in wanted:
            if symbol not in closes.columns:
                failures[symbol] = f"the sample data has only {', '.join(closes.columns)}"
            elif closes.empty:
                failures[symbol] = f"the sample data has no session from {first} to {last}; it ends {LAST_SESSION}"
            else:
                histories[symbol] = History(closes[[symbol]].set_axis(["close"], axis=1), no_actions())
        return assemble(histories, failures)


@cache
def _closes() -> pd.DataFrame:
    """All sample closes: one row a session, one column a symbol."""
    frames = [pd.read_csv(_installed(name), index_col=0, parse_dates=True, date_format="%Y-%m-%d") for name in FILES]
    return pd.concat(frames, axis=1).rename_axis(index="session").loc[str(FIRST_DATE) :]


def _installed(name: str) -> Path:
    """Where the installed distribution keeps the file `name`."""
    try:
        found = [file for file in distribution(DISTRIBUTION).files or () if str(file) == name]
    except PackageNotFoundError:
        found = []
    path = Path(str(found[0].locate())) if found else None
    if path is None or not path.is_file():
        raise SourceError(f"the sample data {name} is missing: install the package {DISTRIBUTION}")
    return path
