"""How the models do on sessions that they have not seen, beside the baselines, as one report a session.

The out-of-sample track is what the newest model that existed at each session decided on it. The first
materialization fills the track by a walk-forward through the preceding two years; every later one adds the sessions
since. A run over several sessions writes the report of the last one. `promotion` judges the session's models and writes
the gate's verdict into the report.
"""

from typing import Any

import dagster as dg

from regime_assets.assets.lane import Lane, reported, sessions_of
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, picture, report_link, table
from regime_assets.resources import DataHome

COLUMNS = column_schema(tables.DECISIONS.shown)


def backtest_report(lane: Lane) -> dg.AssetsDefinition:
    """The asset that extends the out-of-sample track and reports."""

    @dg.asset(
        **lane.declare(
            "backtest_report",
            kinds={"duckdb", "html"},
            deps=[lane.key("rl_policy")],
            description=__doc__,
            metadata=COLUMNS,
        )
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome, mlflow: dg.ResourceParam[Any]) -> None:
        from regime_assets.library.production.tracked_fit import figures_together
        from regime_assets.library.report.figures import equity_and_drawdown
        from regime_assets.library.shared_files import local_file
        from regime_assets.library.steps.backtest_report import backtest

        workspace = data.workspace(lane.universe, lane.design)
        drawn = reported(lane, context)
        with figures_together(mlflow) as take:
            for session in sessions_of(context):
                done = backtest(workspace, lane.horizon, session, log=context.log.info, page=session in drawn)
                take(done.tracked(f"{lane.label}.backtest_report"), session.toordinal())
                metadata = figures(done.figures) | {"comparison": table(done.comparison)}
                if done.report is not None:
                    with local_file(done.report) as report:
                        mlflow.log_artifact(str(report), f"{lane.label}.backtest_report")
                    metadata["equity"] = picture(equity_and_drawdown(done.net), "out-of-sample equity and drawdown")
                    metadata["report"] = report_link(done.report)
                context.add_asset_metadata(metadata, partition_key=session.isoformat())

    return asset
