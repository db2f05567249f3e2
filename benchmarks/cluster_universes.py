"""The universes of the rehearsal: made-up closes, models that are hardly trained, and their sessions."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

SYMBOLS = [f"S{number}" for number in range(4)]
FIRST_PRICE, LAST_PRICE, FIRST_SESSION = date(2016, 1, 4), date(2018, 12, 31), date(2018, 6, 4)


def names(count: int) -> list[str]:
    """Of the universes."""
    return [f"u{number:02d}" for number in range(count)]


def write_universes(folder: Path, count: int) -> Path:
    """Universe files with made-up closes and models that are hardly trained; return the files' folder."""
    from regime_assets.library.market.calendar import load_calendar
    from regime_assets_tests.designs import SMALL_ENCODER, SMALL_POLICY

    universes = folder / "universes"
    universes.mkdir(parents=True)
    sessions = load_calendar("XNYS", FIRST_PRICE, folder / "calendars").sessions(FIRST_PRICE, LAST_PRICE)
    volatility = np.where(np.arange(len(sessions)) // 125 % 2, 0.02, 0.007)[:, None]
    for number, name in enumerate(names(count)):
        prices = folder / "prices" / name
        prices.mkdir(parents=True)
        random = np.random.default_rng(number)
        common, own = (random.standard_normal((len(sessions), width)) for width in (1, len(SYMBOLS)))
        closes = 100.0 * np.cumprod(1.0 + volatility * (0.7 * common + 0.7 * own), axis=0)
        for symbol, column in zip(SYMBOLS, closes.T, strict=True):
            pd.DataFrame({"session": sessions, "close": column}).to_csv(prices / f"{symbol}.csv", index=False)
        text = {
            "name": name,
            "calendar": "XNYS",
            "symbols": SYMBOLS,
            "source": {"kind": "files", "options": {"folder": str(prices), "fields": ["close"]}},
            "history_start": FIRST_PRICE,
            "first_partition": FIRST_SESSION,
            "last_partition": LAST_PRICE,
            "walk_forward": {"sessions": 60, "refit_every": 60},
            "gate": {"drawdown_limit": 1.0, "turnover_limit": 1.0e9},  # whether the models are good is not asked here
            "design": {
                "encoder": {"use": "mlp_vae", **{k: list(v) if k == "hidden" else v for k, v in SMALL_ENCODER.items()}},
                "policy": {"use": "tilts", **SMALL_POLICY},
            },
        }
        (universes / f"{name}.yaml").write_text(yaml.safe_dump(text))
    return universes


def days(count: int) -> list[str]:
    """The sessions that are asked for."""
    from regime_assets.library.market.calendar import load_calendar

    with tempfile.TemporaryDirectory() as folder:
        found = load_calendar("XNYS", FIRST_PRICE, Path(folder)).sessions(FIRST_SESSION, LAST_PRICE)[:count]
    return [f"{session:%Y-%m-%d}" for session in found]
