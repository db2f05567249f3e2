from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.monitoring.drift import DriftMeasurement, DriftSettings
from regime_assets.library.monitoring.drift_episodes import DriftState, EpisodeCounter, EpisodeError, advance

FIRST = date(2020, 1, 1)
SETTINGS = DriftSettings(cool_down_sessions=3, back_off_sessions=30, longest_cool_down_sessions=10)


def measurement(largest: float) -> DriftMeasurement:
    scores = pd.DataFrame({"ratio": [largest]})
    return DriftMeasurement(scores, largest >= 1, float(largest >= 1), largest, "rms, 10 sessions", FIRST, FIRST, FIRST)


def run(ratios: list[float], refit_at_once: bool = True, settings: DriftSettings = SETTINGS) -> list[DriftState]:
    states: list[DriftState] = []
    retrained = None
    for day, ratio in enumerate(ratios):
        session = FIRST + timedelta(days=day)
        previous = states[-1] if states else None
        states.append(advance(previous, measurement(ratio), session, settings, retrained))
        if refit_at_once and states[-1].refresh_requested:
            retrained = session
    return states


def statuses(states: list[DriftState]) -> str:
    return "".join(state.status[0] for state in states)


def test_single_session_over_the_bound_is_only_suspected():
    assert statuses(run([0.5, 1.2, 0.5, 1.2, 0.9])) == "cscsc"


def test_second_session_in_a_row_opens_an_episode_that_asks_once():
    states = run([1.2] * 6)
    assert statuses(states) == "sddddd"
    assert [state.refresh_requested for state in states] == [False, True, False, False, False, False]
    assert states[-1].episode_id == "drift-2020-01-02"
    assert states[-1].sessions_since == 4


def test_episode_outlasts_recovery_until_the_model_was_refitted():
    assert statuses(run([1.2, 1.2, 0.1, 0.1, 0.1, 0.1], refit_at_once=False)) == "sddddd"


def test_retrain_from_before_the_episode_does_not_end_it():
    state = None
    for day, ratio in enumerate([1.2, 1.2, 0.1, 0.1, 0.1]):
        session = FIRST + timedelta(days=day)
        state = advance(state, measurement(ratio), session, SETTINGS, last_full_retrain=FIRST)
    assert state is not None
    assert state.status == "drifting"


def test_refit_does_not_end_an_episode_that_has_not_recovered():
    assert statuses(run([1.2, 1.2, 0.9, 0.9, 0.9, 0.9])) == "sddddd"


def test_refit_and_recovery_end_it():
    assert statuses(run([1.2, 1.2, 0.7, 0.7])) == "sddc"


def test_nothing_opens_in_the_cool_down():
    states = run([1.2, 1.2, 0.7, 0.7, *[1.2] * 5])
    assert statuses(states) == "sddcccsdd"
    assert [state.cool_down for state in states[3:7]] == [3, 2, 1, 0]


def test_cool_down_doubles_up_to_its_longest_and_forgets():
    soon = [1.2, 1.2, 0.7, 0.7, *[0.5] * 10]
    back_offs = [state.back_off for state in run(soon * 4) if state.refresh_requested]
    assert back_offs == [3, 6, 10, 10]
    later = [1.2, 1.2, 0.7, 0.7, *[0.5] * 40]
    assert [state.back_off for state in run(later * 3) if state.refresh_requested] == [3, 3, 3]


@given(st.lists(st.sampled_from([0.5, 0.9, 1.5]), max_size=120), st.booleans())
def test_each_episode_asks_for_exactly_one_refresh(ratios: list[float], refit: bool):
    states = run(ratios, refit)
    asked = [state.episode_id for state in states if state.refresh_requested]
    named = list(dict.fromkeys(state.episode_id for state in states if state.episode_id))
    assert asked == named


@given(st.lists(st.sampled_from([0.5, 0.79, 0.8, 0.9, 1.0, 1.5]), min_size=1, max_size=200))
def test_counter_of_many_paths_opens_where_the_state_machine_does(ratios: list[float]):
    expected = [state.refresh_requested for state in run(ratios)]
    counter = EpisodeCounter((2,), SETTINGS)
    opened = [counter.step(np.array([0.0, ratio])) for ratio in ratios]
    assert [bool(step[1]) for step in opened] == expected
    assert not any(step[0] for step in opened)


@given(st.lists(st.sampled_from([0.5, 1.5]), min_size=1, max_size=40))
def test_state_survives_json(ratios: list[float]):
    state = run(ratios)[-1]
    assert DriftState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_same_session_twice_is_refused():
    state = advance(None, measurement(0.5), FIRST, SETTINGS)
    with pytest.raises(EpisodeError, match="not later"):
        advance(state, measurement(0.5), FIRST, SETTINGS)


def test_more_sessions_to_confirm_open_later():
    states = run([1.2] * 4, settings=replace(SETTINGS, confirm_sessions=3))
    assert statuses(states) == "ssdd"
