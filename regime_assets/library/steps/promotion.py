"""The session's bundle: judged against what serves, registered, and promoted where the gate says so.

The verdict is reached here, against the champion of this moment: in a backfill the session before has been promoted
by then, and a session that is fitted again is judged against what its first fit had promoted.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regime_assets.library.evaluation.live_interval import LiveInterval, live_sharpe_interval
from regime_assets.library.evaluation.out_of_sample import read_track
from regime_assets.library.evaluation.paired_test import PairedTest
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.production.bundle import Bundle, save_bundle
from regime_assets.library.production.code_version import code_version
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.production.manifest import Manifest
from regime_assets.library.production.names import model_name
from regime_assets.library.production.promotion_rules import NO_CHAMPION, PromotionRefusedError
from regime_assets.library.production.registry_store import (
    CHALLENGER,
    DESIGN_TAG,
    PROMOTION_TAG,
    ROLLED_BACK_TAG,
    RegisteredBundle,
)
from regime_assets.library.report.content import Fact
from regime_assets.library.report.gate_section import GateSection, write_gate
from regime_assets.library.report.plain_words import LANES
from regime_assets.library.steps.backtest_record import BacktestRecord, read_record
from regime_assets.library.steps.declared_design import present_hash
from regime_assets.library.steps.gate_evidence import Champion, judge, load_champion
from regime_assets.library.steps.judgement import SUBJECT, Judgement, find_judgement, store_judgement
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.steps.model_card import publish_card
from regime_assets.library.steps.served_design import lane_of
from regime_assets.library.trading.decided import weights_of
from regime_assets.library.trading.scoring import Scored, score
from regime_assets.library.trading.terms import on
from regime_assets.library.universe import OWN_DESIGN, Horizon
from regime_assets.library.workspace import Workspace

IDENTITY_TAG = "models"
"""Of a version: the hash of the models, the window, the design and the code that it was made of."""


@dataclass(frozen=True)
class Serving:
    """What serves: its version, the session that it was fitted on, and the name of the lane that fitted it."""

    version: int
    session: date
    design: str


@dataclass(frozen=True)
class Promotion:
    """What happened to a session's bundle.

    Attributes:
        version: its version in the registry; None where the session has no bundle.
        sha256: its hash; empty where there is none.
        promoted: whether it serves now.
        serving: what serves after this; None while nothing does.
        judgement: the gate's answer.
        summary: the outcome in one line.
    """

    version: int | None
    sha256: str
    promoted: bool
    serving: Serving | None
    judgement: Judgement
    summary: str

    @property
    def champion(self) -> str:
        """What serves after this, in words."""
        return _in_words(self.serving)

    @property
    def refused(self) -> bool:
        """Whether the session has no bundle, because one of its models was not accepted."""
        return self.version is None

    @property
    def figures(self) -> dict[str, float | int | None]:
        """What plots over partitions."""
        return {"version": self.version, "promoted": int(self.promoted)}


def register_and_promote(workspace: Workspace, horizon: Horizon, session: date, run_id: str | None) -> Promotion:
    """Judge the session's models, register their bundle, and move the aliases as the verdict says.

    A session whose models were refused has no bundle: the champion answers for it. An older session than the
    champion's is registered and takes no alias. The same models a second time keep the verdict that they have.

    Raises:
        NotMaterializedError: the session's backtest report was not materialized.
    """
    name = model_name(workspace.universe.name, horizon)
    with workspace.database.at_once():
        record = read_record(workspace, horizon, session)
        refused = _refused(workspace, horizon, session)
        identity = "" if refused else _identity(workspace, horizon, session, record)
        known = None if refused else _registered(workspace, name, session, identity)
        before = find_judgement(workspace, horizon, session)
    if refused:
        judgement = _unjudged(workspace, name, record, refused)
        store_judgement(workspace, horizon, session, judgement)
        return _shown(workspace, horizon, session, judgement, None, "")
    if known is not None and before is not None and _is_settled(known, before):
        return _shown(workspace, horizon, session, before, known, known.sha256)
    champion = load_champion(workspace, horizon)
    judgement = (
        _judged(workspace, horizon, session, record, champion)
        if champion is None or champion.session <= session
        else _unjudged(
            workspace, name, record, f"version {champion.version} of {champion.session} serves, a later session"
        )
    )
    store_judgement(workspace, horizon, session, judgement)
    bundle = assemble(workspace, horizon, session, judgement)
    folder = workspace.home.bundle(workspace.universe.name, horizon, workspace.design.hash_for(horizon), session)
    sha256 = save_bundle(bundle, folder)
    tags = version_tags(bundle.manifest, judgement) | {IDENTITY_TAG: identity, DESIGN_TAG: workspace.lane}
    version = workspace.registry.register(folder, name, sha256, tags, run_id)
    publish_card(workspace, bundle.manifest, judgement, version)
    shutil.rmtree(folder)  # the registry has a copy of its own
    if judgement.promote:
        against = NO_CHAMPION if champion is None else champion.version
        try:
            workspace.registry.promote(name, version, judgement.reason, judgement.outcome, judged_against=against)
        except PromotionRefusedError as error:
            judgement = _unjudged(workspace, name, record, str(error))
            store_judgement(workspace, horizon, session, judgement)
    registered = workspace.registry.version(name, version)
    if not judgement.promote and PROMOTION_TAG not in registered.tags and _is_newest(champion, session):
        workspace.registry.set_challenger(name, version, _alias(workspace))
    return _shown(workspace, horizon, session, judgement, registered, sha256)


def _refused(workspace: Workspace, horizon: Horizon, session: date) -> str:
    """Which of the session's models was refused, and why; empty when all were accepted.

    Raises:
        LineageError: one was not materialized.
    """
    lineage = workspace.lineage(horizon)
    records = lineage.of_session(session)
    refused = next((kind for kind in KINDS if kind in records and not records[kind].accepted), None)
    if refused is not None:
        return f"{refused} was not accepted: {records[refused].refusal}"
    lineage.required(KINDS, session)
    return ""


def _judged(
    workspace: Workspace, horizon: Horizon, session: date, record: BacktestRecord, champion: Champion | None
) -> Judgement:
    """The gate's answer to the session's models, beside the champion of this moment."""
    history, name = workspace.history(horizon, session), workspace.universe.name
    with workspace.database.at_once():
        track = read_track(workspace.database, name, horizon, session, workspace.design.hash_for(horizon))
        workspace.registry.versions(model_name(name, horizon))  # read ahead: the gate looks for an old champion
    scored = _scored(workspace, history, track, record)
    sessions = pd.DatetimeIndex(track.index)
    market = _held(workspace, history, track)
    verdict = judge(workspace, horizon, session, history, scored, market, sessions, champion, workspace.universe.gate)
    live = _promise(record, verdict.gain, _year(workspace))
    return Judgement(
        lane=verdict.lane,
        outcome=verdict.outcome,
        reason="; ".join(verdict.reasons) or LANES[verdict.lane],
        serves=record.serves,
        champion_version=champion.version if champion else None,
        figures=record.figures | _live_figures(live),
        rules=(*verdict.rules, *record.rules),
    )


def _unjudged(workspace: Workspace, name: str, record: BacktestRecord, reason: str) -> Judgement:
    """The answer without a question: the session's models cannot serve, whatever their record."""
    champion = workspace.registry.champion(name)
    return Judgement(
        lane="none",
        outcome="hold",
        reason=reason,
        serves=record.serves,
        champion_version=champion.version if champion else None,
        figures=record.figures | _live_figures(None),
        rules=record.rules,
    )


def _scored(workspace: Workspace, history: TrainingSet, track: pd.DataFrame, record: BacktestRecord) -> Scored:
    """What would serve, over the sessions of the track and over cash."""
    weights, returns = weights_of(track, record.serves, workspace.universe.held), history.traded_returns
    terms = on(workspace.terms(history), pd.DatetimeIndex(track.index))
    return score(weights.to_numpy(), returns.loc[track.index].to_numpy(), terms).over_cash


def _held(workspace: Workspace, history: TrainingSet, track: pd.DataFrame) -> NDArray[np.float64]:
    """Net returns of buy & hold over cash, over the sessions of the track."""
    earned = history.traded_returns.loc[track.index].to_numpy()
    terms = on(workspace.terms(history), pd.DatetimeIndex(track.index))
    return score(np.tile(history.base_weights, (len(earned), 1)), earned, terms).over_cash.net


def _identity(workspace: Workspace, horizon: Horizon, session: date, record: BacktestRecord) -> str:
    """What tells the session's models from another fit of the same session."""
    lineage = workspace.lineage(horizon)
    records = lineage.required(KINDS, session).values()
    parts = [
        *(f"{one.sha256} {one.data_hash} {one.code_version}" for one in records),
        workspace.design.hash_for(horizon),
    ]
    return hashlib.sha256("|".join([*parts, record.serves]).encode()).hexdigest()[:16]


def _registered(workspace: Workspace, name: str, session: date, identity: str) -> RegisteredBundle | None:
    """The version that holds these models already."""
    versions = workspace.registry.versions_of(name, session)
    return next((v for v in versions if v.tags.get(IDENTITY_TAG) == identity), None)


def _is_settled(known: RegisteredBundle, judgement: Judgement) -> bool:
    """Whether nothing is left to do for a version: it was promoted, rolled back since, or held."""
    return not judgement.promote or PROMOTION_TAG in known.tags or ROLLED_BACK_TAG in known.tags


def _alias(workspace: Workspace) -> str:
    """The alias of a lane's newest version that does not serve: `challenger`, of a challenger with its name."""
    return CHALLENGER if workspace.lane == OWN_DESIGN else f"{CHALLENGER}_{workspace.lane}"


def _is_newest(champion: Champion | None, session: date) -> bool:
    return champion is None or champion.session <= session


def _shown(
    workspace: Workspace,
    horizon: Horizon,
    session: date,
    judgement: Judgement,
    registered: RegisteredBundle | None,
    sha256: str,
) -> Promotion:
    """Write the stored verdict into the report, and say in one line what happened."""
    champion = workspace.registry.champion(model_name(workspace.universe.name, horizon))
    served = _serving(workspace, horizon, champion) if champion else None
    serving = _in_words(served)
    promoted = registered is not None and champion is not None and champion.version == registered.version
    version = registered.version if registered else None
    what = f"version {version} {'serves' if promoted else 'not promoted'}" if version else "no bundle of this session"
    live = {name: judgement.figures.get(f"live_sharpe_{name}") for name in ("expected", "low", "high")}
    facts = [Fact("Champion after it", serving)]
    if live["expected"] is not None:
        stretches = f"95 of 100 stretches of {_year(workspace)} sessions"
        note = f"no forecast: in {stretches} like the record, less what selection explains"
        between = f"{live['low']:.2f} and {live['high']:.2f}"
        facts.append(Fact("A year's Sharpe ratio lies between", between, note))
    verdict = f"{judgement.lane}: {judgement.outcome}" if judgement.lane != "none" else judgement.outcome
    report = workspace.report(horizon, "backtest", session)
    write_gate(GateSection(verdict, judgement.reason, tuple(facts), judgement.rules), report)
    summary = f"{what}: {judgement.reason}; champion: {serving}"
    return Promotion(version, sha256, promoted, served, judgement, summary)


def _serving(workspace: Workspace, horizon: Horizon, champion: RegisteredBundle) -> Serving:
    stored = champion.tags.get("settings_hash", "")
    named = lane_of(workspace, horizon, stored) or champion.tags.get(DESIGN_TAG) or stored[:8]
    return Serving(champion.version, champion.session, named)


def _in_words(serving: Serving | None) -> str:
    if serving is None:
        return "none"
    whose = "" if serving.design == OWN_DESIGN else f", {serving.design}"
    return f"version {serving.version} of {serving.session}{whose}"


def _year(workspace: Workspace) -> int:
    """The sessions of the year that a promotion's interval is about."""
    return round(workspace.universe.sessions_per_year)


def _promise(record: BacktestRecord, gain: PairedTest | None, ahead: int) -> LiveInterval | None:
    """The interval of the next year's ratio; the gain that selected what serves is shrunk in it."""
    if record.interval is None:
        return None
    selected_by = gain or (record.gain if record.serves == "policy" else None)
    return live_sharpe_interval(record.interval, selected_by, ahead)


def _live_figures(live: LiveInterval | None) -> dict[str, float | None]:
    values = (None, None, None) if live is None else (live.expected, live.low, live.high)
    return dict(zip(("live_sharpe_expected", "live_sharpe_low", "live_sharpe_high"), values, strict=True))


def version_tags(manifest: Manifest, judgement: Judgement) -> dict[str, str]:
    """What the registry shows of a version at a glance: verdict and design. The model card and the manifest say all."""
    return {
        "verdict": judgement.outcome,
        "reason": judgement.reason,
        "lane": judgement.lane,
        "serves": judgement.serves,
        "settings_hash": manifest.settings_hash,
    }


def assemble(workspace: Workspace, horizon: Horizon, session: date, judgement: Judgement) -> Bundle:
    """The bundle of a session's accepted models."""
    lineage = workspace.lineage(horizon)
    records = lineage.required(KINDS, session)
    manifest = Manifest(
        universe=workspace.universe.name,
        horizon=horizon,
        session=session,
        traded=workspace.universe.held,
        serves="policy" if judgement.serves == "policy" else "rule",
        data_hash=records["vae"].data_hash,
        settings_hash=workspace.design.hash_for(horizon),
        code_version=code_version(),
        seeds={kind: record.seed for kind, record in records.items()},
        parents={kind: record.parent for kind, record in records.items() if record.parent},
        metrics=judgement.figures,
        verdict=f"{judgement.lane}: {judgement.outcome}",
        environment=environment_versions(),
    )
    models = LineageModels(lineage).deciding(session)
    features = tuple(feature.document() for feature in workspace.design.features)
    return Bundle(manifest, features, models.regimes, models.policy)


def roll_back(
    workspace: Workspace, horizon: Horizon, reason: str, as_of: date | None = None, to: int | None = None
) -> str:
    """Let the previous champion, or an older version that served, serve again; return what serves now, in one line."""
    name = model_name(workspace.universe.name, horizon)
    now = workspace.registry.roll_back(name, reason, as_of, to)
    return f"{name}: version {now.version} of {now.session} serves again"


def promote_by_hand(workspace: Workspace, horizon: Horizon, version: int, reason: str) -> str:
    """Let any registered version serve; return what serves now, with the verdict that the gate had given it."""
    name = model_name(workspace.universe.name, horizon)
    now = workspace.registry.promote(name, version, reason, "promoted by hand", reinstate=True)
    lineage = workspace.lineage(horizon, present_hash(workspace, horizon, now.tags.get("settings_hash", "")))
    broken = [o.rule for o in lineage.outcomes(SUBJECT, now.session) if o.blocking and not o.passed]
    verdict = now.tags.get("verdict", "nothing") + (f", rules not met: {', '.join(broken)}" if broken else "")
    return f"{name}: version {now.version} of {now.session} serves; the gate had said: {verdict}"
