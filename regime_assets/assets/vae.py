"""A variational autoencoder of the window's features, fine-tuned from the last accepted one.

Trained from scratch where there is no accepted ancestor, on the first session of each full-retrain period, and when
run config says so. Posterior collapse and reconstruction loss are checked; a VAE that fails is never an ancestor.
"""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from regime_assets.assets.fitting import fitting_asset
from regime_assets.assets.lane import Lane
from regime_assets.metadata import picture

if TYPE_CHECKING:
    from regime_assets.library.steps.fits import Refit
    from regime_assets.library.workspace import Workspace


def vae(lane: Lane) -> dg.AssetsDefinition:
    """The asset that fits the VAE."""
    return fitting_asset(
        lane,
        "vae",
        description=__doc__,
        kinds={"pytorch", "mlflow"},
        after="validated_window",
        fit=_fit,
        pictures=_pictures,
    )


def _fit(workspace: "Workspace", horizon: Any, session: date, full_retrain: bool) -> "Refit[Any]":
    from regime_assets.library.steps.fits import refit_vae

    return refit_vae(workspace, horizon, session, full_retrain=full_retrain)


def _pictures(fitted: "Refit[Any]") -> Mapping[str, dg.MetadataValue]:
    from regime_assets.library.report.figures import loss_curves

    return {"loss_curves": picture(loss_curves(fitted.fit.curves), "loss, ELBO parts and active units by epoch")}
