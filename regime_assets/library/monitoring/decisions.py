"""From the monitors' figures to one of four answers, by the first rule that applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from regime_assets.library.monitoring.drift_episodes import DriftState

Action = Literal["nothing", "watch", "full retrain", "roll back and alert"]


@dataclass(frozen=True)
class MonitoringFigures:
    """What the monitors say after one session.

    Attributes:
        drift: the drift monitor's state.
        live_breach: first session on which the champion fell short of its record; None when it did not.
        below_band: whether its cumulative return is below the predictive band.
        paired_breach: first session on which it fell behind its shadow; None when it did not or has none.
        roll_back_to: the version that would serve instead: the shadow, or the previous champion where there is no
            shadow; None when there is neither.
    """

    drift: DriftState
    live_breach: date | None = None
    below_band: bool = False
    paired_breach: date | None = None
    roll_back_to: int | None = None


@dataclass(frozen=True)
class Decision:
    """One answer.

    Attributes:
        action: what to do.
        reason: why, for people.
        key: names the occasion; the same occasion on later sessions has the same key, so that it acts once.
            None when there is nothing to run.
        alert: whether a person must hear of it now.
        roll_back_to: the version that shall serve; None unless it rolls back.
    """

    action: Action
    reason: str
    key: str | None
    alert: bool
    roll_back_to: int | None = None


@dataclass(frozen=True)
class _Rule:
    when: str
    applies: Callable[[MonitoringFigures], bool]
    action: Action
    reason: Callable[[MonitoringFigures], str]
    key: Callable[[MonitoringFigures], str | None]
    alert: bool


def _nothing_to_run(_: MonitoringFigures) -> None:
    return None


_RULES = (
    _Rule(
        "the champion fell behind the predecessor in its shadow (paired CUSUM)",
        lambda f: f.paired_breach is not None and f.roll_back_to is not None,
        "roll back and alert",
        lambda f: f"behind version {f.roll_back_to} in its shadow since {f.paired_breach}, by more than luck explains",
        lambda f: f"roll-back-{f.paired_breach}",
        alert=True,
    ),
    _Rule(
        "the champion fell short of its own record (CUSUM), and there is a shadow or a previous champion",
        lambda f: f.live_breach is not None and f.roll_back_to is not None,
        "roll back and alert",
        lambda f: f"short of its out-of-sample record since {f.live_breach}, by more than luck explains",
        lambda f: f"roll-back-{f.live_breach}",
        alert=True,
    ),
    _Rule(
        "the champion fell short of its own record, and there is nothing to roll back to",
        lambda f: f.live_breach is not None,
        "full retrain",
        lambda f: f"short of its out-of-sample record since {f.live_breach}, and there is nothing to roll back to",
        lambda f: f"breach-{f.live_breach}",
        alert=True,
    ),
    _Rule(
        "a drift episode is open, and the model was not retrained since it opened",
        lambda f: f.drift.status == "drifting" and not f.drift.refitted,
        "full retrain",
        lambda f: f"the market left the reference: {f.drift.episode_id}",
        lambda f: f.drift.episode_id,
        alert=False,
    ),
    _Rule(
        "a drift episode is open, and the model was retrained",
        lambda f: f.drift.status == "drifting",
        "watch",
        lambda f: f"{f.drift.episode_id} goes on, {f.drift.sessions_since} sessions, with a retrained model",
        _nothing_to_run,
        alert=False,
    ),
    _Rule(
        "a drift bound is exceeded, not yet confirmed",
        lambda f: f.drift.status == "suspected",
        "watch",
        lambda f: f"a drift bound is exceeded on {f.drift.session}, not yet confirmed",
        _nothing_to_run,
        alert=False,
    ),
    _Rule(
        "the cumulative return is below its predictive band",
        lambda f: f.below_band,
        "watch",
        lambda _: "the cumulative return is below its predictive band; the CUSUM, which decides, is within its bound",
        _nothing_to_run,
        alert=False,
    ),
    _Rule(
        "otherwise: noise",
        lambda _: True,
        "nothing",
        lambda _: "within what a market and a model that do not change produce",
        _nothing_to_run,
        alert=False,
    ),
)


def decide(figures: MonitoringFigures) -> Decision:
    """The first rule that applies."""
    rule = next(rule for rule in _RULES if rule.applies(figures))
    to = figures.roll_back_to if rule.action == "roll back and alert" else None
    return Decision(rule.action, rule.reason(figures), rule.key(figures), rule.alert, to)


def decision_table() -> str:
    """The rules in order, as markdown."""
    rows = [
        f"| {number} | {rule.when} | **{rule.action}** | {'yes' if rule.alert else 'no'} |"
        for number, rule in enumerate(_RULES, start=1)
    ]
    return "\n".join(["| | when (the first that applies) | answer | alert |", "|---|---|---|---|", *rows])
