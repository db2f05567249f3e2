"""What is promised of a promoted record is kept, and is less than the record where the record was selected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.evaluation.bootstrap import Interval
from regime_assets.library.evaluation.live_interval import live_sharpe_interval, shrunk_gain
from regime_assets.library.evaluation.paired_test import PairedTest

RECORD = Interval(1.0, 0.2, 1.8, 0.95, 0.4, 5.0, 756)


def gain(estimate: float, standard_error: float) -> PairedTest:
    return PairedTest(estimate, standard_error, estimate / standard_error, 756)


def test_a_record_that_nobody_selected_is_promised_as_it_is() -> None:
    live = live_sharpe_interval(RECORD)
    assert live.expected == RECORD.estimate
    assert live.high - live.expected == pytest.approx(1.96 * 0.4 * (1 + 756 / 252) ** 0.5, rel=1e-3)


@given(st.floats(0.01, 3.0), st.floats(0.01, 2.0))
def test_a_selected_record_promises_less_and_never_less_than_without_its_gain(estimate: float, error: float) -> None:
    live = live_sharpe_interval(RECORD, gain(estimate, error))
    assert RECORD.estimate - estimate <= live.expected < RECORD.estimate


@given(st.floats(0.05, 1.0))
def test_the_less_certain_a_gain_the_more_of_it_is_luck(error: float) -> None:
    assert shrunk_gain(1.0, error) > shrunk_gain(1.0, 1.1 * error)


def test_the_more_sessions_lie_ahead_the_narrower_the_promise() -> None:
    year, decade = (live_sharpe_interval(RECORD, ahead=ahead) for ahead in (252, 2520))
    assert year.low < decade.low < decade.high < year.high
