"""The regimes: a Gaussian mixture on the VAE's output and a causal filter that makes regimes last.

The mixture starts from the last accepted one and its components are matched to it, so that a regime keeps its name,
order and colour. Before a new mixture is accepted, the states that it gives to the last year are compared with those
of the previous partition's.
"""

from typing import Any

import dagster as dg

from regime_assets.assets.fitting import record_fit
from regime_assets.assets.lane import Lane, RefitConfig, sessions_of
from regime_assets.metadata import picture
from regime_assets.resources import DataHome


def gmm(lane: Lane) -> dg.AssetsDefinition:
    """The asset that fits mixture and persistence."""

    @dg.asset(
        **lane.declare(
            "gmm",
            kinds={"scikitlearn", "mlflow"},
            deps=[lane.key("latents"), lane.after_itself("gmm")],
            description=__doc__,
        )
    )
    def asset(
        context: dg.AssetExecutionContext, config: RefitConfig, data: DataHome, mlflow: dg.ResourceParam[Any]
    ) -> None:
        from regime_assets.library.evaluation.figures import latent_map, regime_ribbon
        from regime_assets.library.pipeline.refits import refit_regimes

        chain = data.chain(lane.universe)
        for session in sessions_of(context):
            fitted = refit_regimes(chain, lane.horizon, session, full_retrain=config.full_retrain)
            path, training = fitted.path, fitted.training
            level = (1 + training.market_returns).cumprod()
            record_fit(
                context,
                lane,
                chain.lineage(lane.horizon),
                fitted.record,
                fitted.fit,
                fitted.outcomes,
                mlflow,
                {
                    "regime_ribbon": picture(regime_ribbon(path.sessions, level, path.states, path.names), "regimes"),
                    "latent_map": picture(latent_map(path.latents, path.states, path.names), "latents by regime"),
                },
            )

    return asset
