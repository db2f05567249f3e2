from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.production.names import NameRefusedError, checked_name, model_name


@given(st.text(max_size=70))
def test_a_name_that_passes_stays_in_its_folder(text: str) -> None:
    try:
        name = checked_name(text)
    except NameRefusedError:
        return
    assert name == text
    assert 1 <= len(name) <= 64
    assert name.isascii()
    assert not set(name) & set("/\\\0 \n'\"<>")
    assert name not in (".", "..")


def test_a_model_is_named_by_universe_and_horizon() -> None:
    assert model_name("us_large_cap", "short") == "us_large_cap.short"


@pytest.mark.parametrize(("universe", "horizon"), [("../x", "short"), ("us", ""), ("u" * 60, "short"), ("us\n", "a")])
def test_a_model_name_refuses_bad_halves_and_too_long_a_whole(universe: str, horizon: str) -> None:
    with pytest.raises(NameRefusedError):
        model_name(universe, horizon)
