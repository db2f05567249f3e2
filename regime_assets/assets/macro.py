"""Macro series as they were known as of the session, by vintage.

Every version of every observation is stored with the moment at which it was published. A session sees the newest
version that was published by its decision time, never a later revision. The
models read those series that `macro.features` of the universe's file names, and no others.
"""

import dagster as dg

from regime_assets.assets.facts import facts_asset
from regime_assets.assets.lane import Lane
from regime_assets.library.universe import MacroChoice


def macro(lane: Lane, choice: MacroChoice) -> dg.AssetsDefinition:
    """The asset that keeps macro series."""
    return facts_asset(lane, "macro", choice, __doc__ or "")
