"""Bars from a folder: one CSV or Parquet file per symbol, as traded unless the universe says that they are adjusted.

`SYMBOL.csv` or `SYMBOL.parquet` has the columns session, open, high, low, close, volume and, if there were any,
split (new shares per old share, on the ex date; 1, 0 or empty otherwise) and dividend (cash per share as paid then).
A folder whose files carry closes only says so with `fields`. A row without any price is no bar; an empty open, high,
low or volume is passed on, since windows read closes, and so is an empty close, for the rules to name.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from regime_assets.library.market.sources.base import (
    DIVIDEND,
    PRICE_FIELDS,
    SPLIT,
    Fetched,
    History,
    PriceBasis,
    SourceError,
    SymbolError,
    assemble,
    check_request,
    no_actions,
)

MAX_FILE_BYTES = 256 * 1024 * 1024


class FilesSource:
    """Daily bars in the user's own files.

    Args:
        folder: where the files are.
        fields: the price columns that every file has.
        adjusted: whether the vendor has rewritten the prices for splits and dividends. Later files are then expected
            to give the same sessions times a factor, which is kept as an action.

    Raises:
        SourceError: an unknown field.
    """

    name = "files"

    def __init__(self, folder: Path | str, fields: Sequence[str] = PRICE_FIELDS, *, adjusted: bool = False) -> None:
        unknown = sorted(set(fields) - set(PRICE_FIELDS))
        if unknown or "close" not in fields:
            raise SourceError(f"fields {list(fields)}: take close and others of {', '.join(PRICE_FIELDS)}")
        self._folder = Path(folder)
        self.basis: PriceBasis = "adjusted by the vendor" if adjusted else "as traded"
        self.fields = tuple(field for field in PRICE_FIELDS if field in fields)

    def fetch(self, symbols: Sequence[str], first: date, last: date) -> Fetched:
        """Bars and actions of `symbols`; a file that is missing or unreadable fails its symbol alone.

        Raises:
            SourceError: the folder does not exist, or the request is malformed.
        """
        wanted = check_request(symbols, first, last)
        if not self._folder.is_dir():
            raise SourceError(f"{self._folder}: no such folder of price files")
        histories: dict[str, History] = {}
        failures: dict[str, str] = {}
        for symbol in wanted:
            try:
                histories[symbol] = self._history(symbol, pd.Timestamp(first), pd.Timestamp(last))
            except SymbolError as error:
                failures[symbol] = str(error)
        return assemble(histories, failures)

    def _history(self, symbol: str, first: pd.Timestamp, last: pd.Timestamp) -> History:
        path = self._path(symbol)
        frame = _read(path)
        missing = [column for column in ("session", *self.fields) if column not in frame.columns]
        if missing:
            closes = (
                "" if "close" in missing else "; files of closes alone say so by `fields: [close]` in source.options"
            )
            raise SymbolError(f"{path.name}: no column {', '.join(missing)}{closes}")
        try:
            frame["session"] = _sessions(frame["session"])
            numbers = [column for column in (*self.fields, "split", "dividend") if column in frame.columns]
            frame = frame[["session", *numbers]].assign(**{name: _numbers(frame[name], path) for name in numbers})
        except (ValueError, TypeError) as error:
            raise SymbolError(f"{path.name}: {error}") from error
        frame = frame[frame["session"].between(first, last)].set_index("session")
        if frame.empty:
            raise SymbolError(f"{path.name}: no session from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
        frame = frame[frame[[field for field in self.fields if field != "volume"]].notna().any(axis=1)]
        if frame["close"].isna().all():
            raise SymbolError(f"{path.name}: no close from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
        return History(frame[list(self.fields)], _actions(frame))

    def _path(self, symbol: str) -> Path:
        present = [path for ending in ("csv", "parquet") if (path := self._folder / f"{symbol}.{ending}").is_file()]
        if not present:
            raise SymbolError(f"neither {symbol}.csv nor {symbol}.parquet in {self._folder}")
        if len(present) > 1:
            raise SymbolError(f"both {symbol}.csv and {symbol}.parquet in {self._folder}: keep one")
        if present[0].stat().st_size > MAX_FILE_BYTES:
            raise SymbolError(f"{present[0].name}: larger than {MAX_FILE_BYTES >> 20} MB, no file of daily bars")
        return present[0]


def _read(path: Path) -> pd.DataFrame:
    import pyarrow

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path, engine="pyarrow").reset_index()
        return pd.read_csv(path, dtype={"session": str})
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise SymbolError(f"{path.name}: unreadable ({error})") from error


def _numbers(values: pd.Series, path: Path) -> pd.Series:
    """The values as float64.

    Raises:
        ValueError: one of them is no number; it is named with its line.
    """
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[numbers.isna() & values.notna()]
    if not wrong.empty:
        line = f" in line {int(wrong.index[0]) + 2}" if path.suffix == ".csv" else ""
        share = f"{len(wrong)} of {len(values)} rows"
        raise ValueError(
            f"column {values.name}{line} says {str(wrong.iloc[0])[:40]!r}, and {share} are no numbers: write 1234.5, "
            "with a point for decimals and nothing between thousands, and leave out what is missing"
        )
    return numbers.astype("float64")


def _sessions(values: pd.Series) -> pd.Series:
    """Trading days as tz-naive midnights; text must be ISO dates, so that 03/04 cannot be read two ways."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        raise ValueError("column session has a time zone; a session is a day")
    if not pd.api.types.is_datetime64_any_dtype(values):
        values = pd.to_datetime(values.astype(str), format="%Y-%m-%d")
    if values.isna().any() or (values != values.dt.normalize()).any():
        raise ValueError("column session has entries that are no days")
    return values.astype("datetime64[ns]")


def _actions(frame: pd.DataFrame) -> pd.DataFrame:
    parts = [no_actions()]
    for kind, neutral in ((SPLIT, [0.0, 1.0]), (DIVIDEND, [0.0])):
        if kind in frame.columns:
            values = frame[kind].dropna()
            values = values[~values.isin(neutral)]
            parts.append(pd.DataFrame({"ex_session": values.index, "kind": kind, "value": values.to_numpy()}))
    return pd.concat(parts, ignore_index=True)
