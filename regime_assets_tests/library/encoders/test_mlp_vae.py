"""The autoencoder learns, warm-starts, repeats bit for bit, and reads nothing later than its session."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.acceptance import accepted
from regime_assets.library.artifact import parts_hash
from regime_assets.library.encoders.mlp_vae import Vae, VaeError, fit_scaler, to_sequences
from regime_assets.library.encoders.mlp_vae_network import Trainer, bound_and_gradient, start_network
from regime_assets.library.encoders.mlp_vae_training import VaeFit, assess_vae, fit_vae, validation_split
from regime_assets_tests.library.regimes.regime_windows import QUICK, regime_window

WINDOW = regime_window()


def fitted(seed: int = 1, previous: Vae | None = None) -> VaeFit:
    full = previous is None
    return fit_vae(WINDOW.features, WINDOW.sample_weight, QUICK, seed, previous, full_retrain=full)


@pytest.fixture(scope="module")
def fit() -> VaeFit:
    return fitted()


def test_two_hidden_causes_make_two_active_units_and_an_accepted_model(fit: VaeFit) -> None:
    assert fit.figures["active_units"] == 2
    assert fit.figures["validation_reconstruction"] < 0.5
    assert accepted(assess_vae(fit, QUICK))


def test_the_curves_have_a_row_an_epoch_and_the_best_of_them_is_the_model(fit: VaeFit) -> None:
    assert list(fit.curves["epoch"]) == list(range(1, QUICK.epochs + 1))
    assert {"loss", "reconstruction", "kl", "validation_reconstruction", "active_units"} <= set(fit.curves.columns)
    after = fit.curves[fit.curves["epoch"] > QUICK.warm_up_epochs]
    assert fit.figures["validation_reconstruction"] == after["validation_reconstruction"].min()


def test_pressure_without_free_bits_collapses_and_is_refused() -> None:
    collapsing = replace(QUICK, beta=200.0, free_bits=0.0)
    fit = fit_vae(WINDOW.features, WINDOW.sample_weight, collapsing, 1, None, full_retrain=True)
    refused = {outcome.rule for outcome in assess_vae(fit, collapsing) if not outcome.passed}
    assert fit.figures["active_units"] == 0
    assert refused == {"active_units"}


def test_weights_that_are_no_numbers_are_refused(fit: VaeFit) -> None:
    broken = replace(fit, figures=fit.figures | {"finite": 0.0})
    assert not accepted(assess_vae(broken, QUICK))


def test_a_warm_start_keeps_the_scaler_and_stays_near_its_parent(fit: VaeFit) -> None:
    warm = fitted(seed=2, previous=fit.model)
    assert warm.warm_started
    assert not fit.warm_started
    assert warm.model.scaler is fit.model.scaler
    assert len(warm.curves) == QUICK.fine_tune_epochs
    assert warm.figures["validation_ratio"] == pytest.approx(1.0, abs=0.2)
    moved = np.abs(warm.model.denoise(WINDOW.features) - fit.model.denoise(WINDOW.features)) / fit.model.scaler.scale
    assert moved.mean() < 0.1


def test_a_model_that_became_much_worse_is_refused(fit: VaeFit) -> None:
    worse = replace(fit, figures=fit.figures | {"validation_ratio": 2.1})
    assert {o.rule for o in assess_vae(worse, QUICK) if not o.passed} == {"validation_error_ratio"}


def test_a_warm_start_from_another_shape_is_refused_and_a_full_retrain_is_not(fit: VaeFit) -> None:
    other = replace(QUICK, n_latents=3)
    with pytest.raises(VaeError, match="n_latents was 2 and is 3"):
        fit_vae(WINDOW.features, WINDOW.sample_weight, other, 1, fit.model, full_retrain=False)
    assert (
        fit_vae(WINDOW.features, WINDOW.sample_weight, other, 1, fit.model, full_retrain=True).model.settings == other
    )


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(fit: VaeFit) -> None:
    assert parts_hash(fitted().model.to_parts()) == parts_hash(fit.model.to_parts())
    assert parts_hash(fitted(seed=2).model.to_parts()) != parts_hash(fit.model.to_parts())


def test_another_process_gives_the_same_bits(fit: VaeFit) -> None:
    program = (
        "from regime_assets_tests.library.encoders.test_mlp_vae import fitted, parts_hash\n"
        "print(parts_hash(fitted().model.to_parts()))"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == parts_hash(fit.model.to_parts())


def test_numpy_encodes_and_decodes_as_torch_does(fit: VaeFit) -> None:
    model = fit.model
    inputs = torch.from_numpy(to_sequences(model.scaler.apply(WINDOW.features.to_numpy()), 3)).float()
    weights = {name: torch.from_numpy(array) for name, array in model.weights.items()}

    def run(network: str, values: torch.Tensor) -> torch.Tensor:
        inner = torch.nn.functional.silu(values @ weights[f"{network}_0_weight"].T + weights[f"{network}_0_bias"])
        return inner @ weights[f"{network}_1_weight"].T + weights[f"{network}_1_bias"]

    latents = run("encoder", inputs)[:, :2]
    np.testing.assert_allclose(model.encode(WINDOW.features), latents.numpy(), atol=1e-5)
    decoded = run("decoder", latents)[:, -4:].numpy()
    np.testing.assert_allclose(model.decode(latents.numpy().astype(np.float64)), decoded, atol=1e-5)


def bound_with_autograd(
    network: dict[str, torch.Tensor], batch: torch.Tensor, noise: torch.Tensor, pressure: float
) -> torch.Tensor:
    def run(name: str, values: torch.Tensor) -> torch.Tensor:
        inner = torch.nn.functional.silu(values @ network[f"{name}_0_weight"].T + network[f"{name}_0_bias"])
        return inner @ network[f"{name}_1_weight"].T + network[f"{name}_1_bias"]

    mean, log_variance = run("encoder", batch).chunk(2, dim=1)
    log_variance = log_variance.clamp(-8.0, 4.0)
    decoded = run("decoder", mean + torch.exp(0.5 * log_variance) * noise)
    log_sigma = network["log_sigma"].clamp(min=np.log(0.05))
    squared = (batch - decoded).square().view(len(batch), QUICK.sequence_length, -1).mean(dim=(0, 1))
    kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean(dim=0)
    error = (0.5 * squared * torch.exp(-2 * log_sigma) + log_sigma).sum()
    return error + pressure * kl.clamp(min=QUICK.free_bits).sum()


def some_network(seed: int) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Parameters with one sigma below its floor, a batch and its noise."""
    generator = torch.Generator().manual_seed(seed)
    network = start_network(4, QUICK, None, generator)
    network["log_sigma"] = torch.tensor([0.3, -0.2, 0.0, -9.0])
    batch = torch.randn((32, 4 * QUICK.sequence_length), generator=generator)
    return network, batch, torch.randn((32, QUICK.n_latents), generator=generator)


@pytest.mark.parametrize(("seed", "pressure"), [(0, 1.0), (1, 0.3), (2, 0.0)])
def test_the_written_gradient_is_that_of_autograd(seed: int, pressure: float) -> None:
    network, batch, noise = some_network(seed)
    traced = {name: parameter.clone().requires_grad_(True) for name, parameter in network.items()}
    expected = bound_with_autograd(traced, batch, noise, pressure)
    expected.backward()
    gradient = {name: torch.full_like(parameter, 9.0) for name, parameter in network.items()}
    value = bound_and_gradient(network, gradient, batch, noise, pressure, QUICK)
    assert value == pytest.approx(float(expected.detach()), rel=1e-5)
    for name, parameter in traced.items():
        assert parameter.grad is not None
        np.testing.assert_allclose(gradient[name].numpy(), parameter.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_a_step_is_that_of_torchs_adam() -> None:
    network, batch, noise = some_network(3)
    traced = {name: parameter.clone().requires_grad_(True) for name, parameter in network.items()}
    adam, trainer = torch.optim.Adam(traced.values(), lr=0.01), Trainer(network, QUICK)
    for _ in range(5):
        adam.zero_grad()
        bound_with_autograd(traced, batch, noise, 1.0).backward()
        adam.step()
        trainer.step(batch, noise, 1.0, 0.01)
    for name, parameter in traced.items():
        np.testing.assert_allclose(trainer.parameters[name].numpy(), parameter.detach().numpy(), atol=2e-4)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, 398))
def test_no_later_row_reaches_an_earlier_session(cut: int) -> None:
    model = _MODEL
    changed = WINDOW.features.copy()
    changed.iloc[cut + 1 :] += 1.0
    for answer in (model.encode, model.denoise, model.reconstruction_error):
        before, after = answer(WINDOW.features), answer(changed)
        np.testing.assert_array_equal(before[: cut + 1], after[: cut + 1])
        assert not np.array_equal(before[cut + 1 :], after[cut + 1 :])


_MODEL = Vae(
    QUICK,
    tuple(WINDOW.features.columns),
    fit_scaler(WINDOW.features, WINDOW.sample_weight, 3.0),
    {k: v.numpy() for k, v in start_network(4, QUICK, None, torch.Generator().manual_seed(0)).items()},
)


def test_a_stored_model_encodes_to_the_same_bits(fit: VaeFit) -> None:
    again = Vae.from_parts(fit.model.to_parts())
    assert again.settings == fit.model.settings
    np.testing.assert_array_equal(again.encode(WINDOW.features), fit.model.encode(WINDOW.features))


def test_sequences_are_oldest_first_and_repeat_the_first_row() -> None:
    rows = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(to_sequences(rows, 3)[0], [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(to_sequences(rows, 3)[3], [2, 3, 4, 5, 6, 7])


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


def test_features_that_cannot_be_learned_from_are_refused_by_name(fit: VaeFit) -> None:
    weight = WINDOW.sample_weight
    with pytest.raises(VaeError, match=r"\['trend'\] do not vary"):
        fit_vae(WINDOW.features.assign(trend=1.0), weight, QUICK, 1, None, full_retrain=True)
    gap = WINDOW.features.copy()
    gap.iloc[5, 1] = np.nan
    with pytest.raises(VaeError, match="downside on 2018-01-08"):
        fit_vae(gap, weight, QUICK, 1, None, full_retrain=True)
    with pytest.raises(VaeError, match="50 sessions in the window, at least 120"):
        fit_vae(WINDOW.features.iloc[:50], weight[:50], QUICK, 1, None, full_retrain=True)
    with pytest.raises(VaeError, match="the model reads"):
        fit.model.encode(WINDOW.features.iloc[:, ::-1])
