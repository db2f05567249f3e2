"""What a person wants to know in the morning of one universe, as plain data.

`steps.morning` gathers it from the stores; the page, the file and the command `status` show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Self


@dataclass(frozen=True)
class Gate:
    """The last verdict on a new model.

    Attributes:
        session: whose model was judged.
        outcome: promote, hold or insufficient evidence.
        promoted: whether that model serves, or served, because of it.
        reason: why, in the gate's words.
        serves: whether the learned policy or the regime rule decides.
    """

    session: date
    outcome: str
    promoted: bool
    reason: str
    serves: str


@dataclass(frozen=True)
class Challenger:
    """Another design that is fitted beside the champion's.

    Attributes:
        name: in the universe's file; `design` is the universe's own, after it lost to a challenger.
        session: whose model was judged last; None before the first.
        outcome: promote, hold or insufficient evidence; empty before the first.
        reason: why, in the gate's words, or why it cannot be fitted.
    """

    name: str
    session: date | None
    outcome: str
    reason: str


@dataclass(frozen=True)
class Drift:
    """How far the newest sessions are from what the model was fitted on.

    Attributes:
        status: calm, suspected or drifting.
        ratio: the largest distance as a share of its bound; 1 is the bound.
        feature: which feature and window that is.
        since: the first session of the open episode; None while there is none.
    """

    status: str
    ratio: float
    feature: str
    since: date | None


@dataclass(frozen=True)
class Live:
    """What was decided earned, since it went live or was last rolled back.

    Attributes:
        sessions: with a return.
        path: (session, cumulative return, low, high) by session: the return, and the band of the model's own record.
        ratio: the test's evidence as a share of its bound; 1 is a breach. None while there is no test.
        waiting: why there is no test yet; empty when there is one.
        action: what follows: nothing, watch, full retrain, roll back and alert.
        reason: why.
    """

    sessions: int
    path: tuple[tuple[date, float, float, float], ...]
    ratio: float | None
    waiting: str
    action: str
    reason: str


@dataclass(frozen=True)
class Horizon:
    """One horizon's model and what it says.

    Attributes:
        name: short or long.
        regime, probability: the most probable regime and its probability, both known at the session's close.
        names: all regimes, calm to turbulent.
        since: the first session of the present stay in it; None where it is longer than the ribbon.
        exposure: share of capital invested.
        version, fitted: the champion's version and the session that it was fitted on.
        serving_since: the session from which on it serves.
        age: sessions since it was fitted.
        ribbon: (session, number of the regime, probability of the most turbulent one) over the last year.
        design: the champion's: its lane's name in the file.
        left_behind: what to do where that lane was taken out of the file; empty when it is there.
        challengers: the other designs.
    """

    name: str
    regime: str
    probability: float
    names: tuple[str, ...]
    since: date | None
    exposure: float
    version: int
    fitted: date
    serving_since: date
    age: int
    ribbon: tuple[tuple[date, int, float], ...]
    gate: Gate | None
    drift: Drift | None
    live: Live | None
    design: str = "design"
    left_behind: str = ""
    challengers: tuple[Challenger, ...] = ()


@dataclass(frozen=True)
class Failure:
    """Something that went wrong: what, why and what to do, a sentence each.

    `step` names it where it is kept in the record of failures (`report.failures`).
    """

    session: date
    what: str
    why: str
    todo: str
    step: str = ""


@dataclass(frozen=True)
class Answer:
    """What one session was answered."""

    session: date
    regime: str
    exposure: float
    versions: Mapping[str, int]
    verdicts: Mapping[str, str]


@dataclass(frozen=True)
class Morning:
    """One universe at a glance.

    Attributes:
        universe, description: as its file says.
        made_at: when this was gathered, UTC.
        session: the newest session with an answer; None before the first.
        due: the newest session that could have one.
        behind: sessions after `session` up to `due`.
        regime, regime_from: the more cautious horizon's regime, and which that is.
        exposure, exposure_before: share of capital invested, now and a session earlier.
        weights: by instrument.
        newest_bar: the newest session with stored prices.
        held_back: (session, symbol, why) of data that was refused and is not accepted yet, newest first.
        failures: what failed.
        recent: the last five answers, newest first.
    """

    universe: str
    description: str
    made_at: datetime
    session: date | None
    due: date | None
    behind: int
    regime: str
    regime_from: str
    exposure: float | None
    exposure_before: float | None
    weights: Mapping[str, float]
    horizons: tuple[Horizon, ...]
    newest_bar: date | None
    held_back: tuple[tuple[str, str, str], ...]
    failures: tuple[Failure, ...]
    recent: tuple[Answer, ...]

    def to_document(self) -> dict[str, Any]:
        """As JSON values."""
        document: dict[str, Any] = _json(asdict(self))
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` took apart."""
        fields = dict(document)
        fields["made_at"] = datetime.fromisoformat(fields["made_at"])
        for name in ("session", "due", "newest_bar"):
            fields[name] = _day(fields[name])
        fields["horizons"] = tuple(_horizon(each) for each in fields["horizons"])
        fields["held_back"] = tuple((a, b, c) for a, b, c in fields["held_back"])
        fields["failures"] = tuple(Failure(**_dated(each, "session")) for each in fields["failures"])
        fields["recent"] = tuple(Answer(**_dated(each, "session")) for each in fields["recent"])
        return cls(**fields)


def _horizon(document: Mapping[str, Any]) -> Horizon:
    fields = _dated(document, "since", "fitted", "serving_since")
    fields["names"] = tuple(fields["names"])
    fields["ribbon"] = tuple((date.fromisoformat(day), regime, risk) for day, regime, risk in fields["ribbon"])
    gate, drift, live = fields["gate"], fields["drift"], fields["live"]
    fields["gate"] = None if gate is None else Gate(**_dated(gate, "session"))
    fields["drift"] = None if drift is None else Drift(**_dated(drift, "since"))
    if live is not None:
        path = tuple((date.fromisoformat(day), own, low, high) for day, own, low, high in live["path"])
        fields["live"] = Live(**{name: value for name, value in live.items() if name != "path"}, path=path)
    fields["challengers"] = tuple(Challenger(**_dated(each, "session")) for each in fields.get("challengers", ()))
    return Horizon(**fields)


def _dated(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**document, **{name: _day(document[name]) for name in names}}


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _json(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value.isoformat() if isinstance(value, date) else value
