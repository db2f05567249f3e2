"""Two strategies on the same sessions are told apart by as much as their slowest differences allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from regime_assets.library.evaluation.bootstrap import sharpe_difference
from regime_assets.library.evaluation.paired_test import FREQUENCIES, normal_score, paired_statistics, paired_test
from regime_assets.library.evaluation.track_record import MetricError


def pair(sessions: int = 1000, gain: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    champion = generator.normal(0.0004, 0.01, sessions)
    return 0.9 * champion + generator.normal(0.00004 + gain, 0.0044, sessions), champion


def test_the_estimate_is_the_difference_of_the_two_ratios() -> None:
    challenger, champion = pair()
    test = paired_test(challenger, champion)
    ratios = [np.sqrt(252) * series.mean() / series.std(ddof=1) for series in (challenger, champion)]
    assert test is not None
    assert test.estimate == pytest.approx(ratios[0] - ratios[1])
    assert test.sessions == 1000


def test_on_independent_sessions_the_error_is_about_that_of_a_bootstrap() -> None:
    errors, bootstrapped = [], []
    for seed in range(12):
        test, interval = paired_test(*pair(seed=seed)), sharpe_difference(*pair(seed=seed), seed=0, replications=200)
        assert test is not None
        assert interval is not None
        errors.append(test.standard_error)
        bootstrapped.append(interval.standard_error)
    assert np.mean(errors) == pytest.approx(np.mean(bootstrapped), rel=0.15)


def test_where_differences_last_for_months_the_error_is_larger_than_that_of_independent_sessions() -> None:
    generator = np.random.default_rng(0)
    champion = generator.normal(0.0004, 0.01, 1008)
    stretches = np.repeat(generator.choice([-1.0, 1.0], 16), 63)
    shuffled = generator.permutation(stretches)
    lasting, independent = (
        paired_test(champion + 0.002 * signs + generator.normal(0, 0.001, 1008), champion)
        for signs in (stretches, shuffled)
    )
    assert lasting is not None
    assert independent is not None
    assert lasting.standard_error > 3.0 * independent.standard_error


@given(st.integers(0, 10_000), st.floats(0.2, 5.0))
@settings(max_examples=30, deadline=None)
def test_swapping_the_two_turns_the_sign_and_a_scale_changes_nothing(seed: int, scale: float) -> None:
    first, second = pair(seed=seed)
    test, turned = paired_test(first, second), paired_test(scale * second, scale * first)
    assert test is not None
    assert turned is not None
    assert turned.estimate == pytest.approx(-test.estimate)
    assert turned.z == pytest.approx(-test.z)


def test_a_score_has_the_tail_of_students_t() -> None:
    values = np.array([-3.0, 0.0, 1.0, 2.5, 40.0])
    assert norm.sf(normal_score(values)) == pytest.approx(t.sf(values, FREQUENCIES), rel=1e-6)


def test_a_lower_bound_lies_below_the_estimate_and_lower_with_more_confidence() -> None:
    test = paired_test(*pair())
    assert test is not None
    assert test.lower_bound(0.95) < test.lower_bound(0.8) < test.lower_bound(0.5) == pytest.approx(test.estimate)


def test_equal_series_differ_by_nothing_and_a_flat_one_cannot_be_compared() -> None:
    challenger, champion = pair()
    equal = paired_test(champion, champion.copy())
    assert equal is not None
    assert (equal.estimate, equal.standard_error, equal.z) == (0.0, 0.0, 0.0)
    assert paired_test(np.zeros(1000), np.zeros(1000)) is not None, "both in cash"
    assert paired_test(np.zeros(1000), champion) is None
    assert paired_test(challenger[:10], champion[:10]) is None
    with pytest.raises(MetricError, match="no pairs"):
        paired_test(challenger, champion[:-1])


def test_many_pairs_at_once_are_the_same_as_one_by_one() -> None:
    rows = [pair(seed=seed) for seed in range(3)]
    _, _, z = paired_statistics(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]))
    singles = [paired_test(*row) for row in rows]
    assert list(z) == pytest.approx([test.z for test in singles if test])
