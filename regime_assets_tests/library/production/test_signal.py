from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.production.bundle import Bundle
from regime_assets.library.production.signal import Signal, SignalError, combine, score
from regime_assets_tests.library.production.bundles import SESSION, random_bundle, random_features


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(seed=1)


def signal(exposure: float, calm: float = 0.5, session: date = SESSION, symbols: tuple[str, ...] = ("A",)) -> Signal:
    return Signal(
        session=session,
        regime="calm" if calm > 0.5 else "turbulent",
        posteriors={"calm": calm, "turbulent": 1 - calm},
        exposure=exposure,
        weights=dict.fromkeys(symbols, exposure / len(symbols)),
        latents=(0.0,),
        reconstruction_error=1.0,
    )


def test_the_signal_is_of_the_last_session_and_sums_up(bundle: Bundle) -> None:
    answer = score(bundle, random_features(bundle))
    assert answer.session == bundle.manifest.session
    assert list(answer.weights) == list(bundle.manifest.traded)
    assert answer.exposure == pytest.approx(sum(answer.weights.values()))
    assert sum(answer.posteriors.values()) == pytest.approx(1.0)
    assert answer.regime == max(answer.posteriors, key=lambda name: answer.posteriors[name])


def test_the_rule_serves_the_rules_exposure_and_the_policy_its_own(bundle: Bundle) -> None:
    features = random_features(bundle)
    by_policy = replace(bundle, manifest=replace(bundle.manifest, serves="policy"))
    rule, learned = score(bundle, features), score(by_policy, features)
    assert rule.exposure == pytest.approx(bundle.regimes.infer(features).rule_exposure[-1])
    assert learned.exposure != pytest.approx(rule.exposure)
    assert learned.posteriors == rule.posteriors


def test_equal_inputs_give_equal_bits(bundle: Bundle) -> None:
    assert score(bundle, random_features(bundle)) == score(random_bundle(seed=1), random_features(bundle))


def test_a_signal_survives_its_document(bundle: Bundle) -> None:
    answer = score(bundle, random_features(bundle))
    assert Signal.from_document(answer.to_document()) == answer


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_named(bundle: Bundle, value: float) -> None:
    features = random_features(bundle)
    features.iloc[3, 2] = value
    with pytest.raises(SignalError, match=str(features.columns[2])):
        score(bundle, features)


def test_features_that_are_not_the_bundles_are_refused(bundle: Bundle) -> None:
    features = random_features(bundle)
    for wrong in (
        features.iloc[:0],
        features.iloc[:, :-1],
        features.iloc[:, ::-1],
        features.iloc[::-1],
        pd.concat([features, features.iloc[-1:]]),
    ):
        with pytest.raises(SignalError):
            score(bundle, wrong)


@given(st.dictionaries(st.sampled_from(["short", "long", "other"]), st.floats(0, 1), min_size=1))
def test_the_combination_lies_between_the_horizons_and_warns_if_one_does(exposures: dict[str, float]) -> None:
    signals = {horizon: signal(exposure) for horizon, exposure in exposures.items()}
    combined = combine(signals)
    tolerance = 1e-12
    assert min(exposures.values()) - tolerance <= combined.exposure <= max(exposures.values()) + tolerance
    assert exposures[combined.regime_from] == min(exposures.values())
    assert combined.regime == signals[combined.regime_from].regime
    assert sum(combined.weights.values()) == pytest.approx(combined.exposure, abs=1e-12)
    assert combine(dict(reversed(signals.items()))) == combined


def test_at_equal_exposures_the_less_calm_horizon_labels() -> None:
    combined = combine({"long": signal(1.0, calm=0.9), "short": signal(1.0, calm=0.4)})
    assert (combined.regime_from, combined.regime) == ("short", "turbulent")


def test_a_symbol_that_one_horizon_does_not_trade_counts_as_zero_there() -> None:
    combined = combine({"long": signal(1.0, symbols=("A", "B")), "short": signal(0.5, symbols=("A",))})
    assert combined.weights == {"A": 0.5, "B": 0.25}


def test_signals_of_two_sessions_do_not_combine() -> None:
    with pytest.raises(SignalError, match=r"2022, 3, 2"):
        combine({"long": signal(1.0), "short": signal(1.0, session=date(2022, 3, 2))})
    with pytest.raises(SignalError):
        combine({})


def test_shares_say_what_each_horizon_counts_and_one_that_did_not_answer_counts_nothing() -> None:
    signals = {"long": signal(1.0), "short": signal(0.0)}
    combined = combine(signals, {"short": 0.2, "long": 0.8})
    assert combined.exposure == pytest.approx(0.8)
    assert combined.shares == {"long": 0.8, "short": 0.2}
    assert combine({"short": signal(0.5)}, {"short": 0.2, "long": 0.8}).exposure == pytest.approx(0.5)
    with pytest.raises(SignalError, match="no shares"):
        combine({"short": signal(0.5)}, {"short": 0.0, "long": 1.0})
