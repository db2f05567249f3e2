"""One universe's YAML file becomes one asset chain: the lanes of both horizons between shared prices and signal.

Each horizon has a lane of the universe's own design and one of each challenger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import pairwise

import dagster as dg

from regime_assets.assets.backtest_report import backtest_report
from regime_assets.assets.champion import champion
from regime_assets.assets.corporate_actions import corporate_actions
from regime_assets.assets.daily_signal import daily_signal
from regime_assets.assets.drift_report import drift_report
from regime_assets.assets.fundamentals import fundamentals
from regime_assets.assets.gmm import gmm
from regime_assets.assets.lane import Lane
from regime_assets.assets.latents import latents
from regime_assets.assets.live_performance import live_performance
from regime_assets.assets.macro import macro
from regime_assets.assets.promotion import promotion
from regime_assets.assets.raw_prices import raw_prices
from regime_assets.assets.rl_policy import rl_policy
from regime_assets.assets.vae import vae
from regime_assets.assets.validated_window import validated_window
from regime_assets.assets.walk_forward import walk_forward
from regime_assets.checks import design_checks, horizon_checks, universe_checks
from regime_assets.jobs import daily_job, operator_jobs, retention_schedule, signal_job
from regime_assets.library.home import Home
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.market.universe_calendar import universe_calendar
from regime_assets.library.universe import HORIZONS, Universe
from regime_assets.partitions import session_partitions
from regime_assets.sensors.alerts import alert_sensor
from regime_assets.sensors.batches import stream_job, stream_sensor
from regime_assets.sensors.catch_up import daily_schedule, daily_sensor
from regime_assets.sensors.decisions import decision_sensor
from regime_assets.sensors.drift import drift_sensor
from regime_assets.sensors.kafka import kafka_job, kafka_sensor
from regime_assets.sensors.watched import Watched


@dataclass(frozen=True)
class Chain:
    """What a universe's file becomes.

    Attributes:
        definitions: assets, checks, jobs, schedules, and the sensors that are its own.
        watched: what the sensors know of it that look after all universes (`universe_sensors`).
    """

    definitions: dg.Definitions
    watched: Watched


def universe_sensors(universes: Sequence[Watched], prefix: str = "") -> list[dg.SensorDefinition]:
    """The sensors that look after all of them; `prefix` stands before their names."""
    made = {"daily_sensor": daily_sensor, "drift_sensor": drift_sensor, "decision_sensor": decision_sensor}
    return [make(universes, f"{prefix}{name}") for name, make in made.items()] if universes else []


def universe_chain(universe: Universe, home: Home) -> Chain:
    """The definitions of one universe."""
    calendars = partial(universe_calendar, universe, home.calendars)
    calendar = calendars()
    partitions = session_partitions(universe, calendar)
    shared = Lane(universe, partitions)
    lanes = [shared.of(horizon) for horizon in HORIZONS]
    designs = [design for lane in lanes for design in lane.designs]
    refits = [daily_job(shared), signal_job(shared)]
    roll_back, *others = operator_jobs(shared)
    jobs = [*refits, roll_back, *others]
    stream_jobs, stream_sensors = _streams(shared)
    names = frozenset(job.name for job in (*jobs, *stream_jobs))
    definitions = dg.Definitions(
        assets=[
            raw_prices(shared),
            corporate_actions(shared),
            *_facts_assets(shared),
            *(asset for lane in lanes for asset in _horizon_assets(lane, shared)),
            *(asset for design in designs for asset in _design_assets(design)),
            daily_signal(
                shared,
                [lane.key(name) for name in ("champion", "validated_window") for lane in lanes],
                _longest_break(calendar),
            ),
            *(live_performance(lane, shared.key("daily_signal")) for lane in lanes),
        ],
        asset_checks=[
            *universe_checks(shared),
            *(check for lane in lanes for check in horizon_checks(lane)),
            *(check for design in designs for check in design_checks(design)),
        ],
        jobs=[*jobs, *stream_jobs],
        schedules=[daily_schedule(shared, calendars), retention_schedule(shared)],
        sensors=[
            *stream_sensors,
            *([alert_sensor(shared, lanes, universe.alerts, names)] if universe.alerts else []),
        ],
    )
    return Chain(definitions, Watched(shared, tuple(lanes), calendars, *refits, roll_back))


def _longest_break(calendar: TradingCalendar) -> timedelta:
    """The longest time between two sessions of the calendar's last year."""
    days = calendar.all_sessions[-260:]
    return max(after - before for before, after in pairwise(days))


def _streams(shared: Lane) -> tuple[list[dg.JobDefinition], list[dg.SensorDefinition]]:
    """Jobs and sensors for bars that arrive between two daily runs."""
    stream = shared.universe.stream
    jobs: list[dg.JobDefinition] = []
    sensors: list[dg.SensorDefinition] = []
    if stream and stream.folder:
        jobs.append(stream_job(shared, stream.folder))
        sensors.append(stream_sensor(shared, stream.folder))
    if stream and stream.kafka:
        jobs.append(kafka_job(shared, stream.kafka))
        sensors.append(kafka_sensor(shared, stream.kafka))
    return jobs, sensors


def _facts_assets(shared: Lane) -> list[dg.AssetsDefinition]:
    """The facts that the universe asks for."""
    universe = shared.universe
    return [
        *([macro(shared, universe.macro)] if universe.macro else []),
        *([fundamentals(shared, universe.fundamentals)] if universe.fundamentals else []),
    ]


def _read_facts(universe: Universe) -> list[str]:
    """The assets of facts that models read, or that say what cash earns."""
    choices = {"macro": universe.macro, "fundamentals": universe.fundamentals}
    read = {name for name, choice in choices.items() if choice and choice.features}
    cash = universe.portfolio.cash if universe.portfolio else None
    read |= {"macro"} if cash and cash.series else set()
    return [name for name in choices if name in read]


def _horizon_assets(lane: Lane, shared: Lane) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """What the designs of a horizon share."""
    return [
        validated_window(lane, [shared.key(name) for name in ("raw_prices", *_read_facts(shared.universe))]),
        champion(lane),
        drift_report(lane),
        walk_forward(lane, shared.key("raw_prices")),
    ]


def _design_assets(lane: Lane) -> list[dg.AssetsDefinition]:
    """What each design of a horizon has for itself."""
    return [vae(lane), latents(lane), gmm(lane), rl_policy(lane), backtest_report(lane), promotion(lane)]
