"""The models of this horizon replayed through a range of sessions, each decided by models that existed before it.

A range is one run: VAE and mixture are refitted at its start and then at a cadence, and the whole range is scored
beside the baselines. The result, with its report, stands on the range's last session. Killed half-way, the same range
goes on where it stopped. It promotes nothing, and no other asset reads it; the daily job leaves it out.
"""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from regime_assets.assets.lane import Lane
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, picture, report_link, table
from regime_assets.resources import DataHome

if TYPE_CHECKING:
    from regime_assets.library.research.long_walk import HistorySettings
    from regime_assets.library.workspace import Workspace

COLUMNS = column_schema(tables.WALK_FORWARD.shown)
REFITS_BETWEEN_LOGS = 20
FEWEST_SESSIONS = 21  # a month; the figures of a few sessions are zeros and chance


class WalkForwardConfig(dg.Config):
    """How often models are refitted on the way; counts are sessions."""

    refit_every: int = Field(5, ge=1, description="between two refits of VAE and regimes")
    policy_every: int = Field(21, ge=0, description="between two refits of the policy; 0 with every refit")
    full_retrain_every: int = Field(252, ge=0, description="between two retrains from scratch; 0 for the first only")
    embargo: int = Field(0, ge=0, description="before each refit, that the refit does not train on")
    design: dict[str, Any] = Field(
        {},
        description="what differs from the universe's design, as a challenger says it; both are walked",
    )
    challenger: str = Field("", description="a challenger of the file, walked beside the universe's own design")


def _walked_beside(
    workspace: "Workspace",
    lane: Lane,
    chosen: WalkForwardConfig,
    settings: "HistorySettings",
    context: dg.AssetExecutionContext,
) -> dict[str, dg.MetadataValue]:
    """Another design walked beside the universe's own, as the UI shows it."""
    from datetime import date

    from regime_assets.library.report.figures import equity_and_drawdown
    from regime_assets.library.research.tries import patched_design, try_design
    from regime_assets.library.research.try_report import strategies, write_pair

    def progress(whose: str, number: int, total: int, session: date) -> None:
        if number in (1, total) or number % REFITS_BETWEEN_LOGS == 0:
            context.log.info(f"{whose}: refit {number} of {total}, as of {session}")

    assert lane.horizon is not None
    named = chosen.challenger
    if named and named not in workspace.universe.challengers:
        known = ", ".join(workspace.universe.challengers) or "none"
        raise dg.Failure(
            f"{named} is no challenger of {workspace.universe.name}: there are {known}", allow_retries=False
        )
    design = workspace.of_lane(named).design if named else patched_design(workspace.universe, chosen.design)
    design_hash = design.hash_for(lane.horizon)
    pair = try_design(workspace, lane.horizon, design, settings, progress)
    net = {one.name: one.net for one in strategies(pair)}
    return {
        "equity": picture(equity_and_drawdown(net), "out-of-sample equity and drawdown of both designs"),
        "comparison": table(pair.table),
        "verdict": dg.MetadataValue.md("\n".join(f"- {sentence}" for sentence in pair.verdict())),
        "design": dg.MetadataValue.text(design_hash),
        "report": report_link(write_pair(workspace, lane.horizon, pair, design_hash[:12])),
    }


def walk_forward(lane: Lane, prices: dg.AssetKey) -> dg.AssetsDefinition:
    """The asset that replays a range of sessions in one run."""

    @dg.asset(
        **lane.declare(
            "walk_forward",
            kinds={"duckdb", "html"},
            deps=[prices],
            description=__doc__,
            metadata=COLUMNS,
            backfill_policy=dg.BackfillPolicy.single_run(),
            pool=None,  # it writes for moments only; the daily run need not wait for minutes
        )
    )
    def asset(
        context: dg.AssetExecutionContext, config: WalkForwardConfig, data: DataHome, mlflow: dg.ResourceParam[Any]
    ) -> None:
        from datetime import date

        from regime_assets.library.report.figures import equity_and_drawdown
        from regime_assets.library.research.long_walk import HistorySettings, walk_history
        from regime_assets.library.shared_files import local_file

        def progress(number: int, total: int, session: date) -> None:
            if number in (1, total) or number % REFITS_BETWEEN_LOGS == 0:
                context.log.info(f"refit {number} of {total}, as of {session}")

        keys = sorted(context.op_execution_context.partition_keys)
        if len(keys) < FEWEST_SESSIONS:
            raise dg.Failure(
                f"{len(keys)} session{'s' if len(keys) > 1 else ''} cannot be scored: a walk-forward needs a range of "
                f"{FEWEST_SESSIONS} or more. Choose one with Materialize, as one run.",
                allow_retries=False,
            )
        first, last = date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])
        settings = HistorySettings(
            first,
            last,
            config.refit_every,
            config.policy_every,
            config.full_retrain_every,
            embargo=config.embargo,
        )
        if config.design or config.challenger:
            beside = _walked_beside(data.workspace(lane.universe), lane, config, settings, context)
            decided = {"sessions_decided": dg.MetadataValue.text(f"{keys[0]} to {keys[-1]}")}
            context.add_asset_metadata(beside | decided, partition_key=keys[-1])
            return
        done = walk_history(data.workspace(lane.universe), lane.horizon, settings, progress)
        tracked = {f"{lane.horizon}.walk_forward.{name}": float(v) for name, v in done.figures.items() if v is not None}
        mlflow.log_metrics(tracked, step=last.toordinal())
        with local_file(done.report) as report:
            mlflow.log_artifact(str(report), f"{lane.horizon}.walk_forward")
        metadata = figures(done.figures) | {
            "sessions_decided": dg.MetadataValue.text(f"{keys[0]} to {keys[-1]}"),
            "equity": picture(equity_and_drawdown(done.net), "out-of-sample equity and drawdown"),
            "comparison": table(done.table),
            "report": report_link(done.report),
        }
        context.add_asset_metadata(metadata, partition_key=keys[-1])

    return asset
