"""Another design walked forward beside the universe's own, over the same sessions, and what the pair is evidence of.

A try is written to the ledger before anything is known of its outcome, so that one that was stopped counts as well.
Both walks go on where they were stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd
from pydantic import ValidationError

from regime_assets.library.components import ComponentError
from regime_assets.library.design import Design, design_of
from regime_assets.library.evaluation.comparison import Comparison, compare
from regime_assets.library.evaluation.contenders import BUY_AND_HOLD, POLICY, RULE
from regime_assets.library.evaluation.metrics import summarise
from regime_assets.library.evaluation.paired_test import PairedTest, paired_test
from regime_assets.library.evaluation.tiers import deflated_score
from regime_assets.library.evaluation.trials import Kind
from regime_assets.library.research.long_walk import HistorySettings, carry_out, open_run
from regime_assets.library.research.walk_report import table_row
from regime_assets.library.research.walk_store import StoredRun
from regime_assets.library.steps.declared_design import declare
from regime_assets.library.trading.decided import Decider, weights_of
from regime_assets.library.trading.scoring import score
from regime_assets.library.trading.terms import on
from regime_assets.library.universe import Horizon, Universe
from regime_assets.library.universe.design_section import ChallengerChoice
from regime_assets.library.workspace import Workspace

Progress = Callable[[str, int, int, date], None]
"""Called with (whose walk, number, total, refit session) before each refit."""

CONFIDENCE = 0.95


class TryError(Exception):
    """A try that cannot be made; the message says what is wrong with it."""


@dataclass(frozen=True)
class Pair:
    """Two walks over the same sessions.

    Attributes:
        names: of the design that is tried and of the one that it is held against.
        comparisons: of each, by contender (`compare`).
        tests: paired, of the first against the second, by contender; None where it cannot be had.
        trials: designs that were ever tried on this history, this one included.
    """

    names: tuple[str, str]
    comparisons: tuple[dict[str, Comparison], dict[str, Comparison]]
    tests: dict[str, PairedTest | None]
    trials: int

    @property
    def sessions(self) -> pd.DatetimeIndex:
        """The sessions of both."""
        return pd.DatetimeIndex(self.comparisons[0][RULE].net.index)

    @property
    def table(self) -> pd.DataFrame:
        """One row a strategy of either, and buy & hold, formatted."""
        rows = [
            table_row(one[contender]) | {"strategy": f"{name}: {contender}"}
            for contender in (RULE, POLICY)
            for name, one in zip(self.names, self.comparisons, strict=True)
        ]
        return pd.DataFrame([*rows, table_row(self.comparisons[0][BUY_AND_HOLD])])

    def verdict(self) -> list[str]:
        """What the pair is evidence of, one sentence a strategy."""
        return [_sentence(contender, test, self.trials) for contender, test in self.tests.items()]


def _sentence(contender: str, test: PairedTest | None, trials: int) -> str:
    if test is None:
        return f"{contender}: no evidence, one of the two has no variance or the sessions are too few"
    if test.standard_error == 0.0:
        return f"{contender}: both decide the same on every session"
    low, high = test.lower_bound((1 + CONFIDENCE) / 2), 2 * test.estimate - test.lower_bound((1 + CONFIDENCE) / 2)
    deflated = float(deflated_score(test.z, trials))
    found = "evidence of a gain" if deflated >= 1.645 else "no evidence of a gain"
    return (
        f"{contender}: Sharpe {test.estimate:+.2f} (95 % interval {low:+.2f} to {high:+.2f}), z {test.z:+.2f}; "
        f"z {deflated:+.2f} as the best of {trials} designs tried on this history: {found}"
    )


def patched_design(universe: Universe, patch: Mapping[str, Any]) -> Design:
    """The universe's design with what differs, written as a challenger is in the universe file.

    Raises:
        TryError: a word or a value that a design does not take.
        UniverseError: a component of the user's own does not.
    """
    try:
        choice = ChallengerChoice.model_validate(dict(patch)).on(universe.design)
        choice = type(choice).model_validate(choice.model_dump())
        return design_of(universe, choice, ("design",))
    except (ValidationError, ComponentError) as error:
        lines = error.errors() if isinstance(error, ValidationError) else [{"loc": (), "msg": str(error)}]
        text = "; ".join(f"{'.'.join(map(str, line['loc'])) or 'design'}: {line['msg']}" for line in lines)
        raise TryError(text) from error


def assigned(assignments: list[str]) -> dict[str, Any]:
    """`encoder.n_latents=4` and the like as one nested mapping; values are YAML.

    Raises:
        TryError: an assignment without a name or a value.
    """
    import yaml

    patch: dict[str, Any] = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign or not name:
            raise TryError(f"{assignment!r} is no setting: write it as encoder.n_latents=4")
        *path, last = name.strip().split(".")
        place = patch
        for step in path:
            place = place.setdefault(step, {})
            if not isinstance(place, dict):
                raise TryError(f"{assignment!r}: {step} was given a value before")
        place[last] = yaml.safe_load(text)
    return patch


def try_design(
    workspace: Workspace,
    horizon: Horizon,
    design: Design,
    settings: HistorySettings,
    on_refit: Progress,
    kind: Kind = "try",
    name: str = "try",
) -> Pair:
    """Walk a design forward beside the universe's own, and record it.

    Raises:
        As `walk_beside`.
    """
    walked = walk_beside(workspace, horizon, design, settings, on_refit, kind, name)
    pair = paired(workspace, (name, "design"), walked)
    last, hashed = pair.sessions[-1].date(), design.hash_for(horizon)
    shown = pair.comparisons[0][RULE].summary
    workspace.ledger.record_shown(workspace.universe.name, horizon, last, hashed, shown)
    return pair


def measured_gain(
    workspace: Workspace, horizon: Horizon, design: Design, settings: HistorySettings, kind: Kind, decider: Decider
) -> PairedTest | None:
    """As `try_design`, but what one decider of the design gains alone, without baselines and their intervals.

    Args:
        decider: the regime rule, or the learned policy of both designs.

    Returns:
        The paired test, or None where one of the two never moves.

    Raises:
        As `walk_beside`.
    """
    walked = walk_beside(workspace, horizon, design, settings, lambda *_: None, kind, "trial")
    universe = workspace.universe
    ours, theirs = (
        score(
            weights_of(track, decider, universe.held).to_numpy(),
            run.history.traded_returns.loc[track.index].to_numpy(),
            on(workspace.terms(run.history), pd.DatetimeIndex(track.index)),
        )
        for run, track in zip(walked.runs, walked.tracks, strict=True)
    )
    last, hashed = walked.tracks[0].index[-1].date(), design.hash_for(horizon)
    workspace.ledger.record_shown(universe.name, horizon, last, hashed, summarise(ours, universe.sessions_per_year))
    return paired_test(ours.over_cash.net, theirs.over_cash.net, universe.sessions_per_year)


@dataclass(frozen=True)
class Walked:
    """Two walks over the same sessions, that of the design that is tried first."""

    runs: tuple[StoredRun, StoredRun]
    tracks: tuple[pd.DataFrame, pd.DataFrame]


def walk_beside(
    workspace: Workspace,
    horizon: Horizon,
    design: Design,
    settings: HistorySettings,
    on_refit: Progress,
    kind: Kind,
    name: str,
) -> Walked:
    """Walk a design forward beside the universe's own, which is walked once.

    Raises:
        TryError: it is the universe's own design.
        NotAdmittedError: a component of it breaks a promise.
        WalkForwardError: history does not hold the sessions that are asked for.
    """
    if design.hash_for(horizon) == workspace.design.hash_for(horizon):
        raise TryError("this is the universe's own design: nothing differs, so there is nothing to try")
    other = workspace.under(design)
    declare(workspace, horizon, kind, design)
    run = open_run(other, horizon, settings)
    reference = open_run(workspace, horizon, replace(settings, first=_first(run), last=run.history.sessions[-1].date()))
    if _first(reference) != _first(run):
        run = open_run(other, horizon, replace(settings, first=_first(reference)))
    held = carry_out(reference, lambda *at: on_refit("design", *at))
    track = carry_out(run, lambda *at: on_refit(name, *at), kind)
    return Walked((run, reference), (track, held))


def _first(run: StoredRun) -> date:
    """The first session that a run decides."""
    return run.history.sessions[len(run.history.sessions) - run.settings.sessions].date()


def paired(workspace: Workspace, names: tuple[str, str], walked: Walked) -> Pair:
    """Both walks scored, and tested in pairs."""
    universe = workspace.universe
    first, second = (
        compare(run.history, track, workspace.terms(run.history), universe.sessions_per_year)
        for run, track in zip(walked.runs, walked.tracks, strict=True)
    )
    tests = {
        contender: paired_test(first[contender].over_cash, second[contender].over_cash, universe.sessions_per_year)
        for contender in (RULE, POLICY)
    }
    trials = workspace.ledger.statistics(universe.name, universe.held).count
    return Pair(names, (first, second), tests, trials)
