"""What serves on this horizon: the registry's answer, whichever design it is of.

The promotion of every design ends here, and signal, drift and live record begin here. It is not materialized by
itself: each promotion says who serves after it, and so does a roll-back in the registry. A design that fails on a
session leaves the champion that there is.
"""

import dagster as dg

from regime_assets.assets.lane import Lane


def champion(lane: Lane) -> dg.AssetSpec:
    """The asset that stands for the registry's champion."""
    return dg.AssetSpec(
        lane.key("champion"),
        deps=[each.key("promotion") for each in lane.designs],
        description=__doc__,
        group_name=lane.group("champion"),
        owners=list(lane.universe.owners),
        kinds={"mlflow"},
        partitions_def=lane.partitions,
    )
