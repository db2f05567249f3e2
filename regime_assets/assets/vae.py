"""A variational autoencoder of the window's features, fine-tuned from the last accepted one.

Trained from scratch where there is no accepted ancestor, on the first session of each full-retrain period, and when
run config says so. Posterior collapse and reconstruction loss are checked; a VAE that fails is never an ancestor.
"""

from typing import Any

import dagster as dg

from regime_assets.assets.fitting import record_fit
from regime_assets.assets.lane import Lane, RefitConfig, sessions_of
from regime_assets.metadata import picture
from regime_assets.resources import DataHome


def vae(lane: Lane) -> dg.AssetsDefinition:
    """The asset that fits the VAE."""

    @dg.asset(
        **lane.declare(
            "vae",
            kinds={"pytorch", "mlflow"},
            deps=[lane.key("validated_window"), lane.after_itself("vae")],
            description=__doc__,
        )
    )
    def asset(
        context: dg.AssetExecutionContext, config: RefitConfig, data: DataHome, mlflow: dg.ResourceParam[Any]
    ) -> None:
        from regime_assets.library.evaluation.figures import loss_curves
        from regime_assets.library.pipeline.refits import refit_vae

        chain = data.chain(lane.universe)
        for session in sessions_of(context):
            fitted = refit_vae(chain, lane.horizon, session, full_retrain=config.full_retrain)
            record_fit(
                context,
                lane,
                chain.lineage(lane.horizon),
                fitted.record,
                fitted.fit,
                fitted.outcomes,
                mlflow,
                {
                    "loss_curves": picture(
                        loss_curves(fitted.fit.curves), "loss, ELBO parts and active units by epoch"
                    ),
                },
            )

    return asset
