"""Equal inputs, equal bits."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from regime_assets.library import determinism
from regime_assets.library.determinism import derive_seed, deterministic, single_threaded, stay_single_threaded


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_seed_is_a_31_bit_function_of_its_names(names: list[str]) -> None:
    seed = derive_seed(*names)
    assert seed == derive_seed(*names)
    assert 0 <= seed < 2**31


def test_seeds_tell_partitions_assets_and_the_cut_between_names_apart() -> None:
    seeds = {
        derive_seed("us", "short", "2020-01-02", "vae"),
        derive_seed("us", "long", "2020-01-02", "vae"),
        derive_seed("us", "short", "2020-01-03", "vae"),
        derive_seed("us", "short", "2020-01-02", "gmm"),
        derive_seed("ab", "c"),
        derive_seed("a", "bc"),
    }
    assert len(seeds) == 6


def test_a_seed_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one name"):
        derive_seed()


def _draws() -> tuple[float, float, float]:
    return float(torch.rand(1)), float(np.random.rand()), random.random()


def test_draws_repeat_inside_the_block_and_one_thread_computes() -> None:
    with deterministic(7):
        first = _draws()
        assert torch.get_num_threads() == 1
    with deterministic(7):
        assert _draws() == first
    with deterministic(8):
        assert _draws() != first


def test_the_block_leaves_the_callers_random_streams_and_threads_as_they_were() -> None:
    threads = torch.get_num_threads()
    _seed_everything()
    expected = _draws()
    _seed_everything()
    with pytest.raises(KeyError):
        _draw_and_fail()
    assert _draws() == expected
    assert torch.get_num_threads() == threads


def _seed_everything() -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)


def _draw_and_fail() -> None:
    with deterministic(5):
        _draws()
        raise KeyError


def test_a_block_inside_another_computes_on_one_thread_and_leaves_the_outer_ones_limit() -> None:
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info()]

    before = threads()
    with single_threaded():
        with single_threaded():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before


def test_a_process_that_stays_on_one_thread_does_so_after_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(determinism._PROCESS, "limited_with", -1)  # as it is put back for the tests after this one
    with threadpool_limits():
        stay_single_threaded()
        with single_threaded():
            pass
        assert {library["num_threads"] for library in threadpool_info()} == {1}
