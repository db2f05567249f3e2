"""The frozen predecessor that runs in the champion's shadow, so that the two can be compared on the same sessions.

A champion that is refreshed nightly never builds a record beside its predecessor. The shadow does: it is a bundle that
served at least a year ago, or the one that another design replaced, kept for a year and never refitted. From its own
session on everything is out of sample for it, so that it comes with the record that calibrates the paired test.
Refreshes of the champion's line leave it in place; a roll-back or another design's promotion ends its term.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import pandas as pd

from regime_assets.library.determinism import derive_seed
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.monitoring.performance import PairedPerformance, PerformanceSettings, paired_performance
from regime_assets.library.production.bundle import load_bundle
from regime_assets.library.production.names import model_name
from regime_assets.library.production.promotion_journal import Move
from regime_assets.library.production.registry_store import PROMOTION_TAG, ROLLED_BACK_TAG, RegisteredBundle
from regime_assets.library.recipe import FittedModels, decide
from regime_assets.library.steps.served_design import reading
from regime_assets.library.trading.decided import packed, unpacked, weights_of
from regime_assets.library.trading.scoring import FILL_DELAY, earned_over_cash
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace

TABLE = "shadow"
BURN_IN = 252
"""Sessions before the first decided one that bring the regime filter and the policy's position up to date."""


@dataclass(frozen=True)
class Shadow:
    """A predecessor and what it decided.

    Attributes:
        version: its version in the registry.
        since: the session after which champion and shadow are compared; what lies before is the record.
        weights: (n, N) by session, from the session after its own training on.
    """

    version: int
    since: date
    weights: pd.DataFrame


@dataclass(frozen=True)
class _Term:
    version: int
    since: date
    turning: str


def follow_shadow(
    workspace: Workspace, horizon: Horizon, session: date, history: TrainingSet, record: int
) -> Shadow | None:
    """Carry the shadow's record on to `session`; choose a shadow where there is none or its term has ended.

    Args:
        history: features and returns up to the session, as known as of it.
        record: sessions out of sample that a shadow must bring along; also the length of its term.

    Returns:
        None while nothing that ever served is old enough.
    """
    name = model_name(workspace.universe.name, horizon)
    champion = workspace.registry.champion_as_of(name, session)
    if champion is None:
        return None
    versions = {stored.version: stored for stored in workspace.registry.versions(name)}
    turning = _turning_point(workspace.registry.history(name), versions, session)
    identifier = turning.identifier if turning else ""
    term = _stored_term(workspace, horizon, session)
    served = len(workspace.calendar.sessions(term.since, session)) - 1 if term else 0
    if term and term.version in versions and term.turning == identifier and served <= record:
        chosen, decided = versions[term.version], history.sessions[-1:]
    else:
        known = workspace.calendar.sessions(workspace.universe.history_start, session)
        if len(known) <= record + FILL_DELAY:
            return None
        found = _chosen(versions.values(), turning, champion.version, known[-1 - record - FILL_DELAY])
        if found is None:
            return None
        chosen, term = found, _Term(found.version, session, identifier)
        decided = history.sessions[history.sessions > pd.Timestamp(chosen.session)]
    rows = packed(_decided(workspace, horizon, session, chosen, decided)).rename_axis("session").reset_index()
    rows["version"], rows["since"], rows["turning"] = term.version, pd.Timestamp(term.since), term.turning
    workspace.database.replace_partition(TABLE, workspace.key(horizon, session), rows)
    workspace.registry.set_shadow(name, chosen.version)
    return Shadow(term.version, term.since, _stored_weights(workspace, horizon, session, term))


def against_shadow(
    workspace: Workspace,
    horizon: Horizon,
    shadow: Shadow,
    champion: pd.Series,
    history: TrainingSet,
    settings: PerformanceSettings,
) -> PairedPerformance:
    """Judge the champion by its shadow, at the same costs.

    Args:
        champion: (n,) net returns of the champion's line, index = sessions: out of sample up to the shadow's `since`,
            what was served after it.

    Raises:
        PerformanceError: the common record is too short, or the two never differed in it.
    """
    sessions = history.sessions[history.sessions >= shadow.weights.index[0]]
    weights = shadow.weights.reindex(sessions).ffill()  # a missed session is held through, as the champion's is
    net = earned_over_cash(weights, history.traded_returns, workspace.terms(history))
    both = pd.DataFrame({"champion": champion, "predecessor": net}).dropna()
    before = both.index <= pd.Timestamp(shadow.since)
    seed = derive_seed(workspace.universe.name, horizon, shadow.since.isoformat(), TABLE)
    return paired_performance(both[~before], both[before], settings, seed)


def _turning_point(moves: Iterable[Move], versions: dict[int, RegisteredBundle], session: date) -> Move | None:
    """The newest move as of a session that ends a shadow's term: a roll-back, or another design's promotion."""
    done = [move for move in moves if move.session <= session]
    for move in reversed(done):
        promoted = versions.get(move.after.champion)
        if move.kind == "roll_back" or (promoted is not None and promoted.tags.get("lane") == "challenge"):
            return move
    return None


def _chosen(
    versions: Iterable[RegisteredBundle], turning: Move | None, champion: int, oldest: date
) -> RegisteredBundle | None:
    """The bundle that another design replaced, otherwise the newest one that served, with a record as long as asked."""
    usable = [
        stored
        for stored in versions
        if PROMOTION_TAG in stored.tags
        and ROLLED_BACK_TAG not in stored.tags
        and stored.version != champion
        and stored.session <= oldest
    ]
    replaced = turning.before.champion if turning is not None and turning.kind == "promotion" else None
    by_challenge = next((stored for stored in usable if stored.version == replaced), None)
    return by_challenge or max(usable, key=lambda stored: (stored.session, stored.version), default=None)


def _decided(
    workspace: Workspace, horizon: Horizon, session: date, chosen: RegisteredBundle, sessions: pd.DatetimeIndex
) -> pd.DataFrame:
    """Exposure and weights that the bundle decides on some of the newest sessions, from the features that it reads."""
    bundle = load_bundle(chosen.path, chosen.sha256, workspace.universe.own_components)
    history = reading(workspace, bundle).history(horizon, session)
    symbols = bundle.manifest.traded
    first = max(0, int(history.sessions.get_indexer(sessions[:1])[0]) - BURN_IN)
    decided = decide(FittedModels(bundle.regimes, bundle.policy), history.features.iloc[first:], 0, symbols)
    serves = bundle.manifest.serves
    weights = weights_of(decided, serves, symbols).loc[sessions]
    return weights.add_prefix("shadow_weight:").assign(exposure=weights.sum(axis=1))


def _stored_term(workspace: Workspace, horizon: Horizon, session: date) -> _Term | None:
    """The term that held after the newest session before this one."""
    if not workspace.database.has_table(TABLE):
        return None
    sql = f"""
        SELECT version, since, turning FROM {TABLE}
        WHERE universe = ? AND horizon = ? AND as_of < ? ORDER BY as_of DESC LIMIT 1"""
    rows = workspace.database.query(sql, [workspace.universe.name, horizon, session])
    if rows.empty:
        return None
    return _Term(int(rows["version"][0]), pd.Timestamp(rows["since"][0]).date(), str(rows["turning"][0]))


def _stored_weights(workspace: Workspace, horizon: Horizon, session: date, term: _Term) -> pd.DataFrame:
    sql = f"""
        SELECT * FROM {TABLE}
        WHERE universe = ? AND horizon = ? AND as_of BETWEEN ? AND ? AND version = ?
        QUALIFY row_number() OVER (PARTITION BY session ORDER BY as_of DESC) = 1
        ORDER BY session"""
    rows = workspace.database.query(sql, [workspace.universe.name, horizon, term.since, session, term.version])
    rows.index = pd.DatetimeIndex(rows["session"].astype("datetime64[ns]"), name="session")
    return weights_of(unpacked(rows.rename(columns={"exposure": "shadow_exposure"})), "shadow", workspace.universe.held)
