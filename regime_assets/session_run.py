"""What the run of one session materializes: everything, or on a session without a refit all but the refit's assets."""

from collections.abc import Collection
from datetime import date

import dagster as dg

from regime_assets.assets.lane import Lane
from regime_assets.library.cadence import refit_due
from regime_assets.library.market.calendar import TradingCalendar
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.universe import HORIZONS, Horizon

REFIT_ASSETS = (*KINDS, "backtest_report", "promotion")


def refitted(lane: Lane, session: date, calendar: TradingCalendar, instance: dg.DagsterInstance) -> list[Horizon]:
    """The horizons whose models are refitted on a session: those that are due, and those that never were fitted."""
    every = lane.universe.refit.every
    return [
        horizon
        for horizon in HORIZONS
        if refit_due(every.of(horizon), session, calendar)
        or not instance.get_materialized_partitions(lane.of(horizon).key("promotion"))
    ]


def session_assets(lane: Lane, refits: Collection[Horizon]) -> list[dg.AssetKey] | None:
    """The assets of a session's run; None, which is all of them, when both horizons are refitted."""
    if set(refits) == set(HORIZONS):
        return None
    universe = lane.universe
    facts = [name for name, choice in (("macro", universe.macro), ("fundamentals", universe.fundamentals)) if choice]
    keys = [lane.key(name) for name in ("raw_prices", "corporate_actions", *facts, "daily_signal")]
    for horizon in HORIZONS:
        keys += [lane.of(horizon).key(name) for name in ("validated_window", "drift_report", "live_performance")]
        if horizon in refits:  # a challenger is refitted with the universe's own design
            keys += [design.key(name) for design in lane.of(horizon).designs for name in REFIT_ASSETS]
    return keys


def refreshed_assets(universe: Lane, lane: Lane) -> list[dg.AssetKey] | None:
    """The assets of a refresh of one horizon between two refits; the other one keeps its cadence."""
    every = universe.universe.refit.every
    return session_assets(universe, [h for h in HORIZONS if h == lane.horizon or every.of(h) == "daily"])
