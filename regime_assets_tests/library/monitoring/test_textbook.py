from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from regime_assets.library.monitoring.textbook import largest_gap, textbook_share

SAMPLE = st.lists(st.floats(-10, 10), min_size=3, max_size=40)


@given(SAMPLE, SAMPLE)
def test_the_gap_is_scipys_two_sample_statistic(first: list[float], second: list[float]) -> None:
    assert largest_gap(first, second) == pytest.approx(ks_2samp(first, second).statistic)


def test_independent_days_are_called_drifted_one_time_in_twenty() -> None:
    draws = np.random.default_rng(1).normal(size=(525, 400))
    days = pd.DataFrame(draws, columns=[str(number) for number in range(400)])
    share = textbook_share(days.iloc[:504], days.iloc[504:], list(days.columns))
    assert 0.02 < share < 0.08
