"""The session's bundle: assembled from its accepted models, registered, and promoted where the gate said so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from regime_assets.library.acceptance import RuleOutcome
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.production.bundle import Bundle, save_bundle
from regime_assets.library.production.code_version import code_version
from regime_assets.library.production.environment import environment_versions
from regime_assets.library.production.manifest import Manifest
from regime_assets.library.production.names import model_name
from regime_assets.library.production.promotion_rules import NO_CHAMPION, PromotionRefusedError
from regime_assets.library.steps.judgement import SUBJECT, Judgement, read_judgement
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.steps.model_card import publish_card
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


@dataclass(frozen=True)
class Promotion:
    """What happened to a session's bundle.

    Attributes:
        version: its version in the registry.
        sha256: its hash.
        promoted: whether it serves now.
        champion: the version that serves after this, with its session.
        serves: whether the bundle decides by the learned policy or by the rule.
        summary: the outcome in one line.
        rules: what the gate held it against.
    """

    version: int
    sha256: str
    promoted: bool
    champion: str
    serves: str
    summary: str
    rules: tuple[RuleOutcome, ...]

    @property
    def figures(self) -> dict[str, float | int]:
        """What plots over partitions."""
        return {"version": self.version, "promoted": int(self.promoted)}


def register_and_promote(workspace: Workspace, horizon: Horizon, session: date, run_id: str | None) -> Promotion:
    """Register the session's bundle and move the aliases as the stored judgement says.

    A champion of a later session is never replaced by an earlier one: then the version is registered only.
    """
    judgement = read_judgement(workspace, horizon, session)
    folder = workspace.home.bundle(workspace.universe.name, horizon, session)
    bundle = assemble(workspace, horizon, session, judgement)
    sha256 = save_bundle(bundle, folder)
    name = model_name(workspace.universe.name, horizon)
    version = workspace.registry.register(folder, name, sha256, version_tags(bundle.manifest, judgement), run_id)
    publish_card(workspace, bundle.manifest, judgement, version)
    promoted, reason = False, judgement.reason
    if judgement.promote:
        try:
            judged_against = NO_CHAMPION if judgement.champion_version is None else judgement.champion_version
            workspace.registry.promote(name, version, reason, judgement.outcome, judged_against=judged_against)
            promoted = True
        except PromotionRefusedError as refused:
            reason = str(refused)
    if not promoted:
        champion = workspace.registry.champion(name)
        if champion is None or champion.version != version:
            workspace.registry.set_challenger(name, version)
    champion = workspace.registry.champion(name)
    serving = f"version {champion.version} of {champion.session}" if champion else "none"
    verb = "promoted" if promoted else "not promoted"
    summary = f"version {version} {verb}: {reason}; champion: {serving}"
    return Promotion(version, sha256, promoted, serving, judgement.serves, summary, judgement.rules)


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
    records = {kind: lineage.require(kind, session) for kind in KINDS}
    manifest = Manifest(
        universe=workspace.universe.name,
        horizon=horizon,
        session=session,
        traded=workspace.universe.held,
        serves="policy" if judgement.serves == "policy" else "rule",
        data_hash=records["vae"].data_hash,
        settings_hash=workspace.design.hash,
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
    broken = [o.rule for o in workspace.lineage(horizon).outcomes(SUBJECT, now.session) if o.blocking and not o.passed]
    verdict = now.tags.get("verdict", "nothing") + (f", rules not met: {', '.join(broken)}" if broken else "")
    return f"{name}: version {now.version} of {now.session} serves; the gate had said: {verdict}"
