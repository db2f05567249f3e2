"""The champion's live record of one horizon: what was served, what it earned, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.chain import Chain, ChainError
from regime_assets.library.evaluation.out_of_sample import read_track
from regime_assets.library.evaluation.scoring import FILL_DELAY, realised_returns
from regime_assets.library.models.determinism import derive_seed
from regime_assets.library.models.training_set import TrainingSet
from regime_assets.library.monitoring.decisions import Decision, MonitoringFigures, decide
from regime_assets.library.monitoring.performance import LivePerformance, PerformanceSettings, live_performance
from regime_assets.library.pipeline.drift import state_of
from regime_assets.library.production.deployments import DeploymentLog
from regime_assets.library.production.names import model_name
from regime_assets.library.universe import Horizon

TABLE = "live_performance"


@dataclass(frozen=True)
class Watch:
    """One session's look at a champion.

    Attributes:
        net: what was served earned, net of costs, by session; empty until the first fill has earned.
        performance: the sequential test; None while there is nothing live or too short a record, see `waiting`.
        waiting: why there is no test yet; empty when there is one.
        decision: what follows, from drift and performance together.
    """

    net: pd.Series
    performance: LivePerformance | None
    waiting: str
    decision: Decision

    @property
    def figures(self) -> dict[str, float | int | None]:
        """What plots over partitions."""
        if self.performance is None:
            return {"live_sessions": len(self.net)}
        path = self.performance.path
        return {
            "live_sessions": len(self.net),
            "cumulative_return": float(path["cumulative"].iloc[-1]),
            "band_low": float(path["low"].iloc[-1]),
            "band_high": float(path["high"].iloc[-1]),
            "cusum_over_bound": float(path["cusum"].iloc[-1] / self.performance.bound),
            "live_sharpe": self.performance.live_sharpe,
            "record_sharpe": self.performance.record_sharpe,
        }


def watch(chain: Chain, horizon: Horizon, session: date) -> Watch:
    """Judge what was served up to `session`, decide what follows, and store both.

    Raises:
        ChainError: the session's drift report was not materialized.
    """
    drift = state_of(chain, horizon, session)
    if drift is None:
        raise ChainError(f"drift_report of {chain.universe.name}/{horizon}, {session} was not materialized")
    net, record = live_and_record(chain, horizon, session)
    settings = PerformanceSettings(sessions_per_year=round(chain.universe.sessions_per_year))
    performance, waiting = None, ""
    if net.empty:
        waiting = "nothing that was served has earned a return yet"
    elif len(record) < settings.shortest_record:
        waiting = f"{len(record)} sessions of out-of-sample record, {settings.shortest_record} are needed"
    elif np.ptp(record.to_numpy()) == 0.0:
        waiting = "the out-of-sample record never varies"
    else:
        seed = derive_seed(chain.universe.name, horizon, session.isoformat(), TABLE)
        performance = live_performance(net, record, settings, seed)
    name = model_name(chain.universe.name, horizon)
    decision = decide(
        MonitoringFigures(
            drift=drift,
            live_breach=performance.first_breach if performance else None,
            below_band=performance.below_band if performance else False,
            has_predecessor=chain.registry.previous(name) is not None,
        )
    )
    seen = Watch(net, performance, waiting, decision)
    row = {"action": decision.action, "reason": decision.reason, "occasion": decision.key or "", "waiting": waiting}
    chain.database.replace_partition(TABLE, chain.key(horizon, session), pd.DataFrame([row | seen.figures]))
    return seen


def live_and_record(chain: Chain, horizon: Horizon, session: date) -> tuple[pd.Series, pd.Series]:
    """Net returns of what was served since it went live or was last rolled back, and the track's before that.

    Returns:
        (n,) live and (m,) record, index = sessions; the record ends before the first decision that was served.
    """
    name = model_name(chain.universe.name, horizon)
    backs = [move.session for move in chain.registry.history(name) if move.kind == "roll_back"]
    begin = max((day for day in backs if day <= session), default=chain.universe.history_start)
    served = DeploymentLog(chain.database).history(chain.universe.name, horizon, begin, session)
    history = chain.history(horizon, session)
    weights = {pd.Timestamp(one.signal.session): one.signal.weights for one in served}
    first = min(weights, default=pd.Timestamp(session))
    track = read_track(chain.database, chain.universe.name, horizon, session)
    past = track[track.index < first]
    champion = chain.registry.champion_as_of(name, session)
    serves = champion.tags.get("serves", "rule") if champion else "rule"
    record = _net(chain, history, past[f"{serves}_exposure"].to_numpy()[:, None] * history.base_weights, past.index)
    if not weights:
        return pd.Series(dtype=float), record
    sessions = history.sessions[history.sessions >= first]
    held = pd.DataFrame.from_dict(weights, orient="index").reindex(columns=history.traded_returns.columns)
    # A session without an answer of its own is held through: the weights of the last answer stay.
    filled = held.reindex(sessions).ffill()
    return _net(chain, history, filled.to_numpy(), sessions), record


def _net(chain: Chain, history: TrainingSet, weights: NDArray[np.float64], sessions: pd.Index) -> pd.Series:
    """Net returns from the first fill on."""
    if len(sessions) <= FILL_DELAY:
        return pd.Series(dtype=float)
    returns = history.traded_returns.loc[sessions].to_numpy()
    net = realised_returns(weights, returns, chain.universe.cost)
    return pd.Series(net[FILL_DELAY:], index=sessions[FILL_DELAY:])
