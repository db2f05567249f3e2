"""A variational autoencoder of the window's features, fine-tuned from the last accepted one.

Trained from scratch where there is no accepted ancestor, on the first session of each full-retrain period, and when
run config says so. Posterior collapse and reconstruction loss are checked; a VAE that fails is never an ancestor.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.fitting import fitting_asset
from regime_assets.assets.lane import Lane
from regime_assets.metadata import picture

if TYPE_CHECKING:
    from regime_assets.library.recipe import Fitted


def vae(lane: Lane) -> dg.AssetsDefinition:
    """The asset that fits the VAE."""
    return fitting_asset(
        lane,
        "vae",
        description=__doc__,
        labels={"pytorch", "mlflow"},
        after=lane.shared.key("validated_window"),
        pictures=_pictures,
    )


def _pictures(fitted: "Fitted[Any]") -> Mapping[str, dg.MetadataValue]:
    from regime_assets.library.report.figures import loss_curves

    return {"loss_curves": picture(loss_curves(fitted.fit.curves), "loss, ELBO parts and active units by epoch")}
