"""The window's latents on axes that keep their meaning from one refit to the next.

A refitted VAE may rotate its latent space; an orthogonal Procrustes map onto the last accepted latents undoes it. The
residual of that map is checked.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.fitting import fitting_asset
from regime_assets.assets.lane import Lane
from regime_assets.metadata import picture

if TYPE_CHECKING:
    from regime_assets.library.recipe import Fitted


def latents(lane: Lane) -> dg.AssetsDefinition:
    """The asset that encodes the window and aligns its latents."""
    return fitting_asset(
        lane, "latents", description=__doc__, labels={"numpy", "duckdb"}, after=lane.key("vae"), pictures=_pictures
    )


def _pictures(fitted: "Fitted[Any]") -> Mapping[str, dg.MetadataValue]:
    import numpy as np

    from regime_assets.library.report.figures import latent_map

    latents = fitted.fit.latents
    shown = latent_map(latents, np.zeros(len(latents), dtype=int), ("all sessions",))
    return {"latent_map": picture(shown, "latents of the window")}
