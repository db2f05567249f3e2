"""Intervals belong to the record, not to the report that shows it."""

import numpy as np
import pandas as pd

from regime_assets.library.evaluation.comparison import Comparison, compare
from regime_assets.library.evaluation.contenders import BUY_AND_HOLD, POLICY, RULE
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.trading.decided import weight_columns

COST = 0.001
SESSIONS = pd.bdate_range("2015-01-02", periods=600, name="session")
RETURNS = pd.DataFrame(np.random.default_rng(7).normal(0.0003, 0.01, (600, 1)), SESSIONS, ["SP500"])
HISTORY = TrainingSet(pd.DataFrame(index=SESSIONS), RETURNS, np.ones(600), "")


def compared(exposures: np.ndarray) -> dict[str, Comparison]:
    """A track whose rule and policy hold `exposures` on the newest sessions, compared."""
    columns = weight_columns(exposures[:, None], "rule", ["SP500"]) | weight_columns(
        exposures[:, None], "policy", ["SP500"]
    )
    decided = {"rule_exposure": exposures, "policy_exposure": exposures, **columns}
    return compare(HISTORY, pd.DataFrame(decided, SESSIONS[-300:]), COST, 252)


def test_the_same_returns_have_the_same_interval_in_every_report() -> None:
    half, third = compared(np.tile([1.0, 0.0], 150)), compared(np.tile([1.0, 0.0, 0.0], 100))
    assert half[BUY_AND_HOLD].interval == third[BUY_AND_HOLD].interval
    assert half[RULE].interval == half[POLICY].interval, "they hold the same"
    assert half[RULE].interval != third[RULE].interval
