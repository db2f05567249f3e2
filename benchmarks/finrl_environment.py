"""FinRL's `StockTradingEnv` on a tape of one instrument, for `time_to_quality.py`.

The class is read out of FinRL's wheel: its file needs pandas, Gymnasium, matplotlib and Stable-Baselines3, the package
around it much more.

    pip download --no-deps --dest /tmp finrl==0.3.7
    python benchmarks/time_to_quality.py --finrl /tmp/FinRL-0.3.7-py3-none-any.whl

Its prices are laid out so that what is decided on a day earns what the same decision earns on the tape, and one action
can buy or sell everything. It observes cash, price and shares besides the tape's observations.
"""

from __future__ import annotations

import importlib.util
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.trading.scoring import FILL_DELAY
from regime_assets.library.trading.tape import MarketTape

FILE = "finrl/meta/env_stock_trading/env_stocktrading.py"
CAPITAL, FIRST_PRICE = 1_000_000, 100.0


def environment_class(wheel: Path) -> Any:
    """The class, from the wheel's file alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(zipfile.ZipFile(wheel).extract(FILE, folder))
        spec = importlib.util.spec_from_file_location("finrl_stock_trading", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.StockTradingEnv


def environment(wheel_class: Any, tape: MarketTape, cost: float) -> Any:
    """One environment that plays the whole tape."""
    earned = tape.returns[FILL_DELAY:, 0]
    prices = FIRST_PRICE * np.concatenate([[1.0], np.cumprod(1.0 + earned)])
    observed = tape.observations[: len(prices)].astype(np.float64)
    names = [f"observed_{column}" for column in range(observed.shape[1])]
    days = pd.DataFrame(observed, columns=names).assign(date=np.arange(len(prices)), tic="INDEX", close=prices)
    return wheel_class(
        df=days,
        stock_dim=1,
        hmax=int(CAPITAL / FIRST_PRICE),
        initial_amount=CAPITAL,
        num_stock_shares=[0],
        buy_cost_pct=[cost],
        sell_cost_pct=[cost],
        reward_scaling=1e-4,
        state_space=3 + len(names),
        action_space=1,
        tech_indicator_list=names,
        print_verbosity=1_000_000_000,
    )


def net_returns(env: Any, act: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> NDArray[np.float64]:
    """Net returns (T,) of a policy that plays an environment from cash to its last day."""
    state, _ = env.reset()
    ended = False
    while not ended:
        state, _, ended, _, _ = env.step(act(np.asarray(state, dtype=np.float32)))
    assets = np.asarray(env.asset_memory, dtype=np.float64)
    return assets[1:] / assets[:-1] - 1.0
