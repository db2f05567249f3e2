"""Latents keep their axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.artifact import parts_hash
from regime_assets.library.encoders.alignment import (
    Alignment,
    AlignmentError,
    align_latents,
    assess_alignment,
    identity_alignment,
)


@given(seed=st.integers(0, 2**31 - 1), n_latents=st.integers(1, 5))
def test_any_rotation_reflection_and_shift_is_undone(seed: int, n_latents: int) -> None:
    draws = np.random.default_rng(seed)
    reference = draws.normal(size=(50, n_latents)) * np.arange(1, n_latents + 1)
    turn, _ = np.linalg.qr(draws.normal(size=(n_latents, n_latents)))
    moved = reference @ turn + draws.normal(size=n_latents)
    alignment = align_latents(moved, reference)
    np.testing.assert_allclose(alignment.apply(moved), reference, atol=1e-9)
    assert alignment.residual < 1e-12


@given(seed=st.integers(0, 2**31 - 1))
def test_distances_between_latents_are_never_changed(seed: int) -> None:
    draws = np.random.default_rng(seed)
    new = draws.normal(size=(30, 3))
    aligned = align_latents(new, draws.normal(size=(30, 3))).apply(new)
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(aligned, axis=0), axis=1), np.linalg.norm(np.diff(new, axis=0), axis=1)
    )


def test_unrelated_latents_have_a_residual_that_the_rule_refuses() -> None:
    draws = np.random.default_rng(0)
    alignment = align_latents(draws.normal(size=(300, 3)), draws.normal(size=(300, 3)))
    assert not assess_alignment(alignment, largest_residual=0.5).passed


def test_the_first_model_keeps_its_own_axes() -> None:
    latents = np.random.default_rng(0).normal(size=(4, 3))
    alignment = identity_alignment(3)
    np.testing.assert_array_equal(alignment.apply(latents), latents)
    assert assess_alignment(alignment, largest_residual=0.5).passed


def test_what_cannot_be_compared_is_refused() -> None:
    latents = np.random.default_rng(0).normal(size=(10, 3))
    with pytest.raises(AlignmentError, match="shape"):
        align_latents(latents, latents[:, :2])
    with pytest.raises(AlignmentError, match="3 anchors"):
        align_latents(latents[:3], latents[:3])
    with pytest.raises(AlignmentError, match="collapsed"):
        align_latents(latents, np.zeros((10, 3)))


def test_an_alignment_survives_being_taken_apart() -> None:
    draws = np.random.default_rng(0)
    alignment = align_latents(draws.normal(size=(9, 2)), draws.normal(size=(9, 2)))
    assert parts_hash(Alignment.from_parts(alignment.to_parts()).to_parts()) == parts_hash(alignment.to_parts())
