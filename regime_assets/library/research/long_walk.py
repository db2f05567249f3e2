"""A walk-forward over long history: killed anywhere, it goes on where it stopped; at its end it reports.

What it stores on the way, and what identifies a run, is in `walk_store`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.determinism import single_threaded
from regime_assets.library.evaluation.comparison import Comparison, compare
from regime_assets.library.evaluation.contenders import POLICY, RULE
from regime_assets.library.evaluation.trials import Kind
from regime_assets.library.report.page import write_report
from regime_assets.library.research.walk_report import compose_walk, table_row
from regime_assets.library.research.walk_store import ARTIFACTS, StoredRun
from regime_assets.library.steps.admission import require_admitted
from regime_assets.library.steps.declared_design import declare
from regime_assets.library.universe import Horizon
from regime_assets.library.walk import WalkForwardError, WalkForwardSettings, replay
from regime_assets.library.walk import schedule as schedule_of
from regime_assets.library.workspace import Workspace

Progress = Callable[[int, int, date], None]
"""Called with (number, total, refit session) before each refit."""


@dataclass(frozen=True)
class HistorySettings:
    """What is replayed and how often models are refitted; counts are sessions.

    Attributes:
        first, last: of the sessions that are decided; the first possible one and the newest stored one when None.
        refit_every: between two refits of VAE and regimes.
        policy_every: between two refits of the policy, at the next refit of the regimes.
        full_retrain_every: between two refits of everything from scratch: models that only ever started warm decay.
        minimum_training: that the first model is trained on at least.
        embargo: before each refit session, itself included, that the refit does not train on.
    """

    first: date | None = None
    last: date | None = None
    refit_every: int = 5
    policy_every: int = 21
    full_retrain_every: int = 252
    minimum_training: int = 252
    embargo: int = 0


@dataclass(frozen=True)
class HistoryResult:
    """A finished walk-forward.

    Attributes:
        track: decisions by session, as `walk_forward` returns them.
        comparisons: policy, rule and baselines on the track's sessions.
        report: the HTML file.
    """

    track: pd.DataFrame
    comparisons: dict[str, Comparison]
    report: Path

    @property
    def table(self) -> pd.DataFrame:
        """One row a strategy, formatted."""
        return pd.DataFrame([table_row(item) for item in self.comparisons.values()])

    @property
    def net(self) -> dict[str, pd.Series]:
        """Net returns by strategy."""
        return {name: item.net for name, item in self.comparisons.items()}

    @property
    def figures(self) -> dict[str, float | int | None]:
        """Of rule and policy, for the UI's plots and experiment tracking."""
        values: dict[str, float | int | None] = {"sessions": len(self.track)}
        for prefix, name in (("rule", RULE), ("policy", POLICY)):
            summary = self.comparisons[name].summary
            values |= {
                f"{prefix}_sharpe": summary.sharpe,
                f"{prefix}_max_drawdown": summary.max_drawdown,
                f"{prefix}_switches_per_year": summary.switches_per_year,
                f"{prefix}_turnover": summary.turnover,
            }
        return values


def walk_history(
    workspace: Workspace, horizon: Horizon, settings: HistorySettings, on_refit: Progress
) -> HistoryResult:
    """Replay history, going on from what is stored of the same run, and report on it.

    Raises:
        WalkForwardError: no session is stored, or the first one that is asked for has too little history.
    """
    run = open_run(workspace, horizon, settings)
    track = carry_out(run, on_refit)
    comparisons = compare(run.history, track, workspace.terms(run.history), workspace.universe.sessions_per_year)
    last = track.index[-1].date()
    shown = comparisons[RULE].summary
    hashed = workspace.design.hash_for(horizon)
    workspace.ledger.record_shown(workspace.universe.name, horizon, last, hashed, shown)
    path = workspace.home.report(workspace.universe.name, horizon, "walk-forward", last)
    write_report(compose_walk(run, track, comparisons, last), path)
    return HistoryResult(track, comparisons, path)


def open_run(workspace: Workspace, horizon: Horizon, settings: HistorySettings) -> StoredRun:
    """The run that `settings` mean on the prices that are stored now."""
    last = settings.last or newest_complete_session(workspace)
    require_admitted(workspace, last)
    history = workspace.history(horizon, last)
    least = settings.minimum_training + settings.embargo
    earliest = history.sessions[min(least, len(history.sessions) - 1)]
    first = pd.Timestamp(settings.first) if settings.first else earliest
    if first < earliest or first > history.sessions[-1]:
        raise WalkForwardError(
            f"{workspace.universe.name}: the first decided session can lie between {earliest:%Y-%m-%d} "
            f"({settings.minimum_training} sessions to train on, {settings.embargo} of embargo) and {last}, "
            f"not on {first:%Y-%m-%d}"
        )
    count = int((history.sessions >= first).sum())
    chosen = WalkForwardSettings(
        count,
        settings.refit_every,
        settings.minimum_training,
        settings.policy_every,
        settings.full_retrain_every,
        settings.embargo,
    )
    return StoredRun(workspace, horizon, history, chosen)


def carry_out(run: StoredRun, on_refit: Progress, kind: Kind = "walk_forward") -> pd.DataFrame:
    """Carry out the refits of a run that are not stored yet; return its whole track.

    Args:
        kind: as what the ledger counts the design.
    """
    workspace = run.workspace
    run.begin(clock.now())
    declare(workspace, run.horizon, kind)
    stored = run.segments()
    steps = schedule_of(len(run.history.sessions), run.settings)
    if not stored.empty:
        newest = run.history.sessions.searchsorted(pd.Timestamp(stored["refit_session"].iloc[-1]))
        steps = tuple(step for step in steps if step.position > newest)
    segments = replay(
        run.history,
        workspace.window_shape(run.horizon),
        workspace.design,
        steps,
        (workspace.universe.name, run.horizon),
        None if stored.empty else run.carried(stored),
        on_refit=lambda number, total, session: on_refit(number, total, session.date()),
        stability=workspace.universe.stability,
    )
    # One thread from end to end: equal bits however many walks share the machine, and none waits for another's.
    with single_threaded():
        for segment in segments:
            run.store(segment)
    track = run.segments().drop(columns=["refit_session", *(f"{name}_sha256" for name in ARTIFACTS)])
    for column in ("session", "model_session"):
        track[column] = track[column].astype("datetime64[ns]")
    return track.set_index("session")


def newest_complete_session(workspace: Workspace) -> date:
    """The newest session up to which every instrument that has not left has prices.

    Raises:
        WalkForwardError: an instrument has none.
    """
    newest = workspace.market.newest_sessions()
    last = max(newest.values(), default=workspace.universe.history_start)
    instruments = workspace.universe.instruments_on(last)
    missing = [symbol for symbol in instruments if symbol not in newest]
    if missing:
        raise WalkForwardError(
            f"{workspace.universe.name}: no prices of {', '.join(missing)} are stored; materialize a session first"
        )
    return min(newest[symbol] for symbol in instruments)
