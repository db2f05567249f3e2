"""A search for a better design: Optuna proposes from a declared space, and every proposal counts as a try.

The proposals are walked forward in processes of their own, several at a time. What was proposed and how it came out is
kept in a journal, so that a search goes on where it was stopped. The best of many proposals looks good by luck alone:
what is said of it at the end is deflated by all of them.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from regime_assets.library.home import Home
from regime_assets.library.research.long_walk import HistorySettings, carry_out, open_run
from regime_assets.library.research.tries import Pair, TryError, assigned, measured_gain, patched_design, try_design
from regime_assets.library.trading.decided import Decider
from regime_assets.library.universe import Horizon, Universe
from regime_assets.library.window_reads import WindowReads
from regime_assets.library.workspace import Workspace

if TYPE_CHECKING:
    import optuna

Assignments = tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """One trial of a search.

    Attributes:
        number: from 0 on.
        values: setting → value.
        gain: paired gain in Sharpe ratio over the design's (`judged_by`); None where it could not be had.
        refusal: why it could not be had; empty where it could.
    """

    number: int
    values: dict[str, Any]
    gain: float | None
    refusal: str = ""


def read_space(path: Path) -> dict[str, dict[str, Any]]:
    """A space as YAML: setting → `{int: [2, 6]}`, `{float: [0.3, 3], log: true}` or `{choice: [1, 2]}`.

    Raises:
        TryError: there is no such file, or it has another form.
    """
    import yaml

    if not path.is_file():
        raise TryError(f"there is no file {path}")

    space = yaml.safe_load(path.read_text())
    if not isinstance(space, dict) or not space:
        raise TryError(f"{path}: a space is a mapping of settings, such as `encoder.n_latents: {{int: [2, 6]}}`")
    for name, span in cast("dict[str, Any]", space).items():
        kinds = [kind for kind in ("int", "float", "choice") if isinstance(span, dict) and kind in span]
        values = span[kinds[0]] if len(kinds) == 1 else None
        if not isinstance(values, list) or len(values) < 2 or (kinds[0] != "choice" and len(values) != 2):
            raise TryError(f"{path}: {name} needs int: [low, high], float: [low, high] or choice: [value, ...]")
    return cast("dict[str, dict[str, Any]]", space)


def judged_by(space: Mapping[str, Any]) -> Decider:
    """What a search compares: the learned policies where the space has settings of a policy, else the regime rules."""
    return "policy" if any(name.split(".")[0] == "policy" for name in space) else "rule"


def search(
    workspace: Workspace,
    horizon: Horizon,
    space: Mapping[str, Mapping[str, Any]],
    settings: HistorySettings,
    trials: int,
    processes: int,
    name: str,
    on_trial: Callable[[Proposal], None],
) -> tuple[list[Proposal], Pair | None]:
    """Try `trials` designs of a space, those of a search that was stopped included.

    Returns:
        Every proposal, and the best one beside the universe's design; None when none could be walked.

    Raises:
        TryError: a search of this name had another space, or walked over other sessions.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = workspace.home.root / "searches" / workspace.universe.name / horizon
    folder.mkdir(parents=True, exist_ok=True)
    backend = JournalFileBackend(str(folder / f"{name}.log"))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )
    # A search that goes on must not draw what it drew before.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), constant_liar=True)
    own = open_run(workspace, horizon, settings)
    _require_the_same(study, {**own.identity, "space": json.dumps(space, sort_keys=True)})
    carry_out(own, lambda *_: None)  # once, before the processes need it
    _let_go_on(study)
    task = _Task(workspace.universe, workspace.home, horizon, settings, judged_by(space))
    with ProcessPoolExecutor(processes, get_context("spawn"), _end_with_parent) as pool:
        running: dict[Future[float | str], optuna.Trial] = {}
        left = trials - len(study.get_trials(states=_finished()))
        while running or left > 0:
            while left > 0 and len(running) < processes:
                trial = study.ask()
                running[pool.submit(task, _proposed(trial, space))] = trial
                left -= 1
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                trial, answer = running.pop(done), done.result()
                if isinstance(answer, str):
                    trial.set_user_attr("refusal", answer)
                    study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    study.tell(trial, answer)
                on_trial(_proposal(study.trials[trial.number]))
    found = [_proposal(trial) for trial in study.get_trials(states=_finished())]
    measured = [one for one in found if one.gain is not None]
    if not measured:
        return found, None
    best = max(measured, key=lambda one: one.gain if one.gain is not None else float("-inf"))
    design = patched_design(workspace.universe, assigned(as_assignments(best.values)))
    if design.hash_for(horizon) == workspace.design.hash_for(horizon):
        return found, None
    return found, try_design(workspace, horizon, design, settings, lambda *_: None, "search", "best")


def _require_the_same(study: optuna.Study, asked: Mapping[str, str]) -> None:
    """Refuse to go on with a study whose figures cannot be compared with those to come."""
    before: dict[str, str] = study.user_attrs.get("asked", {})
    differing = [name for name, value in before.items() if asked[name] != value]
    if differing:
        raise TryError(
            f"the search {study.study_name} was begun with another {' and another '.join(differing)}, so that its "
            "trials cannot be compared with new ones: give this one another --name"
        )
    study.set_user_attr("asked", dict(asked))


def _end_with_parent() -> None:
    """A process whose search was killed ends at once, and leaves the cores to others."""

    def wait_for_the_end() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait_for_the_end, daemon=True).start()


@dataclass(frozen=True)
class _Task:
    """What a process does with one proposal; it travels there whole."""

    universe: Universe
    home: Home
    horizon: Horizon
    settings: HistorySettings
    decider: Decider

    def __call__(self, values: dict[str, Any]) -> float | str:
        """The gain, or why there is none."""
        workspace = Workspace(self.universe, self.home, WindowReads())  # both walks read one history
        try:
            design = patched_design(self.universe, assigned(as_assignments(values)))
            if design.hash_for(self.horizon) == workspace.design.hash_for(self.horizon):
                return 0.0
            test = measured_gain(workspace, self.horizon, design, self.settings, "search", self.decider)
        except Exception as error:
            if not type(error).__module__.startswith("regime_assets."):
                raise
            return str(error)
        return f"its {self.decider} never moves" if test is None else test.estimate


def as_assignments(values: Mapping[str, Any]) -> list[str]:
    """`name=value` of every setting."""
    return [f"{name}={json.dumps(value)}" for name, value in values.items()]


def _proposed(trial: optuna.Trial, space: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, span in space.items():
        log = bool(span.get("log", False))
        if "int" in span:
            values[name] = trial.suggest_int(name, *span["int"], log=log)
        elif "float" in span:
            values[name] = trial.suggest_float(name, *span["float"], log=log)
        else:
            values[name] = trial.suggest_categorical(name, span["choice"])
    return values


def _proposal(trial: optuna.trial.FrozenTrial) -> Proposal:
    return Proposal(trial.number, dict(trial.params), trial.value, str(trial.user_attrs.get("refusal", "")))


def _finished() -> tuple[optuna.trial.TrialState, ...]:
    import optuna

    return (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL)


def _let_go_on(study: optuna.Study) -> None:
    """Proposals that were being walked when the search was stopped are proposed again."""
    import optuna

    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.enqueue_trial(trial.params)
        study.tell(trial.number, state=optuna.trial.TrialState.PRUNED)
