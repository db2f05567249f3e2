"""Bars and corporate actions of one session, as traded, fetched from the universe's source and validated.

The first materialization loads the whole history, in parts of symbols that say in the log how far it is. Later ones
fetch an overlap of sessions again, so that late and corrected bars are picked up; only what is new or differs is
stored, with the time at which it became known. Data that breaks a blocking rule is put into quarantine, the run fails
and names it, and what is stored stays as it was. A session that no window reaches back from fails before anything is
fetched, with the line of the universe's file and the first session that can be fitted.
"""

import dagster as dg

from regime_assets.assets.lane import Lane, reported, sessions_of
from regime_assets.checks import report_refusal
from regime_assets.library import tables
from regime_assets.metadata import column_schema, figures, picture, table
from regime_assets.resources import DataHome

LOCAL_SOURCES = ("sample", "files")
SOURCE_RETRIES = dg.RetryPolicy(max_retries=2, delay=20, backoff=dg.Backoff.EXPONENTIAL)

COLUMNS = column_schema(tables.BARS.shown)


def raw_prices(lane: Lane) -> dg.AssetsDefinition:
    """The asset that fetches and stores bars."""

    @dg.asset(
        **lane.declare(
            "raw_prices",
            kinds={"python", "duckdb"},
            deps=[lane.after_itself("raw_prices")],
            description=__doc__,
            metadata=COLUMNS,
        ),
        retry_policy=SOURCE_RETRIES,
    )
    def asset(context: dg.AssetExecutionContext, data: DataHome) -> None:
        from regime_assets.library.market.price_basis import PriceBasisError
        from regime_assets.library.market.sources import SourceError
        from regime_assets.library.report.figures import price_coverage
        from regime_assets.library.steps.first_partition import TooEarlyError, early_first_partition, require_possible
        from regime_assets.library.steps.raw_prices import RejectedDataError, ingest
        from regime_assets.library.steps.stores_in_step import StoresDifferError, require_in_step

        workspace, sessions = data.workspace(lane.universe), list(sessions_of(context))
        early = early_first_partition(workspace)
        if early:
            context.log.warning(early)
        try:
            require_possible(workspace, sessions[0])
            require_in_step(workspace, sessions[0])
            ingested = ingest(workspace, sessions, log=context.log.info)
        except RejectedDataError as rejected:
            report_refusal(context.instance, context.run, lane, max(sessions), rejected.findings)
            raise dg.Failure(str(rejected), {"findings": table(rejected.findings)}, allow_retries=False) from rejected
        except (PriceBasisError, StoresDifferError, TooEarlyError) as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        except SourceError as error:
            # Another try may reach a vendor; files of one's own and packaged prices are what they are.
            can_help = lane.universe.source.kind not in LOCAL_SOURCES
            raise dg.Failure(str(error), allow_retries=can_help) from error
        drawn = reported(lane, context)
        for session in sessions:
            day = ingested.coverage(session)
            metadata = figures(day.figures) | {"warnings": table(day.warnings)}
            if ingested.changes:
                metadata["changed since the last run"] = dg.MetadataValue.md(
                    "\n".join(f"- {c}" for c in ingested.changes)
                )
            if early:
                metadata["first_partition is too early"] = dg.MetadataValue.text(early)
            if session in drawn:
                metadata["coverage"] = picture(price_coverage(day.present), "sessions with a bar, by symbol")
            context.add_asset_metadata(metadata, partition_key=session.isoformat())

    return asset
