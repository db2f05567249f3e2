"""What is told in words stays readable, however much there is to tell."""

import pytest

from regime_assets.library.report.plain_words import MOST_WEIGHTS, weights_in_words

PERCENT = "{:.0%}".format


def test_few_weights_are_told_one_by_one_in_their_order() -> None:
    weights = {f"S{number}": 1 / MOST_WEIGHTS for number in range(MOST_WEIGHTS)}
    told = weights_in_words(weights, PERCENT)
    assert told.startswith("S0 4%, S1 4%")
    assert told.count(",") == MOST_WEIGHTS - 1


def test_of_many_the_largest_positions_are_told_and_the_others_as_their_sum() -> None:
    weights = {f"S{number}": 0.001 for number in range(500)} | {"SHORT": -0.3, "LONG": 0.5}
    told = weights_in_words(weights, "{:.3f}".format)
    assert told.startswith("LONG 0.500, SHORT -0.300, S0 0.001")
    shown, rest = told.split(", and ")
    assert shown.count(",") == MOST_WEIGHTS - 2
    count, total = 500 - (MOST_WEIGHTS - 3), float(rest.split()[2])
    assert rest.startswith(f"{count} others")
    assert total == pytest.approx(count * 0.001)
