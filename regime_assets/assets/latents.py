"""The window's latents on axes that keep their meaning from one refit to the next.

A refitted VAE may rotate its latent space; an orthogonal Procrustes map onto the last accepted latents undoes it. The
residual of that map is checked.
"""

from typing import Any

import dagster as dg

from regime_assets.assets.fitting import record_fit
from regime_assets.assets.lane import Lane, sessions_of
from regime_assets.metadata import column_schema, picture
from regime_assets.resources import DataHome

TABLE = "latents"
COLUMNS = column_schema(
    {
        "universe": ("VARCHAR", "name of the universe"),
        "horizon": ("VARCHAR", "short or long"),
        "as_of": ("DATE", "the partition"),
        "session": ("DATE", "row of the window"),
        "z0…": ("DOUBLE", "aligned latent means"),
        "reconstruction_error": ("DOUBLE", "mean squared, in observation sigmas"),
    }
)


def latents(lane: Lane) -> dg.AssetsDefinition:
    """The asset that encodes the window and aligns its latents."""

    @dg.asset(
        **lane.declare(
            "latents",
            kinds={"numpy", "duckdb"},
            deps=[lane.key("vae"), lane.after_itself("latents")],
            description=__doc__,
            metadata=COLUMNS,
        )
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome, mlflow: dg.ResourceParam[Any]) -> None:
        import numpy as np

        from regime_assets.library.report.figures import latent_map
        from regime_assets.library.steps.fits import encode_window

        workspace = data.workspace(lane.universe)
        for session in sessions_of(context):
            fitted = encode_window(workspace, lane.horizon, session)
            latents, rows = fitted.fit.latents, fitted.fit.to_frame()
            workspace.database.replace_partition(TABLE, workspace.key(lane.horizon, session), rows)
            shown = latent_map(latents, np.zeros(len(latents), dtype=int), ("all sessions",))
            pictures = {"latent_map": picture(shown, "latents of the window")}
            record_fit(context, lane, workspace.lineage(lane.horizon), fitted, mlflow, pictures)

    return asset
