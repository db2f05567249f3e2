from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.encoders.scaling import to_sequences
from regime_assets.library.policies.networks import Networks
from regime_assets.library.production.bundle import Bundle
from regime_assets.library.production.signal import score
from regime_assets.library.serving import onnx_networks
from regime_assets.library.serving.onnx_networks import OnnxMissingError, require_onnx, with_onnx_networks
from regime_assets_tests.library.production.bundles import random_bundle, random_features

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return random_bundle(seed=3, width=32, sequence_length=5, members=5, serves="policy")


@pytest.fixture(scope="module")
def onnx_bundle(bundle: Bundle) -> Bundle:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return with_onnx_networks(bundle)


@pytest.fixture(scope="module")
def features(bundle: Bundle) -> pd.DataFrame:
    return random_features(bundle, n_rows=60)


def test_encoder_and_decoder_equal_torch(bundle: Bundle, onnx_bundle: Bundle, features: pd.DataFrame) -> None:
    import torch

    vae, served = bundle.regimes.vae, onnx_bundle.regimes.vae
    weights = {name: torch.from_numpy(array) for name, array in vae.weights.items()}

    def run(network: str, values: torch.Tensor) -> torch.Tensor:
        for layer in range(3):
            values = torch.nn.functional.silu(values) if layer else values
            values = values @ weights[f"{network}.{layer}.weight"].T + weights[f"{network}.{layer}.bias"]
        return values

    rows = torch.from_numpy(to_sequences(vae.scaler.apply(features.to_numpy()), 5)).float().flatten(1)
    latents = run("encoder", rows)[:, : vae.settings.n_latents]
    np.testing.assert_allclose(served.encode(features), latents.numpy(), atol=TOLERANCE)
    decoded = run("decoder", latents)[:, -features.shape[1] :].numpy()
    np.testing.assert_allclose(served.decode(latents.double().numpy()), decoded, atol=TOLERANCE)


def test_every_member_of_the_policy_equals_torch(bundle: Bundle, onnx_bundle: Bundle) -> None:
    import torch

    stored, served = bundle.policy.actor, onnx_bundle.policy.actor
    assert isinstance(stored, Networks)
    assert isinstance(served, Networks)
    inputs = np.random.default_rng(0).normal(size=(40, stored.shape[0]))
    for member in range(len(stored)):
        values = torch.from_numpy(inputs).float()
        for layer, (weight, bias) in enumerate(zip(stored.weights, stored.biases, strict=True)):
            values = torch.tanh(values) if layer else values
            values = values @ torch.from_numpy(weight[member]) + torch.from_numpy(bias[member])
        np.testing.assert_allclose(served.evaluate(inputs)[member], values.numpy(), atol=TOLERANCE)


def test_the_answer_is_numpys_to_the_fifth_digit_and_the_bundle_the_same(
    bundle: Bundle, onnx_bundle: Bundle, features: pd.DataFrame
) -> None:
    numpy_signal, onnx_signal = score(bundle, features), score(onnx_bundle, features)
    assert onnx_signal.regime == numpy_signal.regime
    assert onnx_signal.weights == pytest.approx(numpy_signal.weights, abs=TOLERANCE)
    assert onnx_signal.posteriors == pytest.approx(numpy_signal.posteriors, abs=TOLERANCE)
    assert onnx_signal != numpy_signal  # float32: another runtime did evaluate them
    assert onnx_bundle.sha256() == bundle.sha256()


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_networks, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(OnnxMissingError, match=r"^onnxruntime not installed: .*\[onnx\]"):
        require_onnx()
