"""The policy: exposure set by reinforcement learning on top of the regime rule.

It continues training from the last accepted policy. By default it only tilts the regime rule within bounds, starting
at no tilt. Whether it or the rule itself serves is decided by the gate, on sessions that it has not seen.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.fitting import fitting_asset
from regime_assets.assets.lane import Lane
from regime_assets.metadata import picture

if TYPE_CHECKING:
    from regime_assets.library.recipe import Fitted


def rl_policy(lane: Lane) -> dg.AssetsDefinition:
    """The asset that trains the policy."""
    return fitting_asset(
        lane, "rl_policy", description=__doc__, labels={"pytorch", "mlflow"}, after=lane.key("gmm"), pictures=_pictures
    )


def _pictures(fitted: "Fitted[Any]") -> Mapping[str, dg.MetadataValue]:
    from regime_assets.library.report.figures import reward_curves

    if not hasattr(fitted.fit, "curves"):
        return {}  # a policy of the user's own
    return {"reward_curves": picture(reward_curves(fitted.fit.curves), "reward and entropy while training")}
