"""What an action makes of a position."""

from dataclasses import replace

import numpy as np
import pytest

from regime_assets.library.trading.actions import ActionMap


@pytest.mark.parametrize("width", [1, 3])
def test_a_path_of_positions_is_held_as_one_session_after_the_other_is(width: int) -> None:
    kind = "residual" if width == 1 else "weights"
    action = ActionMap(kind, np.full(width, 1.0 / width), 0.5, 0.0, 1.0, no_trade_band=0.05)
    wanted = 0.3 + 0.1 * np.random.default_rng(3).uniform(size=(200, width))
    position, one_by_one = np.full(width, 0.3), np.empty_like(wanted)
    before = position
    for session in range(len(wanted)):
        position = action.settled(position[None], wanted[session : session + 1])[0]
        one_by_one[session] = position
    held = action.held(before, wanted)
    assert np.array_equal(held, one_by_one)
    assert not np.array_equal(held, wanted), "the band holds some of them back"
    assert np.array_equal(replace(action, no_trade_band=0.0).held(before, wanted), wanted)
