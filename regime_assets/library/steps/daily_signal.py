"""The daily signal: what the champions of both horizons decide on a session, combined and logged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from regime_assets.library.clock import clock
from regime_assets.library.evaluation.experience import RULE as EXPERIENCE
from regime_assets.library.production.bundle import Bundle, load_bundle
from regime_assets.library.production.deployments import Deployment, DeploymentLog, inputs_hash
from regime_assets.library.production.names import model_name
from regime_assets.library.production.registry_store import DESIGN_TAG, RegisteredBundle
from regime_assets.library.production.signal import CombinedSignal, Signal, combine, score
from regime_assets.library.regimes.explanation import pulls, strongest
from regime_assets.library.regimes.regime_model import young_words
from regime_assets.library.serving.published_signal import PublishedSignal, publish_signal
from regime_assets.library.steps.declared_design import present_hash
from regime_assets.library.steps.horizon_shares import horizon_shares
from regime_assets.library.steps.judgement import SUBJECT
from regime_assets.library.steps.served_design import left_behind, reading
from regime_assets.library.universe import HORIZONS, Horizon
from regime_assets.library.workspace import Workspace

TABLE = "daily_signal"

PULL_SESSIONS = 64
"""Newest sessions that are encoded to explain the last of them: more than an encoder reads."""


class NoChampionError(Exception):
    """Nothing served a session: no bundle had been promoted by then."""


@dataclass(frozen=True)
class Served:
    """One session's signal, the versions that answered, and what must be known of them.

    Attributes:
        pulls: by horizon, how far each coordinate pulls towards the regime that was answered (`regimes.explanation`).
    """

    signal: CombinedSignal
    champions: dict[Horizon, int]
    warnings: tuple[str, ...]
    pulls: dict[Horizon, pd.Series]

    @property
    def why(self) -> pd.DataFrame:
        """One row a horizon: its regime, and what pulls towards it and away, strongest first, in nats."""
        return pd.DataFrame(
            [
                {"horizon": name, "regime": self.signal.horizons[name].regime, "pulls": strongest(row, 5)}
                for name, row in self.pulls.items()
            ],
            columns=["horizon", "regime", "pulls"],
        )

    @property
    def regime(self) -> str:
        """The combined regime and the horizon that it comes from."""
        return f"{self.signal.regime} ({self.signal.regime_from})"

    @property
    def figures(self) -> dict[str, float | int | None]:
        """What plots over partitions."""
        values: dict[str, float | int | None] = {"exposure": self.signal.exposure}
        for horizon, signal in self.signal.horizons.items():
            values[f"{horizon}_exposure"] = signal.exposure
            values[f"{horizon}_share"] = self.signal.shares[horizon]
            values[f"{horizon}_reconstruction_error"] = signal.reconstruction_error
            values |= {f"{horizon}_probability_{name}": p for name, p in signal.posteriors.items()}
        return values

    @property
    def weights(self) -> pd.DataFrame:
        """One row an instrument."""
        return pd.DataFrame(sorted(self.signal.weights.items()), columns=["symbol", "weight"])

    @property
    def horizons(self) -> pd.DataFrame:
        """One row a horizon: who answered and what."""
        return pd.DataFrame(
            [
                {
                    "horizon": name,
                    "version": self.champions[_horizon(name)],
                    "regime": s.regime,
                    "exposure": s.exposure,
                    "share": self.signal.shares[name],
                }
                for name, s in self.signal.horizons.items()
            ]
        )


def serve(workspace: Workspace, session: date) -> Served:
    """Score the champions as of `session`, combine their answers, store, log and publish them.

    Raises:
        NoChampionError: a horizon has no champion as of the session.
    """
    with workspace.database.held():
        return _served(workspace, session)


def _served(workspace: Workspace, session: date) -> Served:
    champions: dict[Horizon, RegisteredBundle] = {
        horizon: _champion(workspace, horizon, session) for horizon in HORIZONS
    }
    signals: dict[str, Signal] = {}
    reasons: dict[Horizon, pd.Series] = {}
    young: list[str] = []
    for horizon, champion in champions.items():
        signals[horizon], bundle, why = _answer(workspace, horizon, session, champion)
        if why is not None:
            reasons[horizon] = why
        if bundle.regimes.followed < 1.0:
            young.append(f"{horizon}: the model is young: {young_words(bundle.regimes.followed)}")
    versions: dict[Horizon, int] = {horizon: champion.version for horizon, champion in champions.items()}
    shares = horizon_shares(workspace, session)
    combined = combine(signals, shares)
    rows = pd.DataFrame(sorted(combined.weights.items()), columns=["symbol", "weight"])
    rows["shares"] = None if shares is None else json.dumps(combined.shares)
    rows["regime"], rows["exposure"] = combined.regime, combined.exposure
    workspace.database.replace_partition(TABLE, {"universe": workspace.universe.name, "as_of": session}, rows)
    why = {str(name): {str(key): float(pull) for key, pull in row.items()} for name, row in reasons.items()}
    by_horizon = {str(name): version for name, version in versions.items()}
    published = PublishedSignal(workspace.universe.name, by_horizon, clock.now(), combined, why)
    publish_signal(workspace.home.mlflow_artifacts, published)
    return Served(combined, versions, (*_warnings(workspace, session, champions), *young), reasons)


def _warnings(workspace: Workspace, session: date, champions: dict[Horizon, RegisteredBundle]) -> tuple[str, ...]:
    """What the history behind each champion's design has not held, and a champion whose lane is in the file no more."""
    told: list[str] = []
    for horizon, champion in champions.items():
        stored = champion.tags.get("settings_hash", "")
        lineage = workspace.lineage(horizon, present_hash(workspace, horizon, stored))
        judged = lineage.outcomes(SUBJECT, session)
        told += [f"{horizon}: {rule.detail}" for rule in judged if rule.rule == EXPERIENCE and not rule.passed]
        name = champion.tags.get(DESIGN_TAG, "")
        if stored and (what_to_do := left_behind(workspace, horizon, champion.version, stored, name)):
            told.append(f"{horizon}: {what_to_do}")
    return tuple(told)


def _champion(workspace: Workspace, horizon: Horizon, session: date) -> RegisteredBundle:
    name = model_name(workspace.universe.name, horizon)
    champion = workspace.registry.champion_as_of(name, session)
    if champion is None:
        raise NoChampionError(
            f"nothing served {session}: no version of {name} was promoted for it or for an earlier session"
        )
    return champion


def _answer(
    workspace: Workspace, horizon: Horizon, session: date, champion: RegisteredBundle
) -> tuple[Signal, Bundle, pd.Series | None]:
    bundle = load_bundle(champion.path, champion.sha256, workspace.universe.own_components)
    features = reading(workspace, bundle).training_set(horizon, session).features
    signal = score(bundle, features, workspace.regime_path)
    DeploymentLog(workspace.database).record(
        Deployment(
            universe=workspace.universe.name,
            horizon=horizon,
            model_version=champion.version,
            bundle_sha256=champion.sha256,
            inputs_hash=inputs_hash(features),
            features={str(key): float(value) for key, value in features.iloc[-1].items()},
            signal=signal,
            decided_at=clock.now(),
            reason=f"champion as of {session}",
        )
    )
    return signal, bundle, _pulls(bundle, features, signal.regime)


def _pulls(bundle: Bundle, features: pd.DataFrame, regime: str) -> pd.Series | None:
    """What pulls the newest session towards the regime that was answered."""
    newest = features.iloc[-PULL_SESSIONS:]
    states = np.full(len(newest), bundle.regimes.names.index(regime), dtype=np.int64)
    found = pulls(bundle.regimes, newest, states)
    return None if found is None else found.iloc[-1]


def _horizon(name: str) -> Horizon:
    return "short" if name == "short" else "long"
