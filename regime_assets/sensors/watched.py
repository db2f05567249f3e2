"""One sensor looks after all universes: what it knows of each, and one tick over all of them.

A tick costs a request to the code server, an open event log and a dozen rows of Dagster's own, whatever it finds: a
sensor for each universe was most of what twenty idle universes cost. Here a tick that finds no new event, and nothing
that has fallen due since, ends at once. What one universe raises is kept for its page and stops no other one.

A universe whose daily schedule was stopped in Dagster is left alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType
from dagster._core.storage.tags import RUN_KEY_TAG

from regime_assets.assets.lane import Lane
from regime_assets.library.clock import clock
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.runs.failure_record import tick_of
from regime_assets.sensors.event_log import SENSOR_INTERVAL_SECONDS, starts_on

if TYPE_CHECKING:
    from dagster._core.definitions.target import ExecutableDefinition

Calendars = Callable[[], TradingCalendar]
"""The universe's calendar as it is now: a code location that runs for a year outlives the one it began with."""

ALWAYS = datetime.max.replace(tzinfo=UTC)
NOTHING_NEW = "nothing has happened since the last look"


@dataclass(frozen=True)
class Watched:
    """A universe as the sensors see it that look after all of them.

    Attributes:
        lane: what its horizons share.
        lanes: its horizons.
        calendars: gives its calendar.
        daily, signal, roll_back: its jobs.
    """

    lane: Lane
    lanes: tuple[Lane, ...]
    calendars: Calendars
    daily: ExecutableDefinition
    signal: ExecutableDefinition
    roll_back: ExecutableDefinition

    @property
    def name(self) -> str:
        """The universe's."""
        return self.lane.universe.name

    @property
    def schedule(self) -> str:
        """The name of its daily schedule."""
        return f"{self.name}_daily_schedule"


@dataclass(frozen=True)
class Answer:
    """What a universe asks for.

    Attributes:
        requests: runs.
        reason: why there are none.
        until: the same is answered until this moment, unless Dagster has a new event before; None says nothing.
    """

    requests: tuple[dg.RunRequest, ...] = ()
    reason: str = ""
    until: datetime | None = None


Ask = Callable[[dg.DagsterInstance, Watched], Answer]


def watching_sensor(
    name: str,
    universes: Sequence[Watched],
    jobs: Sequence[ExecutableDefinition],
    ask: Ask,
    description: str,
) -> dg.SensorDefinition:
    """A sensor that asks for the runs of all `universes`."""
    loaded = str(uuid4())  # a code location that was loaded anew has other universes, or other settings of them

    @dg.sensor(
        name=name,
        jobs=jobs,
        minimum_interval_seconds=SENSOR_INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING if starts_on() else dg.DefaultSensorStatus.STOPPED,
        description=description,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        instance, now = context.instance, clock.now()
        stopped = stopped_schedules(instance)
        newest = instance.event_log_storage.get_maximum_record_id()
        seen = {"loaded": loaded, "event": newest, "stopped": sorted(stopped)}
        if _still_holds(context.cursor, seen, now):
            return dg.SensorResult(skip_reason=NOTHING_NEW, cursor=context.cursor)
        answers: list[tuple[Watched, Answer]] = []
        failed: Exception | None = None
        for universe in universes:
            if universe.schedule in stopped:
                answers.append((universe, Answer((), f"{universe.schedule} is stopped", ALWAYS)))
                continue
            try:
                with tick_of(universe.name, name):
                    answers.append((universe, ask(instance, universe)))
            except Exception as error:
                context.log.exception(f"{universe.name}: {error}")
                failed = failed or error
        requests = [request for _, answer in answers for request in answer.requests]
        if requests:  # another look at the next tick, whatever becomes of them
            return dg.SensorResult(run_requests=requests, cursor="")
        if failed is not None:
            raise failed
        untils = [answer.until for _, answer in answers]
        holds = min((until for until in untils if until is not None), default=ALWAYS)
        cursor = "" if None in untils else json.dumps(seen | {"until": holds.isoformat()})
        return dg.SensorResult(skip_reason=_reasons(answers), cursor=cursor)

    return sensor


def stopped_schedules(instance: dg.DagsterInstance) -> frozenset[str]:
    """Names of the schedules that somebody stopped in Dagster."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return frozenset(state.name for state in states if state.status == InstigatorStatus.STOPPED)


def asked_once(
    instance: dg.DagsterInstance, found: Iterable[dg.RunRequest | None], nothing_found: str, all_asked: str
) -> Answer:
    """The requests whose run keys no run has yet, whichever sensor asked: Dagster compares a sensor's own only.

    Args:
        instance: with the runs.
        found: what is wanted now, None where nothing is.
        nothing_found, all_asked: the reason where nothing is wanted, and where all of it was asked for.
    """
    wanted = [request for request in found if request is not None]
    new = tuple(request for request in wanted if not _has_run(instance, str(request.run_key)))
    return Answer(new, all_asked if wanted else nothing_found, ALWAYS)


def _has_run(instance: dg.DagsterInstance, run_key: str) -> bool:
    return bool(instance.get_run_ids(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}), limit=1))


def _still_holds(cursor: str | None, seen: dict[str, object], now: datetime) -> bool:
    if not cursor:
        return False
    kept = json.loads(cursor)
    until = datetime.fromisoformat(kept.pop("until"))
    return kept == seen and now < until


def _reasons(answers: Sequence[tuple[Watched, Answer]]) -> str:
    if len(answers) == 1:
        return answers[0][1].reason
    return "\n".join(f"{universe.name}: {answer.reason}" for universe, answer in answers)
