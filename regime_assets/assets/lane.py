"""What the assets of one universe, of one horizon or of one design have in common: keys, partitions, group, owners.

Belongs here: how an asset is declared. Does not belong here: what an asset computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import dagster as dg

from regime_assets.library.universe import HORIZONS, OWN_DESIGN, Horizon, Universe
from regime_assets.runs.failure_record import UNIVERSE_TAG, failure_hooks
from regime_assets.runs.side_by_side import SIDE_TAG

SHARED_GROUP = "market"
STAGES = {
    "champion": "signal",
    "daily_signal": "signal",
    "drift_report": "monitoring",
    "live_performance": "monitoring",
}
"""Assets that stand in a group of their own stage, so that no arrow leads back from one group into another."""

PRIORITY_TAG = "dagster/priority"
FITS, PROMOTION, LAST = 0, -1, -4
AFTER_THE_OWN = -2
"""The order of steps that wait for nothing else: fits and promotion of the universe's own design, those of its
challengers, then what the champion says. No step of one lane depends on another lane's, nor the signal on any of them,
so that what fails in a lane stops no other step; this order lets the signal come from the session's own champion, and
a promotion find what both horizons were tried with."""


class RefitConfig(dg.Config):
    """Run config of the assets that fit a model."""

    full_retrain: bool = False
    """Train from scratch although an accepted model exists to start from."""


@dataclass(frozen=True)
class Lane:
    """One universe, one horizon of it, or one challenger's design within a horizon: the prefix that its assets share.

    Attributes:
        universe: as its file says.
        partitions: its sessions.
        horizon: None for what both share.
        design: a challenger's name in the file; `design` for the universe's own, whose assets stand at the horizon's.
    """

    universe: Universe
    partitions: dg.DailyPartitionsDefinition
    horizon: Horizon | None = None
    design: str = OWN_DESIGN

    @property
    def prefix(self) -> list[str]:
        """Key prefix of the assets."""
        own = [] if self.design == OWN_DESIGN else [self.design]
        return [self.universe.name, *([self.horizon] if self.horizon else []), *own]

    @property
    def label(self) -> str:
        """Horizon and challenger, for the names of figures in MLflow."""
        return ".".join(self.prefix[1:])

    @property
    def pool(self) -> str:
        """The pool of what writes the same tables of the universe; `dagster.yaml` gives every pool one slot."""
        return "_".join(["duckdb", self.universe.name, *([self.horizon] if self.horizon else [])])

    @property
    def side_tag(self) -> dict[str, str]:
        """The tag of steps that one process executes: those of a horizon. What both share belongs to the first."""
        return {SIDE_TAG: self.horizon or HORIZONS[0]}

    @property
    def run_tags(self) -> dict[str, str]:
        """The tags of runs of which the queue starts one a universe at a time."""
        return {UNIVERSE_TAG: self.universe.name}

    def of(self, horizon: Horizon) -> Lane:
        """The lane of one horizon of the same universe."""
        return replace(self, horizon=horizon)

    @property
    def shared(self) -> Lane:
        """What the designs of a horizon have in common."""
        return replace(self, design=OWN_DESIGN)

    @property
    def designs(self) -> list[Lane]:
        """The lanes of a horizon: the universe's own design, and its challengers."""
        return [replace(self, design=name) for name in self.universe.lanes]

    def key(self, name: str) -> dg.AssetKey:
        """The key of the asset `name` in this lane."""
        return dg.AssetKey([*self.prefix, name])

    def op_name(self, name: str) -> str:
        """The name under which run config reaches the asset."""
        return "__".join([*self.prefix, name])

    def group(self, name: str) -> str:
        """The group of the asset `name`: market → short, long and each challenger → signal → monitoring."""
        return "_".join([self.universe.name, STAGES.get(name) or "_".join(self.prefix[1:]) or SHARED_GROUP])

    def declare(self, name: str, *, kinds: set[str], deps: list[dg.AssetKey], **extra: Any) -> dict[str, Any]:
        """The arguments that `dg.asset` takes for the asset `name`."""
        return {
            "key": self.key(name),
            "deps": deps,
            "partitions_def": self.partitions,
            "backfill_policy": dg.BackfillPolicy.multi_run(self.universe.refit.backfill_sessions_per_run),
            "group_name": self.group(name),
            "owners": list(self.universe.owners),
            "kinds": kinds,
            "pool": self.pool,
            "hooks": failure_hooks(self.universe),
            "op_tags": {PRIORITY_TAG: str(self._priority(name)), **self.side_tag},
            **extra,
        }

    def _priority(self, name: str) -> int:
        if name in STAGES:
            return LAST
        place = PROMOTION if name == "promotion" else FITS
        return place if self.design == OWN_DESIGN else AFTER_THE_OWN + place

    def after_itself(self, name: str) -> dg.AssetDep:
        """The edge from a partition to the one of the session before, which keeps a backfill's runs in order.

        Only what begins a run has it, prices and facts: Dagster gives each asset that depends on itself a run of its
        own, and all that follows them goes through a run's sessions in order anyway.
        """
        mapping = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
        return dg.AssetDep(self.key(name), partition_mapping=mapping)


def reported(lane: Lane, context: dg.AssetExecutionContext) -> frozenset[date]:
    """The sessions of a run that have reports and pictures: its last one, or all where the universe's file says so."""
    keys = sorted(context.op_execution_context.partition_keys)
    shown = keys if lane.universe.reports.backfill == "every" else keys[-1:]
    return frozenset(date.fromisoformat(key) for key in shown)


def sessions_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[date]:
    """The sessions that a run covers, ascending, each announced in the log."""
    keys = sorted(context.op_execution_context.partition_keys)
    for position, key in enumerate(keys, start=1):
        if len(keys) > 1:
            context.log.info(f"session {key} ({position} of {len(keys)})")
        yield date.fromisoformat(key)
