"""Two models over the same sessions: registered versions as they stand, or designs walked forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

import pandas as pd

from regime_assets.library.evaluation.comparison import Comparison, compare
from regime_assets.library.evaluation.contenders import POLICY, RULE
from regime_assets.library.evaluation.paired_test import paired_test
from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.production.bundle import Bundle, load_bundle
from regime_assets.library.production.names import model_name
from regime_assets.library.production.registry_store import RegisteredBundle
from regime_assets.library.recipe import FittedModels, decide
from regime_assets.library.research.long_walk import (
    HistorySettings,
    carry_out,
    newest_complete_session,
    open_run,
)
from regime_assets.library.research.tries import Pair, Progress, TryError
from regime_assets.library.research.walk_report import table_row
from regime_assets.library.steps.served_design import reading
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import Workspace


@dataclass(frozen=True)
class FrozenBacktest:
    """A registered version on a range of sessions.

    Attributes:
        comparisons: rule, policy and baselines.
        notes: what the reader must know of them, such as sessions that the version was fitted on.
    """

    comparisons: dict[str, Comparison]
    notes: tuple[str, ...]

    @property
    def sessions(self) -> list[str]:
        """ISO days."""
        return [f"{session:%Y-%m-%d}" for session in self.comparisons[RULE].net.index]

    @property
    def table(self) -> pd.DataFrame:
        """One row a strategy, formatted."""
        return pd.DataFrame([table_row(one) for one in self.comparisons.values()])


@dataclass(frozen=True)
class SideBySide:
    """Two versions or designs.

    Attributes:
        pair: on the sessions that both decide.
        notes: what the reader must know of them.
        made: how each was made, as JSON values.
    """

    pair: Pair
    notes: tuple[str, ...]
    made: tuple[Mapping[str, Any], Mapping[str, Any]]


@dataclass(frozen=True)
class _Side:
    """What one of two decided on every session that it can decide, with the returns behind it."""

    name: str
    history: TrainingSet
    decided: pd.DataFrame
    seen: date | None
    made: Mapping[str, Any]


def backtest_version(
    workspace: Workspace, horizon: Horizon, version: int, first: date | None, last: date | None
) -> FrozenBacktest:
    """Score a version, never refitted, on the sessions of a range; after its own session when none is given.

    Raises:
        TryError: there is no such version, or no session in the range.
    """
    side = _frozen(workspace, horizon, version, last)
    chosen = _range((side,), first)
    return FrozenBacktest(_compared(workspace, side, chosen), _notes((side,), chosen))


def compare_sides(
    workspace: Workspace,
    horizon: Horizon,
    names: tuple[str, str],
    settings: HistorySettings,
    on_refit: Progress,
) -> SideBySide:
    """Two versions or designs on the sessions that both decide.

    Raises:
        TryError: a name that is neither a version nor a design of the universe, or no session in common.
    """
    for name in names:
        _require_known(workspace, horizon, name)  # before a walk of minutes
    sides = (
        _side(workspace, horizon, names[0], settings, on_refit),
        _side(workspace, horizon, names[1], settings, on_refit),
    )
    chosen = _range(sides, settings.first)
    first, second = (_compared(workspace, side, chosen) for side in sides)
    per_year = workspace.universe.sessions_per_year
    tests = {name: paired_test(first[name].net, second[name].net, per_year) for name in (RULE, POLICY)}
    trials = workspace.ledger.statistics(workspace.universe.name, workspace.universe.held).count
    pair = Pair((sides[0].name, sides[1].name), (first, second), tests, max(1, trials))
    return SideBySide(pair, _notes(sides, chosen), (sides[0].made, sides[1].made))


def _side(workspace: Workspace, horizon: Horizon, name: str, settings: HistorySettings, on_refit: Progress) -> _Side:
    if name.isdecimal():
        return _frozen(workspace, horizon, int(name), settings.last)
    chosen = workspace.of_lane(name)
    run = open_run(chosen, horizon, replace(settings, first=None))
    if settings.first is not None:
        earliest = run.history.sessions[len(run.history.sessions) - run.settings.sessions].date()
        run = open_run(chosen, horizon, replace(settings, first=max(settings.first, earliest)))
    track = carry_out(run, lambda *at: on_refit(name, *at))
    return _Side(name, run.history, track, None, chosen.design.document(horizon))


def _require_known(workspace: Workspace, horizon: Horizon, name: str) -> None:
    universe = workspace.universe
    if name.isdecimal():
        _registered(workspace, horizon, int(name))
    elif name != "design" and name not in universe.challengers:
        known = ", ".join(("design", *universe.challengers))
        raise TryError(f"{name} is neither a version's number nor a design of {universe.name}: there are {known}")


def _registered(workspace: Workspace, horizon: Horizon, version: int) -> RegisteredBundle:
    name = model_name(workspace.universe.name, horizon)
    versions = workspace.registry.versions(name)
    found = [one for one in versions if one.version == version]
    if not found:
        known = ", ".join(str(one.version) for one in versions) or "none"
        raise TryError(f"{name} has no version {version}; there are {known}")
    return found[0]


def _frozen(workspace: Workspace, horizon: Horizon, version: int, last: date | None) -> _Side:
    found = _registered(workspace, horizon, version)
    bundle = load_bundle(found.path, found.sha256, workspace.universe.own_components)
    history = reading(workspace, bundle).history(horizon, last or newest_complete_session(workspace))
    decided, session = _decided(bundle, history), bundle.manifest.session
    return _Side(f"version {version}", history, decided, session, _made(bundle))


def _made(bundle: Bundle) -> Mapping[str, Any]:
    """Where a version comes from, and the settings of its encoder."""
    manifest, encoder = bundle.manifest.to_document(), bundle.regimes.vae
    said = ("session", "serves", "settings_hash", "data_hash", "code_version", "seeds", "parents", "environment")
    settings = {name: value for name, value in asdict(encoder.settings).items() if name != "seed"}
    return {name: manifest[name] for name in said} | {"encoder": {"use": encoder.use, **settings}}


def _decided(bundle: Bundle, history: TrainingSet) -> pd.DataFrame:
    models = FittedModels(bundle.regimes, bundle.policy)
    return decide(models, history.features, 0, bundle.manifest.traded).rename_axis("session")


def _range(sides: Sequence[_Side], first: date | None) -> pd.DatetimeIndex:
    """The sessions that all sides decide, from `first` on; by default from the newest version's session on."""
    common = pd.DatetimeIndex(sides[0].decided.index)
    for side in sides[1:]:
        common = common.intersection(pd.DatetimeIndex(side.decided.index))
    seen = [side.seen for side in sides if side.seen is not None]
    begin = first or (max(seen) if seen else common[0].date())
    chosen = common[common >= pd.Timestamp(begin)]
    if len(chosen) < 2:
        raise TryError(f"no two sessions from {begin} on are decided: choose an earlier --first or a later --last")
    return chosen


def _compared(workspace: Workspace, side: _Side, sessions: pd.DatetimeIndex) -> dict[str, Comparison]:
    universe = workspace.universe
    return compare(side.history, side.decided.loc[sessions], workspace.terms(side.history), universe.sessions_per_year)


def _notes(sides: Sequence[_Side], sessions: pd.DatetimeIndex) -> tuple[str, ...]:
    notes: list[str] = []
    for side in sides:
        if side.seen is None:
            continue
        known = int((sessions < pd.Timestamp(side.seen)).sum())
        if known:
            notes.append(
                f"{side.name} was fitted on sessions up to {side.seen}: {known} of the {len(sessions)} sessions shown "
                "are not out of sample, and its figures are better than what can be expected of it"
            )
        else:
            notes.append(f"{side.name} was fitted on sessions up to {side.seen}: every session shown is out of sample")
    return tuple(notes)
