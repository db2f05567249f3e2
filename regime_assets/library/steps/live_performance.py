"""The champion's live record of one horizon: what was served, what it earned, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from regime_assets.library.determinism import derive_seed
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.monitoring.decisions import Decision, MonitoringFigures, decide
from regime_assets.library.monitoring.execution import Execution, execution, traded
from regime_assets.library.monitoring.performance import (
    LivePerformance,
    PairedPerformance,
    PerformanceError,
    PerformanceSettings,
    live_performance,
)
from regime_assets.library.production.deployments import DeploymentLog
from regime_assets.library.production.names import model_name
from regime_assets.library.steps.drift_report import state_of
from regime_assets.library.steps.fill_costs import fill_shortfalls
from regime_assets.library.steps.served_track import read_served_track
from regime_assets.library.steps.shadow import Shadow, against_shadow, follow_shadow
from regime_assets.library.trading.decided import weights_of
from regime_assets.library.trading.scoring import FILL_DELAY, earned_over_cash
from regime_assets.library.trading.terms import Terms, on, without_costs
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import NotMaterializedError, Workspace

TABLE = "live_performance"
NO_SHADOW = "nothing that served is old enough to run in the champion's shadow"


@dataclass(frozen=True)
class Watch:
    """One session's look at a champion.

    Attributes:
        net: what was served earned, net of costs, by session; empty until the first fill has earned.
        performance: the sequential test; None while there is nothing live or too short a record, see `waiting`.
        execution: turnover and slippage; None as long as `performance` is.
        waiting: why there is no test yet; empty when there is one.
        shadow: the predecessor in the champion's shadow; None while there is none.
        paired: the test against it; None while there is none, see `waiting_for_shadow`.
        waiting_for_shadow: why there is no paired test yet; empty when there is one.
        decision: what follows, from drift and performance together.
    """

    net: pd.Series
    performance: LivePerformance | None
    execution: Execution | None
    waiting: str
    shadow: Shadow | None
    paired: PairedPerformance | None
    waiting_for_shadow: str
    decision: Decision

    @property
    def figures(self) -> dict[str, float | int | None]:
        """What plots over partitions."""
        found: dict[str, float | int | None] = {"live_sessions": len(self.net)}
        if self.performance is not None:
            path = self.performance.path
            found |= {
                "cumulative_return": float(path["cumulative"].iloc[-1]),
                "band_low": float(path["low"].iloc[-1]),
                "band_high": float(path["high"].iloc[-1]),
                "cusum_over_bound": float(path["cusum"].iloc[-1] / self.performance.bound),
                "live_sharpe": self.performance.live_sharpe,
                "record_sharpe": self.performance.record_sharpe,
            }
        if self.execution is not None:
            found |= self.execution.figures
        if self.shadow is not None:
            found["shadow_version"] = self.shadow.version
        if self.paired is not None:
            last = self.paired.path.iloc[-1]
            found |= {
                "ahead_of_shadow": float(last["cumulative"]),
                "paired_cusum_over_bound": float(last["cusum"] / self.paired.bound),
                "shadow_correlation": self.paired.correlation,
            }
        return found

    @property
    def bands(self) -> pd.DataFrame | None:
        """Return, turnover and slippage since it went live, each with its band; None while there is no test."""
        if self.performance is None or self.execution is None:
            return None
        path = self.performance.path[["cumulative", "low", "high"]]
        own = path.rename(columns={"low": "cumulative_low", "high": "cumulative_high"})
        return own.join(self.execution.path)


@dataclass(frozen=True)
class Book:
    """What the champion's line held.

    Attributes:
        history: features and returns up to the session.
        track: (m, N) weights that the newest models that existed decided, out of sample, index = sessions.
        served: (n, N) weights of what was answered since it went live or was last rolled back; a session without
            an answer of its own is held through.
        shortfalls: what fills cost beyond the closes that are assumed, fractions of capital, by the session that they
            are booked on; empty where no orders were sent.
    """

    history: TrainingSet
    track: pd.DataFrame
    served: pd.DataFrame
    shortfalls: pd.Series

    @property
    def record(self) -> pd.DataFrame:
        """The track before the first answer that counts as live."""
        return self.track[self.track.index < self.served.index[0]] if len(self.served) else self.track

    def line(self, since: date) -> pd.DataFrame:
        """The track up to a session and what was served after it."""
        day = pd.Timestamp(since)
        both = pd.concat([self.track[self.track.index <= day], self.served[self.served.index > day]])
        sessions = self.history.sessions
        return both.reindex(sessions[sessions >= both.index[0]]).ffill() if len(both) else both

    def net(self, weights: pd.DataFrame, cost: float | Terms) -> pd.Series:
        """Net returns of weights over cash from the first fill on."""
        if len(weights) <= FILL_DELAY:
            return pd.Series(dtype=float)
        return earned_over_cash(weights, self.history.traded_returns, cost)

    def net_served(self, cost: float | Terms) -> pd.Series:
        """Net returns of what was served: where fills are known they cost what they cost, elsewhere what is assumed."""
        net = self.net(self.served, cost)
        filled = net.index.intersection(self.shortfalls.index)
        if not len(filled):
            return net
        assumed = self.net(self.served, without_costs(cost)) - net
        net.loc[filled] += assumed.loc[filled] - self.shortfalls.loc[filled]
        return net

    def traded(self, weights: pd.DataFrame, cost: float | Terms) -> pd.DataFrame:
        """Turnover and slippage of weights from the first fill on."""
        return traded(weights.to_numpy(), self._returns(weights), on(cost, pd.DatetimeIndex(weights.index)))

    def _returns(self, weights: pd.DataFrame) -> pd.DataFrame:
        return self.history.traded_returns.loc[weights.index]


def watch(workspace: Workspace, horizon: Horizon, session: date) -> Watch:
    """Judge what was served up to `session`, decide what follows, and store both.

    Raises:
        NotMaterializedError: the session's drift report was not materialized.
    """
    with workspace.database.at_once():
        drift, book = state_of(workspace, horizon, session), open_book(workspace, horizon, session)
    if drift is None:
        raise NotMaterializedError(
            f"drift_report of {workspace.universe.name}/{horizon}, {session} was not materialized"
        )
    cost = workspace.terms(book.history)
    settings = PerformanceSettings(sessions_per_year=round(workspace.universe.sessions_per_year))
    net, record = book.net_served(cost), book.net(book.record, cost)
    waiting = _waits(net, record, settings)
    performance = executed = None
    if not waiting:
        seed = derive_seed(workspace.universe.name, horizon, session.isoformat(), TABLE)
        performance = live_performance(net, record, settings, seed)
        executed = execution(book.traded(book.served, cost), book.traded(book.record, cost), settings, seed)
    shadow = follow_shadow(workspace, horizon, session, book.history, settings.shortest_record)
    paired, waiting_for_shadow = _paired(workspace, horizon, book, shadow, settings)
    previous = workspace.registry.previous_as_of(model_name(workspace.universe.name, horizon), session)
    decision = decide(
        MonitoringFigures(
            drift=drift,
            live_breach=performance.first_breach if performance else None,
            below_band=performance.below_band if performance else False,
            paired_breach=paired.first_breach if paired else None,
            roll_back_to=shadow.version if shadow else previous,
        )
    )
    seen = Watch(net, performance, executed, waiting, shadow, paired, waiting_for_shadow, decision)
    row = {
        "action": decision.action,
        "reason": decision.reason,
        "occasion": decision.key or "",
        "waiting": waiting,
        "waiting_for_shadow": waiting_for_shadow,
    }
    workspace.database.replace_partition(TABLE, workspace.key(horizon, session), pd.DataFrame([row | seen.figures]))
    return seen


def open_book(workspace: Workspace, horizon: Horizon, session: date) -> Book:
    """What the champion's line decided and served up to a session."""
    name = model_name(workspace.universe.name, horizon)
    back = workspace.registry.last_roll_back(name, session)
    begin = back.session if back else workspace.universe.history_start
    answers = DeploymentLog(workspace.database).weights(workspace.universe.name, horizon, begin, session)
    history = workspace.history(horizon, session)
    columns = history.traded_returns.columns
    champion = workspace.registry.champion_as_of(name, session)
    track = read_served_track(workspace, horizon, session)
    # A champion of another design may have begun before the universe's own features have their whole memory.
    track = track[track.index >= history.sessions[0]]
    serves = champion.tags.get("serves", "rule") if champion else "rule"
    decided = weights_of(track, "policy" if serves == "policy" else "rule", [str(column) for column in columns])
    weights = {pd.Timestamp(day): held for day, held in answers.items()}
    served = pd.DataFrame(columns=columns, index=pd.DatetimeIndex([]), dtype=float)
    if weights:
        sessions = history.sessions[history.sessions >= min(weights)]
        held = pd.DataFrame.from_dict(weights, orient="index").reindex(columns=columns)
        served = held.reindex(sessions).ffill()
    return Book(history, decided, served, fill_shortfalls(workspace, session))


def _waits(net: pd.Series, record: pd.Series, settings: PerformanceSettings) -> str:
    """Why live returns cannot be judged yet; empty when they can."""
    if net.empty:
        return "nothing that was served has earned a return yet"
    if len(record) < settings.shortest_record:
        return f"{len(record)} sessions of out-of-sample record, {settings.shortest_record} are needed"
    return "the out-of-sample record never varies" if np.ptp(record.to_numpy()) == 0.0 else ""


def _paired(
    workspace: Workspace, horizon: Horizon, book: Book, shadow: Shadow | None, settings: PerformanceSettings
) -> tuple[PairedPerformance | None, str]:
    """The test against the shadow, or why there is none."""
    if shadow is None:
        return None, NO_SHADOW
    line = book.net(book.line(shadow.since), workspace.terms(book.history))
    try:
        return against_shadow(workspace, horizon, shadow, line, book.history, settings), ""
    except PerformanceError as error:
        return None, str(error)
