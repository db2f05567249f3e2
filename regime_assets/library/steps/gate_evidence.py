"""A session's new models beside the champion: the evidence that the gate judges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.evaluation.gate import (
    ChallengeEvidence,
    FirstEvidence,
    RefreshEvidence,
    Verdict,
    judge_challenge,
    judge_first,
    judge_refresh,
)
from regime_assets.library.evaluation.gate_rules import Integrity
from regime_assets.library.evaluation.out_of_sample import read_track
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.production.bundle import Bundle, load_bundle
from regime_assets.library.production.names import model_name
from regime_assets.library.production.registry_store import PROMOTION_TAG
from regime_assets.library.recipe import FittedModels, decide
from regime_assets.library.steps.champion_line import champion_weights
from regime_assets.library.steps.declared_design import present_hash
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.steps.served_design import reading
from regime_assets.library.trading.decided import weights_of
from regime_assets.library.trading.scoring import Scored, earned_over_cash, returns_over_cash
from regime_assets.library.trading.terms import on
from regime_assets.library.universe import Horizon
from regime_assets.library.universe.gate_settings import GateSettings
from regime_assets.library.workspace import Workspace

COMPARED_SESSIONS = 252


@dataclass(frozen=True)
class Champion:
    """What serves while a session is judged: its version and its bundle."""

    version: int
    session: date
    bundle: Bundle


def load_champion(workspace: Workspace, horizon: Horizon) -> Champion | None:
    """What serves at this moment; None when nothing does yet."""
    registered = workspace.registry.champion(model_name(workspace.universe.name, horizon))
    if registered is None:
        return None
    bundle = load_bundle(registered.path, registered.sha256, workspace.universe.own_components)
    return Champion(registered.version, registered.session, bundle)


def is_refresh(workspace: Workspace, horizon: Horizon, stored: str) -> bool:
    """Whether the lane's models refresh what was stored under a design's hash; if not, they challenge it."""
    return present_hash(workspace, horizon, stored) == workspace.design.hash_for(horizon)


def anchor_before(workspace: Workspace, horizon: Horizon, session: date, fresh_sessions: int) -> Champion | None:
    """A champion of long ago and of the lane's design, frozen: what a line of small refreshes is held against.

    A champion that is replaced nightly leaves hardly a fresh session to be compared on, so that a line could get worse
    in small steps unseen. The anchor is the newest champion with `fresh_sessions` sessions behind it, or the oldest
    there is. What served before the design won its challenge was another line.
    """
    name = model_name(workspace.universe.name, horizon)
    before = [
        v
        for v in workspace.registry.versions(name)
        if PROMOTION_TAG in v.tags
        and v.session < session
        and ("settings_hash" not in v.tags or is_refresh(workspace, horizon, v.tags["settings_hash"]))
    ]
    if not before:
        return None
    known = workspace.calendar.sessions(workspace.universe.history_start, session)
    cutoff = known[max(0, len(known) - 1 - fresh_sessions)]
    old = [version for version in before if version.session <= cutoff]
    chosen = max(old, key=lambda v: v.session) if old else min(before, key=lambda v: v.session)
    bundle = load_bundle(chosen.path, chosen.sha256, workspace.universe.own_components)
    return Champion(chosen.version, chosen.session, bundle)


def judge(
    workspace: Workspace,
    horizon: Horizon,
    session: date,
    history: TrainingSet,
    track: Scored,
    buy_and_hold: NDArray[np.float64],
    sessions: pd.DatetimeIndex,
    champion: Champion | None,
    settings: GateSettings,
) -> Verdict:
    """The gate's verdict on a session's models.

    Args:
        workspace: the universe's stores.
        horizon: which lane.
        session: whose models are judged.
        history: features and returns up to the session.
        track: the scored out-of-sample track of what the new bundle would serve, over `sessions`.
        buy_and_hold: net returns of buy & hold over `sessions`.
        sessions: of the track.
        champion: what serves so far.
        settings: the gate's bounds.
    """
    integrity, year = _integrity(workspace, horizon, session), workspace.universe.sessions_per_year
    if champion is None:
        return judge_first(FirstEvidence(integrity, track, buy_and_hold), settings, year)
    if is_refresh(workspace, horizon, champion.bundle.manifest.settings_hash):
        refreshed, serving = _compared(workspace, horizon, session, champion)
        anchor = anchor_before(workspace, horizon, session, settings.minimum_fresh_sessions) or champion
        fresh = sessions >= pd.Timestamp(anchor.session)
        evidence = RefreshEvidence(
            integrity=integrity,
            track=track,
            buy_and_hold=buy_and_hold,
            label_agreement=float(np.mean(refreshed["regime"] == serving["regime"])),
            refreshed_exposure=_decided(workspace, champion, refreshed),
            champion_exposure=_decided(workspace, champion, serving),
            refreshed_fresh_net=track.net[fresh],
            champion_fresh_net=_champion_net(workspace, history, anchor, sessions)[fresh],
        )
        return judge_refresh(evidence, settings, year)
    theirs = _champion_line(workspace, horizon, session, history, champion, sessions)
    fresh = np.isin(sessions, theirs.index)
    paired = _Paired(
        Scored(track.net[fresh], track.gross[fresh], track.turnover[fresh], track.exposure[fresh]),
        buy_and_hold[fresh],
        theirs.to_numpy(),
        sessions[fresh],
    )
    return _challenge(workspace, horizon, session, integrity, paired, settings)


@dataclass(frozen=True)
class _Paired:
    """Challenger, buy & hold and champion on the sessions that neither design's models had seen when they decided."""

    track: Scored
    buy_and_hold: NDArray[np.float64]
    champion_net: NDArray[np.float64]
    sessions: pd.DatetimeIndex


def _challenge(
    workspace: Workspace,
    horizon: Horizon,
    session: date,
    integrity: Integrity,
    paired: _Paired,
    settings: GateSettings,
) -> Verdict:
    """Another design, on the live sessions after its declaration and on a replay of those before."""
    ledger, name, design = workspace.ledger, workspace.universe.name, workspace.design.hash_for(horizon)
    looked = ledger.last_look(name, horizon, design, session)
    declared = ledger.declared(name, horizon, design)
    live = 0 if declared is None else int(np.count_nonzero(paired.sessions > pd.Timestamp(declared)))
    evidence = ChallengeEvidence(
        integrity=integrity,
        track=paired.track,
        buy_and_hold=paired.buy_and_hold,
        champion_net=paired.champion_net,
        live=live,
        declared=declared,
        trials=ledger.statistics(name, workspace.universe.held),
        sessions_since_look=None
        if looked is None
        else len(workspace.calendar.sessions(looked + timedelta(1), session)),
        alpha_spent=ledger.alpha_spent(name, horizon, session),
    )
    verdict = judge_challenge(evidence, settings, workspace.universe.sessions_per_year)
    if verdict.alpha_spent:
        ledger.record_look(name, horizon, session, design, verdict.alpha_spent)
    return verdict


def _compared(
    workspace: Workspace, horizon: Horizon, session: date, champion: Champion
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the new and the serving models say of the newest sessions of one window."""
    features = workspace.training_set(horizon, session).features
    first = max(0, len(features) - COMPARED_SESSIONS)
    serving = FittedModels(champion.bundle.regimes, champion.bundle.policy)
    refreshed, held = LineageModels(workspace.lineage(horizon)).deciding(session), workspace.universe.held
    infer = workspace.regime_path
    return decide(refreshed, features, first, held, infer), decide(serving, features, first, held, infer)


def _champion_line(
    workspace: Workspace,
    horizon: Horizon,
    session: date,
    history: TrainingSet,
    champion: Champion,
    sessions: pd.DatetimeIndex,
) -> pd.Series:
    """Net returns of the champion's line from its first fill on those of `sessions` on which it was out of sample."""
    name, symbols, manifest = workspace.universe.name, workspace.universe.held, champion.bundle.manifest
    models, bundle = FittedModels(champion.bundle.regimes, champion.bundle.policy), champion.bundle
    weights = champion_weights(
        read_track(
            workspace.database, name, horizon, session, present_hash(workspace, horizon, manifest.settings_hash)
        ),
        lambda: decide(models, reading(workspace, bundle).history(horizon, session).features, 0, symbols),
        manifest.serves,
        symbols,
        sessions,
        champion.session,
    )
    return earned_over_cash(weights, history.traded_returns, workspace.terms(history))


def _champion_net(
    workspace: Workspace, history: TrainingSet, champion: Champion, sessions: pd.DatetimeIndex
) -> NDArray[np.float64]:
    """What the champion's decisions on `sessions` earned; only those from its own session on are out of sample."""
    models = FittedModels(champion.bundle.regimes, champion.bundle.policy)
    symbols = workspace.universe.held
    decided = decide(models, history.features, 0, symbols, workspace.regime_path).loc[sessions]
    weights = weights_of(decided, champion.bundle.manifest.serves, symbols)
    terms = on(workspace.terms(history), sessions)
    return returns_over_cash(weights.to_numpy(), history.traded_returns.loc[sessions].to_numpy(), terms)


def _decided(workspace: Workspace, champion: Champion, decided: pd.DataFrame) -> NDArray[np.float64]:
    """What was decided by what the champion serves: exposures (T,), of a portfolio its weights (T, N)."""
    serves = champion.bundle.manifest.serves
    if workspace.universe.portfolio is None:
        return decided[f"{serves}_exposure"].to_numpy()
    return weights_of(decided, serves, workspace.universe.held).to_numpy()


def _integrity(workspace: Workspace, horizon: Horizon, session: date) -> Integrity:
    lineage = workspace.lineage(horizon)
    records = lineage.required(KINDS, session)
    return Integrity(
        accepted={kind: record.accepted for kind, record in records.items()},
        hashes={kind: record.sha256 for kind, record in records.items()},
    )
