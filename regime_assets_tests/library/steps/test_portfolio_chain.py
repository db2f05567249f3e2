"""A portfolio through the whole chain of a session: risk and refuge, costs, cash and allocation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from regime_assets.library.evaluation.contenders import POLICY, RULE
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.production.bundle import load_bundle
from regime_assets.library.production.names import model_name
from regime_assets.library.production.signal import Signal, score
from regime_assets.library.serving.published_signal import FollowedSignal
from regime_assets.library.serving.served_champion import PointedChampion
from regime_assets.library.serving.service import create_service
from regime_assets.library.steps.backtest_report import backtest
from regime_assets.library.steps.live_performance import open_book
from regime_assets.library.steps.orders import order_settings
from regime_assets.library.trading.portfolio import portfolio_of
from regime_assets.library.trading.terms import Terms
from regime_assets.library.universe import HORIZONS, load_universe
from regime_assets.library.window_reads import WindowReads
from regime_assets.library.workspace import Workspace
from regime_assets_tests.designs import small_design
from regime_assets_tests.library.steps.session_chain import UNIVERSE, run_range

SESSION = date(2017, 6, 29)
PORTFOLIO = UNIVERSE.replace(
    "traded: [SP500]",
    """\
traded: [SP500, {symbol: JPM, most: 0.4}, {symbol: KO, role: refuge, cost_bp: 25}]
portfolio: {allocation: risk_parity, allocation_sessions: 120, no_trade_band: 0.02, cash: 0.03}""",
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("portfolio")
    (folder / "tiny.yaml").write_text(PORTFOLIO)
    universe = load_universe(folder / "tiny.yaml")
    held = Workspace(universe, Home(folder / "home"), WindowReads())
    held.__dict__["design"] = replace(small_design(policy={"algorithm": "direct"}), portfolio=portfolio_of(universe))
    fetched = SampleSource().fetch(universe.instruments, universe.history_start, SESSION)
    held.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), held.calendar)
    run_range(held, [SESSION])
    return held


def test_the_market_that_is_read_is_the_risk_instruments(workspace: Workspace) -> None:
    history = workspace.history("long", SESSION)
    np.testing.assert_allclose(history.market_returns, history.traded_returns[["SP500", "JPM"]].mean(axis=1))
    assert history.base_weights.tolist() == [0.5, 0.5, 0.0]


def test_the_bundle_holds_its_sleeves_and_says_the_same_after_loading(workspace: Workspace) -> None:
    for horizon in HORIZONS:
        champion = workspace.registry.champion(model_name("tiny", horizon))
        assert champion is not None
        action = load_bundle(champion.path, champion.sha256).policy.action
        assert action.sleeves is not None
        assert action.base_weights.sum() == pytest.approx(1.0)
        assert action.base_weights[1] <= 0.4 + 1e-9
        assert action.sleeves.refuge.tolist() == [0.0, 0.0, 1.0]


def test_the_rule_holds_the_refuge_with_what_it_leaves_of_the_capital(workspace: Workspace) -> None:
    result = backtest(workspace, "long", SESSION, lambda _: None)
    rule = result.comparisons[RULE]
    np.testing.assert_allclose(rule.weights.sum(axis=1), 1.0)
    assert set(np.round(rule.weights["KO"], 9)) <= {0.0, 1.0}
    assert rule.scored.cash is not None
    np.testing.assert_allclose(rule.scored.cash, 0.03 / 252)
    assert {"60/40", "risk parity, always", POLICY} <= set(result.comparisons)


def test_the_report_says_on_what_terms(workspace: Workspace) -> None:
    text = workspace.home.report("tiny", "long", "backtest", SESSION).read_text()
    for said in ("25 (KO)", "3.00% a year", "beyond 2.0%", "held in KO", "60/40"):
        assert said in text


def test_the_signal_has_a_weight_for_every_instrument_and_counts_risk_as_exposure(workspace: Workspace) -> None:
    rows = workspace.database.query("SELECT symbol, weight, exposure FROM daily_signal")
    weights = dict(zip(rows["symbol"], rows["weight"], strict=True))
    assert sum(weights.values()) == pytest.approx(1.0)
    assert rows["exposure"][0] == pytest.approx(weights["SP500"] + weights["JPM"])


def test_the_service_answers_with_a_weight_for_every_instrument_and_the_rest_is_cash(workspace: Workspace) -> None:
    token, root, name = "a-token-of-enough-characters", workspace.home.mlflow_artifacts, model_name("tiny", "long")
    headers = {"Authorization": f"Bearer {token}"}
    champion = workspace.registry.champion(name)
    assert champion is not None
    bundle = load_bundle(champion.path, champion.sha256)
    features = workspace.history("long", SESSION).features.iloc[-260:]
    with TestClient(create_service(PointedChampion(root, name), token, FollowedSignal(root, "tiny"))) as client:
        published = client.get("/signal", headers=headers).json()
        stored = workspace.database.query("SELECT symbol, weight FROM daily_signal")
        assert published["signal"]["weights"] == pytest.approx(
            dict(zip(stored["symbol"], stored["weight"], strict=True))
        )
        held: list[float] = []
        for row in range(240, 260):
            window = features.iloc[: row + 1]
            body = {
                "sessions": [str(session.date()) for session in window.index],
                "names": list(window.columns),
                "rows": window.to_numpy().tolist(),
            }
            answer = client.post("/signal", headers=headers, json=body)
            assert answer.status_code == 200
            told = Signal.from_document(answer.json()["signal"])
            assert told == score(bundle, window)
            assert list(told.weights) == ["SP500", "JPM", "KO"]
            assert told.exposure == pytest.approx(told.weights["SP500"] + told.weights["JPM"])
            held.append(sum(told.weights.values()))
        assert min(held) >= 0.0
        assert max(held) <= 1.0 + 1e-9  # what is left of the capital is cash
        assert client.get("/regime", headers=headers).json()["why"].keys() == {"long", "short"}


def test_live_performance_scores_on_the_portfolios_terms(workspace: Workspace) -> None:
    book = open_book(workspace, "long", SESSION)
    terms = workspace.terms(book.history)
    assert isinstance(terms, Terms)
    assert terms.cost.tolist() == [0.001, 0.001, 0.0025]
    assert np.isfinite(book.net(book.record, terms)).all()


def test_orders_cost_what_each_instrument_costs_and_leave_the_portfolios_band_alone(workspace: Workspace) -> None:
    settings = order_settings(workspace.universe)
    assert settings.cost_of("KO") == 0.0025
    assert settings.cost_of("SP500") == 0.001
    assert settings.no_trade_band == 0.02


def test_the_report_says_of_each_session_what_pulls_towards_its_regime(workspace: Workspace) -> None:
    page = workspace.home.report("tiny", "long", "backtest", SESSION)
    stored = pd.read_csv(page.with_suffix(".data") / "pulls.csv")
    assert stored["session"].iloc[-1].startswith(SESSION.isoformat())
    features = [name for name in stored.columns if name not in ("session", "regime", "ahead")]
    np.testing.assert_allclose(stored[features].sum(axis=1), stored["ahead"], atol=1e-6)
    assert "Why the newest sessions are in their regime" in page.read_text()
