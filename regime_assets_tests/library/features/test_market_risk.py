"""Every feature is a function of exactly its memory: causal, and indifferent to how long the history is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regime_assets.library.features.market_risk import FeatureError, compute_features, cross_section, feature_names
from regime_assets.library.features.settings import FeatureSettings

SETTINGS = FeatureSettings(
    half_lives=(3, 8),
    fast_volatility_sessions=3,
    slow_volatility_sessions=11,
    drawdown_sessions=23,
    trend_sessions=19,
    correlation_sessions=13,
    dispersion_half_life=5,
    memory_sessions=30,
)


def market(n_sessions: int = 90, n_symbols: int = 5, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    draws = np.random.default_rng(seed)
    common = draws.normal(0, 0.01, (n_sessions, 1))
    returns = common + draws.normal(0, 0.01, (n_sessions, n_symbols))
    sessions = pd.bdate_range("2020-01-01", periods=n_sessions)
    prices = pd.DataFrame(100 * np.exp(returns.cumsum(axis=0)), sessions, [f"S{i}" for i in range(n_symbols)])
    return prices, prices.pct_change().iloc[1:].mean(axis=1)


def test_names_columns_and_rows_are_those_asked_for() -> None:
    prices, returns = market()
    wanted = pd.DatetimeIndex(prices.index[-20:])
    features = compute_features(prices, returns, wanted, SETTINGS)
    assert tuple(features.columns) == feature_names(SETTINGS, 5)
    assert features.index.equals(wanted)
    assert np.isfinite(features.to_numpy()).all()


def test_the_default_set_has_twelve_features_of_which_three_need_a_cross_section() -> None:
    assert len(feature_names(FeatureSettings(), 20)) == 12
    assert len(feature_names(FeatureSettings(), 2)) == 9


def test_a_universe_of_one_symbol_leaves_the_cross_section_out() -> None:
    prices, returns = market(n_symbols=1)
    features = compute_features(prices, returns, pd.DatetimeIndex(prices.index[-5:]), SETTINGS)
    assert tuple(features.columns) == feature_names(SETTINGS, 1)


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(31, 88), seed=st.integers(0, 9))
def test_no_later_price_reaches_an_earlier_row(cut: int, seed: int) -> None:
    prices, returns = market(seed=seed)
    wanted = pd.DatetimeIndex(prices.index[30:])
    changed = prices.copy()
    changed.iloc[cut + 1 :] *= np.random.default_rng(seed).uniform(0.5, 2, changed.iloc[cut + 1 :].shape)
    before = compute_features(prices, returns, wanted, SETTINGS)
    after = compute_features(changed, changed.pct_change().iloc[1:].mean(axis=1), wanted, SETTINGS)
    untouched = wanted <= prices.index[cut]
    assert before[untouched].equals(after[untouched])
    assert not before[~untouched].equals(after[~untouched])


@settings(max_examples=20, deadline=None)
@given(start=st.integers(1, 50), n_symbols=st.integers(1, 7))
def test_a_longer_history_leaves_every_bit_as_it_is(start: int, n_symbols: int) -> None:
    prices, returns = market(n_symbols=n_symbols)
    wanted = pd.DatetimeIndex(prices.index[start + 30 :])
    short = compute_features(prices.iloc[start:], returns.iloc[start:], wanted, SETTINGS)
    assert compute_features(prices, returns, wanted, SETTINGS).equals(short)


SPANS = st.lists(st.tuples(st.integers(0, 89), st.integers(0, 89)), min_size=2, max_size=2)


def with_members(prices: pd.DataFrame, spans: list[tuple[int, int]]) -> pd.DataFrame:
    """The last columns are members between the two rows of their span only."""
    changed = prices.copy()
    for column, (one, other) in enumerate(spans, start=prices.shape[1] - len(spans)):
        outside = np.r_[0 : min(one, other), max(one, other) + 1 : len(prices)]
        changed.iloc[outside, column] = np.nan
    return changed


@settings(max_examples=30, deadline=None)
@given(spans=SPANS, chosen=st.integers(0, 59))
def test_a_row_is_what_it_would_be_had_its_cross_section_always_been_the_universe(
    spans: list[tuple[int, int]], chosen: int
) -> None:
    prices, returns = market()
    changed, wanted = with_members(prices, spans), pd.DatetimeIndex(prices.index[30:])
    features, members = (
        compute_features(changed, returns, wanted, SETTINGS),
        cross_section(changed, SETTINGS.memory_sessions),
    )
    alone = compute_features(changed.loc[:, members[chosen]], returns, wanted[[chosen]], SETTINGS)
    assert features.iloc[[chosen]].equals(alone)


@settings(max_examples=30, deadline=None)
@given(spans=SPANS, cut=st.integers(31, 88))
def test_who_joins_or_leaves_later_changes_no_bit_of_an_earlier_row(spans: list[tuple[int, int]], cut: int) -> None:
    prices, returns = market()
    wanted = pd.DatetimeIndex(prices.index[30 : cut + 1])
    known = with_members(prices, spans)
    seen = known.iloc[: cut + 1].dropna(axis=1, how="all")
    now = compute_features(seen, returns.iloc[:cut], wanted, SETTINGS)
    assert compute_features(known, returns, wanted, SETTINGS).equals(now)


def test_a_symbol_enters_with_the_last_price_that_its_memory_needs() -> None:
    prices, returns = market(n_symbols=4)
    prices.iloc[:20, 3] = np.nan
    members = cross_section(prices, SETTINGS.memory_sessions)
    assert members.sum(axis=1).tolist() == [3] * 20 + [4] * 40, "30 sessions of memory after its first price"
    wanted = pd.DatetimeIndex(prices.index[30:])
    assert np.isfinite(compute_features(prices, returns, wanted, SETTINGS).to_numpy()).all()


def test_a_row_goes_without_a_symbol_that_has_no_price_on_it_and_later_rows_take_that_for_no_trade() -> None:
    prices, returns = market(n_symbols=5)
    wanted = pd.DatetimeIndex(prices.index[30:])
    held_back = prices.copy()
    held_back.iloc[50, 4] = np.nan
    inside = [True] * 20 + [False] + [True] * 29 + [False] + [True] * 9
    assert cross_section(held_back, SETTINGS.memory_sessions)[:, 4].tolist() == inside, "nor where its memory begins"
    features = compute_features(held_back, returns, wanted, SETTINGS)
    whole = compute_features(prices, returns, wanted, SETTINGS)
    assert features.iloc[:20].equals(whole.iloc[:20]), "no bit before the session changes"
    without = compute_features(prices.iloc[:, :4], returns, wanted, SETTINGS)
    assert features.iloc[[20, 50]].equals(without.iloc[[20, 50]]), "nothing is filled in on its own session"
    untraded = compute_features(held_back.ffill(), returns, wanted, SETTINGS)
    assert features.iloc[21:50].equals(untraded.iloc[21:50])
    assert features.iloc[51:].equals(whole.iloc[51:])


def test_a_symbol_that_lacks_more_than_five_sessions_of_its_memory_is_out() -> None:
    prices, _ = market(n_symbols=5)
    prices.iloc[50:56, 4] = np.nan
    members = cross_section(prices, SETTINGS.memory_sessions)[:, 4]
    assert members.tolist() == [True] * 20 + [False] * 36 + [True] * 4


def test_a_cross_section_that_is_too_small_is_refused_by_session() -> None:
    prices, returns = market(n_symbols=3)
    prices.iloc[:40, 1] = np.nan
    with pytest.raises(FeatureError, match="on 2020-02-12 2 symbols have 30 sessions of history"):
        compute_features(prices, returns, pd.DatetimeIndex(prices.index[30:]), SETTINGS)


def test_features_follow_their_definitions() -> None:
    prices, returns = market()
    row = compute_features(prices, returns, pd.DatetimeIndex(prices.index[-1:]), SETTINGS).iloc[0]
    recent = returns.to_numpy()[-30:][::-1]
    kernel = 0.5 ** (np.arange(30) / 3)
    kernel /= kernel.sum()
    downside = np.sqrt(kernel @ np.minimum(recent, 0) ** 2) + 1e-4
    level = np.r_[1.0, (1 + returns).cumprod()]
    stocks = prices.pct_change().iloc[-13:].to_numpy()
    own = (stocks**2).mean(axis=0)
    basket = (stocks.mean(axis=1) ** 2).mean()
    implied = (basket - own.sum() / 25) / (np.sqrt(own).mean() ** 2 - own.sum() / 25)
    assert row["log_downside_deviation_3"] == pytest.approx(np.log(downside))
    assert row["sortino_3"] == pytest.approx(kernel @ recent / downside)
    assert row["drawdown"] == pytest.approx(np.log(level[-1] / level[-23:].max()))
    assert row["trend"] == pytest.approx(np.log(level[-1] / level[-19:].mean()))
    assert row["implied_correlation"] == pytest.approx(implied)
    assert row["breadth"] == pytest.approx((prices.iloc[-1] > prices.iloc[-19:].mean()).mean())


def test_too_little_history_is_refused_with_the_session_that_lacks_it() -> None:
    prices, returns = market()
    with pytest.raises(FeatureError, match=r"2020-02-11 has 29 sessions of history, its features need 30"):
        compute_features(prices, returns, pd.DatetimeIndex(prices.index[29:]), SETTINGS)


@pytest.mark.parametrize("price", [0.0, -1.0, np.inf])
def test_a_price_that_is_none_is_refused_by_symbol_and_session(price: float) -> None:
    prices, returns = market()
    prices.iloc[70, 2] = price
    with pytest.raises(FeatureError, match="S2 on 2020-04-08"):
        compute_features(prices, returns, pd.DatetimeIndex(prices.index[-9:]), SETTINGS)


def test_a_missing_market_return_is_refused_by_session() -> None:
    prices, returns = market()
    gap = returns.index[70]
    with pytest.raises(FeatureError, match=f"market return on {gap:%Y-%m-%d}"):
        compute_features(prices, returns.drop(gap), pd.DatetimeIndex(prices.index[-9:]), SETTINGS)


def test_sessions_without_prices_and_unsorted_prices_are_refused() -> None:
    prices, returns = market()
    with pytest.raises(FeatureError, match="no prices on 2031-01-01"):
        compute_features(prices, returns, pd.DatetimeIndex(["2031-01-01"]), SETTINGS)
    with pytest.raises(FeatureError, match="ascending"):
        compute_features(prices.iloc[::-1], returns, pd.DatetimeIndex(prices.index[-1:]), SETTINGS)


def test_a_memory_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="looks back 23 sessions"):
        dataclasses.replace(SETTINGS, memory_sessions=20)
