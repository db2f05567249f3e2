"""A walk-forward over long history that is stored as it goes: killed anywhere, it goes on where it stopped.

A run is identified by everything that its bits depend on: design, settings, window, prices and the library's code. Its
decisions stand in DuckDB segment by segment; of the models only the newest are kept, which the next refit starts from.
They are written before their segment is committed and removed after the next one was, so that there is always a pair.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import pandas as pd

from regime_assets.library.artifact import read_artifact, write_artifact
from regime_assets.library.chain import Chain
from regime_assets.library.evaluation.figures import Estimate
from regime_assets.library.evaluation.report import Fact, RegimeHistory, ReportContent, StrategyRow, write_report
from regime_assets.library.evaluation.walk_forward import Segment, WalkForwardError, WalkForwardSettings, replay
from regime_assets.library.evaluation.walk_forward import schedule as schedule_of
from regime_assets.library.models.determinism import derive_seed
from regime_assets.library.models.policy import Policy
from regime_assets.library.models.refit import FittedModels
from regime_assets.library.models.regimes import RegimeModel
from regime_assets.library.models.training_set import TrainingSet
from regime_assets.library.pipeline.backtest import Comparison, compare
from regime_assets.library.pipeline.contenders import BUY_AND_HOLD
from regime_assets.library.production.code_version import code_version
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.universe import Horizon

SEGMENTS = "walk_forward"
RUNS = "walk_forward_runs"
MODEL_KINDS = ("regimes", "policy")

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
    """

    first: date | None = None
    last: date | None = None
    refit_every: int = 5
    policy_every: int = 21
    full_retrain_every: int = 252
    minimum_training: int = 252


@dataclass(frozen=True)
class StoredRun:
    """One walk-forward of a universe and horizon, and what of it is stored.

    Attributes:
        history: features and returns up to the last decided session, as known as of it.
        settings: with `sessions` counted.
    """

    chain: Chain
    horizon: Horizon
    history: TrainingSet
    settings: WalkForwardSettings

    @cached_property
    def identity(self) -> dict[str, str]:
        """Everything that the run's bits depend on."""
        return {
            "design": self.chain.design.hash,
            "settings": json.dumps(asdict(self.settings), sort_keys=True),
            "window": repr(self.chain.window_shape(self.horizon)),
            "data": self.history.data_hash,
            "code": code_version(),
        }

    @cached_property
    def key(self) -> dict[str, object]:
        """Universe, horizon and the hash of the identity."""
        text = json.dumps(self.identity, sort_keys=True)
        run = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {"universe": self.chain.universe.name, "horizon": self.horizon, "run": run}

    @property
    def folder(self) -> Path:
        """Where the newest models are."""
        return self.chain.home.root / "walk_forward" / "/".join(str(part) for part in self.key.values())

    def segments(self) -> pd.DataFrame:
        """The stored decisions by session, with the hashes of the models that took them; empty before the first."""
        return self.chain.database.read_partition(SEGMENTS, self.key, order_by="session")

    def models(self, segments: pd.DataFrame) -> FittedModels:
        """The models of the newest of `segments`.

        Raises:
            ArtifactError: they are not what was stored.
        """
        newest = segments.iloc[-1]
        folder = self.folder / f"{newest['refit_session']:%Y-%m-%d}"
        regimes, policy = (read_artifact(folder / kind, str(newest[f"{kind}_sha256"])) for kind in MODEL_KINDS)
        return FittedModels(RegimeModel.from_parts(regimes), Policy.from_parts(policy))

    def store(self, segment: Segment) -> None:
        """Store one segment, and the models that the next one needs in place of those before."""
        folder = self.folder / f"{segment.session:%Y-%m-%d}"
        hashes = {
            f"{kind}_sha256": write_artifact(folder / kind, getattr(segment.models, kind).to_parts())
            for kind in MODEL_KINDS
        }
        rows = segment.decided.assign(**hashes).reset_index()
        self.chain.database.replace_partition(SEGMENTS, self.key | {"refit_session": segment.session}, rows)
        for earlier in self.folder.iterdir():
            if earlier != folder:
                shutil.rmtree(earlier)


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
        return pd.DataFrame([_table_row(item) for item in self.comparisons.values()])


def walk_history(chain: Chain, horizon: Horizon, settings: HistorySettings, on_refit: Progress) -> HistoryResult:
    """Replay history, going on from what is stored of the same run, and report on it.

    Raises:
        WalkForwardError: no session is stored, or the first one that is asked for has too little history.
    """
    run = open_run(chain, horizon, settings)
    track = carry_out(run, on_refit)
    seed = derive_seed(chain.universe.name, horizon, str(run.key["run"]), "walk_forward")
    comparisons = compare(chain, run.history, track, seed)
    last = track.index[-1].date()
    path = chain.home.report(chain.universe.name, horizon, "walk-forward", last)
    write_report(_content(run, track, comparisons, last), path)
    return HistoryResult(track, comparisons, path)


def open_run(chain: Chain, horizon: Horizon, settings: HistorySettings) -> StoredRun:
    """The run that `settings` mean on the prices that are stored now."""
    last = settings.last or newest_complete_session(chain)
    history = chain.history(horizon, last)
    earliest = history.sessions[min(settings.minimum_training, len(history.sessions) - 1)]
    first = pd.Timestamp(settings.first) if settings.first else earliest
    if first < earliest or first > history.sessions[-1]:
        raise WalkForwardError(
            f"{chain.universe.name}: the first decided session can lie between {earliest:%Y-%m-%d} "
            f"({settings.minimum_training} sessions to train on) and {last}, not on {first:%Y-%m-%d}"
        )
    count = int((history.sessions >= first).sum())
    chosen = WalkForwardSettings(
        count, settings.refit_every, settings.minimum_training, settings.policy_every, settings.full_retrain_every
    )
    return StoredRun(chain, horizon, history, chosen)


def carry_out(run: StoredRun, on_refit: Progress) -> pd.DataFrame:
    """Carry out the refits of a run that are not stored yet; return its whole track."""
    chain = run.chain
    chain.database.replace_partition(RUNS, run.key, pd.DataFrame([run.identity]))
    stored = run.segments()
    done = 0 if stored.empty else int(stored["refit_session"].nunique())
    segments = replay(
        run.history,
        chain.window_shape(run.horizon),
        chain.design,
        schedule_of(len(run.history.sessions), run.settings)[done:],
        (chain.universe.name, run.horizon),
        None if stored.empty else run.models(stored),
        on_refit=lambda number, total, session: on_refit(number, total, session.date()),
    )
    for segment in segments:
        run.store(segment)
    track = run.segments().drop(columns=["refit_session", *(f"{kind}_sha256" for kind in MODEL_KINDS)])
    for column in ("session", "model_session"):
        track[column] = track[column].astype("datetime64[ns]")
    return track.set_index("session")


def newest_complete_session(chain: Chain) -> date:
    """The newest session up to which every instrument that has not left has prices.

    Raises:
        WalkForwardError: an instrument has none.
    """
    newest = chain.market.newest_sessions()
    last = max(newest.values(), default=chain.universe.history_start)
    instruments = chain.universe.instruments_on(last)
    missing = [symbol for symbol in instruments if symbol not in newest]
    if missing:
        raise WalkForwardError(
            f"{chain.universe.name}: no prices of {', '.join(missing)} are stored; materialize a session first"
        )
    return min(newest[symbol] for symbol in instruments)


def _table_row(item: Comparison) -> dict[str, str]:
    summary, interval = item.summary, item.interval

    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    return {
        "strategy": item.name,
        "Sharpe": shown(summary.sharpe, ".2f"),
        "95 %": "–" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}",
        "max drawdown": shown(summary.max_drawdown, ".1%"),
        "switches a year": shown(summary.switches_per_year, ".1f"),
        "turnover a year": shown(summary.turnover, ".1f"),
        "exposure": shown(summary.exposure, ".0%"),
    }


def _report_row(item: Comparison) -> StrategyRow:
    interval, difference = item.interval, item.difference
    return StrategyRow(
        item.name,
        item.summary,
        (interval.low, interval.high) if interval else None,
        Estimate(difference.estimate, difference.low, difference.high) if difference else None,
    )


def _content(run: StoredRun, track: pd.DataFrame, comparisons: dict[str, Comparison], last: date) -> ReportContent:
    chain, settings = run.chain, run.settings
    level = (1.0 + run.history.market_returns.loc[track.index]).cumprod()
    names = run.models(run.segments()).regimes.mixture.names
    stored_once = "A walk-forward keeps the decisions of each refit, and the models of the last one only."
    return ReportContent(
        title=f"{chain.universe.name}, {run.horizon} horizon: walk-forward",
        universe=chain.universe.name,
        horizon=run.horizon,
        as_of=last,
        facts=(
            Fact("Sessions", f"{len(track)}", f"{track.index[0]:%Y-%m-%d} to {last}"),
            Fact("Refits", f"{track['model_session'].nunique()}", f"every {settings.refit_every} sessions"),
        ),
        notes=(
            "Every figure is out of sample: each session is decided by a model fitted on sessions up to the same close "
            f"at the latest. VAE and regimes are refitted every {settings.refit_every} sessions, the policy every "
            f"{settings.policy_every}, everything from scratch every {settings.full_retrain_every}.",
            f"Net of {chain.universe.cost_bp:g} basis points one way; a weight decided on a close is filled on the "
            "next close and earns from there on; cash earns nothing.",
            "The design itself was chosen by people who know this history. Instruments that are watched today and "
            "have survived make a cross-section optimistic.",
        ),
        provenance={"run": str(run.key["run"]), **run.identity, **environment_versions()},
        reference=BUY_AND_HOLD,
        rows=tuple(_report_row(item) for item in comparisons.values()),
        net={name: item.net for name, item in comparisons.items()},
        weights=next(iter(comparisons.values())).weights,
        regimes=RegimeHistory(level, track["regime"].to_numpy(dtype="int64"), names),
        absent={
            "latents": stored_once,
            "signal": "The risk-off signal is described in a session's backtest report.",
            "vae": stored_once,
            "policy": stored_once,
            "gate": "A walk-forward promotes nothing.",
        },
    )
