"""What a policy decided for each instrument is what is stored, read back and scored."""

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.trading.decided import (
    DecidedWeightsError,
    packed,
    unpacked,
    weight_columns,
    weights_of,
)

SESSIONS = pd.DatetimeIndex(["2020-01-02", "2020-01-03"], name="session")


def decisions(weights: list[list[float]], symbols: list[str]) -> pd.DataFrame:
    held = np.array(weights)
    return pd.DataFrame(
        {"policy_exposure": held.sum(axis=1), **weight_columns(held, "policy", symbols)}, index=SESSIONS
    )


def test_unequal_weights_come_back_as_they_were_decided() -> None:
    decided = decisions([[0.0, 1.0], [0.1, 0.2]], ["A", "B"])
    back = unpacked(packed(decided))
    np.testing.assert_array_equal(weights_of(back, "policy", ["A", "B"]), [[0.0, 1.0], [0.1, 0.2]])
    np.testing.assert_array_equal(weights_of(back, "policy", ["B", "A"]), [[1.0, 0.0], [0.2, 0.1]])


def test_decisions_stored_before_weights_were_held_equal_parts() -> None:
    old = pd.DataFrame({"policy_exposure": [1.0, 0.5]}, index=SESSIONS)
    np.testing.assert_array_equal(weights_of(unpacked(old), "policy", ["A", "B"]), [[0.5, 0.5], [0.25, 0.25]])


def test_old_and_new_decisions_stand_in_one_table() -> None:
    new = packed(decisions([[0.0, 1.0], [0.1, 0.2]], ["A", "B"]))
    mixed = new.assign(policy_weights=[None, new["policy_weights"].iloc[1]])
    np.testing.assert_allclose(weights_of(unpacked(mixed), "policy", ["A", "B"]), [[0.5, 0.5], [0.1, 0.2]])


def test_decisions_on_other_instruments_are_refused_by_name() -> None:
    decided = decisions([[0.0, 1.0], [0.1, 0.2]], ["A", "B"])
    with pytest.raises(DecidedWeightsError, match="hold B, which is not traded any more"):
        weights_of(decided, "policy", ["A"])
    with pytest.raises(DecidedWeightsError, match="no weight of C"):
        weights_of(decided, "policy", ["A", "B", "C"])
