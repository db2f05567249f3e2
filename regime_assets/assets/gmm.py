"""The Gaussian mixture on what the VAE makes of each session, and a causal filter in which every switch has its price.

By default its two Gaussians share the window's variances and are fitted together with that price; `mode` of
`MixtureSettings` chooses expectation maximisation on the window, online or on a buffer instead. The fit starts from
the last accepted regimes and is matched to them, so that a regime keeps its name, order and colour, also when the VAE
was retrained from scratch. A refit that would change more than 5 % of the last year's states is moved back towards its
predecessor.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.fitting import fitting_asset
from regime_assets.assets.lane import Lane
from regime_assets.metadata import picture

if TYPE_CHECKING:
    from regime_assets.library.recipe import Fitted


def gmm(lane: Lane) -> dg.AssetsDefinition:
    """The asset that fits mixture and persistence."""
    return fitting_asset(
        lane, "gmm", description=__doc__, labels={"numpy", "mlflow"}, after=lane.key("latents"), pictures=_pictures
    )


def _pictures(fitted: "Fitted[Any]") -> Mapping[str, dg.MetadataValue]:
    from regime_assets.library.report.figures import latent_map, regime_ribbon

    path, level = fitted.path, (1 + fitted.training.market_returns).cumprod()
    assert path is not None, "regimes are fitted together with their path"
    return {
        "regime_ribbon": picture(regime_ribbon(path.sessions, level, path.states, path.names), "regimes"),
        "latent_map": picture(latent_map(path.latents, path.states, path.names), "latents by regime"),
    }
