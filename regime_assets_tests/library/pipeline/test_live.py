"""A champion that loses what its record never lost is in breach; one that earns as before is not."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.chain import Chain, ChainError
from regime_assets.library.evaluation.out_of_sample import store_stretch
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.pipeline.drift import TABLE as DRIFT_TABLE
from regime_assets.library.pipeline.live import live_and_record, watch
from regime_assets.library.production.deployments import Deployment, DeploymentLog
from regime_assets.library.production.signal import Signal
from regime_assets.library.universe import load_universe

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2012-01-03
first_partition: 2015-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
"""
LIVE = (date(2017, 1, 3), date(2017, 6, 30))


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    (tmp_path / "tiny.yaml").write_text(UNIVERSE)
    chain = Chain(load_universe(tmp_path / "tiny.yaml"), Home(tmp_path / "home"))
    source = SampleSource()
    fetched = source.fetch(chain.universe.instruments, chain.universe.history_start, date(2018, 12, 31))
    chain.market.ingest(fetched, "sample", datetime.now(UTC), chain.calendar)
    sessions = pd.DatetimeIndex(pd.to_datetime(list(chain.calendar.sessions(date(2015, 1, 2), date(2016, 12, 30)))))
    stretch = pd.DataFrame(
        {"regime": 0, "risk_off": 0.1, "rule_exposure": 1.0, "policy_exposure": 1.0, "reconstruction_error": 0.5},
        index=sessions.rename("session"),
    ).assign(model_session=sessions[0])
    store_stretch(chain.database, chain.key("short", LIVE[0]), stretch)
    return chain


def serve(chain: Chain, exposures: dict[date, float]) -> None:
    log = DeploymentLog(chain.database)
    for session, exposure in exposures.items():
        signal = Signal(session, "calm", {"calm": 1.0}, exposure, {"SP500": exposure}, (0.0,), 0.1)
        log.record(Deployment("tiny", "short", 1, "0" * 64, "0" * 64, {"f": 1.0}, signal, datetime.now(UTC), "test"))


def no_drift(chain: Chain, session: date) -> None:
    row = {
        "status": "calm",
        "episode_id": None,
        "opened": None,
        "sessions_since": None,
        "refresh_requested": False,
        "refitted": False,
        "exceeded": 0,
        "recovered": 0,
        "cool_down": 0,
        "back_off": 10,
    }
    frame = pd.DataFrame([row]).astype({"episode_id": "string", "opened": "string", "sessions_since": "float64"})
    chain.database.replace_partition(DRIFT_TABLE, chain.key("short", session), frame)


def exposures(chain: Chain, *, unlucky: bool) -> dict[date, float]:
    """Fully invested; the unlucky champion is invested before falls only."""
    sessions = chain.calendar.sessions(*LIVE)
    returns = chain.history("short", date(2018, 12, 31)).market_returns
    following = {day: returns.iloc[returns.index.get_loc(pd.Timestamp(day)) + 2] for day in sessions}
    return {day: float(following[day] < 0) if unlucky else 1.0 for day in sessions}


def test_a_champion_that_earns_like_its_record_is_left_alone(chain: Chain) -> None:
    serve(chain, exposures(chain, unlucky=False))
    no_drift(chain, LIVE[1])
    seen = watch(chain, "short", LIVE[1])
    assert seen.performance is not None
    assert not seen.performance.breached
    assert seen.decision.action in ("nothing", "watch")


def test_a_champion_that_only_loses_is_in_breach(chain: Chain) -> None:
    serve(chain, exposures(chain, unlucky=True))
    no_drift(chain, LIVE[1])
    seen = watch(chain, "short", LIVE[1])
    assert seen.performance is not None
    assert seen.performance.breached
    assert seen.decision.action == "full retrain", "there is no predecessor to roll back to"
    assert seen.decision.alert
    stored = chain.database.read_partition("live_performance", chain.key("short", LIVE[1]))
    assert stored["action"].item() == "full retrain"
    assert "short of its out-of-sample record" in stored["reason"].item()


def test_live_returns_begin_with_the_first_fill_and_the_record_ends_before(chain: Chain) -> None:
    serve(chain, dict.fromkeys(chain.calendar.sessions(*LIVE), 1.0))
    net, record = live_and_record(chain, "short", LIVE[1])
    sessions = chain.calendar.sessions(*LIVE)
    assert net.index[0] == pd.Timestamp(sessions[2])
    assert record.index[-1] < pd.Timestamp(sessions[0])
    market = chain.history("short", LIVE[1]).market_returns
    np.testing.assert_allclose(net.iloc[1:], market.loc[net.index[1:]], atol=1e-12)


def test_before_the_first_fill_it_waits_and_says_so(chain: Chain) -> None:
    serve(chain, {LIVE[0]: 1.0})
    no_drift(chain, LIVE[0])
    seen = watch(chain, "short", LIVE[0])
    assert seen.performance is None
    assert "nothing that was served has earned" in seen.waiting


def test_without_a_drift_report_nothing_is_decided(chain: Chain) -> None:
    serve(chain, {LIVE[0]: 1.0})
    with pytest.raises(ChainError, match="drift_report"):
        watch(chain, "short", LIVE[0])
