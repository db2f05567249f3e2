"""The daily run on a schedule, and a sensor for all that it missed: oldest first, one after the other, nothing twice.

Both ask the same question: which is the oldest session that is due and not done. The schedule asks it once, at its
minute; the sensor follows some minutes later and asks again until all is done.

Where it stands is in Dagster's event log, so that a laptop that was closed for three days, or a restarted daemon, goes
on where it stopped. A session is done when the champion has answered for it. A refit that fails costs that session's
refit: the champion answers, later sessions start from the last accepted models. Data that fails pauses the rest.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.library.clock import clock
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.universe import HORIZONS
from regime_assets.runs.dead_runs import end_never_started
from regime_assets.runs.failure_record import recorded_tick
from regime_assets.sensors.event_log import PARTITION_TAG, WILL_RETRY_TAG, is_of, starts_on
from regime_assets.sensors.watched import Answer, Calendars, Watched, watching_sensor
from regime_assets.session_run import refitted, session_assets

DUE_TAG = "regime_assets/newest_due"
SENSOR_GRACE = timedelta(minutes=5)
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def daily_schedule(lane: Lane, calendars: Calendars) -> dg.ScheduleDefinition:
    """Asks at `schedule.at`, exchange time, for the session that has just ended, or for the oldest one missed."""
    hour, minute = lane.universe.schedule.at.split(":")
    job = f"{lane.universe.name}_daily"

    @dg.schedule(
        name=f"{job}_schedule",
        job_name=job,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=calendars().timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if starts_on() else dg.DefaultScheduleStatus.STOPPED,
        description="The partition of the session that has just ended; where some were missed, of the oldest of them.",
    )
    @recorded_tick(lane.universe.name, f"{job}_schedule")
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        asked = next_request(context.instance, lane, calendars(), clock.shown_at(context.scheduled_execution_time))
        if isinstance(asked, dg.RunRequest) and asked.job_name != job:
            return dg.SkipReason(f"the daily sensor lets the champion answer for {asked.partition_key}")
        return asked

    return schedule


def daily_sensor(universes: Sequence[Watched], name: str = "daily_sensor") -> dg.SensorDefinition:
    """Asks of each universe for the oldest session that is due and not done, when nothing of it runs."""
    return watching_sensor(
        name,
        universes,
        [job for each in universes for job in (each.daily, each.signal)],
        _asked,
        "Sessions that the schedules missed: oldest first, one after the other, and the champion's answers.",
    )


class NothingDue(dg.SkipReason):
    """Every session that is due is done: nothing is asked for before the next one's turn."""


def _asked(instance: dg.DagsterInstance, universe: Watched) -> Answer:
    # Some minutes behind the schedule: two that ask in the same second do not see each other's run.
    now, calendar = clock.now() - SENSOR_GRACE, universe.calendars()
    asked = next_request(instance, universe.lane, calendar, now)
    if isinstance(asked, dg.RunRequest):
        return Answer((asked,))
    later = _turn(universe.lane, calendar, now) + SENSOR_GRACE if isinstance(asked, NothingDue) else None
    return Answer((), asked.skip_message or "", later)


def _turn(lane: Lane, calendar: TradingCalendar, after: datetime) -> datetime:
    """The next moment at which a session's turn may come."""
    local = after.astimezone(ZoneInfo(calendar.timezone))
    turn = _turn_on_the_day_of(local, lane)
    return turn if turn > local else turn + timedelta(days=1)


def _turn_on_the_day_of(local: datetime, lane: Lane) -> datetime:
    """The moment of that day at which a session's turn comes, on the exchange's clock."""
    hour, minute = lane.universe.schedule.at.split(":")
    return local.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0, fold=0)


def next_request(
    instance: dg.DagsterInstance, lane: Lane, calendar: TradingCalendar, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """The run that the oldest session needs that is due at `now` and not done, or why none is asked for."""
    name = lane.universe.name
    list(end_never_started(instance))  # nothing would ever follow on one
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if is_of(run, lane, (f"{name}_daily", f"{name}_signal")) and not _is_replay(run):
            what = run.tags.get(PARTITION_TAG, run.job_name)
            return dg.SkipReason(f"{what} is under way (run {run.run_id})")
    due = due_sessions(lane, calendar, now)
    if not due:
        return NothingDue(f"no session of {name} has ended since {lane.universe.first_partition}")
    answered = max(instance.get_materialized_partitions(lane.key("daily_signal")), default=None)
    missed = [day for day in due if answered is None or day.isoformat() > answered]
    if not missed:
        last = lane.universe.last_partition
        where = f", where the data of {name} ends" if last is not None and due[-1] >= last else ""
        return NothingDue(f"every session up to {due[-1]} is done{where}")
    # A universe that never answered begins with the newest session: its history is a backfill's, not a catch-up's.
    session = missed[-1] if answered is None else missed[0]
    return _next(instance, lane, calendar, session, due[-1])


def _is_replay(run: dg.DagsterRun) -> bool:
    """Whether a run only walks history forward, which no session waits for."""
    return bool(run.asset_selection) and all(key.path[-1] == "walk_forward" for key in run.asset_selection or ())


def due_sessions(lane: Lane, calendar: TradingCalendar, now: datetime) -> Sequence[date]:
    """The newest sessions whose turn has come, ascending, at most `schedule.catch_up_sessions`."""
    local = now.astimezone(ZoneInfo(calendar.timezone))
    turn = _turn_on_the_day_of(local, lane)
    # Where an autumn night has the hour twice the moment decides, so that what was due stays due; a turn that a spring
    # night leaves out comes with the hour after it.
    has_come = local >= turn or now >= turn.astimezone(UTC)
    newest = local.date() - timedelta(days=1 if has_come else 2)
    last = lane.universe.last_partition
    ended = calendar.sessions(lane.universe.first_partition, min(newest, last) if last is not None else newest)
    return ended[-lane.universe.schedule.catch_up_sessions :]


def _next(
    instance: dg.DagsterInstance, lane: Lane, calendar: TradingCalendar, session: date, newest: date
) -> dg.RunRequest | dg.SkipReason:
    """What the oldest session that is not done needs: its run, the champion's answer alone, or a person."""
    name, key = lane.universe.name, session.isoformat()
    run = _newest_run(instance, f"{name}_daily", key)
    again = f"daily:{name}:{key}@{newest}"
    if run is None or run.tags.get(DUE_TAG, key) < newest.isoformat():
        # What failed gets another try whenever one more session has ended: a vendor's bad night passes by itself.
        return _daily(instance, lane, calendar, session, again, newest)
    is_noted = WILL_RETRY_TAG in run.tags or not instance.run_retries_enabled
    waits = run.is_complete_and_waiting_to_retry or not is_noted
    if run.status == dg.DagsterRunStatus.FAILURE and waits:
        return dg.SkipReason(f"{key} failed and is tried again by itself (run {run.run_id})")
    failed = _failed_steps(instance, run)
    repaired = _repaired(instance, run, failed, key)
    if repaired is not None:
        return _daily(instance, lane, calendar, session, f"{again}:{repaired}", newest)
    answer = _newest_run(instance, f"{name}_signal", key)
    if answer is None and _windows_are_there(instance, lane, key):
        return dg.RunRequest(run_key=f"signal:{name}:{key}", job_name=f"{name}_signal", partition_key=key)
    culprit = ", ".join(failed + (_failed_steps(instance, answer) if answer else [])) or f"a run ({run.status.value})"
    return dg.SkipReason(
        f"paused at {key}: {culprit} failed (run {run.run_id}); it goes on when that asset is materialized for {key}, "
        f"and tries again when the session after {newest} has ended"
    )


def _daily(
    instance: dg.DagsterInstance, lane: Lane, calendar: TradingCalendar, session: date, run_key: str, newest: date
) -> dg.RunRequest:
    """The run of a session; between two refits without the assets of the refit."""
    return dg.RunRequest(
        run_key=run_key,
        job_name=f"{lane.universe.name}_daily",
        partition_key=session.isoformat(),
        asset_selection=session_assets(lane, refitted(lane, session, calendar, instance)),
        tags={DUE_TAG: newest.isoformat()},
    )


def _newest_run(instance: dg.DagsterInstance, job: str, key: str) -> dg.DagsterRun | None:
    return next(iter(instance.get_runs(dg.RunsFilter(job_name=job, tags={PARTITION_TAG: key}), limit=1)), None)


def _failed_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """The assets and checks that failed, as paths."""
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    return [str(entry.step_key).replace("__", "/") for entry in entries]


def _repaired(instance: dg.DagsterInstance, run: dg.DagsterRun, failed: Sequence[str], key: str) -> int | None:
    """The event with which a failed asset was materialized after the run ended; None while there is none."""
    record = instance.get_run_record_by_id(run.run_id)
    ended = record.end_time if record is not None else None
    for path in failed:
        asset = dg.AssetKey(path.removesuffix("_checks").split("/"))
        since = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[key], after_timestamp=ended)
        records = instance.fetch_materializations(since, limit=1).records
        if records:
            return records[0].storage_id
    return None


def _windows_are_there(instance: dg.DagsterInstance, lane: Lane, key: str) -> bool:
    windows = [lane.of(horizon).key("validated_window") for horizon in HORIZONS]
    return all(key in instance.get_materialized_partitions(window) for window in windows)
