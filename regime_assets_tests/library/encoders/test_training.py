"""Every encoder learns, warm-starts, repeats bit for bit, and reads nothing later than its session."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.acceptance import accepted
from regime_assets.library.artifact import parts_hash
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.encoders.scaling import EncoderError, fit_scaler, to_sequences
from regime_assets.library.encoders.settings import ConvVaeSettings, EncoderSettings, GruVaeSettings
from regime_assets.library.encoders.training import EncoderFit, assess_encoder, fit_encoder, validation_split
from regime_assets_tests.library.regimes.regime_windows import QUICK, regime_window

WINDOW = regime_window()


SHAPE = {name: getattr(QUICK, name) for name in ("sequence_length", "n_latents", "epochs", "warm_up_epochs")}
SETTINGS: dict[str, EncoderSettings] = {
    "mlp_vae": QUICK,
    "conv_vae": ConvVaeSettings(**SHAPE, channels=(12,), kernel=2),
    "gru_vae": GruVaeSettings(**SHAPE, width=12),
}


def fitted(seed: int = 1, previous: FittedEncoder | None = None, use: str = "mlp_vae") -> EncoderFit:
    full = previous is None
    return fit_encoder(WINDOW.features, WINDOW.sample_weight, use, SETTINGS[use], seed, previous, full_retrain=full)


@pytest.fixture(scope="module")
def fit() -> EncoderFit:
    return fitted()


def test_two_hidden_causes_make_two_active_units_and_an_accepted_model(fit: EncoderFit) -> None:
    assert fit.figures["active_units"] == 2
    assert fit.figures["validation_reconstruction"] < 0.5
    assert accepted(assess_encoder(fit, QUICK))


def test_the_curves_have_a_row_an_epoch_and_the_best_of_them_is_the_model(fit: EncoderFit) -> None:
    assert list(fit.curves["epoch"]) == list(range(1, QUICK.epochs + 1))
    assert {"loss", "reconstruction", "kl", "validation_reconstruction", "active_units"} <= set(fit.curves.columns)
    after = fit.curves[fit.curves["epoch"] > QUICK.warm_up_epochs]
    assert fit.figures["validation_reconstruction"] == after["validation_reconstruction"].min()


def test_pressure_without_free_bits_collapses_and_is_refused() -> None:
    collapsing = replace(QUICK, beta=200.0, free_bits=0.0)
    fit = fit_encoder(WINDOW.features, WINDOW.sample_weight, "mlp_vae", collapsing, 1, None, full_retrain=True)
    refused = {outcome.rule for outcome in assess_encoder(fit, collapsing) if not outcome.passed}
    assert fit.figures["active_units"] == 0
    assert refused == {"active_units"}


def test_weights_that_are_no_numbers_are_refused(fit: EncoderFit) -> None:
    broken = replace(fit, figures=fit.figures | {"finite": 0.0})
    assert not accepted(assess_encoder(broken, QUICK))


def test_a_warm_start_keeps_the_scaler_and_stays_near_its_parent(fit: EncoderFit) -> None:
    warm = fitted(seed=2, previous=fit.model)
    assert warm.warm_started
    assert not fit.warm_started
    assert warm.model.scaler is fit.model.scaler
    assert len(warm.curves) == QUICK.fine_tune_epochs
    assert warm.figures["validation_ratio"] == pytest.approx(1.0, abs=0.2)
    moved = np.abs(warm.model.denoise(WINDOW.features) - fit.model.denoise(WINDOW.features)) / fit.model.scaler.scale
    assert moved.mean() < 0.1


def test_a_model_that_became_much_worse_is_refused(fit: EncoderFit) -> None:
    worse = replace(fit, figures=fit.figures | {"validation_ratio": 2.1})
    assert {o.rule for o in assess_encoder(worse, QUICK) if not o.passed} == {"validation_error_ratio"}


def test_a_warm_start_from_another_shape_is_refused_and_a_full_retrain_is_not(fit: EncoderFit) -> None:
    other = replace(QUICK, n_latents=3)
    with pytest.raises(EncoderError, match="n_latents was 2 and is 3"):
        fit_encoder(WINDOW.features, WINDOW.sample_weight, "mlp_vae", other, 1, fit.model, full_retrain=False)
    anew = fit_encoder(WINDOW.features, WINDOW.sample_weight, "mlp_vae", other, 1, fit.model, full_retrain=True)
    assert anew.model.settings == other


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(fit: EncoderFit) -> None:
    assert parts_hash(fitted().model.to_parts()) == parts_hash(fit.model.to_parts())
    assert parts_hash(fitted(seed=2).model.to_parts()) != parts_hash(fit.model.to_parts())


def test_another_process_gives_the_same_bits(fit: EncoderFit) -> None:
    program = (
        "from regime_assets_tests.library.encoders.test_training import fitted, parts_hash\n"
        "print(parts_hash(fitted().model.to_parts()))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == parts_hash(fit.model.to_parts())


def test_numpy_encodes_and_decodes_as_torch_does(fit: EncoderFit) -> None:
    model = fit.model
    inputs = torch.from_numpy(to_sequences(model.scaler.apply(WINDOW.features.to_numpy()), 3)).float().flatten(1)
    weights = {name: torch.from_numpy(array) for name, array in model.weights.items()}

    def run(network: str, values: torch.Tensor) -> torch.Tensor:
        inner = torch.nn.functional.silu(values @ weights[f"{network}.0.weight"].T + weights[f"{network}.0.bias"])
        return inner @ weights[f"{network}.1.weight"].T + weights[f"{network}.1.bias"]

    latents = run("encoder", inputs)[:, :2]
    np.testing.assert_allclose(model.encode(WINDOW.features), latents.numpy(), atol=1e-5)
    decoded = run("decoder", latents)[:, -4:].numpy()
    np.testing.assert_allclose(model.decode(latents.numpy().astype(np.float64)), decoded, atol=1e-5)


@pytest.fixture(scope="module", params=["mlp_vae", "conv_vae", "gru_vae"])
def any_fit(request: pytest.FixtureRequest) -> EncoderFit:
    return fitted(use=request.param)


def test_every_encoder_learns_what_made_the_features_and_starts_warm(any_fit: EncoderFit) -> None:
    model = any_fit.model
    assert any_fit.figures["validation_reconstruction"] < 0.6
    assert accepted(assess_encoder(any_fit, model.settings))
    warm = fitted(2, model, model.use)
    assert warm.warm_started
    assert warm.figures["validation_ratio"] == pytest.approx(1.0, abs=0.2)
    assert 0.3 < model.reconstruction_error(WINDOW.features).mean() < 3.0


@pytest.mark.parametrize("cut", [0, 3, 200, 398])
def test_no_later_row_reaches_an_earlier_session(any_fit: EncoderFit, cut: int) -> None:
    model = any_fit.model
    changed = WINDOW.features.copy()
    changed.iloc[cut + 1 :] += 1.0
    for answer in (model.encode, model.denoise, model.reconstruction_error):
        before, after = answer(WINDOW.features), answer(changed)
        np.testing.assert_array_equal(before[: cut + 1], after[: cut + 1])
        assert not np.array_equal(before[cut + 1 :], after[cut + 1 :])


def test_a_stored_encoder_of_any_class_encodes_to_the_same_bits(any_fit: EncoderFit) -> None:
    again = FittedEncoder.from_parts(any_fit.model.to_parts())
    assert (again.use, again.settings) == (any_fit.model.use, any_fit.model.settings)
    np.testing.assert_array_equal(again.encode(WINDOW.features), any_fit.model.encode(WINDOW.features))


def test_another_class_of_encoder_is_no_predecessor(fit: EncoderFit) -> None:
    with pytest.raises(EncoderError, match="the encoder was mlp_vae and is gru_vae"):
        fitted(2, fit.model, "gru_vae")


def test_sequences_are_oldest_first_and_repeat_the_first_row() -> None:
    rows = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(to_sequences(rows, 3)[0], [[0, 1], [0, 1], [0, 1]])
    np.testing.assert_array_equal(to_sequences(rows, 3)[3], [[2, 3], [4, 5], [6, 7]])


@given(first=st.integers(0, 300), length=st.integers(150, 400))
def test_a_session_keeps_its_role_in_every_window_and_roles_keep_apart(first: int, length: int) -> None:
    sessions = pd.bdate_range("2010-01-01", periods=1000)
    whole = validation_split(sessions, QUICK)
    held_out, learned = validation_split(sessions[first : first + length], QUICK)
    np.testing.assert_array_equal(held_out, whole[0][first : first + length])
    gap = np.abs(np.flatnonzero(held_out)[:, None] - np.flatnonzero(learned)).min()
    assert gap > QUICK.purge_sessions + QUICK.sequence_length - 1


def test_recent_sessions_with_more_weight_move_the_scaler() -> None:
    weight = np.linspace(0, 2, len(WINDOW.features))
    rising = WINDOW.features.assign(level=np.arange(len(WINDOW.features), dtype=float))
    even = fit_scaler(rising, WINDOW.sample_weight, 3.0).centre[3]
    recent = fit_scaler(rising, weight, 3.0).centre[3]
    assert even == pytest.approx(199.5, abs=1)
    assert recent == pytest.approx(400 / np.sqrt(2), abs=2)


def test_scaled_outliers_are_cut() -> None:
    scaler = fit_scaler(WINDOW.features, WINDOW.sample_weight, 3.0)
    assert np.abs(scaler.apply(WINDOW.features.to_numpy() * 1e6)).max() == 3.0


def test_features_that_cannot_be_learned_from_are_refused_by_name(fit: EncoderFit) -> None:
    weight = WINDOW.sample_weight
    with pytest.raises(EncoderError, match=r"\['trend'\] do not vary"):
        fit_encoder(WINDOW.features.assign(trend=1.0), weight, "mlp_vae", QUICK, 1, None, full_retrain=True)
    gap = WINDOW.features.copy()
    gap.iloc[5, 1] = np.nan
    with pytest.raises(EncoderError, match="downside on 2018-01-08"):
        fit_encoder(gap, weight, "mlp_vae", QUICK, 1, None, full_retrain=True)
    with pytest.raises(EncoderError, match="50 sessions in the window, at least 120"):
        fit_encoder(WINDOW.features.iloc[:50], weight[:50], "mlp_vae", QUICK, 1, None, full_retrain=True)
    with pytest.raises(EncoderError, match="the model reads"):
        fit.model.encode(WINDOW.features.iloc[:, ::-1])
