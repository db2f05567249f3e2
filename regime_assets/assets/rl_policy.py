"""The policy: exposure set by reinforcement learning on top of the regime rule.

It continues training from the last accepted policy. By default it only tilts the regime rule within bounds, starting
at no tilt. Whether it or the rule itself serves is decided by the gate, on sessions that it has not seen.
"""

from typing import Any

import dagster as dg

from regime_assets.assets.fitting import record_fit
from regime_assets.assets.lane import Lane, RefitConfig, sessions_of
from regime_assets.metadata import picture
from regime_assets.resources import DataHome


def rl_policy(lane: Lane) -> dg.AssetsDefinition:
    """The asset that trains the policy."""

    @dg.asset(
        **lane.declare(
            "rl_policy",
            kinds={"pytorch", "mlflow"},
            deps=[lane.key("gmm"), lane.after_itself("rl_policy")],
            description=__doc__,
        )
    )
    def asset(
        context: dg.AssetExecutionContext, config: RefitConfig, data: DataHome, mlflow: dg.ResourceParam[Any]
    ) -> None:
        from regime_assets.library.evaluation.figures import reward_curves
        from regime_assets.library.pipeline.refits import refit_policy

        chain = data.chain(lane.universe)
        for session in sessions_of(context):
            fitted = refit_policy(chain, lane.horizon, session, full_retrain=config.full_retrain)
            record_fit(
                context,
                lane,
                chain.lineage(lane.horizon),
                fitted.record,
                fitted.fit,
                fitted.outcomes,
                mlflow,
                {
                    "reward_curves": picture(
                        reward_curves(fitted.fit.curves.rename(columns={"gradient_step": "step"})),
                        "reward and entropy while training",
                    ),
                },
            )

    return asset
