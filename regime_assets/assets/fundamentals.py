"""Company facts as they were known as of the session, by filing date.

Every filed version of a figure is stored with the end of the day on which it was filed. A session sees what was filed
by its decision time, never a later restatement. The
models read those facts that `fundamentals.features` of the universe's file names, and no others.
"""

import dagster as dg

from regime_assets.assets.facts import facts_asset
from regime_assets.assets.lane import Lane
from regime_assets.library.universe import FundamentalsChoice


def fundamentals(lane: Lane, choice: FundamentalsChoice) -> dg.AssetsDefinition:
    """The asset that keeps company facts."""
    return facts_asset(lane, "fundamentals", choice, __doc__ or "")
